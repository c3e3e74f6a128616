"""Takes the audit log to one sink: at least once, in each chain's order, from where it was before.

The log's files are the queue: while a sink is down they wait there, and the gateway notices nothing of it. A batch is
tried until it has arrived; what a sink refuses for good is kept in a file beside the position, and stays in the log.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from proxy.audit.errors import MalformedLine
from proxy.audit.forward.log_reader import Batch, LogReader
from proxy.audit.forward.positions import Positions
from proxy.audit.sinks.sink import Outcome, Record, Sink, SinkUnavailable
from proxy.config_sinks import SinkConfig

_POLL_S: Final = 0.2
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.2, 30.0
logger = logging.getLogger(__name__)


@dataclass(slots=True)
class SinkStatus:
    """What metrics tell of one sink. Counts are since the start; times are seconds since the epoch, 0: never."""

    name: str
    delivered: int = 0
    rejected: int = 0
    failures: int = 0
    missing: int = 0
    astray: int = 0
    behind_bytes: int = 0
    up: bool = True
    last_delivery: float = 0.0
    last_error: str = ""


def state_directory(log: Path) -> Path:
    """Where positions are kept: beside the log."""
    return log.parent / "forward"


class Forwarder:
    """One sink's, for one `run` or `run_once`, which closes the sink at its end."""

    def __init__(self, config: SinkConfig, sink: Sink, log: Path, *, pause_s: float = _FIRST_PAUSE_S) -> None:
        """Raises OSError and PositionInUse. pause_s: after the first failure; it doubles up to 30 s."""
        self._config = config
        self._sink = sink
        self._reader = LogReader(log, tenants=config.tenants)
        self._positions = Positions(state_directory(log) / f"{config.name}.json")
        self._rejected = state_directory(log) / f"{config.name}.rejected.jsonl"
        self._pause_s = pause_s
        self._alarmed = False
        self.status = SinkStatus(config.name)

    async def run(self, stop: asyncio.Event) -> None:
        """Forward until `stop`, then let go of the sink."""
        try:
            while not stop.is_set():
                if not await self._pass(stop):
                    await _pause(stop, _POLL_S)
        finally:
            await self._close()

    async def run_once(self) -> bool:
        """Forward what is there, each batch tried once; True if all of it arrived."""
        stop = asyncio.Event()
        stop.set()
        try:
            while self.status.up:
                if not await self._pass(stop):
                    break
            return self.status.up and self.status.behind_bytes == 0
        finally:
            await self._close()

    async def _pass(self, stop: asyncio.Event) -> bool:
        """One batch of each chain; False if there was nothing, or nothing could be read."""
        moved = False
        try:
            for batch in self._reader.batches(self._positions.chains, self._config.batch):
                if not await self._deliver(batch, stop):
                    break
                self._positions.advance(batch.chain, batch.position)
                moved = True
            self._observe()
        except (OSError, MalformedLine) as error:
            self._failed(f"the audit log cannot be read, or the position not kept: {error}")
            return False
        return moved

    async def _deliver(self, batch: Batch, stop: asyncio.Event) -> bool:
        """True when the sink has all of the batch, or refused some for good; False when it was stopped before."""
        waiting: Sequence[Record] = batch.records
        pause_s = self._pause_s
        while waiting:
            asked_s = 0.0
            try:
                outcome = await self._sink.send(waiting)
            except SinkUnavailable as error:
                self._failed(error.message)
                asked_s = error.retry_after_s
            else:
                waiting = self._take(waiting, outcome)
                if not waiting:
                    break
                self._failed(f"{len(waiting)} events were not taken yet")
            if stop.is_set():
                return False
            await _pause(stop, max(asked_s, pause_s * random.uniform(0.5, 1.0)))  # noqa: S311 (jitter)
            pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)
            self._observe()
        if batch.records:
            self._arrived()
        return True

    def _take(self, sent: Sequence[Record], outcome: Outcome) -> Sequence[Record]:
        """Count, and keep what was refused for good; what is to be sent again."""
        if outcome.rejected:
            self._keep_rejected(outcome.rejected)
        self.status.rejected += len(outcome.rejected)
        self.status.delivered += len(sent) - len(outcome.rejected) - len(outcome.retry)
        return outcome.retry

    def _keep_rejected(self, rejected: Sequence[tuple[Record, str]]) -> None:
        logger.error("audit sink refused events", extra={"sink": self._config.name, "reason": rejected[0][1]})
        lines = [{"reason": reason, "id": r.id, "line": r.line.decode("utf-8", "replace")} for r, reason in rejected]
        data = "".join(json.dumps(line) + "\n" for line in lines).encode()
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        with open(os.open(self._rejected, flags, 0o600), "ab") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())

    def _failed(self, reason: str) -> None:
        if self.status.up:
            logger.error("audit sink is down", extra={"sink": self._config.name, "error": reason})
        self.status.up = False
        self.status.failures += 1
        self.status.last_error = reason

    def _arrived(self) -> None:
        if not self.status.up:
            logger.warning("audit sink is well again", extra={"sink": self._config.name})
        self.status.up = True
        self.status.last_delivery = time.time()

    def _observe(self) -> None:
        self.status.missing, self.status.astray = self._reader.missing, self._reader.astray
        self.status.behind_bytes = self._reader.behind_bytes(self._positions.chains)
        alarm = self.status.behind_bytes > self._config.max_behind_bytes
        if alarm and not self._alarmed:
            extra = {"sink": self._config.name, "bytes": self.status.behind_bytes}
            logger.critical("audit sink is far behind the log", extra=extra)
        self._alarmed = alarm

    async def _close(self) -> None:
        with contextlib.suppress(OSError):
            await self._sink.close()
        self._positions.close()


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    """Sleep, but not longer than until `stop`."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), seconds)
