"""How much an event deserves to be looked at: a score from 0 to 100 with its reasons. Pure, and the same for ever for
the same event, so that an index can hold it.

The score is that of the weightiest reason: reasons do not add up, so a number can be explained in one sentence.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

HIGH, MEDIUM = 70, 40
LEVELS = ("low", "medium", "high")

_ROWS_MANY = 100_000
_DDL = frozenset({"ddl"})


@dataclass(frozen=True, slots=True)
class Risk:
    score: int
    reasons: tuple[str, ...]


def risk_of(event: Mapping[str, object]) -> Risk:
    """Judge one event."""
    found = sorted(_reasons(event), reverse=True)
    return Risk(found[0][0] if found else 0, tuple(reason for _, reason in found))


def level_of(score: int) -> str:
    """low, medium (from 40) or high (from 70)."""
    return "high" if score >= HIGH else "medium" if score >= MEDIUM else "low"


def _reasons(event: Mapping[str, object]) -> list[tuple[int, str]]:
    kind, outcome, sqlstate = event.get("event"), event.get("outcome"), str(event.get("sqlstate") or "")
    rows, found = event.get("rows"), []
    if kind in ("gap", "recovered"):
        found.append((90, "events may be missing here"))
    if kind == "worker" and outcome == "lost":
        found.append((80, "a worker of the gateway was lost"))
    if event.get("level") == "critical":
        found.append((90, "its level is critical"))
    if kind == "login" and outcome == "refused":
        found.append((70, "a login was refused"))
    elif outcome == "refused":
        found.append((75, "a statement was refused by policy") if sqlstate == "42501" else (50, "it was refused"))
    elif outcome == "error" and sqlstate in ("42501", "28000", "28P01"):
        found.append((60, "the database refused it"))
    if kind == "admin":
        found.append((45, "an administrator changed something"))
    if event.get("action") in _DDL:
        found.append((45, "it changes the schema"))
    if outcome == "lost":
        found.append((40, "its backend was lost, so its effect is unknown"))
    if isinstance(rows, int) and rows >= _ROWS_MANY:
        found.append((50, f"it moved {_ROWS_MANY} rows or more"))
    return found
