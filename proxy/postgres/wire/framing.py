"""Cut a byte stream into protocol messages (PostgreSQL protocol 3, "Message Formats").

Sans-io. A message is a tag byte, an Int32 length that counts itself but not the tag, and a body. Lengths are checked
against a limit per tag before anything is kept, so a lying length costs nothing.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from proxy.errors import RemoteProtocolError

HEADER_BYTES: Final = 5
unpack_length = struct.Struct("!I").unpack_from


def length_at(data: bytes, at: int) -> int:
    """The same as a number; compiled, this takes a third of the time, and rows are passed over by the million."""
    return (data[at] << 24) | (data[at + 1] << 16) | (data[at + 2] << 8) | data[at + 3]


SMALL_MESSAGE_BYTES: Final = 10_000  # as PostgreSQL's PQ_SMALL_MESSAGE_LIMIT

SMALL_TAGS: Final = frozenset(b"SHEDCcX")
LARGE_TAGS: Final = frozenset(b"QPBdfFp")


_SMALL: Final = dict.fromkeys(SMALL_TAGS, SMALL_MESSAGE_BYTES)


@lru_cache(8)
def _limits_by_tag(limit: int) -> dict[int, int]:
    """Never changed: all readers of one limit have the same."""
    return _SMALL | dict.fromkeys(LARGE_TAGS, limit)


class MessageReader:
    """Feed bytes, take whole messages with their headers.

    Memory is bounded by `limit` bytes (one message) plus one received chunk. After an error the reader is unusable.
    """

    __slots__ = ("_limits", "_needed", "_pending")

    def __init__(self, limit: int) -> None:
        self._limits = _limits_by_tag(limit)
        self._pending = bytearray()
        self._needed = HEADER_BYTES

    @property
    def pending_bytes(self) -> int:
        """Bytes of an incomplete message held back."""
        return len(self._pending)

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """Yield (tag, whole message including header). Raises RemoteProtocolError on a bad tag or length."""
        if self._pending:
            self._pending += data
            if len(self._pending) < self._needed:
                return
            data = bytes(self._pending)
            self._pending.clear()
        position, end = 0, len(data)
        while end - position >= HEADER_BYTES:
            tag = data[position]
            length = length_at(data, position + 1)
            if not 4 <= length <= self._limits.get(tag, 0):
                raise self._invalid(tag, length)
            stop = position + 1 + length
            if stop > end:
                break
            message = data[position:stop]
            position = stop
            yield tag, message
        if position != end:
            self._hold(data, position, end)

    def _hold(self, data: bytes, position: int, end: int) -> None:
        self._pending += memoryview(data)[position:]
        self._needed = HEADER_BYTES
        if end - position >= HEADER_BYTES:
            self._needed = 1 + length_at(data, position + 1)
        elif data[position] not in self._limits:
            raise self._invalid(data[position], 4)

    def _invalid(self, tag: int, length: int) -> RemoteProtocolError:
        if tag not in self._limits:
            return RemoteProtocolError(f"invalid frontend message type {tag}")
        return RemoteProtocolError(f"invalid message length {length} for message type {chr(tag)!r}")
