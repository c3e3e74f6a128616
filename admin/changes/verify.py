"""Hold what was written down of changes against the audit log, which its keeper cannot rewrite unseen.

Each row's digest covers the row and the digest before it in its transaction; each statement's event has the last one
(`details.changes`). So a row that was changed, put in or taken out shows: the chain breaks, or its end is in no event;
or an event tells of a digest that is not there any more, though its transaction was committed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from admin.changes.history import digests_query
from admin.provision.facts import Query, Row
from admin.provision.steps import literal
from proxy.audit.log_files import find_log_files, whole_lines

_BATCH = 10_000
_MAX_PROBLEMS = 1_000
_LOOKED_AT = (b'"changes":', b'"command":"BEGIN"', b'"command":"START', b'"command":"COMMIT', b'"command":"ROLLBACK')


@dataclass(slots=True)
class _Transaction:
    """As far as its rows were read. began: microseconds of the epoch."""

    began: int
    session: str | None
    position: int = 0
    digest: str = ""
    last_id: str = ""


@dataclass(slots=True)
class _Told:
    """What events say of one digest."""

    transaction: str
    session: str
    undone: bool = False


@dataclass(slots=True)
class _Log:
    """told: by digest. first: when the log begins, microseconds of the epoch."""

    told: dict[str, _Told] = field(default_factory=dict)
    open: dict[str, list[_Told]] = field(default_factory=dict)  # by session that is in a transaction
    first: int | None = None


async def verify_changes(query: Query, log: Path, tenants: Collection[str]) -> tuple[int, list[str]]:
    """How many rows there are, and what is wrong. tenants: whose events are about this database. Raises OSError."""
    problems: list[str] = []
    transactions: dict[tuple[str, str], _Transaction] = {}
    digests: set[str] = set()
    rows, after = 0, 0
    while batch := await query(digests_query(after, _BATCH)):
        for row in batch:
            _check_row(row, transactions, problems)
            digests.add(row[5] or "")
        rows, after = rows + len(batch), int(batch[-1][0] or 0)
    events = _read_log(log, tenants)
    for number, each in transactions.items():
        told = events.told.get(each.digest)
        older = events.first is None or each.began < events.first
        if each.session is not None and not older and (told is None or told.session != each.session):
            problems.append(f"transaction {number[0]}: its last change {each.last_id} is in no event of its session")
    missing = {told.transaction for digest, told in events.told.items() if digest not in digests and not told.undone}
    problems += [f"transaction {number}: changes that the audit log tells of are missing" for number in missing
                 if await _was_committed(query, number)]  # fmt: skip
    return rows, problems[:_MAX_PROBLEMS]


def _check_row(row: Row, transactions: dict[tuple[str, str], _Transaction], problems: list[str]) -> None:
    number, transaction, began, position, session, digest, covered = row
    key = (transaction or "", began or "")
    known = transactions.setdefault(key, _Transaction(int(began or 0), session))
    pruned = known.position == 0 and session is None  # of an administrator's transaction, what was another tenant's
    if int(position or 0) != known.position + 1 and not pruned:
        problems.append(f"change {number}: changes before it in transaction {transaction} are missing")
    elif position == "1" or not pruned:
        digested = hashlib.sha256(bytes.fromhex(known.digest) + (covered or "").encode()).hexdigest()
        if digested != digest:
            problems.append(f"change {number}: it is not as it was written")
    if session != known.session:
        problems.append(f"change {number}: it is of another session than its transaction")
    known.position, known.digest, known.last_id = int(position or 0), digest or "", number or ""


def _read_log(log: Path, tenants: Collection[str]) -> _Log:
    found = _Log()
    for file in find_log_files(log):
        for _, line in whole_lines(file.path, 0):
            if found.first is None or any(word in line for word in _LOOKED_AT):
                _take_event(json.loads(line), tenants, found)
    return found


def _take_event(event: dict[str, Any], tenants: Collection[str], found: _Log) -> None:
    time = event.get("time")
    if isinstance(time, (int, float)) and (found.first is None or time * 1e6 < found.first):
        found.first = int(time * 1e6)
    if event.get("tenant") not in tenants or event.get("event") != "statement":
        return
    session = str(event.get("session"))
    for each in str(event["details"].get("changes", "")).split():
        transaction, _, rest = each.partition(":")
        told = _Told(transaction, session)
        found.told[rest.partition(":")[2]] = told
        if session in found.open:
            found.open[session].append(told)
    if event.get("outcome") == "ok":
        _take_border(str(event.get("command")), session, found)


def _take_border(command: str, session: str, found: _Log) -> None:
    """ROLLBACK may be to a savepoint: the transaction goes on, without what was told so far."""
    if command in ("BEGIN", "START TRANSACTION"):
        found.open[session] = []
    elif command == "COMMIT":
        found.open.pop(session, None)
    elif command == "ROLLBACK" and session in found.open:
        for told in found.open[session]:
            told.undone = True
        found.open[session] = []


async def _was_committed(query: Query, transaction: str) -> bool:
    """Of one that is too old for the server to know, nobody can tell: no."""
    if not transaction.isdecimal() or len(transaction) > 18:
        return False
    number = f"{literal(transaction)}::xid8"
    sql = f"SELECT CASE WHEN {number} < pg_snapshot_xmin(pg_current_snapshot()) THEN pg_xact_status({number}) END"
    return await query(sql) == [["committed"]]
