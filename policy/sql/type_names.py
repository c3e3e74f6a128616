"""The tenant column's type: how a cast to it is written, and whether it can keep tenants apart at all.

A type's usual name is not always what a cast takes: `'acme'::character` is `a`, because a bare `character` has length
one; so is a cast to a domain over it. The catalog's `cast_type` names the base type without a length, in its schema.

A tenant's value is written as text and read by the type's input function. Types whose input cuts or rounds values, or
reads them by a setting of the client's (DateStyle, TimeZone), would make two tenants one (`'acme'::"char"` is `a`), so
only types that are known to take a value as it is are used.

Sources: gram.y (Character, Bit), parse_coerce.c (coerce_type, coerce_to_domain), the input functions of utils/adt.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from policy.sql.catalog import Column

_BUILT_IN = "pg_catalog."

# For catalogs without `cast_type`: names of format_type() that mean something else in a cast.
_CASTS: Mapping[str, str] = MappingProxyType(
    {
        "character": "pg_catalog.bpchar",
        "character[]": "pg_catalog.bpchar[]",
        "bit": "pg_catalog.varbit",
        "bit[]": "pg_catalog.varbit[]",
    }
)

_TEXTS = frozenset({"text", "character varying", "pg_catalog.text", 'pg_catalog."varchar"', "pg_catalog.varchar"})

# Of pg_catalog, by pg_type.typname; their arrays too.
_FAITHFUL = frozenset(
    {
        "text", "varchar", "bpchar", "int2", "int4", "int8", "numeric", "uuid", "bit", "varbit",
        "bytea", "oid",
    }
)  # fmt: skip


def cast_name(column: Column) -> str:
    """What to write after `::` for a value of the column's type, of any length. A domain's is its base type."""
    return column.cast_type or _CASTS.get(column.type_name, column.type_name)


def is_text(column: Column) -> bool:
    """Whether an untyped string stands for a value of the column as it is."""
    return (column.cast_type or column.type_name) in _TEXTS


def keeps_apart(column: Column) -> bool:
    """Whether two different values of tenants stay different in a column of this type. Types that are not the
    server's own (enums, citext) are taken for what their owner made them."""
    if column.folds:
        return False
    name = column.cast_type
    if not name.startswith(_BUILT_IN):
        return True
    bare = name.removeprefix(_BUILT_IN).strip('"')
    return bare.removeprefix("_") in _FAITHFUL
