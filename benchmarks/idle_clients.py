"""Many clients that have logged in, run one statement and stay: plain sockets, which cost this process little."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from proxy.postgres.wire import messages, startup

_AT_ONCE = 64
_ASKS_FOR_PASSWORD = b"R\0\0\0\x08\0\0\0\3"
_READY = b"Z\0\0\0\5I"


class IdleClient(asyncio.Protocol):
    """One connection without TLS. `ready` is done when a request's ReadyForQuery has come."""

    __slots__ = ("_last", "_transport", "ready")

    def __init__(self) -> None:
        self._last = b""
        self.ready: asyncio.Future[bytes] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's transports are not its subclasses

    def data_received(self, data: bytes) -> None:
        self._last += data
        if self.ready is not None and (self._last == _ASKS_FOR_PASSWORD or self._last.endswith(_READY)):
            self._answer()

    def connection_lost(self, exc: Exception | None) -> None:
        if self.ready is not None:
            self._answer()

    def _answer(self) -> None:
        assert self.ready is not None
        self.ready.set_result(self._last)
        self.ready, self._last = None, b""

    async def ask(self, data: bytes) -> bytes:
        """Send a request and return its answer. Raises RuntimeError when that is an error."""
        self.ready = ready = asyncio.get_running_loop().create_future()
        self._transport.write(data)
        answer: bytes = await ready
        if not answer.startswith((b"R", b"T")):
            raise RuntimeError(f"the gateway refuses: {answer!r}")
        return answer

    async def log_in(self, user: str, database: str, token: str) -> None:
        await self.ask(startup.encode_startup({"user": user, "database": database, "application_name": "bench"}))
        await self.ask(messages.encode(b"p", token.encode() + b"\0"))

    def close(self) -> None:
        self._transport.close()


async def connect_all(port: int, logins: Sequence[tuple[str, str, str]], sql: str) -> list[IdleClient]:
    """Log everybody in (user, database, token), some at a time, and have each run `sql`."""
    allow_files(len(logins) + 100)
    turn = asyncio.Semaphore(_AT_ONCE)

    async def one(number: int, login: tuple[str, str, str]) -> IdleClient:
        async with turn:
            loop = asyncio.get_running_loop()
            _, client = await loop.create_connection(IdleClient, "127.0.0.1", port)
            await client.log_in(*login)
            await client.ask(messages.encode_query(sql.format(number + 1).encode()))
            return client

    return await asyncio.gather(*(one(number, login) for number, login in enumerate(logins)))


def allow_files(count: int) -> None:
    """Let this process open `count` files. Raises RuntimeError when the hard limit is lower."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < count:
        raise RuntimeError(f"this machine allows {hard} open files, {count} are needed (ulimit -Hn)")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, count), hard))


def resident_bytes(pid: int) -> int:
    """VmRSS of a process."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS"))
