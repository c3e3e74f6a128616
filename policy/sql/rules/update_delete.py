"""UPDATE and DELETE: only rows of the tenant, and of the roles' filter, are touched, and none changes hands.

The target cannot be wrapped, so its tests stand in WHERE, before the client's condition and around it where that is
not leakproof (corpus DML-086, DML-087). Relations in FROM and USING are guarded like any other (rules/select.py).
"""

from __future__ import annotations

from typing import Any

from policy.errors import UnsupportedStatement
from policy.model import TableClass
from policy.sql import parse
from policy.sql.catalog import Relation
from policy.sql.context import Context
from policy.sql.guard import needs_barrier
from policy.sql.parse import Node, walk
from policy.sql.references import Reference
from policy.sql.resolve import Resolved
from policy.sql.rules.assignments import check_assignments
from policy.sql.rules.referential import check_delete
from policy.sql.rules.target import check_reads, resolve_target, target_tests
from policy.sql.rules.where import add_tests_at

ast: Any = parse.ast

_CLAUSES = frozenset({"WHERE", "RETURNING"})


def rewrite_update(node: Node, context: Context) -> None:
    """Confine an UPDATE. Raises a StatementRefused."""
    reference, resolved = resolve_target(node, context, "update")
    values = [t.val for t in node.targetList if any(isinstance(n, ast.ColumnRef) for n in walk(t.val))]
    check_reads([node.whereClause, node.returningClause, *values], reference, resolved)
    check_assignments(node.targetList, ("FROM", "WHERE", "RETURNING"), reference, resolved, context)
    _confine(node, reference, resolved, context)


def rewrite_delete(node: Node, context: Context) -> None:
    """Confine a DELETE. Raises a StatementRefused."""
    reference, resolved = resolve_target(node, context, "delete")
    check_reads([node.whereClause, node.returningClause], reference, resolved)
    check_delete(reference, resolved, context)
    _confine(node, reference, resolved, context)


def _check_cursor(reference: Reference, resolved: Resolved, context: Context) -> None:
    """WHERE CURRENT OF takes no further condition. It needs none where every cursor of the session has the guard:
    PostgreSQL gives the row on which the cursor stands. A view that is not expanded may show more than is written."""
    if (
        resolved.relation is not None and resolved.relation.has_children
    ):  # its tenant's partitions are all the cursor has
        raise UnsupportedStatement(
            "WHERE CURRENT OF is not supported on a table with partitions",
            hint="Name the row by its key: FETCH it, then UPDATE … WHERE id = …",
            position=reference.position,
        )
    if resolved.access.read_filter is not None or any(
        _shows_more(r, context) for r in context.catalog.relations.values()
    ):
        raise UnsupportedStatement(
            "WHERE CURRENT OF is not supported where more rows may be read than written",
            hint="Name the row by its key: FETCH it, then UPDATE … WHERE id = …",
            position=reference.position,
        )


def _shows_more(relation: Relation, context: Context) -> bool:
    """Whether it is a view under which a cursor could stand on a row of a table without that table's guard."""
    if relation.kind != "v":
        return False
    if not context.shared:
        return relation.schema == context.schema or not context.schema
    rule = context.access.rules.get((relation.schema, relation.name))
    return rule is not None and (rule.table_class is TableClass.GLOBAL or rule.trusted)


def _confine(node: Node, reference: Reference, resolved: Resolved, context: Context) -> None:
    tests = target_tests(reference, resolved, context)
    if not tests:
        return
    if isinstance(node.whereClause, ast.CurrentOfExpr):
        _check_cursor(reference, resolved, context)
        return
    # keywords of FROM items may come first (GROUP BY of none: sub-selects are in brackets), so only these two end it
    clause = context.tokens.find(_CLAUSES, context.tokens.index_at(reference.end))
    add_tests_at(node, clause, tests, needs_barrier(context), context)
