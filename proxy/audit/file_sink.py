"""The audit log's file: append-only, mode 0600, one writer, and nothing else may touch it unnoticed.

Knows bytes and lines, not what stands in them. All calls are synchronous and raise OSError; `append` is one
write to the page cache, `sync` may block for a disk's time and so belongs in a thread.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from proxy.audit.chain import MAX_LINE_BYTES

_BLOCK_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Tail:
    """How a file ends: its last whole line without newline (empty: it has none) and what follows that."""

    last_line: bytes
    torn: bytes


def read_tail(descriptor: int) -> Tail:
    """Read the end of an open file. Raises OSError when there is no newline within the longest line's reach."""
    start = os.fstat(descriptor).st_size
    data = b""
    while start > 0 and data.count(b"\n") < 2:
        if len(data) > 2 * MAX_LINE_BYTES:
            raise OSError(errno.EBADMSG, "this is not an audit log: no line ends near the end of the file")
        step = min(_BLOCK_BYTES, start)
        start -= step
        data = os.pread(descriptor, step, start) + data
    whole, newline, torn = data.rpartition(b"\n")
    return Tail(whole.rpartition(b"\n")[2], torn) if newline else Tail(b"", data)


class FileSink:
    """One open audit file, from `FileSink(path)` to `close()`. Invariant: `size` is where our last line ends."""

    __slots__ = ("_descriptor", "_durable", "_torn_write", "path", "size")

    def __init__(self, path: Path, *, durable: bool = False) -> None:
        """Open or create `path` and its directory, and lock it against a second writer."""
        self.path = path
        self._durable = durable
        self._torn_write = False
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        self._descriptor = os.open(path, flags, 0o600)
        try:
            self._lock()
        except BaseException:
            os.close(self._descriptor)
            raise
        self.size = os.fstat(self._descriptor).st_size
        if durable and self.size == 0:
            _sync_directory(path.parent)

    def _lock(self) -> None:
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OSError(errno.EBUSY, "another gateway writes to this file") from None

    def tail(self) -> Tail:
        return read_tail(self._descriptor)

    def first_line(self) -> bytes:
        """The first line without its newline."""
        return os.pread(self._descriptor, MAX_LINE_BYTES, 0).partition(b"\n")[0]

    @property
    def spilled_bytes(self) -> int:
        """Bytes of lines that wait elsewhere (spill.py)."""
        return 0

    def read_at(self, offset: int, length: int) -> bytes:
        """Bytes of the file."""
        return os.pread(self._descriptor, length, offset)

    def lines_from_last(self, mark: bytes) -> Iterator[bytes]:
        """The lines without newlines from the last one on that holds `mark`; from the first one, when none does."""
        at, later = self.size, b""
        while at > 0 and mark not in later:
            step = min(_BLOCK_BYTES, at)
            at -= step
            later = os.pread(self._descriptor, step, at) + later[: len(mark)]
        start = self._line_start(at + max(later.rfind(mark), 0))
        with os.fdopen(os.dup(self._descriptor), "rb") as file:
            file.seek(start)
            for line in file:
                yield line.rstrip(b"\n")

    def _line_start(self, at: int) -> int:
        while at > 0:
            start = max(0, at - _BLOCK_BYTES)
            newline = os.pread(self._descriptor, at - start, start).rfind(b"\n")
            if newline >= 0:
                return start + newline + 1
            at = start
        return 0

    def cut_torn(self, tail: Tail) -> None:
        """Take an incomplete last line, which a killed gateway left, off the file."""
        os.ftruncate(self._descriptor, self.size - len(tail.torn))
        self.size -= len(tail.torn)

    def append(self, data: bytes) -> None:
        """Write whole lines. On OSError nothing of them counts: a part that was written is cut off again."""
        self._check_untouched()
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._descriptor, view) :]
        except OSError:
            self._torn_write = True
            with contextlib.suppress(OSError):
                self._cut_torn_write()
            raise
        self.size += len(data)

    def _check_untouched(self) -> None:
        if self._torn_write:
            self._cut_torn_write()
        status = os.fstat(self._descriptor)
        if status.st_nlink == 0:
            raise OSError(errno.ENOENT, "the file was deleted under the gateway")
        if status.st_size != self.size:
            raise OSError(errno.EBADMSG, "the file was changed by somebody else than the gateway")

    def _cut_torn_write(self) -> None:
        os.ftruncate(self._descriptor, self.size)
        self._torn_write = False

    def is_at(self, path: Path) -> bool:
        """True while `path` still names the open file, that is, until it is rotated away."""
        try:
            return os.path.samestat(path.lstat(), os.fstat(self._descriptor))
        except FileNotFoundError:
            return False

    def duplicate(self) -> int:
        """A descriptor of the caller's own, for `sync_descriptor` in a thread while this sink may be closed."""
        return os.dup(self._descriptor)

    def close(self) -> None:
        """Release the file, synced first if the sink is durable."""
        try:
            if self._durable:
                os.fsync(self._descriptor)
        finally:
            os.close(self._descriptor)


def sync_descriptor(descriptor: int) -> None:
    """fsync and close a descriptor from `FileSink.duplicate`."""
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    sync_descriptor(descriptor)
