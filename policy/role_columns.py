"""Columns that roles name and a table does not have: a filter with one is refused at its first use, a mask or denial
with one hides nothing. Neither can be told without the catalog, so `tenantgate doctor` asks here."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from policy.expressions import columns_in
from policy.model import Role
from policy.names import parse_table_name
from policy.permissions import parse_column
from policy.problems import did_you_mean, join_key


@dataclass(frozen=True, slots=True)
class UnknownColumn:
    """place: the key path in the policy document. harmless: it only gives less than was meant."""

    place: str
    column: str
    hint: str
    harmless: bool


def unknown_columns(
    roles: Iterable[Role], schema: str, table: str, columns: Collection[str]
) -> Iterator[UnknownColumn]:
    """What roles say of a table, which has these columns, about others. schema: as roles name it."""
    for role in roles:
        for place, named, harmless in _named(role, (schema, table)):
            for column in sorted(set(named) - set(columns)):
                yield UnknownColumn(place, column, did_you_mean(column, columns), harmless)


def _named(role: Role, key: tuple[str, str]) -> Iterator[tuple[str, Collection[str], bool]]:
    """(place, columns, whether one that is not there is harmless)."""
    path = join_key("roles", role.name)
    for name, text in role.row_filters.items():
        if parse_table_name(name) == key:
            yield join_key(f"{path}.row_filters", name), columns_in(text), True  # what it filters is refused
    for name, masks in role.masks.items():
        if parse_table_name(name) == key:
            here = join_key(f"{path}.masks", name)
            yield here, masks.keys(), False
            yield from ((join_key(here, column), columns_in(text), True) for column, text in masks.items())
    for name, denied in role.denied_columns.items():
        if parse_table_name(name) == key:
            yield join_key(f"{path}.denied_columns", name), denied, False
    for section, permissions, harmless in (("permissions", role.permissions, True), ("deny", role.deny, False)):
        parsed = (parse_column(permission.name) for permission in permissions if permission.kind == "column")
        columns = [column for *table, column in parsed if tuple(table) == key]
        if columns:
            yield f"{path}.{section}", columns, harmless
