"""What is denied to a session, whoever grants it: by its roles, and by flags that are off for its tenant."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from policy.actions import DENIED
from policy.model import Permission
from policy.names import TablePattern, parse_table_pattern
from policy.permissions import parse_column
from policy.role_views import Key, TableKey, table_grant

FunctionPattern = tuple[str | None, str | None]  # schema, name; None: every


@dataclass(frozen=True, slots=True)
class Denial:
    """One denied permission. source: who denies it, such as `role clerk` or `flag reports`."""

    permission: Permission
    source: str


class Denials:
    """All denials of a session, found by what is asked for."""

    __slots__ = ("_tables", "all", "columns", "functions")

    def __init__(self, denials: Iterable[Denial]) -> None:
        self.all = tuple(denials)
        self.columns: dict[TableKey, dict[str, str]] = {}  # by relation: columns, and who denies them
        self.functions: set[FunctionPattern] = set()
        self._tables: list[tuple[TablePattern, int, str]] = []
        for denial in self.all:
            self._add(denial)

    def _add(self, denial: Denial) -> None:
        permission = denial.permission
        denied = table_grant(permission, DENIED)
        if denied is not None:
            self._tables.append((*denied, denial.source))
        elif permission.kind == "column":
            schema, table, column = parse_column(permission.name)
            self.columns.setdefault((schema, table), {}).setdefault(column, denial.source)
        elif permission.kind == "function":
            pattern = parse_table_pattern(permission.name)
            self.functions.add((pattern.schema, pattern.name))

    def bits(self, key: Key) -> tuple[int, tuple[str, ...]]:
        """What is denied at `key`, and by whom."""
        found, sources = 0, dict[str, None]()
        for pattern, bits, source in self._tables:
            if covers(pattern, key):
                found |= bits
                sources[source] = None
        return found, tuple(sources)

    def denies(self, kind: str, *actions: str) -> bool:
        """Whether one of these actions is denied for all there is of a kind."""
        return any(
            d.permission.kind == kind and d.permission.name == "*" and d.permission.action in actions for d in self.all
        )

    def named(self) -> set[TableKey]:
        named = {(p.schema, p.name) for p, _, _ in self._tables if p.schema is not None and p.name is not None}
        return named | self.columns.keys()

    def schemas(self) -> set[str]:
        return {p.schema for p, _, _ in self._tables if p.schema is not None and p.name is None}


def covers(pattern: TablePattern, key: Key) -> bool:
    """Whether a pattern is about all that `key` stands for."""
    schema, name = key
    if pattern.schema is None:
        return True
    return pattern.schema == schema and (pattern.name is None or pattern.name == name)
