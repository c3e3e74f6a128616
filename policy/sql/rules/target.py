"""What INSERT, UPDATE and DELETE have in common: their target, a plain table that no sub-select can stand for.

So its tests go to the statement's WHERE, its masks cannot be applied (a masked column may be written but not read), and
code that PostgreSQL runs on its own when a row is written (defaults, rules) must be reviewed.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from policy.errors import AccessDenied, UnsupportedStatement
from policy.model import Isolation
from policy.sql import parse
from policy.sql.catalog import Column
from policy.sql.context import Context
from policy.sql.functions import default_is_allowed
from policy.sql.guard import Pieces, filter_is_leaky, note_guard, row_filter, tenant_test
from policy.sql.parse import Node, walk
from policy.sql.plan import ANYTHING, NUMBERS, quote_identifier
from policy.sql.references import Reference, names_of
from policy.sql.resolve import Resolved, resolve
from policy.sql.rules.select import put_name

ast: Any = parse.ast

_TABLES = frozenset("rp")
_OWN_DATABASE_KINDS = frozenset("rpvf")
_ROW_NAMES = frozenset({"old", "new"})  # RETURNING old.x, new.x of PostgreSQL 18


def resolve_target(node: Node, context: Context, action: str) -> tuple[Reference, Resolved]:
    """The table that a statement writes, checked, its name qualified in the text. Raises a StatementRefused.

    action: insert, update or delete.
    """
    reference, resolved = check_target(node, context, action)
    put_name(reference, resolved, context)
    return reference, resolved


def check_target(node: Node, context: Context, action: str) -> tuple[Reference, Resolved]:
    """The same, the text left as it is."""
    reference = context.target_of(node)
    resolved = resolve(reference, action, context)
    relation = resolved.relation
    if relation is not None:
        own_database = context.access.isolation is Isolation.DATABASE
        if relation.kind not in (_OWN_DATABASE_KINDS if own_database else _TABLES):
            raise UnsupportedStatement(
                f"{resolved.name} is not a table and cannot be written",
                hint="Write the tables that it shows.",
                position=reference.position,
            )
        if relation.has_rules and not own_database:
            raise UnsupportedStatement(
                f"table {resolved.name} has rewrite rules and cannot be written",
                hint="Rules turn a statement into others; ask your administrator.",
                position=reference.position,
            )
    context.write = True
    context.leaves |= _left_by_writing(resolved, context)
    if resolved.is_guarded:
        note_guard(resolved, context)
    else:
        context.reach(resolved.schema, resolved.name)
    return reference, resolved


def _left_by_writing(resolved: Resolved, context: Context) -> int:
    """What a write may leave on the backend: triggers are code of the owner's, also those of referring tables and of
    partitions; defaults take numbers from sequences."""
    relation = resolved.relation
    if relation is None:
        return 0 if resolved.is_temporary else ANYTHING
    key = (relation.schema, relation.name)
    near = {key, *(reference.child for reference in relation.referenced_by)}
    if any(
        other.has_triggers and (name in near or key in other.parents)
        for name, other in context.catalog.relations.items()
    ):
        return ANYTHING
    takes = any(
        column.generated.startswith("identity") or "nextval" in (column.default_sql or "")
        for column in relation.all_columns
    )
    return NUMBERS if takes else 0


def target_tests(reference: Reference, resolved: Resolved, context: Context) -> list[Pieces]:
    """The conditions for the statement's WHERE, to be joined by AND: the tenant test, then the roles' filter.

    A filter that could tell of a row by failing is evaluated only for rows that passed the tenant test.
    """
    qualifier = quote_identifier(reference.visible_name)
    column = resolved.tested_column
    own_filter = row_filter(resolved, qualifier)
    if column is None:
        return [own_filter] if own_filter else []
    tenant = tenant_test(column, qualifier)
    if own_filter and filter_is_leaky(resolved, context):
        own_filter = ("CASE WHEN ", *tenant, " THEN ", *own_filter, " ELSE false END")
    return [tenant, own_filter] if own_filter else [tenant]


def check_reads(reading: Iterable[Node | None], reference: Reference, resolved: Resolved) -> None:
    """Refuse clauses that show or test the target's rows where the roles give no read access or a mask hides a column.

    reading: the clauses (trees) that name the target's columns as values.
    """
    clauses = [clause for clause in reading if clause is not None]
    if clauses and not resolved.access.read:
        raise AccessDenied(
            f"permission denied for table {resolved.name}",
            hint="WHERE, RETURNING and the columns of an expression need read access, too.",
            position=reference.position,
        )
    masked = resolved.access.denied.union(resolved.access.masks)
    if not masked:
        return
    for clause in clauses:
        for found in walk(clause):
            if isinstance(found, ast.ColumnRef) and _shows(found, reference, masked):
                _refuse_masked(found, resolved)
            if isinstance(found, ast.ReturningClause) and getattr(found, "options", None):
                raise UnsupportedStatement(
                    "RETURNING WITH is not supported on a table with masked columns",
                    hint="Return columns by name.",
                    position=reference.position,
                )


def _shows(column: Node, reference: Reference, masked: Iterable[str]) -> bool:
    names = names_of(column.fields)
    own = {reference.visible_name, *_ROW_NAMES}
    if isinstance(column.fields[-1], ast.A_Star):
        return not names or names[-1] in own
    if len(names) == 1:
        return names[0] in masked or names[0] in own
    return (names[-1] in masked and names[-2] in own) or names[-1] == reference.visible_name


def _refuse_masked(column: Node, resolved: Resolved) -> None:
    raise AccessDenied(
        f"masked columns of {resolved.name} cannot be read here",
        detail="Masked: " + ", ".join(sorted(resolved.access.masks)) + "." if resolved.access.masks else None,
        hint="Name columns that you may read, qualified with the table's name; SELECT shows masked values.",
        position=column.location + 1,
    )


def check_defaults(columns: Iterable[Column], reference: Reference, resolved: Resolved, context: Context) -> None:
    """Refuse when PostgreSQL would run unreviewed code for a default or a generated column of the row."""
    if context.access.isolation is Isolation.DATABASE:
        return
    for column in columns:
        sql = column.default_sql
        if sql is not None and not default_is_allowed(sql, context.access, context.catalog):
            generated = column.generated in ("stored", "virtual")
            raise AccessDenied(
                f"the default of {resolved.name}.{column.name} calls a function that is not allowed",
                hint="Ask your administrator." if generated else f"Give a value for {column.name}.",
                position=reference.position,
            )


def generated_columns(resolved: Resolved) -> list[Column]:
    """Columns whose expression is evaluated whenever a row is written."""
    columns = () if resolved.relation is None else resolved.relation.all_columns
    return [column for column in columns if column.generated in ("stored", "virtual")]
