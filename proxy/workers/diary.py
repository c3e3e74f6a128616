"""The supervisor's own audit log: which worker began when, with which chain, and how it ended.

It is the file that the configuration names; workers write beside it. Each entry says where the worker's chain stood,
so that `tenantgate audit verify` of this file finds the others, and finds out when one was cut or replaced.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Iterable

from proxy.audit.emitter import AuditEmitter
from proxy.audit.errors import AuditUnavailable
from proxy.config import AuditConfig
from proxy.workers.orders import worker_log
from proxy.workers.process import Process

logger = logging.getLogger(__name__)
_MAX_UNTOLD = 10_000

Fields = dict[str, str | int | float]


class Diary:
    """From `start` to `close`; what cannot be written is kept and written with the next entry."""

    def __init__(self, config: AuditConfig) -> None:
        self.path = config.path
        self._audit = AuditEmitter(config)
        self._untold: deque[Fields] = deque(maxlen=_MAX_UNTOLD)

    def start(self) -> None:
        """Raises AuditUnavailable."""
        self._audit.start()

    def reopen(self, serving: Iterable[Process]) -> None:
        """After a rotation; the new file names the workers of now."""
        try:
            self._audit.reopen()
        except AuditUnavailable as error:
            logger.error("audit log not reopened: %s", error.message)
        for process in serving:
            self._note(process, {"event": "worker", "outcome": "serving"})

    async def close(self) -> None:
        self._tell()
        await self._audit.close()

    def started(self, process: Process) -> None:
        """The worker serves, and its chain stands where it said."""
        self._note(process, {"event": "worker", "outcome": "started"})

    def sealed(self, process: Process) -> None:
        """It has sealed a segment of its chain: the seal is its last line."""
        self._note(process, {"event": "worker", "outcome": "sealed"})

    def ended(self, process: Process, how: str, *, expected: bool) -> None:
        """It has ended. Where its chain stood then is known if it could say so."""
        self._note(process, {"event": "worker", "outcome": "stopped" if expected else "lost", "reason": how})

    def _note(self, process: Process, fields: Fields) -> None:
        fields |= {"worker": process.seat, "pid": process.pid, "time": time.time()}
        if process.chain:
            fields |= {
                "file": worker_log(self.path, process.seat).name,
                "chain": process.chain["chain"],
                "at_seq": process.chain["seq"],
                "at_hash": process.chain["hash"],
            }
        self._untold.append(fields)
        self._tell()

    def _tell(self) -> None:
        while self._untold:
            try:
                self._audit.note(self._untold[0])
            except AuditUnavailable as error:
                logger.error("audit: %s", error.message)
                return
            self._untold.popleft()
