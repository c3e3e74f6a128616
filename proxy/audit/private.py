"""Which statements the log keeps no values of: those that can reach a column which the configuration names, or which
the policy tags. Their parameters are hashed and the literals in their texts blanked. Pure.

Tags count by the names of table and column, on any target and in any schema: tenants with schemas or databases of their
own are covered. What is not known counts as reached.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from policy.snapshot import Snapshot
from policy.sql.plan import Plan
from policy.sql.shape import literal_spans, shape_of

_OPAQUE: Final = frozenset({"EXECUTE", "CALL", "DO"})  # what their values are for stands elsewhere


class Private:
    """columns: `schema.table.column` or `table.column`. Lifetime: until the next policy."""

    __slots__ = ("_columns", "_tables", "_whole", "any")

    def __init__(self, columns: Iterable[str], tags: Iterable[str], snapshot: Snapshot) -> None:
        found, wanted = set(columns), frozenset(tags)
        whole: set[str] = set()
        for rules in snapshot.tables.values():
            for rule in rules:
                if rule.tags & wanted:
                    whole.add(rule.name)
                found.update(f"{rule.name}.{name}" for name, its in rule.column_tags.items() if its & wanted)
        self._columns = frozenset(found)
        self._whole = frozenset(whole)
        self._tables = frozenset(name.split(".")[-2] for name in found)
        self.any = bool(found or whole)

    def reached_by(self, plan: Plan | None) -> bool:
        """None: a statement that was not understood."""
        if not self.any:
            return False
        if plan is None or (not plan.columns and (plan.denial is not None or plan.command in _OPAQUE)):
            return True
        for column in plan.columns:
            if column in self._columns or column.partition(".")[2] in self._columns:
                return True
        for relation in plan.relations:
            name = relation.rpartition(".")[2].strip('"')
            if name in self._whole:
                return True
            if name in self._tables and not any(column.startswith(f"{relation}.") for column in plan.columns):
                return True
        return False


def blanked(text: str) -> str:
    """The text with every string as '***' and every number as 0; of one that cannot be read so, its length."""
    if not text:
        return text
    if shape_of(text) is None:
        return f"(not kept: {len(text)} characters with values of private columns)"
    parts: list[str] = []
    at = 0
    for start, end in literal_spans(text):
        parts += (text[at:start], "'***'" if text[start] == "'" else "0")
        at = end
    return "".join([*parts, text[at:]])
