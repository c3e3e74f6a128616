"""The feed from PostgreSQL: a connection that listens, and reads when it hears of a change, or nothing for long."""

from __future__ import annotations

import asyncio
from typing import Any

from policy.entries import CHANNEL, VERSION_QUERY, Batch, Entry
from proxy.policy_feed.source import LISTENING_POLL_S, StoreAway

_CONNECT_S = 5.0
_ANSWER_S = 10.0
_INSTALL = "pip install 'tenantgate[admin]'"


class PostgresSource:
    """`url`: postgresql://…, as libpq has it. It is in no message: it may hold a password."""

    def __init__(self, url: str) -> None:
        self._url = "postgresql://" + url.partition("://")[2]
        self._connection: Any = None
        self._told = asyncio.Event()

    async def read(self, base: int) -> Batch:
        try:
            async with asyncio.timeout(_ANSWER_S):
                return await self._read(base)
        except ImportError:
            raise StoreAway("a policy store in PostgreSQL needs the package asyncpg", hint=_INSTALL) from None
        except Exception as error:  # asyncpg's own, OSError, TimeoutError: the store is away, whatever it is
            self._drop()
            raise StoreAway(f"the policy store cannot be read: {_reason(error)}", hint="Is it running?") from None

    async def wait(self) -> None:
        try:
            async with asyncio.timeout(LISTENING_POLL_S):
                await self._told.wait()
        except TimeoutError:
            pass

    async def close(self) -> None:
        self._drop()

    async def _read(self, base: int) -> Batch:
        connection = await self._connect()
        self._told.clear()
        if await connection.fetchval(VERSION_QUERY) == base:
            return Batch(base, base, ())
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            version = int(await connection.fetchval(VERSION_QUERY) or 0)
            base = base if version > base else 0  # another store, or one that was put back
            rows = await connection.fetch("SELECT kind, id, body FROM policy_entries WHERE version > $1", base)
            return Batch(base, version, [Entry(*row) for row in rows])

    async def _connect(self) -> Any:
        if self._connection is None or self._connection.is_closed():
            import asyncpg

            self._connection = await asyncpg.connect(
                self._url, timeout=_CONNECT_S, server_settings={"application_name": "tenantgate policy"}
            )
            await self._connection.add_listener(CHANNEL, self._on_notice)
        return self._connection

    def _on_notice(self, *_: object) -> None:
        self._told.set()

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()


def _reason(error: Exception) -> str:
    text = str(error).splitlines()
    return text[0][:200] if text else type(error).__name__
