"""New values and the roles' row filter: what a role writes must be a row that it may see, as with a native policy.

PostgreSQL gives a statement no place for a test of the row that it is about to write, so the test is put into a value:
`CASE WHEN (filter over the new values) THEN value ELSE error END`, in the first value that the filter names. There the
new values stand a second time; a value that could turn out differently then (a sub-select, a volatile function), or
whose text is not at hand (INSERT from a query with `*`, COPY), cannot be tested, and the statement is refused.

The error's name contains that of a foreign tenant's value (stamp.py), by which the data plane knows it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from policy.errors import AccessDenied, StatementRefused
from policy.sql import builtin_functions as builtin
from policy.sql import parse
from policy.sql.catalog import Column
from policy.sql.context import Context
from policy.sql.expressions import RoleExpression
from policy.sql.guard import TENANT, Pieces, filter_expression
from policy.sql.parse import Node, parse_statements, walk
from policy.sql.plan import quote_identifier
from policy.sql.references import Reference, names_of
from policy.sql.resolve import Resolved
from policy.sql.rules.stamp import MARKER, Unwrap
from policy.sql.type_names import cast_name
from policy.sql.verify import failed, parse_sample, same_tree

ast: Any = parse.ast

ROW_MARKER = f"{MARKER}_or_row_filter"

Span = tuple[int, int]  # offsets of an expression's text

_VOLATILE = frozenset(
    {"array_sample", "array_shuffle", "clock_timestamp", "random", "random_normal", "setseed", "timeofday"}
)
_REPEATABLE_CALLS = (
    builtin.MATHEMATICS
    | builtin.STRINGS
    | builtin.DATES
    | builtin.CONVERSIONS
    | builtin.JSON
    | builtin.ARRAYS
    | builtin.AGGREGATES
) - _VOLATILE
_REPEATABLE = (
    ast.A_Const, ast.ParamRef, ast.ColumnRef, ast.A_Expr, ast.BoolExpr, ast.TypeCast, ast.TypeName, ast.CoalesceExpr,
    ast.MinMaxExpr, ast.CaseExpr, ast.CaseWhen, ast.NullTest, ast.BooleanTest, ast.SQLValueFunction, ast.A_ArrayExpr,
    ast.CollateClause, ast.FuncCall, ast.String, ast.Integer, ast.Float, ast.Boolean, ast.BitString,
)  # fmt: skip


def check_assigned(
    targets: Sequence[Node],
    span_of: Callable[[Node], Span],
    reference: Reference,
    resolved: Resolved,
    context: Context,
) -> None:
    """Test what a SET list makes of a row; span_of gives the text of an item's value. Raises a StatementRefused."""
    expression = filter_expression(resolved)
    if expression is None:
        return
    columns = _columns(expression, resolved, reference)
    tenant = resolved.tenant_column
    assigned = [t for t in targets if t.name in columns and (tenant is None or t.name != tenant.name)]
    if not assigned:
        return
    qualifier = quote_identifier(reference.visible_name)
    values: dict[str, Pieces] = {name: (f"{qualifier}.{quote_identifier(name)}",) for name in columns}
    for target in assigned:
        if target.indirection or not _is_repeatable(target.val, context):
            raise _untestable(resolved, target.location, f"Set {target.name} to a constant or a simple expression.")
        values[target.name] = _new_value(span_of(target), columns[target.name], context)
    first = assigned[0]
    unwrap = _put_test(first.val, span_of(first), columns[first.name], expression.with_values(values), context)

    def unwrap_target(found: Node) -> Node:
        found.val = unwrap(found.val)
        return found

    context.expect(first, unwrap_target)
    context.note(f"{resolved.name}: new values must pass the row filter")


def check_inserted(
    row: Mapping[str, Node],
    span_of: Callable[[str], Span],
    reference: Reference,
    resolved: Resolved,
    context: Context,
) -> tuple[str, Unwrap]:
    """Test a new row; row: the columns that get a value, and their expressions. Return the column whose value now holds
    the test, and what takes it away again. Raises a StatementRefused."""
    expression = filter_expression(resolved)
    assert expression is not None
    columns = _columns(expression, resolved, reference)
    tenant = resolved.tenant_column
    given = {
        name: value
        for name, value in row.items()
        if not isinstance(value, ast.SetToDefault) and (tenant is None or name != tenant.name)
    }
    values: dict[str, Pieces] = {}
    for name, column in columns.items():
        if tenant is not None and name == tenant.name:
            values[name] = ("(", *_tenant(tenant), ")")
        elif name not in given:
            values[name] = _default(column, reference, resolved, context)
        elif _is_repeatable(given[name], context):
            values[name] = _new_value(span_of(name), column, context)
        else:
            raise _untestable(resolved, reference.position - 1, f"Give {name} a constant or a simple expression.")
    chosen = next((name for name in given if name in columns), None) or next(iter(given), None)
    if chosen is None:
        raise untestable_rows(resolved, reference)
    assert resolved.relation is not None
    column = next(c for c in resolved.relation.columns if c.name == chosen)
    context.note(f"{resolved.name}: new rows must pass the row filter")
    return chosen, _put_test(given[chosen], span_of(chosen), column, expression.with_values(values), context)


def refuse_copy(reference: Reference, resolved: Resolved) -> None:
    """COPY FROM writes rows that nothing can test."""
    if resolved.access.row_filter is not None:
        raise _untestable(resolved, reference.position - 1, "Use INSERT.")


def untestable_rows(resolved: Resolved, reference: Reference) -> StatementRefused:
    """The refusal of an INSERT whose values are not at hand."""
    return _untestable(
        resolved, reference.position - 1, "Write INSERT … VALUES, or INSERT … SELECT with its columns by name."
    )


def _untestable(resolved: Resolved, location: int, hint: str) -> AccessDenied:
    roles = ", ".join(resolved.access.reasons)
    return AccessDenied(
        f"new rows of table {resolved.name} cannot be checked against the row filter",
        detail=f"The row filter is that of role {roles}." if roles else None,
        hint=hint,
        position=location + 1,
    )


def _columns(expression: RoleExpression, resolved: Resolved, reference: Reference) -> dict[str, Column]:
    """The columns that the filter names."""
    assert resolved.relation is not None
    found = {column.name: column for column in resolved.relation.columns if column.name in expression.columns}
    if any(column.generated in ("stored", "virtual") for column in found.values()):
        raise _untestable(
            resolved, reference.position - 1, "The filter names a generated column; ask your administrator."
        )
    return found


def _is_repeatable(value: Node, context: Context) -> bool:
    """Whether an expression has the same value when it is evaluated a second time."""
    return all(isinstance(node, _REPEATABLE) and _call_is_repeatable(node, context) for node in walk(value))


def _call_is_repeatable(node: Node, context: Context) -> bool:
    if isinstance(node, ast.ColumnRef):
        return len(names_of(node.fields)) == len(node.fields)
    if not isinstance(node, ast.FuncCall):
        return True
    name = names_of(node.funcname)[-1]
    return name in _REPEATABLE_CALLS and name not in context.catalog.user_functions and node.over is None


def _new_value(span: Span, column: Column, context: Context) -> Pieces:
    return ("((", context.client_text(*span), f")::{column.declared_type or cast_name(column)})")


def _tenant(column: Column) -> Pieces:
    return (" ", TENANT, f"::{cast_name(column)} ")


def _default(column: Column, reference: Reference, resolved: Resolved, context: Context) -> Pieces:
    kind = column.declared_type or cast_name(column)
    if column.default_sql is None and not column.generated:
        return (f"(NULL::{kind})",)
    try:
        known = column.default_sql is not None and not column.generated
        node = parse_statements(f"SELECT {column.default_sql}")[0].node if known else None
    except StatementRefused:
        node = None
    if node is None or len(node.targetList) != 1 or not _is_repeatable(node.targetList[0].val, context):
        raise _untestable(resolved, reference.position - 1, f"Give a value for {column.name}.")
    return (f"(({column.default_sql})::{kind})",)


def _put_test(value: Node, span: Span, column: Column, condition: Pieces, context: Context) -> Unwrap:
    """Enclose a value by a test; the CASE has the type that the value has on its own."""
    untyped = isinstance(value, ast.ParamRef) or (
        isinstance(value, ast.A_Const) and (value.isnull or isinstance(value.val, ast.String))
    )
    error = f"pg_catalog.current_setting('{ROW_MARKER}')"
    before: Pieces = ("CASE WHEN (", *condition, ") THEN (")
    after: Pieces = (
        (f") ELSE {error}::{cast_name(column)} END",) if untyped else (f") WHEN {error} IS NULL THEN NULL END",)
    )
    context.wrap(*span, before, after)
    context.has_runtime_check = True

    def unwrap(found: Node) -> Node:
        expected = parse_sample("SELECT %", (*before, "NULL", *after)).targetList[0].val
        try:
            first = found.args[0]
            inner, first.result = first.result, expected.args[0].result
        except (AttributeError, TypeError, IndexError):
            raise failed("row filter") from None
        if not same_tree(found, expected):
            raise failed("row filter")
        return inner

    return unwrap
