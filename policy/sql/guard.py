"""Guards: the pieces of SQL that keep a relation to the tenant's rows and to what its roles show.

Two forms. As a relation in FROM, `(SELECT columns FROM table WHERE test) AS name`: filters, masks and tenant
test in one place. As conditions for a WHERE, where a sub-select would change the meaning. A guard is also
a barrier when the statement applies anything that could show a row before the test did (corpus finding 1):
`OFFSET 0` in the sub-select, CASE in a condition.
"""

from __future__ import annotations

from collections.abc import Sequence

from policy.abac.masks import is_own_text, is_written, mask_sql
from policy.sql.catalog import Column
from policy.sql.context import Context
from policy.sql.expressions import RoleExpression, parse_role_expression
from policy.sql.leakproof import statement_is_leakproof
from policy.sql.parse import Node, ast, parse_statements, walk
from policy.sql.plan import Piece, Slot, SlotKind, quote_identifier
from policy.sql.resolve import Resolved
from policy.sql.type_names import cast_name, is_text

Pieces = tuple[Piece, ...]

TENANT = Slot(SlotKind.TENANT)


def needs_barrier(context: Context) -> bool:
    """Whether the statement applies a function, operator or cast that is not leakproof; found out once.

    Also where a server before 18 would take the tenant column, under whatever name, for a constant in a grouping set
    that leaves it out: with DISTINCT or ORDER BY it then loses rows, or their order.
    """
    if context.leakproof is None:
        node = context.statement.node
        context.leakproof = statement_is_leakproof(node, context) and not has_grouping_sets(node, context)
    return not context.leakproof


def has_grouping_sets(node: Node, context: Context) -> bool:
    """Whether a server before 18 may take a column that WHERE compares with a constant for it where it is not."""
    return context.catalog.server_version < 180000 and any(isinstance(found, ast.GroupingSet) for found in walk(node))


def tenant_value(column: Column) -> Pieces:
    """The session's tenant value, of the tenant column's type."""
    if is_text(column):
        return (" ", TENANT, " ")
    return (" ", TENANT, f"::{cast_name(column)} ")


def tenant_test(column: Column, qualifier: str) -> Pieces:
    """`qualifier.column = value`; qualifier: a quoted alias or name, "" for a bare column."""
    dot = f"{qualifier}." if qualifier else ""
    return (f"{dot}{quote_identifier(column.name)} OPERATOR(pg_catalog.=)", *tenant_value(column))


def row_filter(resolved: Resolved, qualifier: str, *, reading: bool = False) -> Pieces:
    """The roles' row filter over `qualifier`'s columns in brackets; empty when there is none.

    reading: the rows are only read; the filter of rows to be written or locked may be narrower.
    """
    expression = filter_expression(resolved, reading)
    return () if expression is None else ("(", *expression.pieces(qualifier), ")")


def row_test(resolved: Resolved, qualifier: str, *, reading: bool = False) -> Pieces:
    """Tenant test and row filter, joined by AND, the tenant test first; empty when neither applies.

    Where row-level security tests the tenant it is no part of it, nor need it be: policies come before any condition.
    """
    column = resolved.tested_column
    tests = [] if column is None else [tenant_test(column, qualifier)]
    own_filter = row_filter(resolved, qualifier, reading=reading)
    if own_filter:
        tests.append(own_filter)
    return joined(tests)


def joined(tests: Sequence[Pieces]) -> Pieces:
    """Conditions joined by AND."""
    out: list[Piece] = []
    for test in tests:
        out += [" AND ", *test] if out else test
    return tuple(out)


def filter_expression(resolved: Resolved, reading: bool = False) -> RoleExpression | None:
    """The roles' row filter, parsed; None when there is none. Of writes unless `reading`."""
    text = resolved.access.filter_for_reading if reading else resolved.access.row_filter
    if text is None or resolved.relation is None:
        return None
    names = tuple(column.name for column in resolved.relation.all_columns)
    return parse_role_expression(text, names, f"the row filter of {resolved.name}")


def mask_expressions(resolved: Resolved) -> dict[str, RoleExpression]:
    if resolved.relation is None:
        return {}
    columns = {column.name: column for column in resolved.relation.all_columns}
    names = tuple(columns)
    return {
        name: _mask_expression(text, columns[name], names, f"the mask of {resolved.name}.{name}")
        for name, text in resolved.access.masks.items()
        if name in columns
    }


def _mask_expression(text: str, column: Column, names: tuple[str, ...], where: str) -> RoleExpression:
    if is_written(text):
        return parse_role_expression(mask_sql(text, column), names, where, of_library=is_own_text(text))
    return parse_role_expression(text, names, where)


def guarded_relation(
    resolved: Resolved,
    only: bool,
    context: Context,
    *,
    reading: bool = True,
    system_columns: Sequence[str] = (),
    sampling: Pieces = (),
    narrowing: Pieces = (),
) -> Pieces:
    """The sub-select that stands for a relation in FROM, in brackets, without an alias.

    All columns in catalog order, so that `*`, column alias lists, NATURAL and USING mean what they did; after them the
    `system_columns`. sampling: a further test, which is made once for each row. narrowing: one that the client's
    statement makes, too.
    """
    assert resolved.relation is not None
    masks = mask_expressions(resolved)
    columns: list[Piece] = []
    for column in resolved.relation.columns:
        columns.append(", " if columns else " ")
        columns.extend(_column(column, masks.get(column.name)))
    columns += [f", {quote_identifier(name)}" for name in system_columns]
    leaky = filter_is_leaky(resolved, context, reading=reading)
    source = _source(resolved, only, context, system_columns, behind_barrier=leaky)
    test = row_filter(resolved, "", reading=reading) if leaky else row_test(resolved, "", reading=reading)
    test = joined([part for part in (test, narrowing, sampling) if part])
    where = (" WHERE ", *test) if test else ()
    barrier = (" OFFSET 0",) if sampling or (test and needs_barrier(context)) else ()
    return ("(SELECT", *columns, " FROM ", *source, *where, *barrier, ")")


def _column(column: Column, mask: RoleExpression | None) -> Pieces:
    name = quote_identifier(column.name)
    if mask is None:
        return (name,)
    # a bare NULL would come out as text, and `WHERE masked > 5` would fail
    cast = f"::{cast_name(column)}" if mask.is_null else ""
    return ("(", *mask.pieces(""), f"){cast} AS {name}")


def _source(
    resolved: Resolved, only: bool, context: Context, system_columns: Sequence[str], *, behind_barrier: bool
) -> Pieces:
    """The table; behind a barrier, only the rows that passed the tenant test come out."""
    table = (*(("ONLY ",) if only else ()), *resolved.qualified(context))
    if resolved.source:
        table = (*resolved.source, " AS ", quote_identifier(resolved.name))
    column = resolved.tested_column
    if not behind_barrier or column is None:
        return table
    columns = ", ".join(("*", *map(quote_identifier, system_columns)))
    inner = ("(SELECT ", columns, " FROM ", *table, " WHERE ", *tenant_test(column, ""), " OFFSET 0)")
    return (*inner, " AS ", quote_identifier(resolved.name))


def filter_is_leaky(resolved: Resolved, context: Context, *, reading: bool = False) -> bool:
    """Whether the row filter could itself tell of a row that the tenant test has yet to drop."""
    expression = filter_expression(resolved, reading)
    if expression is None or resolved.tested_column is None:
        return False
    table = f"{quote_identifier(resolved.schema)}.{quote_identifier(resolved.name)}"
    probe = parse_statements(f"SELECT FROM {table} WHERE (\n{expression.text}\n)")[0].node
    return not statement_is_leakproof(probe, context)


def note_guard(resolved: Resolved, context: Context) -> None:
    """Record in words what `row_test` and the masks of a relation do."""
    context.reach(resolved.schema, resolved.name)
    column = resolved.tenant_column
    if column is not None and resolved.tested_column is None:
        context.note(f"{resolved.name}: row-level security of the target on {column.name}")
    elif column is not None:
        context.note(f"{resolved.name}: tenant filter on {column.name}")
    for told in resolved.access.policy.notes:
        context.note(f"{resolved.name}: {told}")
    roles = ", ".join(resolved.access.reasons)
    of_roles = f" of role {roles}" if roles else ""
    if resolved.access.row_filter is not None or resolved.access.filter_for_reading is not None:
        context.note(f"{resolved.name}: row filter{of_roles}")
    for denied in sorted(resolved.access.denied):
        context.note(f"{resolved.name}.{denied}: denied{of_roles}")
    columns = None if resolved.relation is None else {column.name for column in resolved.relation.all_columns}
    for masked, text in resolved.access.masks.items():
        if not is_written(text):
            missing = "" if columns is None or masked in columns else ", but there is no such column"
            context.note(f"{resolved.name}.{masked}: mask{of_roles}{missing}")
