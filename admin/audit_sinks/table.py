"""Audit events in a table of SQLite or PostgreSQL, for SQL over them. The event's id is the key, so a second time does
nothing. The table is made if it is not there; its name is `audit_events`, since the store's own `audit_log` holds the
control plane's chain.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import BigInteger, Column, Float, MetaData, String, Table, Text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from proxy.audit.sinks.sink import Outcome, Record, SinkUnavailable, SinkUnusable
from proxy.config_sinks import SinkConfig

_DRIVERS = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg"}


class TableSink:
    """One engine, made when the first batch comes."""

    def __init__(self, config: SinkConfig) -> None:
        self._config = config
        self._engine: AsyncEngine | None = None
        self._table = Table(
            config.topic,
            MetaData(),
            Column("id", String(100), primary_key=True),
            Column("time", Float, nullable=False, index=True),
            Column("tenant", Text, nullable=False, index=True),
            Column("subject", Text, nullable=False),
            Column("session", Text, nullable=False),
            Column("event", Text, nullable=False),
            Column("outcome", Text, nullable=False),
            Column("chain", String(64), nullable=False),
            Column("seq", BigInteger, nullable=False),
            Column("line", Text, nullable=False),
        )

    async def send(self, records: Sequence[Record]) -> Outcome:
        rows = [_row(record) for record in records]
        try:
            engine = await self._ready()
            dialect = postgresql if engine.dialect.name == "postgresql" else sqlite
            async with engine.begin() as connection:
                await connection.execute(dialect.insert(self._table).on_conflict_do_nothing(), rows)
        except (SQLAlchemyError, OSError) as error:
            raise SinkUnavailable(f"{type(error).__name__}: {getattr(error, 'orig', None) or error}") from error
        return Outcome()

    async def _ready(self) -> AsyncEngine:
        if self._engine is None:
            scheme, _, rest = self._config.url.partition("://")
            options: dict[str, Any] = {"pool_pre_ping": True, "hide_parameters": True}
            try:
                engine = create_async_engine(f"{_DRIVERS[scheme]}://{rest}", **options)
            except ArgumentError as error:
                raise SinkUnusable(f"sink {self._config.name}: its url cannot be read") from error
            if self._config.secret:
                engine_url = engine.url.set(password=self._config.secret)
                engine = create_async_engine(engine_url, **options)
            try:
                async with engine.begin() as connection:
                    await connection.run_sync(self._table.metadata.create_all)
            except BaseException:
                await engine.dispose()
                raise
            self._engine = engine
        return self._engine

    async def close(self) -> None:
        engine, self._engine = self._engine, None
        if engine is not None:
            await engine.dispose()


def _row(record: Record) -> dict[str, object]:
    """PostgreSQL's text cannot hold NUL, nor half of a surrogate pair; `line` has both as JSON escapes."""
    values = {name: _clean(record.text(name)) for name in ("tenant", "subject", "session", "event", "outcome")}
    line = record.line.decode("utf-8", "backslashreplace").replace("\0", "\\0")
    place = {"id": _clean(record.id), "time": record.time, "chain": record.chain, "seq": record.seq}
    return {**values, **place, "line": line}


def _clean(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\0")
