"""Where audit lines go while the log's file cannot take them: an encrypted file, elsewhere, drained later in order.

The lines are chained already: what is spilled is bytes of the log that are late. Frames stand one after the other, each
the bytes of one batch with their place in the log's file, encrypted with AES-256-GCM; a frame's number and the file's
random id are authenticated with it, so none can be moved, doubled or put in from another spill. A frame's place makes
draining repeatable: after a crash between writing to the log and emptying the spill, what the log has is compared and
not written twice.

File: `TGSPILL1`, 16 random bytes, then frames: length (4 bytes, big-endian) of what follows, nonce (12), ciphertext of
place (8 bytes) and data, tag (16).
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import logging
import os
import secrets
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from proxy.audit.file_sink import FileSink
from proxy.config import AuditConfig

MIN_KEY_BYTES: Final = 32
_MAGIC: Final = b"TGSPILL1"
_HEAD_BYTES: Final = len(_MAGIC) + 16
_LENGTH: Final = struct.Struct("!I")
_PLACE: Final = struct.Struct("!Q")
_NONCE_BYTES: Final = 12
_MAX_FRAME_BYTES: Final = 64 * 1024 * 1024
_DRAIN_BYTES: Final = 4 * 1024 * 1024  # in one go: the loop waits for it
_RETRY_S: Final = 0.5
# What says that the medium cannot take it. A file that somebody changed or deleted is another matter: not spilled.
_OF_THE_MEDIUM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EFBIG, errno.ENOMEM})
logger = logging.getLogger(__name__)


class SpillFile:
    """The encrypted frames. Invariant: `size` is where the last whole frame ends. All calls raise OSError."""

    __slots__ = ("_cipher", "_descriptor", "_id", "_max_bytes", "_users", "count", "path", "size")

    def __init__(self, path: Path, key: str, max_bytes: int) -> None:
        self.path = path
        self._max_bytes = max_bytes
        self._users = 1
        material = HKDF(hashes.SHA256(), 32, salt=None, info=b"tenantgate audit spill 1").derive(key.encode())
        self._cipher = AESGCM(material)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        self._descriptor = os.open(path, flags, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._open()
        except BaseException:
            os.close(self._descriptor)
            raise

    def _open(self) -> None:
        head = os.pread(self._descriptor, _HEAD_BYTES, 0)
        if len(head) < _HEAD_BYTES:  # new, or killed while it was made
            self._begin()
            return
        if head[: len(_MAGIC)] != _MAGIC:
            raise OSError(errno.EBADMSG, "this is not a spill of audit lines")
        self._id, self.size, self.count = head[len(_MAGIC) :], _HEAD_BYTES, 0
        for length in self._frame_lengths():
            self.size += length
            self.count += 1
        os.ftruncate(self._descriptor, self.size)  # a frame that a killed gateway left incomplete

    def _begin(self) -> None:
        self._id, self.count = secrets.token_bytes(16), 0
        os.ftruncate(self._descriptor, 0)
        os.write(self._descriptor, _MAGIC + self._id)
        self.size = _HEAD_BYTES

    def _frame_lengths(self) -> Iterator[int]:
        """How long each whole frame is in the file."""
        offset, end = _HEAD_BYTES, os.fstat(self._descriptor).st_size
        while offset + _LENGTH.size <= end:
            length = _LENGTH.unpack(os.pread(self._descriptor, _LENGTH.size, offset))[0] + _LENGTH.size
            if length > _MAX_FRAME_BYTES or offset + length > end:
                return
            yield length
            offset += length

    def append(self, place: int, data: bytes) -> None:
        """Add a batch that belongs at byte `place` of the log's file."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = nonce + self._cipher.encrypt(nonce, _PLACE.pack(place) + data, self._bound(self.count))
        frame = _LENGTH.pack(len(sealed)) + sealed
        if len(frame) > _MAX_FRAME_BYTES or self.size + len(frame) > self._max_bytes:
            raise OSError(errno.ENOSPC, "the spill of audit lines is full")
        try:
            if os.write(self._descriptor, frame) != len(frame):
                raise OSError(errno.ENOSPC, "the spill of audit lines cannot be written")
        except OSError:
            os.ftruncate(self._descriptor, self.size)
            raise
        self.size += len(frame)
        self.count += 1

    def read(self, offset: int, number: int) -> tuple[int, bytes, int]:
        """(place, data, offset of the next) of the frame there. Raises OSError for one that was touched."""
        length = _LENGTH.unpack(os.pread(self._descriptor, _LENGTH.size, offset))[0]
        sealed = os.pread(self._descriptor, length, offset + _LENGTH.size)
        try:
            plain = self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], self._bound(number))
        except InvalidTag:
            raise OSError(errno.EBADMSG, "the spill was touched, or belongs to another spill_key") from None
        return _PLACE.unpack(plain[: _PLACE.size])[0], plain[_PLACE.size :], offset + _LENGTH.size + length

    def _bound(self, number: int) -> bytes:
        return self._id + _PLACE.pack(number)

    @property
    def first_offset(self) -> int:
        return _HEAD_BYTES

    def empty(self) -> None:
        """Take all frames away: the log has them, and has them on the disk."""
        self._begin()

    def duplicate(self) -> int:
        """A descriptor of the caller's own, to sync."""
        return os.dup(self._descriptor)

    def shared(self) -> SpillFile:
        """Itself, to be closed once more: by the sink that follows in a rotation."""
        self._users += 1
        return self

    def close(self) -> None:
        self._users -= 1
        if self._users == 0:
            try:
                os.fsync(self._descriptor)
            finally:
                os.close(self._descriptor)


class SpillingSink(FileSink):
    """A `FileSink` that spills what the medium does not take. Opens only when what was spilled before is in the log."""

    __slots__ = ("_closed", "_next_place", "_number", "_offset", "_retry_at", "_spill", "_waits")

    def __init__(self, path: Path, spill: SpillFile, *, durable: bool = False) -> None:
        self._spill = spill
        self._offset, self._number = spill.first_offset, 0
        self._next_place = 0  # of the log's file: where the next line that is spilled belongs
        self._retry_at = 0.0
        self._waits = self._closed = False
        try:
            super().__init__(path, durable=durable)
        except BaseException:
            spill.close()
            raise
        try:
            while self.spilled_bytes:
                self._drain_frame()
        except BaseException:
            self.close()
            raise

    @property
    def spill(self) -> SpillFile:
        return self._spill

    @property
    def spilled_bytes(self) -> int:
        """What the log does not have yet, encrypted."""
        return self._spill.size - self._offset

    def append(self, data: bytes) -> None:
        if self.drain():
            try:
                super().append(data)
                return
            except OSError as error:
                if error.errno not in _OF_THE_MEDIUM:
                    raise
                extra = {"path": self.path, "spill": self._spill.path, "error": error}
                logger.critical("audit log cannot be written: lines are spilled", extra=extra)
                self._retry_at = time.monotonic() + _RETRY_S
                self._next_place = self.size
        self._spill.append(self._next_place, data)
        self._next_place += len(data)
        self._drain_later()

    def _drain_later(self) -> None:
        """Also when no further line comes."""
        with contextlib.suppress(RuntimeError):  # no loop: the next line or `close` drains
            if not self._waits:
                asyncio.get_running_loop().call_later(_RETRY_S, self._on_timer)
                self._waits = True

    def _on_timer(self) -> None:
        self._waits = False
        if self._closed:
            return
        try:
            if not self.drain():
                self._drain_later()
        except OSError as error:  # the next line meets it again, and statements are refused
            logger.critical("spilled audit lines cannot be drained", extra={"path": self.path, "error": error})

    def drain(self) -> bool:
        """Bring some of what was spilled into the log, if it can be written again; True when nothing is left."""
        if self.spilled_bytes and time.monotonic() >= self._retry_at:
            try:
                done = 0
                while self.spilled_bytes and done < _DRAIN_BYTES:
                    done += self._drain_frame()
            except OSError as error:
                if error.errno not in _OF_THE_MEDIUM:
                    raise
                self._retry_at = time.monotonic() + _RETRY_S
        return not self.spilled_bytes

    def _drain_frame(self) -> int:
        place, data, behind = self._spill.read(self._offset, self._number)
        self._put(place, data)
        self._offset, self._number = behind, self._number + 1
        if not self.spilled_bytes:
            descriptor = self.duplicate_log()
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            self._spill.empty()
            self._offset, self._number = self._spill.first_offset, 0
            logger.warning("audit lines that were spilled are in the log", extra={"path": self.path})
        return len(data)

    def _put(self, place: int, data: bytes) -> None:
        """Write the part of a frame that the log does not have."""
        have = self.size - place
        if have < 0:
            raise OSError(errno.EBADMSG, "the log has lost lines that came before those that were spilled")
        there = self.read_at(place, min(have, len(data)))
        if there != data[: len(there)]:
            raise OSError(errno.EBADMSG, "the log and its spill contradict each other")
        if len(there) < len(data):
            super().append(data[len(there) :])

    def is_at(self, path: Path) -> bool:
        """Also true while lines are spilled: they belong into this file, so it is not left before they are in it."""
        return bool(self.spilled_bytes) or super().is_at(path)

    def duplicate(self) -> int:
        """Of the file that has the newest lines."""
        return self._spill.duplicate() if self.spilled_bytes else self.duplicate_log()

    def duplicate_log(self) -> int:
        return super().duplicate()

    def close(self) -> None:
        """What cannot be drained stays in the spill, for the next start."""
        self._closed, self._retry_at = True, 0.0
        try:
            while not self.drain() and self._retry_at <= time.monotonic():
                pass
        finally:
            try:
                super().close()
            finally:
                self._spill.close()


def open_sink(config: AuditConfig, before: FileSink | None = None) -> FileSink:
    """The file of [audit]. before: the one that it follows in a rotation. Raises OSError."""
    if config.on_failure != "spill" or config.spill_directory is None or config.spill_key is None:
        return FileSink(config.path, durable=config.fsync)
    if isinstance(before, SpillingSink):
        return SpillingSink(config.path, before.spill.shared(), durable=config.fsync)
    path = config.spill_directory / f"{config.path.name}.spill"
    spill = SpillFile(path, config.spill_key, config.spill_max_bytes)
    return SpillingSink(config.path, spill, durable=config.fsync)
