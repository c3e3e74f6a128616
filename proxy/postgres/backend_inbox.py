"""Messages from a server for those who await them: the handshake, `query()`, resets. Not the relay of results.

Sans-io apart from the future that wakes its one reader. Memory is bounded: a message by `limit_bytes`, what waits
unread by twice that.
"""

from __future__ import annotations

import asyncio
from collections import deque

from proxy.errors import RemoteProtocolError
from proxy.postgres.wire.framing import HEADER_BYTES, unpack_length

LOGIN_LIMIT_BYTES = 64 * 1024
QUERY_LIMIT_BYTES = 64 * 1024 * 1024


class Inbox:
    """One per backend connection, one reader at a time. After `fail` every `take` raises that error."""

    __slots__ = ("_buffer", "_error", "_messages", "_unread_bytes", "_waiter", "limit_bytes")

    def __init__(self, limit_bytes: int = LOGIN_LIMIT_BYTES) -> None:
        self.limit_bytes = limit_bytes
        self._buffer = bytearray()
        self._messages: deque[bytes] = deque()
        self._unread_bytes = 0
        self._waiter: asyncio.Future[None] | None = None
        self._error: Exception | None = None

    @property
    def empty(self) -> bool:
        """Nothing is unread, not even a part of a message."""
        return not self._messages and not self._buffer

    def feed(self, data: bytes) -> None:
        """Keep what the server sent. Raises RemoteProtocolError on a length that lies or too much unread."""
        self._buffer += data
        position, end = 0, len(self._buffer)
        while end - position >= HEADER_BYTES:
            length: int = unpack_length(self._buffer, position + 1)[0]
            if not 4 <= length <= self.limit_bytes:
                raise RemoteProtocolError(f"the server sent a message of {length} bytes")
            stop = position + 1 + length
            if stop > end:
                break
            self._messages.append(bytes(self._buffer[position:stop]))
            self._unread_bytes += stop - position
            position = stop
        del self._buffer[:position]
        if self._unread_bytes > 2 * self.limit_bytes:
            raise RemoteProtocolError("the server sends faster than it is read")
        if self._messages:
            self._wake()

    def fail(self, error: Exception) -> None:
        """No more messages will come. Whole messages that came before can still be taken."""
        self._error = self._error or error
        self._wake()

    def take_nowait(self) -> bytes | None:
        """The next whole message with its header, or None."""
        if not self._messages:
            return None
        message = self._messages.popleft()
        self._unread_bytes -= len(message)
        return message

    async def take(self) -> bytes:
        """The next whole message with its header."""
        while (message := self.take_nowait()) is None:
            if self._error is not None:
                raise self._error
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        return message

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
