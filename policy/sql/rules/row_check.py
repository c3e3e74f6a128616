"""New values and the roles' row filter: what a role writes must be a row that it may see, as with a native policy.

PostgreSQL gives a statement no place for a test of the row that it is about to write, so the test is put into a value:
`CASE WHEN (filter over the new values) THEN value ELSE error END`, in the first value that the filter names. There the
new values stand a second time. A value that could turn out differently then (a sub-select, a volatile function) is
computed once in a sub-select, which OFFSET 0 holds together, and tested outside of it; of two such values neither
can be. COPY has no values in the statement: its rows come by way of an INSERT (copy_staged.py).

The error's name contains that of a foreign tenant's value (stamp.py), by which the data plane knows it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from policy.errors import AccessDenied, StatementRefused
from policy.sql import builtin_functions as builtin
from policy.sql import parse
from policy.sql.catalog import Column
from policy.sql.context import Context
from policy.sql.expressions import RoleExpression
from policy.sql.guard import TENANT, Pieces, filter_expression
from policy.sql.parse import Node, parse_statements, walk
from policy.sql.plan import Piece, quote_identifier
from policy.sql.references import Reference, names_of
from policy.sql.resolve import Resolved
from policy.sql.rules.stamp import MARKER, Unwrap
from policy.sql.type_names import cast_name
from policy.sql.verify import failed, parse_sample, same_tree

ast: Any = parse.ast

ROW_MARKER = f"{MARKER}_or_row_filter"

_ERROR = f"pg_catalog.current_setting('{ROW_MARKER}')"
_SOURCE = '"tenantgate_value"'
_COMPUTED = f'{_SOURCE}."v"'

Span = tuple[int, int]  # offsets of an expression's text

_VOLATILE = frozenset(
    {"array_sample", "array_shuffle", "clock_timestamp", "random", "random_normal", "setseed", "timeofday"}
)
# They return rows: not in a CASE.
_SETS = frozenset(
    {
        "generate_subscripts", "json_array_elements", "json_array_elements_text", "json_each", "json_each_text",
        "json_object_keys", "json_populate_recordset", "json_to_recordset", "jsonb_array_elements",
        "jsonb_array_elements_text", "jsonb_each", "jsonb_each_text", "jsonb_object_keys", "jsonb_path_query",
        "jsonb_path_query_tz", "jsonb_populate_recordset", "jsonb_to_recordset", "regexp_matches",
        "regexp_split_to_table", "string_to_table", "unnest",
    }
)  # fmt: skip
_REPEATABLE_CALLS = (
    builtin.MATHEMATICS
    | builtin.STRINGS
    | builtin.DATES
    | builtin.CONVERSIONS
    | builtin.JSON
    | builtin.ARRAYS
    | builtin.AGGREGATES
) - (_VOLATILE | _SETS)
_REPEATABLE = (
    ast.A_Const, ast.ParamRef, ast.ColumnRef, ast.A_Expr, ast.BoolExpr, ast.TypeCast, ast.TypeName, ast.CoalesceExpr,
    ast.MinMaxExpr, ast.CaseExpr, ast.CaseWhen, ast.NullTest, ast.BooleanTest, ast.SQLValueFunction, ast.A_ArrayExpr,
    ast.CollateClause, ast.FuncCall, ast.String, ast.Integer, ast.Float, ast.Boolean, ast.BitString,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Assignment:
    """One column of a SET list. span: of its value's text. expect: tells the check what became of the value.

    query: the sub-select of `SET (a, b) = (SELECT …)`, whose column `number` the value is; span and expect are its own.
    """

    target: Node
    value: Node
    span: Callable[[], Span]
    expect: Callable[[Unwrap], None]
    query: Node = None
    number: int = 0


def check_assigned(
    assignments: Sequence[Assignment], reference: Reference, resolved: Resolved, context: Context
) -> None:
    """Test what a SET list makes of a row. Raises a StatementRefused."""
    expression = filter_expression(resolved)
    if expression is None:
        return
    columns = _columns(expression, resolved, reference)
    tenant = resolved.tenant_column
    tested = [a for a in assignments if a.target.name in columns and (tenant is None or a.target.name != tenant.name)]
    if not tested:
        return
    qualifier = quote_identifier(reference.visible_name)
    values: dict[str, Pieces] = {name: (f"{qualifier}.{quote_identifier(name)}",) for name in columns}
    computed: Assignment | None = None  # the one whose value could turn out differently a second time
    for each in tested:
        name = each.target.name
        if isinstance(each.value, ast.SetToDefault):
            values[name] = _default(columns[name], reference, resolved, context)
        elif not each.target.indirection and is_repeatable(each.value, context):
            values[name] = _new_value(each.span(), columns[name], context)
        elif not each.target.indirection and _can_be_computed(each, computed):
            computed = computed or each
            values[name] = _computed_value(columns[name], each.number if each.query is not None else None)
        else:
            raise _untestable(resolved, each.target.location, f"Set {name} to a constant or a simple expression.")
    condition = expression.with_values(values)
    if computed is not None and computed.query is not None:
        width = computed.value.ncolumns
        computed.expect(_put_test_in_query(computed.span(), computed.number, width, condition, context))
    elif computed is not None:
        computed.expect(_put_test_once(computed.span(), condition, context))
    else:
        first = tested[0]
        default = values[first.target.name] if isinstance(first.value, ast.SetToDefault) else None
        first.expect(_put_test(first.value, first.span(), columns[first.target.name], condition, context, default))
    context.note(f"{resolved.name}: new values must pass the row filter")


def _can_be_computed(each: Assignment, computed: Assignment | None) -> bool:
    """Whether its value can be computed once and tested: one can, or several that one sub-select gives."""
    if computed is not None:
        return each.query is not None and each.query is computed.query
    return each.query is not None or not isinstance(each.value, ast.MultiAssignRef)


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
    computed: str | None = None  # the one whose value could turn out differently a second time
    for name, column in columns.items():
        if tenant is not None and name == tenant.name:
            values[name] = ("(", *_tenant(tenant), ")")
        elif name not in given:
            values[name] = _default(column, reference, resolved, context)
        elif is_repeatable(given[name], context):
            values[name] = _new_value(span_of(name), column, context)
        elif computed is None:
            computed = name
            values[name] = _computed_value(column)
        else:
            hint = f"Give {computed} or {name} a constant or a simple expression."
            raise _untestable(resolved, reference.position - 1, hint)
    chosen = computed or next((name for name in given if name in columns), None) or next(iter(given), None)
    if chosen is None:
        raise untestable_rows(resolved, reference)
    assert resolved.relation is not None
    column = next(c for c in resolved.relation.all_columns if c.name == chosen)
    condition = expression.with_values(values)
    context.note(f"{resolved.name}: new rows must pass the row filter")
    if computed is not None:
        return chosen, _put_test_once(span_of(chosen), condition, context)
    return chosen, _put_test(given[chosen], span_of(chosen), column, condition, context)


def check_computed(
    names: Mapping[str, str], reference: Reference, resolved: Resolved, context: Context
) -> tuple[str, Pieces]:
    """Test a new row whose values are the columns of a sub-select; names: its columns by those that they are for.

    Return the column that holds the test, and its value. Raises a StatementRefused.
    """
    expression = filter_expression(resolved)
    assert expression is not None
    tenant = resolved.tenant_column
    values: dict[str, Pieces] = {}
    for name, column in _columns(expression, resolved, reference).items():
        if tenant is not None and name == tenant.name:
            values[name] = ("(", *_tenant(tenant), ")")
        elif name in names:
            values[name] = (f"({names[name]}::{column.declared_type or cast_name(column)})",)
        else:
            values[name] = _default(column, reference, resolved, context)
    given = [name for name in names if tenant is None or name != tenant.name]
    if not given:
        raise untestable_rows(resolved, reference)
    chosen = next((name for name in given if name in values), given[0])
    before, after = _test(expression.with_values(values))
    context.has_runtime_check = True
    context.note(f"{resolved.name}: new rows must pass the row filter")
    return chosen, (*before, names[chosen], *after)


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
    found = {column.name: column for column in resolved.relation.all_columns if column.name in expression.columns}
    if any(column.generated in ("stored", "virtual") for column in found.values()):
        raise _untestable(
            resolved, reference.position - 1, "The filter names a generated column; ask your administrator."
        )
    return found


def is_repeatable(value: Node, context: Context) -> bool:
    """Whether an expression has the same value when it is evaluated a second time."""
    return all(isinstance(node, _REPEATABLE) and _callis_repeatable(node, context) for node in walk(value))


def _callis_repeatable(node: Node, context: Context) -> bool:
    if isinstance(node, ast.ColumnRef):
        return len(names_of(node.fields)) == len(node.fields) <= 2  # of more, a guard cuts the schema off
    if isinstance(node, ast.TypeCast):  # a name of an object: object_names.py guards it where it stands
        return not names_of(node.typeName.names)[-1].startswith("reg")
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
    if node is None or len(node.targetList) != 1 or not is_repeatable(node.targetList[0].val, context):
        raise _untestable(resolved, reference.position - 1, f"Give a value for {column.name}.")
    return (f"(({column.default_sql})::{kind})",)


def _computed_value(column: Column, number: int | None = None) -> Pieces:
    value = _COMPUTED if number is None else f'{_SOURCE}."v{number + 1}"'
    return (f"({value}::{column.declared_type or cast_name(column)})",)


def _put_test_in_query(span: Span, chosen: int, width: int, condition: Pieces, context: Context) -> Unwrap:
    """Enclose a sub-select that gives several values by one that tests them, in place of value `chosen`.

    No row stands for NULLs, which are tested, too: so it is joined to one row.
    """
    names = [f'"v{number + 1}"' for number in range(width)]
    test, end = _test(condition)
    before: list[Piece] = ["(SELECT "]
    for number, name in enumerate(names):
        value = f"{_SOURCE}.{name}"
        before += [", "] if number else []
        before += (*test, value, *end) if number == chosen else (value,)
    before += [' FROM (SELECT) AS "tenantgate_row" LEFT JOIN (SELECT * FROM ']
    after: Pieces = (f' AS "tenantgate_query" OFFSET 0) AS {_SOURCE}({", ".join(names)}) ON true)',)
    context.wrap(*span, tuple(before), after)
    context.has_runtime_check = True

    def unwrap(found: Node) -> Node:
        expected = parse_sample("SELECT %", (*before, "(SELECT NULL)", *after)).targetList[0].val
        try:
            (source,) = found.subselect.fromClause[0].rarg.subquery.fromClause
            (sample,) = expected.subselect.fromClause[0].rarg.subquery.fromClause
            client, source.subquery = source.subquery, sample.subquery
        except (AttributeError, TypeError, IndexError, ValueError):
            raise failed("row filter") from None
        if not same_tree(found, expected):
            raise failed("row filter")
        found.subselect = client
        return found

    return unwrap


def _put_test_once(span: Span, condition: Pieces, context: Context) -> Unwrap:
    """Enclose a value that is computed once, in a sub-select, by a test that names it."""
    test, end = _test(condition)
    before: Pieces = ("(SELECT ", *test, _COMPUTED, *end, " FROM (SELECT (")
    after: Pieces = (f') AS "v" OFFSET 0) AS {_SOURCE})',)
    context.wrap(*span, before, after)
    context.has_runtime_check = True

    def unwrap(found: Node) -> Node:
        expected = parse_sample("SELECT %", (*before, "NULL", *after)).targetList[0].val
        try:
            (inner,) = found.subselect.fromClause[0].subquery.targetList
            (sample,) = expected.subselect.fromClause[0].subquery.targetList
            client, inner.val = inner.val, sample.val
        except (AttributeError, TypeError, IndexError, ValueError):
            raise failed("row filter") from None
        if not same_tree(found, expected):
            raise failed("row filter")
        return client

    return unwrap


def _put_test(
    value: Node, span: Span, column: Column, condition: Pieces, context: Context, default: Pieces | None = None
) -> Unwrap:
    """Enclose a value by a test; the CASE has the type that the value has on its own. default: what DEFAULT is."""
    before, after = _test(condition)
    untyped = isinstance(value, ast.ParamRef) or (
        isinstance(value, ast.A_Const) and (value.isnull or isinstance(value.val, ast.String))
    )
    if untyped:
        after = (f") ELSE {_ERROR}::{cast_name(column)} END",)
    context.has_runtime_check = True
    if default is None:
        context.wrap(*span, before, after)
        return lambda found: _without_test(found, before, after)
    whole: Pieces = (*before, *default, *after)
    context.replace(*span, *whole)

    def unwrap(found: Node) -> Node:
        if not same_tree(found, parse_sample("SELECT %", whole).targetList[0].val):
            raise failed("row filter")
        return value

    return unwrap


def _test(condition: Pieces) -> tuple[Pieces, Pieces]:
    """What stands before and after a value that has a type of its own."""
    return ("CASE WHEN (", *condition, ") THEN ("), (f") WHEN {_ERROR} IS NULL THEN NULL END",)


def _without_test(found: Node, before: Pieces, after: Pieces) -> Node:
    expected = parse_sample("SELECT %", (*before, "NULL", *after)).targetList[0].val
    try:
        first = found.args[0]
        inner, first.result = first.result, expected.args[0].result
    except (AttributeError, TypeError, IndexError):
        raise failed("row filter") from None
    if not same_tree(found, expected):
        raise failed("row filter")
    return inner
