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
_Taken = tuple[int, str]  # bits, and who denies them


@dataclass(frozen=True, slots=True)
class Denial:
    """One denied permission. source: who denies it, such as `role clerk` or `flag reports`."""

    permission: Permission
    source: str


class Denials:
    """All denials of a session, found by what is asked for."""

    __slots__ = ("_by_schema", "_by_table", "_everywhere", "all", "columns", "functions")

    def __init__(self, denials: Iterable[Denial]) -> None:
        self.all = tuple(denials)
        self.columns: dict[TableKey, dict[str, str]] = {}  # by relation: columns, and who denies them
        self.functions: set[FunctionPattern] = set()
        self._everywhere: list[_Taken] = []
        self._by_schema: dict[str, list[_Taken]] = {}
        self._by_table: dict[TableKey, list[_Taken]] = {}
        for denial in self.all:
            self._add(denial)

    def _add(self, denial: Denial) -> None:
        permission = denial.permission
        denied = table_grant(permission, DENIED)
        if denied is not None:
            self._add_to_tables(*denied, denial.source)
        elif permission.kind == "column":
            schema, table, column = parse_column(permission.name)
            self.columns.setdefault((schema, table), {}).setdefault(column, denial.source)
        elif permission.kind == "function":
            pattern = parse_table_pattern(permission.name)
            self.functions.add((pattern.schema, pattern.name))

    def _add_to_tables(self, pattern: TablePattern, bits: int, source: str) -> None:
        if pattern.schema is None:
            self._everywhere.append((bits, source))
        elif pattern.name is None:
            self._by_schema.setdefault(pattern.schema, []).append((bits, source))
        else:
            self._by_table.setdefault((pattern.schema, pattern.name), []).append((bits, source))

    def bits(self, key: Key) -> tuple[int, tuple[str, ...]]:
        """What is denied at `key`, and by whom."""
        schema, name = key
        taken = list(self._everywhere)
        if schema is not None:
            taken += self._by_schema.get(schema, ())
            if name is not None:
                taken += self._by_table.get((schema, name), ())
        found = 0
        for bits, _ in taken:
            found |= bits
        return found, tuple(sorted({source for _, source in taken}))

    @property
    def restrict_data(self) -> bool:
        """Whether code that runs behind the gateway's back could do what is denied."""
        return any(denial.permission.kind in ("database", "table", "column", "function") for denial in self.all)

    def denies(self, kind: str, *actions: str) -> bool:
        """Whether one of these actions is denied for all there is of a kind."""
        return any(
            d.permission.kind == kind and d.permission.name == "*" and d.permission.action in actions for d in self.all
        )

    def named(self) -> set[TableKey]:
        return self._by_table.keys() | self.columns.keys()

    def schemas(self) -> set[str]:
        return set(self._by_schema)


def covers(pattern: TablePattern, key: Key) -> bool:
    """Whether a pattern is about all that `key` stands for."""
    schema, name = key
    if pattern.schema is None:
        return True
    return pattern.schema == schema and (pattern.name is None or pattern.name == name)
