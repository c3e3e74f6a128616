"""The tables of the search index, in one SQLite file. They hold where an event stands and what it can be found by, and
no event: a hit is read from its audit file, which stays the truth. Losing the index loses nothing.

`events.id` is the event's time in microseconds and ten bits more that make it unique, so ids order events by time, and
the full-text index, whose rows are in the order of ids, gives the newest first and takes times as a range of ids.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import sqlite3
from pathlib import Path
from typing import Final

SCHEMA_VERSION: Final = 1
TIE_BITS: Final = 10
MAX_TIME_US: Final = 2 ** (63 - TIE_BITS) - 1  # in the year 2255

_TABLES: Final = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE files (
    id INTEGER PRIMARY KEY, chain TEXT NOT NULL, first_seq INTEGER NOT NULL, path TEXT NOT NULL,
    next_offset INTEGER NOT NULL, last_offset INTEGER NOT NULL, last_seq INTEGER NOT NULL, last_hash TEXT NOT NULL,
    UNIQUE (chain, first_seq));
CREATE TABLE events (
    id INTEGER PRIMARY KEY, file INTEGER NOT NULL, seq INTEGER NOT NULL, offset INTEGER NOT NULL,
    length INTEGER NOT NULL);
CREATE VIRTUAL TABLE words USING fts5 (
    facets, body, content='', columnsize=0, detail=column, tokenize="unicode61 remove_diacritics 2 tokenchars '_'");
CREATE TABLE problems (file INTEGER NOT NULL, offset INTEGER NOT NULL, kind TEXT NOT NULL, text TEXT NOT NULL,
    PRIMARY KEY (file, offset)) WITHOUT ROWID;
CREATE TABLE totals (
    day INTEGER NOT NULL, tenant TEXT NOT NULL, subject TEXT NOT NULL, event TEXT NOT NULL, action TEXT NOT NULL,
    outcome TEXT NOT NULL, decision TEXT NOT NULL, sqlstate TEXT NOT NULL,
    events INTEGER NOT NULL, rows INTEGER NOT NULL, bytes INTEGER NOT NULL,
    PRIMARY KEY (day, tenant, subject, event, action, outcome, decision, sqlstate)) WITHOUT ROWID;
CREATE TABLE reached (
    day INTEGER NOT NULL, tenant TEXT NOT NULL, relation TEXT NOT NULL, subject TEXT NOT NULL, action TEXT NOT NULL,
    events INTEGER NOT NULL, rows INTEGER NOT NULL,
    PRIMARY KEY (day, tenant, relation, subject, action)) WITHOUT ROWID;
"""


def default_index_path(log: Path) -> Path:
    """Where the index of a log stands if nothing else is said: in a directory of its own beside it."""
    return log.parent / "search" / f"{log.stem}.sqlite"


def open_index(path: Path, *, write: bool = False) -> sqlite3.Connection:
    """A connection in autocommit mode; with `write` the file is made, mode 0600, where it is missing or outdated.

    Raises sqlite3.Error and OSError; without `write` also FileNotFoundError.
    """
    if write:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if path.exists() and not _is_current(path):
            drop_index(path)
        _create(path)
    elif not path.exists():
        raise FileNotFoundError(2, "there is no search index yet", str(path))
    connection = _connect(path)
    if not write:
        connection.execute("PRAGMA query_only = 1")
    return connection


def drop_index(path: Path) -> None:
    """Delete the index. Readers that have it open go on with what they have."""
    for name in (path, path.with_name(path.name + "-wal"), path.with_name(path.name + "-shm")):
        name.unlink(missing_ok=True)


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA cache_size = -65536")
    connection.execute("PRAGMA mmap_size = 1073741824")
    return connection


def _is_current(path: Path) -> bool:
    try:
        with contextlib.closing(_connect(path)) as connection:
            return bool(connection.execute("PRAGMA user_version").fetchone()[0] == SCHEMA_VERSION)
    except sqlite3.DatabaseError:
        return False


def _create(path: Path) -> None:
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        return
    with contextlib.closing(_connect(path)) as connection:
        connection.execute("PRAGMA page_size = 8192")
        connection.execute("PRAGMA journal_mode = WAL")
        key = f"INSERT INTO meta VALUES ('cursor_key', x'{secrets.token_hex(32)}');"  # noqa: S608 (hex digits)
        connection.executescript(f"BEGIN;{_TABLES}{key}PRAGMA user_version = {SCHEMA_VERSION};COMMIT;")
