"""A session of an administrator on a target's server: what making, removing and exporting places asks of it."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import asyncpg

from admin.places.errors import PlaceFailed

_COMMAND_TIMEOUT_S = 60.0
_LONG_TIMEOUT_S = 86_400.0  # of what goes through all rows
_SETTINGS = {
    "application_name": "tenantgate admin",
    "search_path": "pg_catalog",
    "lock_timeout": "10s",
    "client_min_messages": "warning",
}


class Session(Protocol):
    """One connection to one database."""

    async def execute(self, sql: str) -> None:
        """One statement, or several in one implicit transaction. Raises PlaceFailed."""

    async def rows(self, sql: str, *, long: bool = False) -> list[tuple[Any, ...]]:
        """The rows of a query; long: one that may take hours. Raises PlaceFailed."""

    async def copy_out(self, sql: str, path: Path) -> None:
        """What `COPY (sql) TO STDOUT (FORMAT csv, HEADER)` gives, in a file. Raises PlaceFailed."""


Connect = Callable[[str], AbstractAsyncContextManager[Session]]
"""A database's name to a session in it. Raises PlaceFailed."""


@dataclass(frozen=True, slots=True)
class Login:
    """An administrator of a target's server. tls and ca_file as in a target's configuration."""

    host: str
    port: int
    user: str
    password: str = field(repr=False)
    tls: str = "prefer"
    ca_file: Path | None = None
    connect_timeout_s: float = 5.0

    @contextlib.asynccontextmanager
    async def connect(self, database: str) -> AsyncIterator[Session]:
        """A session in which only the server's own names are found without their schema. Raises PlaceFailed."""
        try:
            connection = await asyncpg.connect(
                host=self.host,
                port=self.port,
                user=self.user,
                password=self.password,
                database=database,
                ssl=self._ssl(),
                timeout=self.connect_timeout_s,
                command_timeout=_COMMAND_TIMEOUT_S,
                server_settings=_SETTINGS,
            )
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise PlaceFailed.from_server(error, f"connecting to database {database} as {self.user}") from None
        try:
            yield _AsyncpgSession(connection)
        finally:
            with contextlib.suppress(OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
                await connection.close(timeout=5.0)

    def _ssl(self) -> ssl.SSLContext | str:
        if self.ca_file is None or not self.tls.startswith("verify-"):
            return self.tls
        context = ssl.create_default_context(cafile=self.ca_file)
        context.check_hostname = self.tls == "verify-full"
        return context


class _AsyncpgSession:
    """Lifetime: that of its connection."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def execute(self, sql: str) -> None:
        with _told(sql):
            await self._connection.execute(sql)

    async def rows(self, sql: str, *, long: bool = False) -> list[tuple[Any, ...]]:
        with _told(sql):
            found = await self._connection.fetch(sql, timeout=_LONG_TIMEOUT_S if long else None)
            return [tuple(row) for row in found]

    async def copy_out(self, sql: str, path: Path) -> None:
        with _told(sql):
            await self._connection.copy_from_query(sql, output=path, format="csv", header=True, timeout=_LONG_TIMEOUT_S)


@contextlib.contextmanager
def _told(sql: str) -> Any:
    """Errors of server and network as PlaceFailed, which say in which statement."""
    try:
        yield
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise PlaceFailed.from_server(error, sql) from None
