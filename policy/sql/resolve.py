"""What a relation's name means for a session: which relation, under which classification and access.

Names resolve as the backend does with the search_path that the gateway fixed: `pg_catalog`, then `public` (shared and
database strategies) or the tenant's own schema. Nothing of another tenant's schema is ever found, and whether
it exists is not told.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from policy.access import NO_ACCESS, TableAccess
from policy.actions import WRITES
from policy.errors import AccessDenied, InvalidStatement, StatementRefused, UnsupportedStatement
from policy.model import Isolation, TableClass, TableRule
from policy.sql import builtin_functions as builtin
from policy.sql import tracking
from policy.sql.catalog import Column, Relation
from policy.sql.context import Context
from policy.sql.parse import ast
from policy.sql.plan import Piece, Slot, SlotKind, quote_identifier
from policy.sql.policies import check_table_policies
from policy.sql.references import Reference, names_of
from policy.sql.row_security import is_lock_of
from policy.sql.type_names import keeps_apart
from policy.sql.view_definitions import is_made_of_listed

DEFAULT_SCHEMA = "public"
TEMPORARY_SCHEMA = "pg_temp"  # the session's own, whatever its real name is
# Types whose names a table may well have: unqualified they mean the server's own.
BUILT_IN_TYPES = builtin.CONVERSIONS | {"json", "jsonb", "jsonpath", "record", "tsquery", "tsvector", "uuid"}
SYSTEM_SCHEMAS = frozenset({"pg_catalog", "information_schema", "pg_toast", "pg_temp"})
READABLE_KINDS = frozenset("rpvmf")


@dataclass(frozen=True, slots=True)
class Resolved:
    """One relation that a session may use.

    relation: None when the catalog does not know it and PostgreSQL is to answer (schema and database strategies only).
    rule: its classification (shared strategy only). schema: where it is. source: what stands for a view that is
    expanded to its query, in brackets (rules/views.py).
    """

    schema: str
    name: str
    relation: Relation | None
    access: TableAccess
    rule: TableRule | None = None
    source: tuple[Piece, ...] = ()

    @property
    def is_temporary(self) -> bool:
        return self.schema == TEMPORARY_SCHEMA

    @property
    def tenant_column(self) -> Column | None:
        """The tenant column of a shared tenant table; None for global tables and the other strategies."""
        if self.rule is None or self.rule.table_class is not TableClass.TENANT or self.relation is None:
            return None
        return next((c for c in self.relation.all_columns if c.name == self.rule.tenant_column), None)

    @property
    def tested_column(self) -> Column | None:
        """The tenant column that a statement has to test: none where row-level security does it on the target."""
        column, relation = self.tenant_column, self.relation
        if column is None or relation is None or not relation.lock:
            return column
        return None if is_lock_of(relation.lock, column) else column

    @property
    def is_global(self) -> bool:
        return self.rule is not None and self.rule.table_class is TableClass.GLOBAL

    @property
    def is_guarded(self) -> bool:
        """Reading it needs more than its name: a tenant test, a row filter or a mask."""
        return self.tenant_column is not None or self.access.limits or bool(self.source)

    def qualified(self, context: Context) -> tuple[Piece, ...]:
        """The relation's schema-qualified name, to be written into SQL."""
        if context.access.isolation is Isolation.SCHEMA and not self.is_temporary:
            return (Slot(SlotKind.SCHEMA), "." + quote_identifier(self.name))
        return (f"{quote_identifier(self.schema)}.{quote_identifier(self.name)}",)


def resolve(reference: Reference, action: str, context: Context) -> Resolved:
    """Resolve a name for `action` (`read`, `copy`, `insert`, `update` or `delete`); the access is that of the action.

    Raises InvalidStatement 42P01 when there is no such relation for this session, AccessDenied 42501 when it may not be
    used so. System catalogs are not resolved here (rules/catalogs.py).
    """
    if reference.catalog is not None and reference.catalog != context.catalog.database:
        raise UnsupportedStatement(
            f'cross-database references are not implemented: "{reference.catalog}.{reference.written}"',
            hint="Leave the database out.",
            position=reference.position,
        )
    if reference.schema == TEMPORARY_SCHEMA:
        return _temporary(reference, context)
    match context.access.isolation:
        case Isolation.SHARED:
            found = _in_shared(reference, context)
        case Isolation.SCHEMA:
            found = _in_own_schema(reference, context)
        case Isolation.DATABASE:
            found = _in_own_database(reference, context)
    access = found.access
    if access.only is not None and found.relation is not None:
        access = access.with_columns(column.name for column in found.relation.all_columns)
    if action in WRITES:
        access = access.for_write(action)
    if access is not found.access:
        found = replace(found, access=access)
    _check_access(found, action, reference, context)
    tracking.check_target((found.schema, found.name), found.relation, action, reference.position, context)
    check_table_policies(found.access.policy, found.name, action, reference, context)
    return found


def check_schema(schema: str | None, name: str, position: int, context: Context) -> None:
    """Refuse (42501) an object's name that is qualified with a schema which is not the session's to use."""
    own_database = context.access.isolation is Isolation.DATABASE
    if schema is None:
        if name.startswith("pg_") and not own_database:
            raise AccessDenied(f"permission denied for {name}", position=position, hint="Choose another name.")
        return
    if own_database and not schema.startswith("pg_") and schema not in SYSTEM_SCHEMAS:
        return
    if context.has_own_code and schema == TEMPORARY_SCHEMA:
        return
    if schema != (context.schema or DEFAULT_SCHEMA):
        raise AccessDenied(
            f"permission denied for schema {schema}",
            hint=f"Your own is {context.schema or DEFAULT_SCHEMA}; leave the schema out.",
            position=position,
        )


def check_type_names(context: Context) -> None:
    """Refuse types and collations of schemas that are neither built in nor the session's, and row types of relations
    that the session may not know of."""
    for node in context.nodes:
        if isinstance(node, ast.TypeName):
            names = names_of(node.names)
            _check_row_type(names, node, context)
        elif isinstance(node, ast.CollateClause):
            names = names_of(node.collname)
        else:
            continue
        if len(names) > 1 and names[-2] not in ("pg_catalog", "information_schema"):
            location = node.location if node.location is not None and node.location >= 0 else context.statement.start
            check_schema(names[-2], names[-1], location + 1, context)


def _check_row_type(names: tuple[str, ...], node: Any, context: Context) -> None:
    """`NULL::exports` would tell that there is a relation exports; so would its array type. The error is PostgreSQL's
    own, of a name that nothing has, to the letter."""
    if not context.shared or (len(names) > 1 and names[-2] != DEFAULT_SCHEMA) or not names:
        return
    for name in (names[-1], names[-1].removeprefix("_")):
        relation = context.catalog.relations.get((DEFAULT_SCHEMA, name))
        if relation is None or relation.kind == "c" or (len(names) == 1 and name in BUILT_IN_TYPES):
            continue
        rule = context.access.rules.get((DEFAULT_SCHEMA, name))
        listed = relation.kind == "v" and is_made_of_listed(relation, context.access, context.catalog)
        if (rule is None and not listed) or (rule is not None and rule.table_class is TableClass.DENIED):
            brackets = "[]" if node.arrayBounds else ""
            raise InvalidStatement(
                f'type "{".".join(names)}{brackets}" does not exist',
                sqlstate="42704",
                position=max(node.location or 0, context.statement.start) + 1,
            )


def _in_shared(reference: Reference, context: Context) -> Resolved:
    schema = reference.schema or DEFAULT_SCHEMA
    relation = context.catalog.relations.get((schema, reference.name))
    rule = context.access.rules.get((schema, reference.name))
    if rule is None:
        if relation is None or relation.kind != "v" or not is_made_of_listed(relation, context.access, context.catalog):
            return _temporary(reference, context)
        return Resolved(schema, reference.name, relation, context.access.table(schema, reference.name))
    if relation is None:
        raise _missing(reference)
    if rule.table_class is TableClass.DENIED:
        raise _denied(reference)
    found = Resolved(schema, reference.name, relation, context.access.table(schema, reference.name), rule)
    if relation.kind not in READABLE_KINDS:
        raise _missing(reference)
    if relation.kind == "m" and rule.table_class is TableClass.TENANT and not rule.trusted:
        raise AccessDenied(
            f"permission denied for materialized view {reference.name}",
            detail="Its rows were made from every tenant's, and whether its tenant column is right is not known.",
            hint="Ask your administrator to list it as trusted, or read the tables.",
            position=reference.position,
        )
    column = found.tenant_column
    if column is not None and not keeps_apart(column):
        raise AccessDenied(
            f"permission denied for table {reference.name}",
            detail=f"The type of its tenant column, {column.type_name}, cannot hold every tenant's value as it is.",
            hint=f"Ask your administrator to change the type of {column.name} to text.",
            position=reference.position,
        )
    if rule.table_class is TableClass.TENANT and column is None:
        raise AccessDenied(
            f"permission denied for table {reference.name}",
            detail="Its tenant column does not exist.",
            hint="The classification of the table is wrong; ask your administrator.",
            position=reference.position,
        )
    return found


def _temporary(reference: Reference, context: Context) -> Resolved:
    """A temporary table of the session's own; PostgreSQL will tell whether there is one of that name."""
    if reference.schema not in (None, TEMPORARY_SCHEMA) or reference.name.startswith("pg_") or not context.own_text:
        raise _missing(reference)
    return Resolved(TEMPORARY_SCHEMA, reference.name, None, TableAccess(read=True, write=True, copy=True))


def _in_own_schema(reference: Reference, context: Context) -> Resolved:
    own = context.schema
    if not own:
        raise UnsupportedStatement("the session has no schema of its own", position=reference.position)
    if reference.schema is not None and reference.schema != own:
        raise AccessDenied(
            f"permission denied for schema {reference.schema}",
            hint=f"Your tables are in the schema {own}; leave the schema out.",
            position=reference.position,
        )
    relation = context.catalog.relations.get((own, reference.name))
    return _unclassified(own, relation, context.access.table("", reference.name), reference)


def _in_own_database(reference: Reference, context: Context) -> Resolved:
    schema = reference.schema or DEFAULT_SCHEMA
    if schema in SYSTEM_SCHEMAS or schema.startswith("pg_"):
        raise AccessDenied(
            f"permission denied for schema {schema}",
            hint="It belongs to the server; use pg_catalog and information_schema.",
            position=reference.position,
        )
    relation = context.catalog.relations.get((schema, reference.name))
    of_system = f"pg_catalog.{reference.name}" in context.catalog.system_columns
    if context.has_own_code and relation is not None and relation.kind in "rp" and not of_system:
        return Resolved(schema, reference.name, relation, context.access.table(schema, reference.name))
    return _unclassified(schema, relation, context.access.table(schema, reference.name), reference)


def _unclassified(schema: str, relation: Relation | None, access: TableAccess, reference: Reference) -> Resolved:
    is_known = relation is not None and not relation.of_extension
    if reference.name.startswith("pg_") and not is_known:  # an extension's view of the whole server, or a new catalog
        raise AccessDenied(
            f"permission denied for relation {reference.name}",
            hint="Relations whose names begin with pg_ belong to the server.",
            position=reference.position,
        )
    if relation is None and access.limits:
        raise _missing(reference)  # without its columns neither can be applied
    return Resolved(schema, reference.name, relation, access)


def _check_access(found: Resolved, action: str, reference: Reference, context: Context) -> None:
    if not getattr(found.access, "write" if action in WRITES else action):
        if action in WRITES and context.access.read_only and not found.is_global:
            raise _read_only(reference, context.access.read_only)
        raise _denied(reference, action, found.access)
    if action in WRITES and found.is_global:
        raise AccessDenied(
            f"permission denied for table {reference.name}",
            hint="The table is the same for all tenants and can only be read.",
            position=reference.position,
        )


def _missing(reference: Reference) -> StatementRefused:
    return InvalidStatement(
        f'relation "{reference.written}" does not exist', sqlstate="42P01", position=reference.position
    )


def _read_only(reference: Reference, reason: str) -> StatementRefused:
    return AccessDenied(
        f"permission denied for table {reference.name}: it can only be read",
        sqlstate="25006",
        detail=f"The reason: {reason}.",
        hint="Reading goes on; ask your administrator.",
        position=reference.position,
    )


def _denied(reference: Reference, action: str = "read", access: TableAccess = NO_ACCESS) -> StatementRefused:
    return AccessDenied(
        f"permission denied for table {reference.name}",
        detail=f"Denied by {', '.join(access.barred)}." if access.barred else None,
        hint=f"Your roles do not give {action} access to it; ask your administrator.",
        position=reference.position,
    )
