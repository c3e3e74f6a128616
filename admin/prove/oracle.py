"""Whether two outcomes of a case are the same: rows as a multiset (in order where that is settled), names and types of
columns, counts, command tags, SQLSTATEs; and that no error tells of a stranger's row. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from enum import Enum

from admin.prove.steps import Case, Outcome, Result, Step

NUMERIC_OID, RECORD_OID, FIRST_USER_OID = 1700, 2249, 16384
_ON_THE_WAY = ("21", "22", "54", "57")  # whether such an error comes may depend on the plan
_BINARY_HEADER = 19
_CONSTRAINTS = "23"
_SET_OPERATIONS = ("UNION", "INTERSECT", "EXCEPT")


class Kind(Enum):
    SAME = "same"
    REFUSED = "refused"  # by the gateway, though PostgreSQL accepts it
    UNDECIDED = "undecided"  # an error on one side that the order of evaluation may explain
    DIFFERENT = "different"
    LEAK = "leak"  # an error text holds a stranger's value
    LOST = "lost"  # a connection broke


@dataclass(frozen=True, slots=True)
class Verdict:
    """`step`: index of the step that it is about. reason: what differs, or why it was refused."""

    kind: Kind
    step: int = 0
    reason: str = ""

    @property
    def bad(self) -> bool:
        return self.kind in (Kind.DIFFERENT, Kind.LEAK, Kind.LOST)


SAME = Verdict(Kind.SAME)


def judge(
    case: Case, shared: Sequence[Outcome], twin: Sequence[Outcome], foreign: frozenset[str] = frozenset()
) -> Verdict:
    """Compare what came through the gateway with what the twin answered, step by step."""
    for index, (step, ours, theirs) in enumerate(zip(case.steps, shared, twin, strict=True)):
        leaked = _leaked(case, ours, foreign)
        if leaked is not None:
            return Verdict(Kind.LEAK, index, f"the error text holds {leaked!r}, which is another tenant's")
        verdict = _judge_step(step, index, ours, theirs)
        if verdict.kind is not Kind.SAME:
            return verdict
    return SAME


def _leaked(case: Case, outcome: Outcome, foreign: frozenset[str]) -> str | None:
    if outcome.error is None:
        return None
    text = "\n".join(value for code, value in outcome.error.items() if code in "MDHWqstcdn")
    parts = [part for step in case.steps for part in (step, *step.chained)]
    said = "\n".join(f"{part.sql}\n{part.parameters}\n{part.copy_data!r}" for part in parts)
    return next((value for value in foreign if value in text and value not in said), None)


def _judge_step(step: Step, index: int, ours: Outcome, theirs: Outcome) -> Verdict:
    if ours.refused:
        if theirs.error is not None:
            return SAME
        return Verdict(Kind.REFUSED, index, reason_of(ours))
    if ours.sqlstate != theirs.sqlstate:
        states = f"SQLSTATE {ours.sqlstate or 'none'} instead of {theirs.sqlstate or 'none'}"
        texts = f"{_message(ours)} / {_message(theirs)}"
        classes = {ours.sqlstate[:2], theirs.sqlstate[:2]}
        # of two violated constraints, the order of rows settles which is told
        on_the_way = not classes.isdisjoint(_ON_THE_WAY) or classes == {_CONSTRAINTS}
        return Verdict(Kind.UNDECIDED if on_the_way else Kind.DIFFERENT, index, f"{states}: {texts}")
    if step.opaque or ours.error is not None:
        return SAME
    if len(ours.results) != len(theirs.results):
        return Verdict(Kind.DIFFERENT, index, "another number of results")
    parts = (step, *step.chained) if step.chained else (step,) * len(ours.results)
    for part, mine, other in zip(parts, ours.results, theirs.results, strict=True):
        if any(word in part.sql for word in _SET_OPERATIONS):  # an arm that the planner drops takes its modifier along
            mine, other = _without_modifiers(mine), _without_modifiers(other)
        difference = compare_results(mine, other, ordered=part.ordered, binary=part.binary)
        if difference:
            return Verdict(Kind.DIFFERENT, index, difference)
    if ours.status != theirs.status:
        return Verdict(Kind.DIFFERENT, index, f"transaction status {ours.status} instead of {theirs.status}")
    return SAME


def reason_of(outcome: Outcome) -> str:
    """A refusal's message without the names in it, so that like reasons fall together."""
    message = re.sub(r'"[^"]*"', '"…"', _message(outcome))
    return f"{outcome.sqlstate} {message}"


def _message(outcome: Outcome) -> str:
    return "" if outcome.error is None else outcome.error.get("M", "")


def compare_results(mine: Result, other: Result, *, ordered: bool, binary: bool) -> str:
    """What differs, in words; empty when nothing does."""
    if not _same_columns(mine, other):
        return f"columns {mine.columns} instead of {other.columns}"
    if mine.tag != other.tag:
        return f"tag {mine.tag!r} instead of {other.tag!r}" + _rows_difference(
            _rows(mine, binary), _rows(other, binary)
        )
    if ordered and mine.copied and _plain(mine.copied) != _plain(other.copied):
        return "COPY data"
    if Counter(_plain(mine.copied)) != Counter(_plain(other.copied)):
        return "COPY data" + _rows_difference(_plain(mine.copied), _plain(other.copied))
    rows, others = _rows(mine, binary), _rows(other, binary)
    if ordered and rows != others and Counter(rows) == Counter(others):
        return "the order of rows"
    if Counter(rows) != Counter(others):
        return "rows" + _rows_difference(rows, others)
    return ""


def _without_modifiers(result: Result) -> Result:
    return replace(result, columns=tuple((name, oid, -1) for name, oid, _ in result.columns))


def _same_columns(mine: Result, other: Result) -> bool:
    """A whole row of a relation that stands behind a sub-select is a record: that much is known and documented."""
    return len(mine.columns) == len(other.columns) and all(
        a == b or (a[0] == b[0] and a[1] == RECORD_OID and b[1] >= FIRST_USER_OID)
        for a, b in zip(mine.columns, other.columns, strict=True)
    )


def _plain(lines: list[bytes]) -> list[bytes]:
    """The lines of COPY TO; of the binary format without its header, which comes with the first row."""
    if lines and lines[0].startswith(b"PGCOPY\n"):
        return [lines[0][_BINARY_HEADER:], *lines[1:]]
    return lines


def _rows_difference(rows: Sequence[object], others: Sequence[object]) -> str:
    more, less = Counter(rows) - Counter(others), Counter(others) - Counter(rows)
    parts = [f": {len(rows)} rows instead of {len(others)}"]
    parts += [f"not expected {item!r}" for item in list(more)[:2]] + [f"missing {item!r}" for item in list(less)[:2]]
    return ", ".join(parts)


def _rows(result: Result, binary: bool) -> list[tuple[bytes | None, ...]]:
    numeric = [index for index, column in enumerate(result.columns) if column[1] == NUMERIC_OID]
    if binary or not numeric:
        return result.rows
    return [tuple(_number(v) if i in numeric else v for i, v in enumerate(row)) for row in result.rows]


def _number(value: bytes | None) -> bytes | None:
    """Equal numbers look alike: which of 1.0 and 1.00 stands for a group is not settled."""
    if value is None:
        return None
    try:
        return str(Decimal(value.decode()).normalize()).encode()
    except InvalidOperation:
        return value
