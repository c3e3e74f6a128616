"""INSERT from a query of which a value must be tested and cannot be where it stands: `*`, UNION, DISTINCT, TABLE.

The query becomes a sub-select whose columns get names, and a SELECT around it tests them. OFFSET 0 keeps PostgreSQL
from taking the sub-select apart, so that a value is computed once: what is tested is what is stored.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from policy.errors import InvalidStatement
from policy.sql import parse
from policy.sql.context import Context, Unwrap
from policy.sql.guard import filter_expression, tenant_value
from policy.sql.parse import Node
from policy.sql.plan import Piece
from policy.sql.references import Reference
from policy.sql.resolve import Resolved
from policy.sql.rules.insert_layout import InsertLayout
from policy.sql.rules.query_width import width_of
from policy.sql.rules.row_check import check_computed
from policy.sql.rules.stamp import checked, is_tenant_value, without_check
from policy.sql.verify import failed

ast: Any = parse.ast

_ROWS = '"tenantgate_rows"'
_QUERY = '"tenantgate_query"'


def enclose_query(
    query: Node,
    columns: Sequence[str],
    layout: InsertLayout,
    reference: Reference,
    resolved: Resolved,
    context: Context,
) -> Unwrap:
    """Put a SELECT around an INSERT's query that checks the tenant's value, or adds it as the last one, and the
    roles' row filter. Return what takes it away again from the INSERT. Raises a StatementRefused."""
    _check_width(query, len(columns), context)
    names = [f'"c{number + 1}"' for number in range(len(columns))]
    values: list[tuple[Piece, ...]] = [(name,) for name in names]
    unwraps: dict[int, Unwrap] = {}
    tenant = resolved.tenant_column
    if tenant is not None and tenant.name in columns:
        number = columns.index(tenant.name)
        before, after = checked(tenant)
        values[number] = (*before, names[number], *after)
        unwraps[number] = lambda found: without_check(found, tenant)
        context.has_runtime_check = True
    if filter_expression(resolved) is not None:
        by_column = dict(zip(columns, names, strict=True))
        chosen, value, unwrap = check_computed(by_column, reference, resolved, context)
        values[columns.index(chosen)], unwraps[columns.index(chosen)] = value, unwrap
    adds_tenant = tenant is not None and tenant.name not in columns
    if tenant is not None and adds_tenant:
        values.append(tenant_value(tenant))
    tokens = context.tokens
    start, end = tokens.items[layout.query[0]].start, tokens.end_before(layout.query[1])
    before = ("SELECT ", *_listed(values), " FROM (SELECT * FROM (")
    context.wrap(start, end, before, (f") AS {_QUERY} OFFSET 0) AS {_ROWS}({', '.join(names)})",))

    def undo(found: Node) -> Node:
        outer = found.selectStmt
        targets = outer.targetList or ()
        if tenant is not None and adds_tenant:
            if not targets or not is_tenant_value(targets[-1].val, tenant):
                raise failed("tenant value")
            targets = targets[:-1]
        if len(targets) != len(names):
            raise failed("INSERT")
        for number, target in enumerate(targets):
            value = unwraps[number](target.val) if number in unwraps else target.val
            if not isinstance(value, ast.ColumnRef) or [f.sval for f in value.fields] != [f"c{number + 1}"]:
                raise failed("INSERT")
        found.selectStmt = _query_within(outer, len(names))
        return found

    return undo


def _listed(values: Sequence[tuple[Piece, ...]]) -> list[Piece]:
    listed: list[Piece] = []
    for value in values:
        listed += [", ", *value] if listed else value
    return listed


def _query_within(outer: Node, width: int) -> Node:
    """The client's query out of the two levels around it, whose form is checked."""
    try:
        (source,) = outer.fromClause
        middle = source.subquery
        (inner,) = middle.fromClause
        columns = [name.sval for name in source.alias.colnames]
        (star,) = middle.targetList
        plain = not source.lateral and not inner.lateral and outer.whereClause is None and middle.whereClause is None
        ok = plain and middle.limitOffset.val.ival in (0, None) and isinstance(star.val.fields[0], ast.A_Star)
    except (AttributeError, TypeError, ValueError):
        raise failed("INSERT") from None
    if not ok or columns != [f"c{number + 1}" for number in range(width)]:
        raise failed("INSERT")
    return inner.subquery


def _check_width(query: Node, width: int, context: Context) -> None:
    known = width_of(query, context)
    if known is not None and known != width:
        more, fewer = ("expressions", "target columns") if known > width else ("target columns", "expressions")
        raise InvalidStatement(f"INSERT has more {more} than {fewer}", position=context.statement.start + 1)
