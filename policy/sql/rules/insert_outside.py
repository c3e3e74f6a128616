"""INSERT from a query of which a value must be tested and cannot be where it stands: `*`, UNION, DISTINCT, TABLE,
or one whose columns cannot be counted here.

The query becomes a sub-select whose columns get names, and a SELECT around it tests them. OFFSET 0 keeps PostgreSQL
from taking the sub-select apart, so that a value is computed once: what is tested is what is stored.
"""

from __future__ import annotations

from collections.abc import Sequence

from policy.errors import InvalidStatement
from policy.sql.context import Context, Unwrap
from policy.sql.guard import Pieces, filter_expression, tenant_value
from policy.sql.parse import Node
from policy.sql.plan import Piece
from policy.sql.references import Reference
from policy.sql.resolve import Resolved
from policy.sql.rules.insert_layout import InsertLayout
from policy.sql.rules.query_width import width_of
from policy.sql.rules.row_check import check_computed
from policy.sql.rules.stamp import checked
from policy.sql.verify import failed, parse_sample, same_tree

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
    width = width_of(query, context)
    _check_width(width, len(columns), context)
    names = [f'"c{number + 1}"' for number in range(len(columns))]
    before: Pieces = (
        "SELECT ",
        *_listed(_values(columns, names, reference, resolved, context)),
        " FROM (SELECT * FROM (",
    )
    # of a query whose columns cannot be counted here, PostgreSQL sees whether they are as many as it takes them for
    counted = "" if width is not None else f" UNION ALL SELECT {', '.join(['NULL'] * len(names))} WHERE false"
    after: Pieces = (f") AS {_QUERY}{counted} OFFSET 0) AS {_ROWS}({', '.join(names)})",)
    tokens = context.tokens
    context.wrap(tokens.items[layout.query[0]].start, tokens.end_before(layout.query[1]), before, after)

    def undo(found: Node) -> Node:
        expected = parse_sample("%", (*before, "SELECT", *after))
        try:
            inner, sample = _inner_source(found.selectStmt), _inner_source(expected)
            client, inner.subquery = inner.subquery, sample.subquery
        except (AttributeError, TypeError, ValueError):
            raise failed("INSERT") from None
        if not same_tree(found.selectStmt, expected):
            raise failed("INSERT")
        found.selectStmt = client
        return found

    return undo


def _values(
    columns: Sequence[str], names: Sequence[str], reference: Reference, resolved: Resolved, context: Context
) -> list[Pieces]:
    """What is inserted into each column, and the tenant's value last where the client has no column for it."""
    values: list[Pieces] = [(name,) for name in names]
    tenant = resolved.tenant_column
    if tenant is not None and tenant.name in columns:
        before, after = checked(tenant)
        number = columns.index(tenant.name)
        values[number] = (*before, names[number], *after)
        context.has_runtime_check = True
    if filter_expression(resolved) is not None:
        by_column = dict(zip(columns, names, strict=True))
        chosen, values[columns.index(chosen)] = check_computed(by_column, reference, resolved, context)
    if tenant is not None and tenant.name not in columns:
        values.append(tenant_value(tenant))
    return values


def _listed(values: Sequence[Pieces]) -> list[Piece]:
    listed: list[Piece] = []
    for value in values:
        listed += [", ", *value] if listed else value
    return listed


def _inner_source(outer: Node) -> Node:
    """The sub-select that is the client's query, within the two levels around it."""
    (source,) = outer.fromClause
    middle = source.subquery if source.subquery.larg is None else source.subquery.larg
    (inner,) = middle.fromClause
    return inner


def _check_width(known: int | None, width: int, context: Context) -> None:
    if known is not None and known != width:
        more, fewer = ("expressions", "target columns") if known > width else ("target columns", "expressions")
        raise InvalidStatement(f"INSERT has more {more} than {fewer}", position=context.statement.start + 1)
