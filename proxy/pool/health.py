"""Is a backend worth handing out, and is its target worth asking: lifetimes, checks, the memory of failure.

Pure apart from the check itself; the pool passes `now` in (seconds of the event loop's clock).
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from policy.errors import TenantGateError
from proxy.errors import TargetUnavailable
from proxy.pool.waiter import Holder
from proxy.postgres.backend import BackendConnection
from proxy.postgres.backend_errors import TargetFull

CHECK_AFTER_IDLE_S = 15.0
CHECK_TIMEOUT_S = 2.0
REMEMBER_FAILURE_S = 1.0
JITTER = 0.1


@dataclass(slots=True)
class Tenure:
    """How long a backend may live and be idle, since when it is idle, and whose session has it. Both limits are
    jittered, so that backends that were opened, or left, together are not closed together."""

    retire_at: float
    idle_limit_s: float
    idle_since: float
    holder: Holder | None = None

    @classmethod
    def begin(cls, now: float, max_lifetime_s: float, idle_timeout_s: float) -> Tenure:
        jitter = 1.0 - random.random() * JITTER  # noqa: S311 - spreads load, guards nothing
        return cls(now + max_lifetime_s * jitter, idle_timeout_s * jitter, now)

    def retired(self, now: float) -> bool:
        return now >= self.retire_at

    def stale(self, now: float) -> bool:
        """Idle for too long, or too old."""
        return now - self.idle_since >= self.idle_limit_s or now >= self.retire_at


async def is_alive(backend: BackendConnection, *, timeout_s: float = CHECK_TIMEOUT_S) -> bool:
    """One empty query there and back; it touches neither transaction nor settings."""
    try:
        await backend.exchange("", timeout_s=timeout_s)
    except TenantGateError:
        return False
    return not backend.closed


class Circuit:
    """Remembers that the target could not be reached, so that thousands of clients fail at once instead of each
    waiting for its own time-out. Open from `trip` until `close`; `asked` says that somebody wanted in since."""

    __slots__ = ("_error", "asked")

    def __init__(self) -> None:
        self._error: TargetUnavailable | None = None
        self.asked = False

    @property
    def open(self) -> bool:
        return self._error is not None

    @property
    def doubtful(self) -> bool:
        """It may be up: it only has no connection left, or it, or we, had too much to do to answer in time."""
        return isinstance(self._error, TargetFull) or (
            self._error is not None and isinstance(self._error.__cause__, TimeoutError)
        )

    def trip(self, error: TargetUnavailable) -> None:
        self._error = error

    def close(self) -> None:
        self._error = None

    def error(self) -> TargetUnavailable:
        """A new error of the remembered failure: one exception is not raised in several tasks."""
        if self._error is None:
            return TargetUnavailable("the target is unavailable")
        return TargetUnavailable(self._error.message, hint=self._error.hint)
