"""What is known of a target database: relations, columns, keys, code. Loaded by the proxy, read by the rules.

Immutable: a reload makes a new `Catalog` with a new version. Names are exactly as in pg_catalog (folded, unquoted).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

UNTRACKED, ROWS, ROWS_AND_TRUNCATE = 0, 1, 2


@dataclass(frozen=True, slots=True)
class Column:
    """A live column in attnum order. `type_name` is format_type() without modifiers, e.g. `integer`, `text`."""

    name: str
    type_oid: int
    type_name: str
    not_null: bool = False
    has_default: bool = False
    generated: str = ""  # '' | 'stored' | 'identity_always' | 'identity_default'
    default_sql: str | None = None  # pg_get_expr of the default, for the functions it calls
    cast_type: str = ""  # its base type as SQL, qualified and without a length: `pg_catalog.bpchar`; "": not known
    folds: bool = False  # its collation takes values for equal that are not the same, such as A and a
    declared_type: str = ""  # as SQL with its length: `numeric(6,2)`, a domain's own name; "": not known


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """A foreign key. Relations by (schema, name); `columns` and `parent_columns` are parallel.

    on_delete, on_update: `no action`, `restrict`, `cascade`, `set null` or `set default`. set_columns: those that
    ON DELETE SET … names; empty for all of `columns`.
    """

    name: str
    child: tuple[str, str]
    columns: tuple[str, ...]
    parent: tuple[str, str]
    parent_columns: tuple[str, ...]
    on_delete: str = "no action"
    on_update: str = "no action"
    set_columns: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Relation:
    """A relation. kind: pg_class.relkind (r p v m f S …). `unique_keys` holds the columns of every unique index
    (PK included); an index over an expression contributes an empty tuple."""

    oid: int
    schema: str
    name: str
    kind: str
    columns: tuple[Column, ...]
    primary_key: tuple[str, ...] = ()
    unique_keys: tuple[tuple[str, ...], ...] = ()
    unique_key_names: tuple[str, ...] = ()  # constraint/index names, parallel to unique_keys
    parents: tuple[tuple[str, str], ...] = ()  # partition / inheritance parents
    has_children: bool = False
    has_triggers: bool = False
    has_rules: bool = False  # rewrite rules besides a view's own: a statement becomes others
    of_extension: bool = False  # it came with one
    referenced_by: tuple[ForeignKey, ...] = ()  # foreign keys that refer to it, without those that a partition inherits
    denied_columns: tuple[Column, ...] = ()  # what a session's roles may not know of, and `columns` therefore lacks
    definition: str = ""  # a view's query, every name in it qualified but pg_catalog's; "": no view, or not known
    row_security: bool = False  # native row-level security binds the gateway's role
    tracked: int = 0  # UNTRACKED, ROWS or ROWS_AND_TRUNCATE: which changes provisioned triggers write down
    lock: str = ""  # what native row-level security tests for the gateway's role; "": nothing that may be relied on

    @property
    def all_columns(self) -> tuple[Column, ...]:
        return (*self.columns, *self.denied_columns)


@dataclass(frozen=True, slots=True)
class UserFunction:
    """A function, aggregate or procedure defined outside pg_catalog. extension: its owner, "" for none."""

    schema: str
    name: str
    extension: str = ""


@dataclass(frozen=True, slots=True)
class UserOperator:
    """An operator that did not come with the server. left, right: names of user types, an array's is its element's;
    "" for a type of the server, a pseudo-type or no operand."""

    schema: str
    name: str
    left: str = ""
    right: str = ""
    extension: str = ""


@dataclass(frozen=True, slots=True)
class UserCast:
    """A cast that did not come with the server. source, target: pg_type.typname, an array's is its element's.

    context: `implicit`, `assignment` or `explicit`. runs_code: it calls a function, and not only the types' own.
    """

    source: str
    target: str
    from_user_type: bool
    to_user_type: bool
    context: str
    runs_code: bool = True
    extension: str = ""


@dataclass(frozen=True, slots=True)
class UserType:
    """A type that did not come with the server, a table's row type too. parts: the user types that it is made of."""

    oid: int
    name: str
    parts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Catalog:
    """The picture of one database of one target.

    relations: by (schema, name), without pg_catalog, information_schema and pg_toast.
    user_functions / user_operators / user_casts / user_types: names defined outside pg_catalog.
    functions / operators / casts / types: the same in detail; what stands only above is taken for the worst.
    leakproof_functions: names in pg_catalog all of whose overloads are leakproof.
    builtin_functions: all function names in pg_catalog.
    system_columns: columns of the server's own relations, by "pg_catalog.pg_class" or "information_schema.tables".
    sorts_by_cost: it evaluates cheap conditions of a scan before costly ones, as cpu_operator_cost is not zero.
    code_sets_path: some function of the owner's has a search_path of its own, on which temporary tables come first.
    salt: what all gateways of the server know and no tenant does: its system identifier; "" where it may not be read.
    """

    version: int
    database: str
    server_version: int
    relations: Mapping[tuple[str, str], Relation]
    user_functions: frozenset[str] = frozenset()
    user_operators: frozenset[str] = frozenset()
    user_types: frozenset[str] = frozenset()
    user_casts: frozenset[tuple[str, str]] = frozenset()
    functions: frozenset[UserFunction] = frozenset()
    operators: frozenset[UserOperator] = frozenset()
    casts: frozenset[UserCast] = frozenset()
    types: frozenset[UserType] = frozenset()
    builtin_functions: frozenset[str] = frozenset()
    leakproof_functions: frozenset[str] = frozenset()
    schemas: frozenset[str] = frozenset()
    system_columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    sorts_by_cost: bool = False
    salt: str = ""
    code_sets_path: bool = False
