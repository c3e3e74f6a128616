"""Types by family: which comparisons of columns, constants and parameters cannot raise, and the names in scope.

Within a family every comparison operator is leakproof: it takes any two values and never fails. A column whose type
is in no family, or that cannot be resolved for sure, has family None and may not be compared under a plain guard.

Sources: pg_proc.proleakproof of PostgreSQL 15 and 18; for numeric, and for integers compared with numeric, the reading
of numeric.c (no ereport on any input value).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from policy.sql import parse
from policy.sql.parse import Node
from policy.sql.references import names_of

ast: Any = parse.ast

Family = str | None
Columns = Mapping[str, Family]

CONSTANT = "constant"  # goes with every family: PostgreSQL converts it before it sees a row
PARAMETER = "parameter"  # the same, but a client may declare it as a type that the column is converted to

BY_TYPE: Mapping[str, str] = MappingProxyType(
    {
        "smallint": "integer",
        "integer": "integer",
        "bigint": "integer",
        "numeric": "numeric",
        "real": "float",
        "double precision": "float",
        "text": "text",
        "character varying": "text",
        "character": "character",
        "name": "name",
        '"char"': "char",
        "boolean": "boolean",
        "date": "date",
        "timestamp without time zone": "timestamp",
        "timestamp with time zone": "timestamptz",
        "time without time zone": "time",
        "uuid": "uuid",
        "oid": "oid",
        "bytea": "bytea",
    }
)
FAMILIES = frozenset(BY_TYPE.values())

# What the grammar calls a type (`'x'::int` says pg_catalog.int4, `'x'::text` says text).
_BY_SPELLING: Mapping[str, str] = MappingProxyType(
    {
        "int2": "integer",
        "int4": "integer",
        "int8": "integer",
        "numeric": "numeric",
        "float4": "float",
        "float8": "float",
        "text": "text",
        "varchar": "text",
        "bpchar": "character",
        "name": "name",
        "char": "char",
        "bool": "boolean",
        "date": "date",
        "timestamp": "timestamp",
        "timestamptz": "timestamptz",
        "time": "time",
        "uuid": "uuid",
        "oid": "oid",
        "bytea": "bytea",
    }
)

# Types that a client may not declare for a parameter of a statement with guards (oid and its aliases): in
# `bigint_column = $1` PostgreSQL would convert the column and raise "OID out of range" for another tenant's value.
# Drivers leave such parameters to the server or say int8.
RISKY_PARAMETER_TYPES = frozenset({24, 26, 2202, 2203, 2204, 2205, 2206, 3734, 3769, 4089, 4096, 4191})


@dataclass(slots=True)
class NameScope:
    """FROM items of one query level by visible name; None: the item's columns are not known."""

    parent: NameScope | None
    items: list[tuple[str, Columns | None]] = field(default_factory=list)


def comparable(left: Family, right: Family) -> bool:
    """Whether every comparison operator between the two is leakproof."""
    if left is None or right is None:
        return False
    pair = {left, right}
    if PARAMETER in pair:
        return "numeric" not in pair  # a float8 parameter would convert the column, which prints the value
    return CONSTANT in pair or len(pair) == 1 or pair == {"integer", "numeric"}


def family_of_type(node: Node) -> Family:
    """Family of a TypeName; an array's is its element's."""
    names = names_of(node.names)
    if len(names) > 1 and names[-2] != "pg_catalog":
        return None
    return _BY_SPELLING.get(names[-1]) if names else None


def renamed(columns: Columns | None, names: tuple[str, ...]) -> Columns | None:
    """Columns under an alias list, which may be shorter; None when a name would come twice."""
    if columns is None or not names:
        return columns
    given = [*names, *list(columns)[len(names) :]]
    return dict(zip(given, columns.values(), strict=False)) if len(set(given)) == len(columns) else None


def family_in(items: list[tuple[str, Columns | None]], name: str) -> Family:
    """Of an unqualified column among FROM items; None when it is not known for sure."""
    if any(columns is None for _, columns in items):
        return None
    found = {columns[name] for _, columns in items if columns is not None and name in columns}
    return found.pop() if len(found) == 1 else None


def resolve_column(node: Node, scope: NameScope | None) -> Family:
    """Family of a ColumnRef, looked up from the innermost level outwards as PostgreSQL does."""
    names = names_of(node.fields)
    if len(names) != len(node.fields):
        return None
    while scope is not None:
        if len(names) > 1:
            items = [columns for name, columns in scope.items if name == names[-2]]
            if items:
                return items[0].get(names[-1]) if len(items) == 1 and items[0] is not None else None
        elif any(columns is None or names[0] in columns for _, columns in scope.items):
            return family_in(scope.items, names[0])
        scope = scope.parent
    return None
