"""Bring the search index up to date with the audit files: read what is new, in transactions of some ten thousand lines.

A transaction holds the rows of lines and where they end, so a crash at any point leaves an index that goes on from
there. Each line is held against its own hash and the line before it; what does not fit is indexed as it stands and
noted as a problem. A file that is not what was indexed (shorter, or another line at its end) makes the index anew.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from admin.audit_search.facets import body_of, tokens_of
from admin.audit_search.schema import MAX_TIME_US, TIE_BITS, drop_index, open_index
from admin.audit_search.totals import Totals
from proxy.audit.chain import MAX_LINE_BYTES
from proxy.audit.errors import MalformedLine
from proxy.audit.lines import line_hash, parse_line
from proxy.audit.log_files import LogFile, find_log_files, whole_lines

_BATCH_LINES: Final = 20_000
_NO_HASH: Final = "0" * 64
_MAX_SEQ: Final = 2**62  # what a file says may be anything

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Update:
    """What an update did. `busy`: another process was at it. `problems` are those of the whole index."""

    lines: int = 0
    files: int = 0
    problems: int = 0
    rebuilt: bool = False
    busy: bool = False


class _Changed(Exception):
    """A file is not the one that was indexed."""


def update_index(index: Path, log: Path, progress: Progress | None = None, *, rebuild: bool = False) -> Update:
    """Index what the files of `log` have got since the last time; `rebuild` begins with nothing.

    `progress` gets bytes done and in all. Raises OSError and sqlite3.Error.
    """
    index.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _only_one(index.with_name(index.name + ".lock")) as alone:
        if not alone:
            return Update(busy=True)
        if rebuild:
            drop_index(index)
        try:
            return _update(index, log, progress, rebuild)
        except _Changed:
            drop_index(index)
            return _update(index, log, progress, True)


@contextlib.contextmanager
def _only_one(lock: Path) -> Iterator[bool]:
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield True
    except BlockingIOError:
        yield False
    finally:
        os.close(descriptor)


def _update(index: Path, log: Path, progress: Progress | None, rebuilt: bool) -> Update:
    with contextlib.closing(open_index(index, write=True)) as connection:
        files = find_log_files(log)
        writer = _Writer(connection, sum(file.size for file in files), progress)
        writer.prune(files)
        for file in files:
            writer.take_file(file)
        problems = connection.execute("SELECT count(*) FROM problems").fetchone()[0]
        return Update(writer.lines, len(files), problems, rebuilt)


@dataclass(slots=True)
class _Place:
    """Up to where a file is indexed: as the row of `files`."""

    id: int
    next_offset: int = 0
    last_offset: int = 0
    last_seq: int = 0
    last_hash: str = _NO_HASH


class _Writer:
    """One update of one index."""

    def __init__(self, connection: sqlite3.Connection, total: int, progress: Progress | None) -> None:
        self._connection = connection
        self._total = total
        self._done = 0
        self._progress = progress
        self.lines = 0

    def prune(self, files: Sequence[LogFile]) -> None:
        """Forget files that are gone. Their words stay in the full-text index, and lead nowhere; so do day totals."""
        known = {file.key for file in files}
        for number, chain, first_seq in self._connection.execute("SELECT id, chain, first_seq FROM files").fetchall():
            if (chain, first_seq) not in known:
                self._connection.execute("BEGIN IMMEDIATE")
                for table in ("events", "problems"):
                    self._connection.execute(f"DELETE FROM {table} WHERE file = ?", (number,))  # noqa: S608
                self._connection.execute("DELETE FROM files WHERE id = ?", (number,))
                self._connection.execute("COMMIT")

    def take_file(self, file: LogFile) -> None:
        place = self._place(file)
        self._done += place.next_offset
        batch: list[tuple[int, bytes]] = []
        for offset, line in whole_lines(file.path, place.next_offset):
            batch.append((offset, line))
            if len(batch) == _BATCH_LINES:
                self._commit(place, batch)
                batch = []
        if batch:
            self._commit(place, batch)

    def _place(self, file: LogFile) -> _Place:
        found = self._connection.execute(
            "SELECT id, next_offset, last_offset, last_seq, last_hash, path FROM files"
            " WHERE chain = ? AND first_seq = ?",
            file.key,
        ).fetchone()
        if found is None:
            added = self._connection.execute(
                "INSERT INTO files (chain, first_seq, path, next_offset, last_offset, last_seq, last_hash)"
                " VALUES (?, ?, ?, 0, 0, ?, '')",
                (*file.key, str(file.path), file.first_seq - 1),
            )
            return _Place(int(added.lastrowid or 0), last_seq=file.first_seq - 1, last_hash="")
        place = _Place(*found[:5])
        if not _still_there(file.path, place):
            raise _Changed
        if found[5] != str(file.path):
            self._connection.execute("UPDATE files SET path = ? WHERE id = ?", (str(file.path), place.id))
        return place

    def _commit(self, place: _Place, batch: list[tuple[int, bytes]]) -> None:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            self._write(place, batch)
            self._connection.execute("COMMIT")
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self.lines += len(batch)
        if self._progress is not None:
            self._progress(self._done + place.next_offset, self._total)

    def _write(self, place: _Place, batch: list[tuple[int, bytes]]) -> None:
        events: dict[int, tuple[int, int, int, int, int]] = {}
        words: list[tuple[int, str, str]] = []
        problems: list[tuple[int, int, str, str]] = []
        totals = Totals()
        for offset, line in batch:
            problem = _follow(place, offset, line)
            event = _event_of(line)
            if problem is not None:
                problems.append((place.id, offset, *problem))
            if event is not None:
                number = self._free_id(_first_id(event, place.last_seq), events)
                events[number] = (number, place.id, place.last_seq, offset, len(line))
                words.append((number, tokens_of(event), body_of(event)))
                totals.take(event)
        put = self._connection.executemany
        put("INSERT INTO events VALUES (?, ?, ?, ?, ?)", sorted(events.values()))
        put("INSERT INTO words (rowid, facets, body) VALUES (?, ?, ?)", sorted(words))
        put("INSERT OR REPLACE INTO problems VALUES (?, ?, ?, ?)", problems)
        totals.write(self._connection)
        self._connection.execute(
            "UPDATE files SET next_offset = ?, last_offset = ?, last_seq = ?, last_hash = ? WHERE id = ?",
            (place.next_offset, place.last_offset, place.last_seq, place.last_hash, place.id),
        )

    def _free_id(self, wanted: int, taken: dict[int, tuple[int, int, int, int, int]]) -> int:
        look = self._connection.execute
        while wanted in taken or look("SELECT 1 FROM events WHERE id = ?", (wanted,)).fetchone():
            wanted += 1
        return wanted


def _still_there(path: Path, place: _Place) -> bool:
    """True if the last line that was indexed stands where it did."""
    if place.next_offset == 0:
        return True
    try:
        with path.open("rb") as file:
            file.seek(place.last_offset)
            line = file.read(place.next_offset - place.last_offset)
    except OSError:
        return False
    return line.endswith(b"\n") and (not place.last_hash or place.last_hash.encode() in line)


def _follow(place: _Place, offset: int, line: bytes) -> tuple[str, str] | None:
    """Go on to this line; (kind, text) if it is not as it was written or does not follow the one before."""
    place.last_offset, place.next_offset = offset, offset + len(line) + 1
    try:
        seq, prev, digest, body = parse_line(line)
    except MalformedLine as error:
        return "malformed", str(error)
    before_seq, before_hash = place.last_seq, place.last_hash
    place.last_seq, place.last_hash = min(seq, _MAX_SEQ), digest.decode("ascii", "replace")
    if line_hash(prev, body) != digest:
        return "changed", f"seq {seq}: the line does not have the hash that it carries"
    if seq != before_seq + 1 or (before_hash and prev.decode("ascii", "replace") != before_hash):
        return "misplaced", f"seq {seq} does not follow from seq {before_seq}, which stands before it"
    return None


def _event_of(line: bytes) -> dict[str, object] | None:
    if len(line) > MAX_LINE_BYTES:
        return None
    try:
        event = json.loads(line)
    except ValueError:
        return None
    if not isinstance(event, dict) or "event" not in event:
        return None
    return dict(_storable(event)) if b"\\ud" in line.lower() else event


def _storable(value: Any) -> Any:
    """JSON can hold half of a surrogate pair, which is no UTF-8 and so cannot be stored."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, list):
        return [_storable(item) for item in value]
    return {name: _storable(item) for name, item in value.items()} if isinstance(value, dict) else value


def _first_id(event: dict[str, object], seq: int) -> int:
    """The id that an event's time gives, with the low bits of its number to keep one file's events in order."""
    time = event.get("time")
    micros = int(time * 1_000_000) if isinstance(time, int | float) and not isinstance(time, bool) else 0
    return min(max(micros, 0), MAX_TIME_US - 1) << TIE_BITS | seq % (1 << TIE_BITS)
