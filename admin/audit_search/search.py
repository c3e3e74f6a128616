"""Search the index and read each hit back from its audit file, which is the truth: what a hit shows is what the file
says now, held against its hash, the question and the asker's scope once more.

    page = search(index, Query(tenant="acme", result="refused"), Scope(frozenset({"acme"})), limit=50)

Functions are synchronous and open a connection of their own: call them in a thread from asyncio.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final

from admin.audit_search.cursor import decode_cursor, encode_cursor
from admin.audit_search.query import EVERYTHING, BadQuery, Query, Scope
from admin.audit_search.risk import Risk, risk_of
from admin.audit_search.schema import MAX_TIME_US, TIE_BITS, open_index
from proxy.audit.errors import MalformedLine
from proxy.audit.lines import line_hash, parse_line

MAX_LIMIT: Final = 1000
_MAX_LOOKED_AT: Final = 20_000  # lines for one page, where hits do not hold what the index says
_LOOKED_AT_ONCE: Final = 64  # lines between two looks at the clock
_WINDOWS_BITS: Final = 6  # the first window of a search is a sixty-fourth of the range
_LEAST_WINDOW: Final = 100_000 << TIE_BITS  # a tenth of a second, so that pages come to an end

_BY_WORDS: Final = (
    "SELECT e.id, e.offset, e.length, e.seq, f.path FROM words w JOIN events e ON e.id = w.rowid"
    " JOIN files f ON f.id = e.file WHERE words MATCH ? AND w.rowid >= ? AND w.rowid < ? ORDER BY w.rowid {order}"
)
_BY_TIME: Final = (
    "SELECT e.id, e.offset, e.length, e.seq, f.path FROM events e JOIN files f ON f.id = e.file"
    " WHERE e.id >= ? AND e.id < ? ORDER BY e.id {order}"
)


@dataclass(frozen=True, slots=True)
class Hit:
    """An event with its place. `intact`: the line still has the hash that it carries."""

    event: Mapping[str, object]
    file: Path
    seq: int
    hash: str
    intact: bool
    risk: Risk

    def as_json(self) -> dict[str, object]:
        risk = {"score": self.risk.score, "reasons": list(self.risk.reasons)}
        where = {"file": str(self.file), "seq": self.seq, "hash": self.hash, "intact": self.intact}
        return {"event": dict(self.event), "at": where, "risk": risk}


@dataclass(frozen=True, slots=True)
class Page:
    """Hits, newest first. `next_cursor`: there may be more, also where few or none are here. `unreadable`: hits whose
    file is gone or cannot be read."""

    hits: list[Hit] = field(default_factory=list)
    next_cursor: str | None = None
    unreadable: int = 0

    def as_json(self) -> dict[str, object]:
        return {
            "events": [hit.as_json() for hit in self.hits],
            "next": self.next_cursor,
            "unreadable": self.unreadable,
        }


def search(
    index: Path,
    query: Query,
    scope: Scope,
    *,
    limit: int = 50,
    cursor: str | None = None,
    budget_s: float | None = None,
) -> Page:
    """One page. budget_s: after that time what was found so far is the page, and the cursor goes on where it stopped.

    Raises BadQuery, FileNotFoundError without an index, sqlite3.Error and OSError.
    """
    if not 1 <= limit <= MAX_LIMIT:
        raise BadQuery(
            f"a page has 1 to {MAX_LIMIT} events, not {limit}", hint="Ask for the next page with the cursor."
        )
    begun = time.monotonic()
    with contextlib.closing(open_index(index)) as connection:
        key = connection.execute("SELECT value FROM meta WHERE name = 'cursor_key'").fetchone()[0]
        digest = query.digest(scope)
        low, high = _id_range(connection, query, None if cursor is None else decode_cursor(key, cursor, digest))
        hits: list[Hit] = []
        unreadable = looked_at = 0
        for start, end in _windows(low, high, budget_s):
            for number, hit in _hits(connection, query, scope, (start, end)):
                looked_at += 1
                if hit is None:
                    unreadable += 1
                elif scope.sees(hit.event) and query.fits(hit.event, scope):
                    hits.append(hit)
                if (
                    len(hits) == limit
                    or looked_at == _MAX_LOOKED_AT
                    or (
                        budget_s is not None
                        and looked_at % _LOOKED_AT_ONCE == 0
                        and time.monotonic() - begun > budget_s
                    )
                ):
                    return Page(hits, encode_cursor(key, number, digest), unreadable)
            if budget_s is not None and start > low and time.monotonic() - begun > budget_s:
                return Page(hits, encode_cursor(key, start, digest), unreadable)
        return Page(hits, None, unreadable)


def session_events(index: Path, session: str, scope: Scope = EVERYTHING) -> Iterator[Hit]:
    """The events of one session, oldest first. Raises as `search`."""
    query = Query(session=session)
    with contextlib.closing(open_index(index)) as connection:
        for _, hit in _hits(connection, query, scope, (0, MAX_TIME_US << TIE_BITS), order="ASC"):
            if hit is not None and query.fits(hit.event, scope):
                yield hit


def _windows(low: int, high: int, budget_s: float | None) -> Iterator[tuple[int, int]]:
    """The ids of a range in pieces, newest first, so that a search which finds nothing for long can stop between two.

    Each is twice as long as the one before, unless that one took a good part of the time. Without a budget: one piece.
    """
    size = max((high - low) >> _WINDOWS_BITS, _LEAST_WINDOW) if budget_s is not None else high - low
    while high > low:
        start, begun = max(high - size, low), time.monotonic()
        yield start, high
        high = start
        if budget_s is None or time.monotonic() - begun < budget_s / 4:
            size *= 2


def _hits(
    connection: sqlite3.Connection, query: Query, scope: Scope, ids: tuple[int, int], order: str = "DESC"
) -> Iterator[tuple[int, Hit | None]]:
    """(id, hit) of what the index finds from the one id on and before the other; None for an unreadable line."""
    match = query.match(scope)
    sql, values = (_BY_WORDS, (match, *ids)) if match else (_BY_TIME, ids)
    files: dict[str, BinaryIO | None] = {}
    with contextlib.ExitStack() as open_files:
        try:
            for number, offset, length, seq, path in connection.execute(sql.format(order=order), values):
                if path not in files:
                    files[path] = _opened(path, open_files)
                yield number, _read_hit(files[path], Path(path), offset, length, seq)
        except sqlite3.OperationalError as error:
            if "fts5" in str(error):
                raise BadQuery(f"the text cannot be looked for: {error}", hint="Give words.") from error
            raise


def _id_range(connection: sqlite3.Connection, query: Query, before: int | None) -> tuple[int, int]:
    """What is asked for, as far as there are events."""
    first, last = connection.execute("SELECT (SELECT min(id) FROM events), (SELECT max(id) FROM events)").fetchone()
    low, high = first or 0, (last or 0) + 1
    if query.since is not None:
        low = max(low, _id_at(query.since))
    if query.until is not None:
        high = min(high, _id_at(query.until))
    return low, high if before is None else min(high, before)


def _id_at(seconds: float) -> int:
    return min(max(int(seconds * 1_000_000), 0), MAX_TIME_US) << TIE_BITS


def _opened(path: str, stack: contextlib.ExitStack) -> BinaryIO | None:
    try:
        return stack.enter_context(Path(path).open("rb", buffering=0))
    except OSError:
        return None


def _read_hit(file: BinaryIO | None, path: Path, offset: int, length: int, seq: int) -> Hit | None:
    """The event that stands there; None if none does, or another than the one that was indexed."""
    if file is None:
        return None
    try:
        file.seek(offset)
        line = file.read(length)
        event = json.loads(line)
        found, prev, digest, body = parse_line(line)
    except (OSError, ValueError, MalformedLine):
        return None
    if not isinstance(event, dict) or found != seq:
        return None
    return Hit(event, path, seq, digest.decode("ascii", "replace"), line_hash(prev, body) == digest, risk_of(event))
