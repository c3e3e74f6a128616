"""Where seals go besides the log: out of reach of one who can write the log, or has stolen the key.

An anchor takes a seal as one line of canonical JSON, as it was signed. What cannot be taken is kept, up to a bound, and
tried again with the next; a log without its anchor is still a log, so statements go on. All calls run in a thread.
"""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from proxy.audit.canonical import canonical, encoded
from proxy.audit.chain import Fields
from proxy.config import AuditConfig

_MAX_WAITING = 10_000
_COMMAND_S = 30.0
_log = logging.getLogger(__name__)


class Anchor(Protocol):
    """Somewhere that keeps what it was given."""

    def put(self, line: bytes) -> None:
        """Keep a line, which ends with a newline. Raises OSError."""
        ...


@dataclass(frozen=True, slots=True)
class FileAnchor:
    """A file elsewhere (another disk, an append-only mount, `chattr +a`), opened for each line and synced."""

    path: Path

    def put(self, line: bytes) -> None:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        descriptor = os.open(self.path, flags, 0o600)
        try:
            os.write(descriptor, line)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@dataclass(frozen=True, slots=True)
class CommandAnchor:
    """A command that gets the line on its standard input: a commit, a timestamp service, an object lock bucket."""

    command: tuple[str, ...]

    def put(self, line: bytes) -> None:
        try:
            done = subprocess.run(self.command, input=line, capture_output=True, timeout=_COMMAND_S, check=False)
        except subprocess.TimeoutExpired:
            raise OSError("the anchor command took too long") from None
        if done.returncode != 0:
            raise OSError(f"the anchor command ended with {done.returncode}")


class Anchors:
    """Puts seals into all anchors, in order. Lifetime: as its emitter."""

    def __init__(self, anchors: Sequence[Anchor]) -> None:
        self._waiting = [(anchor, deque[bytes](maxlen=_MAX_WAITING)) for anchor in anchors]
        self._work: asyncio.Future[None] | None = None
        self._again = False

    def put(self, seal: Fields) -> None:
        """Take a seal; the anchors get it from a thread."""
        if not self._waiting:
            return
        line = encoded(canonical(seal)) + b"\n"
        for _, lines in self._waiting:
            lines.append(line)
        self._start()

    def _start(self) -> None:
        self._again = self._work is not None
        if self._work is None:
            self._work = asyncio.get_running_loop().run_in_executor(None, self._drain)
            self._work.add_done_callback(self._on_done)

    def _on_done(self, work: asyncio.Future[None]) -> None:
        self._work = None
        if not work.cancelled() and (error := work.exception()) is not None:
            _log.error("unexpected error", exc_info=error)
        if self._again:
            self._start()

    def _drain(self) -> None:
        for anchor, lines in self._waiting:
            while lines:
                try:
                    anchor.put(lines[0])
                except OSError as error:
                    _log.error("a seal could not be anchored", extra={"error": error, "waiting": len(lines)})
                    break
                lines.popleft()

    async def finish(self) -> None:
        """Wait until all was tried."""
        while self._work is not None:
            await asyncio.gather(self._work, return_exceptions=True)


def anchors_of(config: AuditConfig) -> list[Anchor]:
    """The anchors that the configuration names."""
    found: list[Anchor] = []
    if config.anchor_file is not None:
        found.append(FileAnchor(config.anchor_file))
    if config.anchor_command:
        found.append(CommandAnchor(config.anchor_command))
    return found
