"""One session as it happened: steps in the order of its chain, with the time between them and the transactions around.

Pure over the hits of `session_events`. A transaction is what stands from a BEGIN that succeeded to the COMMIT or
ROLLBACK that ended it, as the client asked for it; a statement outside is a transaction of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from admin.audit_search.facets import text_of
from admin.audit_search.search import Hit

_BEGIN: Final = frozenset({"BEGIN", "START TRANSACTION"})
_END: Final = frozenset({"COMMIT", "ROLLBACK", "PREPARE TRANSACTION"})
_TO_SAVEPOINT: Final = re.compile(r"\brollback(\s+(work|transaction))?\s+to\b", re.IGNORECASE)
_CHAIN: Final = re.compile(r"\band\s+chain\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Step:
    """One event. after_s: since the session's first event. transaction: 1, 2, … or 0 outside of one."""

    hit: Hit
    after_s: float
    transaction: int
    begins: bool
    ends: bool

    def as_json(self) -> dict[str, object]:
        return {
            "after_s": round(self.after_s, 6),
            "transaction": self.transaction or None,
            "begins_transaction": self.begins,
            "ends_transaction": self.ends,
            **self.hit.as_json(),
        }


def replay(hits: Iterable[Hit]) -> Iterator[Step]:
    """The steps of one session, whose hits come in any order."""
    ordered = sorted(hits, key=lambda hit: (hit.event.get("event") == "logout", hit.seq))
    started: float | None = None
    inside, count = False, 0
    for hit in ordered:
        at = _time(hit)
        started = at if started is None else started
        begins = not inside and _begins(hit)
        ends = inside and _ends(hit)
        inside = inside or begins
        count += begins
        yield Step(hit, at - started, count if inside else 0, begins, ends)
        chained = ends and _CHAIN.search(text_of(hit.event, "statement")) is not None
        count += chained
        inside = inside and (not ends or chained) and hit.event.get("event") != "logout"


def _time(hit: Hit) -> float:
    value = hit.event.get("time")
    return float(value) if isinstance(value, int | float) else 0.0


def _begins(hit: Hit) -> bool:
    return _command(hit) in _BEGIN and hit.event.get("outcome") == "ok"


def _ends(hit: Hit) -> bool:
    """COMMIT and PREPARE TRANSACTION end it also when they fail; ROLLBACK TO a savepoint does not."""
    if _command(hit) not in _END or hit.event.get("outcome") not in ("ok", "error"):
        return False
    return _TO_SAVEPOINT.search(text_of(hit.event, "statement")) is None


def _command(hit: Hit) -> str:
    return text_of(hit.event, "command") if hit.event.get("event") == "statement" else ""
