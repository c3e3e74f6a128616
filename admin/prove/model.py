"""What the prover knows of the target's own relations: columns by family of type, keys, and values that occur.

A family is what an expression can be of; types that behave alike share one (`character varying` and `text`). Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

FAMILY_OF: Mapping[str, str] = {
    "smallint": "int", "integer": "int", "bigint": "int",
    "numeric": "numeric",
    "real": "float", "double precision": "float",
    "text": "text", "character varying": "text", "character": "text", "name": "text",
    "boolean": "bool",
    "date": "date",
    "timestamp without time zone": "timestamp",
    "timestamp with time zone": "timestamptz",
    "interval": "interval",
    "jsonb": "jsonb", "json": "json",
    "uuid": "uuid",
    "bytea": "bytea",
    "text[]": "text[]", "character varying[]": "text[]", "integer[]": "int[]",
}  # fmt: skip

TYPE_OF: Mapping[str, str] = {
    "int": "integer", "numeric": "numeric", "float": "double precision", "text": "text", "bool": "boolean",
    "date": "date", "timestamp": "timestamp", "timestamptz": "timestamptz", "interval": "interval",
    "jsonb": "jsonb", "json": "json", "uuid": "uuid", "bytea": "bytea", "text[]": "text[]", "int[]": "integer[]",
}  # fmt: skip
"""A family's type, as a cast to it is written."""

PARAMETER_OID: Mapping[str, int] = {
    "int": 23, "numeric": 1700, "text": 25, "bool": 16, "date": 1082, "timestamp": 1114, "timestamptz": 1184,
    "interval": 1186, "jsonb": 3802, "uuid": 2950, "text[]": 1009, "int[]": 1007,
}  # fmt: skip


def is_sortable(family: str) -> bool:
    """Whether it surely has an order: for DISTINCT, GROUP BY, ORDER BY and set operations."""
    return family != "json" and not family.startswith("other")


@dataclass(frozen=True, slots=True)
class Column:
    """`samples`: values of the tenant's own rows as text. `strange`: values of others'. `typ`: as in a cast."""

    name: str
    family: str
    typ: str
    max_length: int = 0  # of varchar(n) and char(n); 0: none
    not_null: bool = False
    has_default: bool = False
    generated: bool = False  # GENERATED ALWAYS AS (…): never written
    identity: str = ""  # "always" | "default"
    tenant: bool = False
    samples: tuple[str, ...] = ()
    strange: tuple[str, ...] = ()

    @property
    def is_enum(self) -> bool:
        return self.family.startswith("enum ")


@dataclass(frozen=True, slots=True)
class ForeignKey:
    columns: tuple[str, ...]
    parent: str
    parent_columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """A relation that the tenant may read. `keys`: column sets of unique indexes without expressions or predicate."""

    schema: str
    name: str
    columns: tuple[Column, ...]
    primary_key: tuple[str, ...] = ()
    keys: tuple[tuple[str, ...], ...] = ()
    constraints: tuple[tuple[str, tuple[str, ...]], ...] = ()  # unique constraints by name
    foreign_keys: tuple[ForeignKey, ...] = ()
    writable: bool = False
    kind: str = "r"

    def column(self, name: str) -> Column:
        return next(column for column in self.columns if column.name == name)

    @property
    def tenant_column(self) -> Column | None:
        return next((column for column in self.columns if column.tenant), None)

    @property
    def crossing_keys(self) -> frozenset[str]:
        """Columns of unique keys that do not hold the tenant: a value of theirs may be taken by a stranger's row."""
        tenant = self.tenant_column
        crossing = [key for key in self.keys if tenant is not None and tenant.name not in key]
        return frozenset(name for key in crossing for name in key)


@dataclass(frozen=True, slots=True)
class Schema:
    """All relations of the run, the server's version (150004), and the labels of its enums by family."""

    version: int
    tables: tuple[Table, ...]
    enums: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    tenant: str = ""

    def table(self, name: str) -> Table:
        return next(table for table in self.tables if table.name == name)

    @property
    def writable(self) -> tuple[Table, ...]:
        return tuple(table for table in self.tables if table.writable)
