"""Counts per day, kept while indexing, so that figures over months need no look at single events.

`totals`: events, rows and bytes per day (UTC), tenant, subject, event, action, outcome, decision and SQLSTATE.
`reached`: events and rows per day, tenant, relation, subject and action.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Mapping
from typing import Final

from admin.audit_search.facets import list_of, text_of

DAY_S: Final = 86_400

_ADD_TOTALS: Final = (
    "INSERT INTO totals VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
    " events = events + excluded.events, rows = rows + excluded.rows, bytes = bytes + excluded.bytes"
)
_ADD_REACHED: Final = (
    "INSERT INTO reached VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
    " events = events + excluded.events, rows = rows + excluded.rows"
)
_MEMBERS: Final = ("tenant", "subject", "event", "action", "command", "outcome", "decision", "sqlstate")


class Totals:
    """The counts of one batch, from `take` of each event to `write`."""

    __slots__ = ("_reached", "_totals")

    def __init__(self) -> None:
        self._totals: dict[tuple[int | str, ...], list[int]] = defaultdict(lambda: [0, 0, 0])
        self._reached: dict[tuple[int | str, ...], list[int]] = defaultdict(lambda: [0, 0])

    def take(self, event: Mapping[str, object]) -> None:
        """Count one event."""
        day, rows = day_of(event.get("time")), _number(event, "rows")
        tenant, subject, kind, action, command, *words = (text_of(event, name) for name in _MEMBERS)
        action = action or command
        total = self._totals[day, tenant, subject, kind, action, *words]
        total[0] += 1
        total[1] += rows
        total[2] += _number(event, "bytes")
        for relation in list_of(event, "relations"):
            count = self._reached[day, tenant, relation, subject, action]
            count[0] += 1
            count[1] += rows

    def write(self, connection: sqlite3.Connection) -> None:
        """Add them to those that stand in the index."""
        connection.executemany(_ADD_TOTALS, [(*key, *counts) for key, counts in self._totals.items()])
        connection.executemany(_ADD_REACHED, [(*key, *counts) for key, counts in self._reached.items()])


def day_of(time: object) -> int:
    """Days since the epoch, in UTC."""
    return int(time // DAY_S) if isinstance(time, int | float) and 0 <= time < 1e11 else 0


def _number(event: Mapping[str, object], name: str) -> int:
    value = event.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**62 else 0
