"""Roles with their names parsed, and found by the relation that is asked for: a thousand roles stay quick."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from policy.actions import GRANTED
from policy.model import Permission, Role
from policy.names import TablePattern, parse_table_name, parse_table_pattern
from policy.permissions import parse_column

TableKey = tuple[str, str]
Key = tuple[str | None, str | None]  # a relation, all others of a schema (name None), or all others

_NO_COLUMNS: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class RoleView:
    """What a role grants: bits of actions.py, on every relation, by schema and by relation.

    columns: those that it reads in relations of which it does not read all.
    """

    name: str
    everywhere: int
    schemas: Mapping[str, int]
    tables: Mapping[TableKey, int]
    columns: Mapping[TableKey, frozenset[str]]
    filters: Mapping[TableKey, str]
    masks: Mapping[TableKey, Mapping[str, str]]
    denied: Mapping[TableKey, frozenset[str]]

    def bits(self, key: Key) -> int:
        """What it grants at `key`, but for single columns."""
        schema, name = key
        found = self.everywhere
        if schema is not None:
            found |= self.schemas.get(schema, 0)
            if name is not None:
                found |= self.tables.get((schema, name), 0)
        return found


def view_of(role: Role) -> RoleView:
    """A role's view; a permission that is not understood grants nothing."""
    everywhere, schemas, tables = 0, dict[str, int](), dict[TableKey, int]()
    columns: dict[TableKey, frozenset[str]] = {}
    for permission in role.permissions:
        if permission.kind == "column":
            _add_column(columns, permission)
        grant = table_grant(permission)
        if grant is None:
            continue
        pattern, bits = grant
        if pattern.schema is None:
            everywhere |= bits
        elif pattern.name is None:
            schemas[pattern.schema] = schemas.get(pattern.schema, 0) | bits
        else:
            key = pattern.schema, pattern.name
            tables[key] = tables.get(key, 0) | bits
    return RoleView(
        role.name,
        everywhere,
        schemas,
        tables,
        columns,
        {parse_table_name(key): text for key, text in role.row_filters.items()},
        {parse_table_name(key): named for key, named in role.masks.items()},
        {parse_table_name(key): named for key, named in role.denied_columns.items()},
    )


def table_grant(permission: Permission, words: Mapping[str, int] = GRANTED) -> tuple[TablePattern, int] | None:
    """The relations that a permission is about, and its bits by `words`; None when it is about none."""
    bits = words.get(permission.action, 0)
    if permission.kind == "database" and permission.name == "*" and bits:
        return TablePattern(None, None), bits
    if permission.kind != "table" or not bits:
        return None
    try:
        return parse_table_pattern(permission.name), bits
    except ValueError:
        return None


def _add_column(columns: dict[TableKey, frozenset[str]], permission: Permission) -> None:
    try:
        schema, table, column = parse_column(permission.name)
    except ValueError:
        return
    if permission.action == "read":
        columns[schema, table] = columns.get((schema, table), _NO_COLUMNS) | {column}


class RoleViews:
    """The views of all roles that are held together."""

    __slots__ = ("_by_schema", "_by_table", "_denied", "_everywhere", "views")

    def __init__(self, roles: Iterable[Role]) -> None:
        self.views: Sequence[RoleView] = [view_of(role) for role in roles]
        self._everywhere = [number for number, view in enumerate(self.views) if view.everywhere]
        self._by_schema: dict[str, list[int]] = {}
        self._by_table: dict[TableKey, list[int]] = {}
        self._denied: dict[TableKey, frozenset[str]] = {}
        for number, view in enumerate(self.views):
            for schema in view.schemas:
                self._by_schema.setdefault(schema, []).append(number)
            for key in {*view.tables, *view.columns}:
                self._by_table.setdefault(key, []).append(number)
            for key, columns in view.denied.items():
                self._denied[key] = self._denied.get(key, _NO_COLUMNS) | columns

    def granting(self, key: Key) -> list[RoleView]:
        """Those that may grant something at `key`, in order."""
        schema, name = key
        if schema is None:
            return [self.views[number] for number in self._everywhere]
        numbers = {*self._everywhere, *self._by_schema.get(schema, ())}
        if name is not None:
            numbers.update(self._by_table.get((schema, name), ()))
        return [self.views[number] for number in sorted(numbers)]

    def denied(self, key: Key) -> frozenset[str]:
        """Columns that one of them denies."""
        return self._denied.get((key[0] or "", key[1] or ""), _NO_COLUMNS)

    def named(self) -> set[TableKey]:
        """Every relation that one of them names."""
        found: set[TableKey] = {*self._by_table, *self._denied}
        for view in self.views:
            found.update(view.filters, view.masks)
        return found

    def schemas(self) -> set[str]:
        return set(self._by_schema)
