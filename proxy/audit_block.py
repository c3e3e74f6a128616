"""`on_failure = "block"`: while the audit log cannot be written, clients wait, for `block_s` at most.

No client is read from, so its next statement stands still in its socket. What was under way ends, and its events stay
in the emitter's queue. When the time is over, clients are read from again and their statements are refused, as with
`deny`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable

from proxy.postgres.frontend import PAUSE_AUDIT, Frontend

logger = logging.getLogger(__name__)


class AuditBlock:
    """One per gateway. Invariant: while `active`, every frontend that was there when it began is paused."""

    __slots__ = ("_frontends", "_limit_s", "_loop", "_paused", "_timer", "blocked")

    def __init__(self, loop: asyncio.AbstractEventLoop, frontends: Callable[[], Iterable[Frontend]], limit_s: float):
        self._loop = loop
        self._frontends = frontends
        self._limit_s = limit_s
        self._paused: list[Frontend] = []
        self._timer: asyncio.TimerHandle | None = None
        self.blocked = 0  # how often, for the metrics

    @property
    def active(self) -> bool:
        return self._timer is not None

    def on_trouble(self, failing: bool) -> None:
        """The audit log cannot be written any more, or can again."""
        if failing and self._timer is None:
            self._begin()
        elif not failing:
            self._end()

    def _begin(self) -> None:
        self._paused = list(self._frontends())
        for frontend in self._paused:
            frontend.pause_client(True, PAUSE_AUDIT)
        self._timer = self._loop.call_later(self._limit_s, self._give_up)
        self.blocked += 1
        logger.critical("clients wait for the audit log", extra={"clients": len(self._paused)})

    def _give_up(self) -> None:
        logger.critical("the audit log is not well in time: statements are refused")
        self._end()

    def _end(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        paused, self._paused = self._paused, []
        for frontend in paused:
            frontend.pause_client(False, PAUSE_AUDIT)
