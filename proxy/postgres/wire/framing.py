"""Cut a byte stream into protocol messages (PostgreSQL protocol 3, "Message Formats").

Sans-io. A message is a tag byte, an Int32 length that counts itself but not the tag, and a body. Lengths are checked
against a limit per tag before anything is kept, so a lying length costs nothing.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from proxy.errors import RemoteProtocolError

HEADER_BYTES = 5
unpack_length = struct.Struct("!I").unpack_from

SMALL_MESSAGE_BYTES = 10_000  # as PostgreSQL's PQ_SMALL_MESSAGE_LIMIT

SMALL_TAGS = frozenset(b"SHEDCcX")
LARGE_TAGS = frozenset(b"QPBdfFp")


class MessageReader:
    """Feed bytes, take whole messages with their headers.

    Memory is bounded by `limit` (one message) plus one received chunk. After an error the reader is unusable.
    """

    __slots__ = ("_needed", "_pending", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = limit
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
            stop = position + 1 + self._checked_length(tag, unpack_length(data, position + 1)[0])
            if stop > end:
                break
            message = data[position:stop]
            position = stop
            yield tag, message
        self._hold(data, position, end)

    def _hold(self, data: bytes, position: int, end: int) -> None:
        if position == end:
            return
        self._pending += memoryview(data)[position:]
        self._needed = HEADER_BYTES
        if end - position >= HEADER_BYTES:
            self._needed = 1 + unpack_length(data, position + 1)[0]
        elif end - position >= 1:
            self._check_tag(data[position])

    def _checked_length(self, tag: int, length: int) -> int:
        self._check_tag(tag)
        limit = SMALL_MESSAGE_BYTES if tag in SMALL_TAGS else self.limit
        if length < 4 or length > limit:
            raise RemoteProtocolError(f"invalid message length {length} for message type {chr(tag)!r}")
        return length

    def _check_tag(self, tag: int) -> None:
        if tag not in LARGE_TAGS and tag not in SMALL_TAGS:
            raise RemoteProtocolError(f"invalid frontend message type {tag}")
