"""GROUP BY on a primary key: the other columns of the table may be used, since they depend on it.

Behind a guard's sub-select PostgreSQL no longer knows of the key. Where the guard can be conditions in WHERE, the table
stays a table (rules/select.py). Elsewhere the columns that are used are added to GROUP BY: each depends on the
key, so that the groups remain the same. A key of shared tables may begin with the tenant column, which is one value
behind the guard: then the rest of it will do, and where the table stays a table the tenant column is added.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from policy.errors import UnsupportedStatement
from policy.sql import builtin_functions as builtin
from policy.sql.context import Context
from policy.sql.guard import Pieces
from policy.sql.parse import ast, child_nodes, is_node
from policy.sql.plan import quote_identifier
from policy.sql.references import Reference, Scope, names_of
from policy.sql.resolve import Resolved
from policy.sql.rules.where import CLAUSES, from_keyword
from policy.sql.verify import failed, parse_sample, same_tree

Node = Any

# Without an equality operator that GROUP BY could use.
_NOT_GROUPED = frozenset({"json", "xml", "point", "lseg", "path", "box", "polygon", "line", "circle"})


WHOLE_ROW = "*"


def dependent_columns(reference: Reference, resolved: Resolved, context: Context) -> list[str]:
    """The columns that are used after grouping only because GROUP BY names all columns of the primary key.

    WHOLE_ROW stands for the row as such.
    """
    node = reference.scope.node
    if resolved.relation is None or not isinstance(node, ast.SelectStmt) or not node.groupClause:
        return []
    columns = [column.name for column in resolved.relation.columns]
    key = set(resolved.relation.primary_key) - _tenant_column(resolved)
    grouped = {name for name in map(partial(_own_column, reference), _grouped(node, context)) if name}
    if not key or not key <= grouped:
        return []
    used = {name for column in _columns_after_grouping(node) for name in _meant(column, reference, columns)}
    return [name for name in (*columns, WHOLE_ROW) if name in used - grouped]


def lacking_of_key(reference: Reference, resolved: Resolved, context: Context) -> list[str]:
    """The tenant column, if the primary key has it and GROUP BY does not name it."""
    assert resolved.relation is not None
    grouped = map(partial(_own_column, reference), _grouped(reference.scope.node, context))
    return sorted(_tenant_column(resolved).intersection(resolved.relation.primary_key).difference(grouped))


def _tenant_column(resolved: Resolved) -> set[str]:
    return set() if resolved.tenant_column is None else {resolved.tenant_column.name}


def group_by_too(scope: Scope, added: list[tuple[Reference, Resolved, list[str]]], context: Context) -> None:
    """Add dependent columns of relations behind sub-selects to the GROUP BY of a query level."""
    written = [name for each in added for name in _written(*each)]
    tokens = context.tokens
    group = tokens.find({"GROUP_P"}, from_keyword(added[0][0].start, tokens) + 1)
    if tokens.name(group) != "GROUP_P":
        raise UnsupportedStatement("GROUP BY is not understood", position=added[0][0].position)
    end = tokens.end_before(tokens.find(CLAUSES, group + 1))
    extra: Pieces = tuple(f", {name}" for name in written)
    context.insert(end, *extra)
    node = scope.node
    expected = parse_sample("SELECT FROM x GROUP BY 1%", extra).groupClause[1:]

    def unwrap(found: Node) -> Node:
        if not isinstance(found, ast.SelectStmt) or not found.groupClause:
            raise failed("GROUP BY")
        clause: tuple[Node, ...] = found.groupClause
        kept, rest = clause[: -len(written)], clause[-len(written) :]
        if not same_tree(rest, expected):
            raise failed("GROUP BY")
        found.groupClause = kept
        return found

    context.expect(node, unwrap)


def _written(reference: Reference, resolved: Resolved, names: list[str]) -> Iterator[str]:
    assert resolved.relation is not None
    types = {column.name: column.type_name for column in resolved.relation.columns}
    unusable = [name for name in names if types.get(name) in _NOT_GROUPED]
    changed = resolved.access.denied.union(resolved.access.masks)
    if unusable or not changed.isdisjoint(resolved.relation.primary_key):
        raise UnsupportedStatement(
            f"columns of {reference.visible_name} are used that GROUP BY does not list",
            hint="List them in GROUP BY beside the primary key, or aggregate them.",
            position=reference.position,
        )
    qualifier = quote_identifier(reference.visible_name)
    for name in names:
        yield qualifier if name == WHOLE_ROW else f"{qualifier}.{quote_identifier(name)}"


def _meant(column: Node, reference: Reference, columns: list[str]) -> list[str]:
    """What of the reference's a column reference may mean."""
    names = names_of(column.fields)
    if isinstance(column.fields[-1], ast.A_Star):
        return columns if names[-1:] in ((), (reference.visible_name,)) else []
    if names == (reference.visible_name,) and names[0] not in columns:
        return [WHOLE_ROW]
    return [_own_column(reference, column)]


def _columns_after_grouping(node: Node) -> Iterator[Node]:
    """Column references of the select list, HAVING and ORDER BY that stand outside of aggregates."""
    stack = [*(node.targetList or ()), *(node.sortClause or ()), *(node.distinctClause or ()), node.havingClause]
    while stack:
        found = stack.pop()
        if isinstance(found, ast.ColumnRef):
            yield found
        elif is_node(found) and not _is_aggregate(found):
            stack.extend(child_nodes(found))


def _is_aggregate(node: Node) -> bool:
    return isinstance(node, ast.FuncCall) and node.over is None and names_of(node.funcname)[-1] in builtin.AGGREGATES


def _grouped(node: Node, context: Context) -> list[Node]:
    """The expressions of GROUP BY; a number there stands for an item of the select list."""
    found: list[Node] = []
    for expression in node.groupClause or ():
        if isinstance(expression, ast.A_Const) and isinstance(expression.val, ast.Integer):
            context.pin()
            position = int(expression.val.ival or 0) - 1
            items = node.targetList or ()
            found += [items[position].val] if 0 <= position < len(items) else []
        elif isinstance(expression, ast.RowExpr):  # `GROUP BY (a, b)` is `GROUP BY a, b`
            found += expression.args or ()
        else:
            found.append(expression)
    return found


def _own_column(reference: Reference, node: Node) -> str:
    """The column's name, if the expression is a column that may be the reference's."""
    names = names_of(node.fields) if isinstance(node, ast.ColumnRef) else ()
    return names[-1] if names and (len(names) == 1 or names[-2] == reference.visible_name) else ""
