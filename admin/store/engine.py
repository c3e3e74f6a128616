"""The store's database: SQLite for one machine, PostgreSQL for a fleet. Opening it, and transactions on it.

A SQLite store is in WAL mode, so that gateways read while a change is written; a writer takes the write lock when it
begins (BEGIN IMMEDIATE), so that it never finds at its end that somebody else was first.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession, create_async_engine

from admin.services.errors import StoreUnavailable
from policy.snapshot import Snapshot

_BUSY_S = 15.0
_WRITES = {"tenantgate_writes": True}


class Store:
    """Lifetime: the process's or the command's. `clock` gives seconds since the epoch."""

    def __init__(self, url: URL, *, clock: Callable[[], float] = time.time) -> None:
        self.url = url
        self.clock = clock
        self.engine = _make_engine(url)
        self.picture: Snapshot | None = None  # the policy as judgement.py last saw it
        self._writer = self.engine.execution_options(**_WRITES)

    @property
    def is_sqlite(self) -> bool:
        return self.url.get_backend_name() == "sqlite"

    @property
    def is_new_file(self) -> bool:
        """A SQLite file that is not there yet."""
        return self.is_sqlite and not Path(self.url.database or "").exists()

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncSession]:
        """A transaction that sees one state and changes nothing. Raises StoreUnavailable."""
        async with self._session(self.engine) as session:
            yield session

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncSession]:
        """A transaction that is committed at the end, or undone by an exception. Raises StoreUnavailable."""
        async with self._session(self._writer) as session:
            yield session
            await session.commit()

    @asynccontextmanager
    async def connecting(self) -> AsyncIterator[AsyncConnection]:
        """A bare connection, for changes of the schema. Raises StoreUnavailable."""
        try:
            async with self._writer.connect() as connection:
                yield connection
        except (OSError, DBAPIError) as error:
            raise unavailable(self.url, error) from error

    @asynccontextmanager
    async def _session(self, engine: AsyncEngine) -> AsyncIterator[AsyncSession]:
        try:
            async with AsyncSession(engine, expire_on_commit=False) as session:
                yield session
        except (OSError, DBAPIError) as error:
            if isinstance(error, DBAPIError) and not is_outage(error):
                raise
            raise unavailable(self.url, error) from error

    async def close(self) -> None:
        await self.engine.dispose()


def store_url(text: str) -> URL:
    """Of `sqlite:///store.db`, a path, or `postgresql://user@host/database`. Raises StoreUnavailable."""
    if "://" not in text:
        return URL.create("sqlite+aiosqlite", database=str(Path(text).expanduser()))
    try:
        url = make_url(text)
        backend = url.get_backend_name()
    except ArgumentError:
        backend = ""
    if backend == "sqlite" and url.database:
        return url.set(drivername="sqlite+aiosqlite")
    if backend in ("postgresql", "postgres"):
        return _for_asyncpg(url.set(drivername="postgresql+asyncpg"))
    raise StoreUnavailable(
        "the store's URL is not understood", hint="Write a path, sqlite:///store.db or postgresql://user@host/database."
    )


def _for_asyncpg(url: URL) -> URL:
    """`sslmode`, as libpq writes it, is `ssl` to the driver."""
    mode = url.query.get("sslmode")
    return url if mode is None else url.difference_update_query(["sslmode"]).update_query_dict({"ssl": mode})


def is_outage(error: DBAPIError) -> bool:
    """Whether the database is away, locked or without our tables, rather than the statement wrong."""
    text = str(error.orig).lower()
    outage = ("no such table", "unable to open", "database is locked", "does not exist", "connection", "disk")
    return error.connection_invalidated or any(words in text for words in outage)


def unavailable(url: URL, error: BaseException) -> StoreUnavailable:
    """The error without what may hold a password."""
    original = getattr(error, "orig", None) or error
    reason = str(original).splitlines()[0] if str(original) else type(original).__name__
    hint = "Is it running, and does the URL name it? A new store is made by: tenantgate store upgrade --store URL"
    return StoreUnavailable(f"the store {shown(url)} cannot be used: {reason[:300]}", hint=hint)


def shown(url: URL) -> str:
    """The URL for people: without driver and password."""
    return url.set(drivername=url.get_backend_name()).render_as_string(hide_password=True)


def _make_engine(url: URL) -> AsyncEngine:
    if url.get_backend_name() != "sqlite":
        return create_async_engine(url, pool_pre_ping=True, pool_size=5)
    engine = create_async_engine(url, connect_args={"timeout": _BUSY_S})
    event.listen(engine.sync_engine, "connect", _prepare_sqlite)
    event.listen(engine.sync_engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # transactions begin where we say so
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Any) -> None:
    writes = connection.get_execution_options().get("tenantgate_writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
