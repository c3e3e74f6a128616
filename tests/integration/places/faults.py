"""A real server's sessions with a fault at one statement: what was sent before it has happened, the rest has not."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from admin.places.errors import PlaceFailed
from admin.places.server import Connect, Session


class Faulty:
    """`fault` is called instead of the statement with number `at`, counted from 1 over all sessions.

    lost: everything after it fails, too, as when the server is gone.
    """

    def __init__(self, connect: Connect, at: int, fault: Callable[[str], None] | None = None, *, lost: bool = False):
        self._real = connect
        self._at = at
        self._fault = fault
        self._lost = lost
        self.count = 0

    @contextlib.asynccontextmanager
    async def connect(self, database: str) -> AsyncIterator[Session]:
        self._next(f"connecting to {database}")
        async with self._real(database) as session:
            yield _FaultySession(session, self._next)

    def _next(self, sql: str) -> None:
        self.count += 1
        if self.count == self._at and self._fault is not None:
            self._fault(sql)
        if self.count == self._at or (self._lost and self.count > self._at):
            raise PlaceFailed("a fault of the test", sql)


class _FaultySession:
    def __init__(self, session: Session, step: Callable[[str], None]) -> None:
        self._session = session
        self._step = step

    async def execute(self, sql: str) -> None:
        self._step(sql)
        await self._session.execute(sql)

    async def rows(self, sql: str, *, long: bool = False) -> list[tuple[Any, ...]]:
        self._step(sql)
        return await self._session.rows(sql, long=long)

    async def copy_out(self, sql: str, path: Path) -> None:
        self._step(sql)
        await self._session.copy_out(sql, path)
