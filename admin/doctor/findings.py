"""What the doctor found: how bad, where, why, and the SQL that mends it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum


class Severity(IntEnum):
    """critical: a lock that is configured is not there, or binds nobody. high: one tenant can find something out of
    another. medium: it stands open, and only the gateway is before it. low: good to know."""

    LOW = 1
    MEDIUM = 2
    HIGH = 3
    CRITICAL = 4

    @property
    def word(self) -> str:
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Finding:
    """sql: statements that mend it, empty when there is a choice to make; `why` then says which."""

    severity: Severity
    check: str  # a stable word for it, for machines
    object: str
    why: str
    sql: tuple[str, ...] = ()
    target: str = ""
    database: str = ""


def worst_first(findings: Iterable[Finding]) -> list[Finding]:
    """Sorted; what is the same in several databases of a server, its roles, once."""
    unique: dict[tuple[str, str, str, str], Finding] = {}
    for finding in findings:
        database = "" if finding.check.startswith("role-") else finding.database
        unique.setdefault((finding.target, database, finding.check, finding.object), finding)
    return sorted(unique.values(), key=lambda f: (-f.severity, f.target, f.database, f.check, f.object))
