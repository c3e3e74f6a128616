"""How many columns a query has, as far as the catalog and the text tell: for an INSERT without a column list."""

from __future__ import annotations

from typing import Any

from policy.sql import parse
from policy.sql.context import Context
from policy.sql.parse import Node, enums
from policy.sql.references import names_of
from policy.sql.rules.insert_layout import is_star

ast: Any = parse.ast


def width_of(query: Node, context: Context) -> int | None:
    """Number of output columns of a SELECT, VALUES or set operation; None when it cannot be told."""
    while query.op != enums.SetOperation.SETOP_NONE:
        query = query.larg
    if query.valuesLists:
        widths = {len(row) for row in query.valuesLists}
        if any(is_star(value) for row in query.valuesLists for value in row):
            return None
        return widths.pop() if len(widths) == 1 else None
    total = 0
    for target in query.targetList or ():
        width = _width_of_target(target.val, query, context)
        if width is None:
            return None
        total += width
    return total


def _width_of_target(value: Node, query: Node, context: Context) -> int | None:
    if isinstance(value, ast.A_Indirection) and isinstance(value.indirection[-1], ast.A_Star):
        return None
    if not isinstance(value, ast.ColumnRef) or not isinstance(value.fields[-1], ast.A_Star):
        return 1
    qualifier = names_of(value.fields)
    items = list(query.fromClause or ())
    if not qualifier:
        return _sum([_width_of_source(item, context) for item in items])
    while items:
        item = items.pop()
        if isinstance(item, ast.JoinExpr):
            if item.alias is not None:
                return None
            items += [item.larg, item.rarg]
        elif _visible_name(item) == qualifier[-1]:
            return _width_of_source(item, context)
    return None  # of an outer level


def _width_of_source(item: Node, context: Context) -> int | None:
    if isinstance(item, ast.RangeVar):
        return _width_of_relation(item, context)
    if isinstance(item, ast.RangeSubselect):
        return width_of(item.subquery, context)
    if isinstance(item, ast.JoinExpr) and not item.isNatural and not item.usingClause:
        return _sum([_width_of_source(item.larg, context), _width_of_source(item.rarg, context)])
    return None


def _width_of_relation(node: Node, context: Context) -> int | None:
    reference = next((r for r in context.references.all if r.node is node), None)
    if reference is not None and reference.cte is not None:
        query = reference.cte.ctequery
        extended = reference.cte.search_clause is not None or reference.cte.cycle_clause is not None
        plain = isinstance(query, ast.SelectStmt) and not extended and not _contains(query, node)
        return width_of(query, context) if plain else None
    schema = node.schemaname or context.schema or "public"
    relation = context.catalog.relations.get((schema, node.relname))
    return None if relation is None else len(relation.columns)


def _contains(query: Node, node: Node) -> bool:
    return any(found is node for found in parse.walk(query))


def _visible_name(item: Node) -> str | None:
    alias = getattr(item, "alias", None)
    if alias is not None:
        return str(alias.aliasname)
    return str(item.relname) if isinstance(item, ast.RangeVar) else None


def _sum(widths: list[int | None]) -> int | None:
    return None if None in widths else sum(width for width in widths if width is not None)
