"""The feed from a SQLite file, read in a thread: the event loop never waits for a disk."""

from __future__ import annotations

import asyncio
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from policy.entries import VERSION_QUERY, Batch, Entry
from proxy.policy_feed.source import POLL_S, StoreAway

_BUSY_S = 1.0


class SqliteSource:
    """One connection, in one thread of its own."""

    def __init__(self, path: str) -> None:
        self._path = Path(path)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="policy-store")
        self._connection: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None

    async def read(self, base: int) -> Batch:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, self._read, base)
        except (sqlite3.Error, OSError) as error:
            hint = "Is the file there, and may this user read and write it and its directory?"
            raise StoreAway(f"the policy store {self._path} cannot be read: {error}", hint=hint) from None

    async def wait(self) -> None:
        await asyncio.sleep(POLL_S)

    async def close(self) -> None:
        await asyncio.get_running_loop().run_in_executor(self._thread, self._close)
        self._thread.shutdown(wait=False)

    def _read(self, base: int) -> Batch:
        try:
            connection = self._connect()
            found = connection.execute(VERSION_QUERY).fetchone()
            version = int(found[0]) if found else 0
            if version == base:
                return Batch(base, base, ())
            connection.execute("BEGIN")
            try:
                version = int(connection.execute(VERSION_QUERY).fetchone()[0])
                base = base if version > base else 0  # another store, or one that was put back
                rows = connection.execute("SELECT kind, id, body FROM policy_entries WHERE version > ?", (base,))
                return Batch(base, version, [Entry(*row) for row in rows])
            finally:
                connection.execute("ROLLBACK")
        except sqlite3.Error:
            self._close()
            raise

    def _connect(self) -> sqlite3.Connection:
        """The connection; another one when another file stands at the path now."""
        state = self._path.stat()
        if self._connection is not None and self._file != (state.st_dev, state.st_ino):
            self._close()
        if self._connection is None:
            uri = f"{self._path.absolute().as_uri()}?mode=rw"  # a reader of WAL files writes the lock file beside it
            self._connection = sqlite3.connect(uri, uri=True, timeout=_BUSY_S, isolation_level=None)
            self._connection.execute("PRAGMA query_only = ON")
            self._file = (state.st_dev, state.st_ino)
        return self._connection

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
