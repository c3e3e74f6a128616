"""What the supervisor and a worker say to each other: frames over a pair of sockets that only they hold.

A frame is two lengths, a JSON object and bytes that belong to it. A message with `id` wants an answer, one with `re` is
one. What is pickled in such bytes (configuration and policy) goes from the supervisor to its own children only.
"""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import struct
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

HEADER = struct.Struct("!II")
ASK_TIMEOUT_S = 3.0
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Message:
    kind: str
    fields: Mapping[str, Any]
    payload: bytes = b""

    def fields_of(self, *names: str) -> dict[str, Any]:
        """Some of them, by name."""
        return {name: self.fields[name] for name in names}


Answer = Mapping[str, Any]
Handle = Callable[[Message], Awaitable[Answer]]


class PeerGone(Exception):
    """The other end is gone, or too slow to answer."""


class Channel(asyncio.Protocol):
    """One end. `rest` is what was read of a frame that is not whole: it goes along when the socket is handed on."""

    def __init__(self, handle: Handle, on_lost: Callable[[], None], rest: bytes = b"") -> None:
        self._handle = handle
        self._on_lost = on_lost
        self._buffer = bytearray(rest)
        self._transport: asyncio.Transport | None = None
        self._asked: dict[int, asyncio.Future[Message]] = {}
        self._next = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = asyncio.Event()
        self.lost = False

    async def open(self, sock: socket.socket) -> None:
        """Begin. The socket is the channel's from now on."""
        sock.setblocking(False)
        await asyncio.get_running_loop().create_connection(lambda: self, sock=sock)

    @property
    def rest(self) -> bytes:
        return bytes(self._buffer)

    @property
    def is_flushed(self) -> bool:
        """Nothing waits to be sent."""
        return self._transport is None or self._transport.get_write_buffer_size() == 0

    def tell(self, kind: str, payload: bytes = b"", **fields: Any) -> None:
        """Send a message that wants no answer; to a peer that is gone, nothing."""
        if self._transport is not None and not self.lost:
            self._transport.write(encode(Message(kind, fields, payload)))

    async def ask(self, kind: str, payload: bytes = b"", timeout_s: float = ASK_TIMEOUT_S, **fields: Any) -> Answer:
        """Send a message and wait for its answer. Raises PeerGone."""
        if self.lost:
            raise PeerGone
        self._next += 1
        number = self._next
        self._asked[number] = asyncio.get_running_loop().create_future()
        self.tell(kind, payload, **fields, id=number)
        try:
            async with asyncio.timeout(timeout_s):
                return (await self._asked[number]).fields
        except (TimeoutError, ConnectionError):
            raise PeerGone from None
        finally:
            del self._asked[number]

    def pause(self) -> None:
        if self._transport is not None:
            self._transport.pause_reading()

    def resume(self) -> None:
        if self._transport is not None:
            self._transport.resume_reading()

    async def wait_lost(self, timeout_s: float) -> None:
        """Until the other end is gone and all that it said was heard, or the time is over."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._closed.wait()
        except TimeoutError:
            pass

    async def finish(self) -> None:
        """Send what waits, and close."""
        if self._transport is not None:
            self._transport.close()
            await self._closed.wait()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        if self._buffer:
            self.data_received(b"")

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (message := take_frame(self._buffer)) is not None:
            if "re" in message.fields:
                asked = self._asked.get(message.fields["re"])
                if asked is not None and not asked.done():
                    asked.set_result(message)
            else:
                task = asyncio.get_running_loop().create_task(self._answer(message))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    async def _answer(self, message: Message) -> None:
        try:
            answer = await self._handle(message)
        except PeerGone:
            return
        except Exception:
            logger.exception("a message between workers failed", extra={"kind": message.kind})
            return
        if "id" in message.fields:
            self.tell("answer", **answer, re=message.fields["id"])

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        self._closed.set()
        for future in self._asked.values():
            if not future.done():
                future.set_exception(ConnectionError())
        self._on_lost()


def encode(message: Message) -> bytes:
    """One frame."""
    body = json.dumps({"kind": message.kind, **message.fields}).encode()
    return HEADER.pack(len(body), len(message.payload)) + body + message.payload


def take_frame(buffer: bytearray) -> Message | None:
    """Take the first frame off `buffer`; None when it is not whole yet."""
    if len(buffer) < HEADER.size:
        return None
    size, extra = HEADER.unpack_from(buffer)
    end = HEADER.size + size + extra
    if len(buffer) < end:
        return None
    fields = json.loads(bytes(buffer[HEADER.size : HEADER.size + size]))
    payload = bytes(buffer[HEADER.size + size : end])
    del buffer[:end]
    return Message(fields.pop("kind"), fields, payload)
