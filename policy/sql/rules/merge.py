"""MERGE: the target's rows are those of the tenant, what it inserts is stamped, and no row changes hands.

The target cannot be wrapped. Its tests stand in ON, so that a row of another tenant never matches; with
WHEN NOT MATCHED BY SOURCE every row of the table comes by, so there they stand in the condition, too, always
as a barrier. The source is guarded like any other relation in FROM (rules/select.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from policy.errors import UnsupportedStatement
from policy.sql import parse
from policy.sql.context import Context, Unwrap
from policy.sql.guard import Pieces, joined, needs_barrier
from policy.sql.leakproof import leaks
from policy.sql.parse import Node, enums, walk
from policy.sql.references import Reference, names_of
from policy.sql.resolve import Resolved, resolve
from policy.sql.rules.assignments import check_assignments
from policy.sql.rules.conjuncts import operands_of
from policy.sql.rules.merge_insert import stamp_action
from policy.sql.rules.merge_layout import WhenClause, lay_out
from policy.sql.rules.referential import check_delete
from policy.sql.rules.target import check_reads, resolve_target, target_tests
from policy.sql.rules.where import enclose, without_tests

ast: Any = parse.ast

_Command = enums.CmdType
_ACTIONS = {_Command.CMD_UPDATE: "update", _Command.CMD_DELETE: "delete", _Command.CMD_INSERT: "insert"}
_BY_SOURCE = enums.MergeMatchKind.MERGE_WHEN_NOT_MATCHED_BY_SOURCE


def rewrite_merge(node: Node, context: Context) -> None:
    """Confine a MERGE. Raises a StatementRefused."""
    reference, resolved = _resolve_target(node, context)
    check_reads(_reading(node), reference, resolved)
    layout = lay_out(node, reference, context)
    tests = target_tests(reference, resolved, context)
    if tests:
        _check_full_join(node, reference, context)
        span = layout.on + 1, layout.first
        context.expect(node, enclose(node, "joinCondition", span, tests, needs_barrier(context), context))
    for clause, when in zip(node.mergeWhenClauses, layout.whens, strict=True):
        undo = _check_action(clause, when, reference, resolved, context)
        if tests and clause.matchKind == _BY_SOURCE:
            undo.append(_confine(clause, when, tests, context))
        if undo:
            context.expect(clause, _in_turn(undo))


def _resolve_target(node: Node, context: Context) -> tuple[Reference, Resolved]:
    """The target, which all actions of the statement must be allowed on, with one row filter for all."""
    commands = {clause.commandType for clause in node.mergeWhenClauses}
    actions = [word for command, word in _ACTIONS.items() if command in commands] or ["update"]
    reference, resolved = resolve_target(node, context, actions[0])
    others = [resolve(reference, action, context) for action in actions[1:]]
    if any(other.access.row_filter != resolved.access.row_filter for other in others):
        raise UnsupportedStatement(
            f"MERGE into {resolved.name} is not supported: your roles filter its actions differently",
            hint="Write an UPDATE, a DELETE and an INSERT instead.",
            position=reference.position,
        )
    return reference, resolved


def _check_full_join(node: Node, reference: Reference, context: Context) -> None:
    """With both kinds of WHEN NOT MATCHED, PostgreSQL joins in full. It can do so by an equality of the two sides that
    stands beside the tests; one that needs a barrier is hidden from it."""
    kinds = {clause.matchKind for clause in node.mergeWhenClauses}
    if not {_BY_SOURCE, enums.MergeMatchKind.MERGE_WHEN_NOT_MATCHED_BY_TARGET} <= kinds:
        return
    equalities = [operand for operand in operands_of(node.joinCondition) if _is_equality(operand)]
    if not equalities or (needs_barrier(context) and all(leaks(node, equalities, context))):
        raise UnsupportedStatement(
            "MERGE with both WHEN NOT MATCHED BY SOURCE and BY TARGET needs an equality of plain columns in ON",
            hint="Join by columns of one type, or make two statements of it, one for either.",
            position=reference.position,
        )


def _is_equality(node: Node) -> bool:
    return (
        isinstance(node, ast.A_Expr)
        and node.kind == enums.A_Expr_Kind.AEXPR_OP
        and names_of(node.name)[-1] == "="
        and all(any(isinstance(n, ast.ColumnRef) for n in walk(side)) for side in (node.lexpr, node.rexpr))
    )


def _reading(node: Node) -> list[Node]:
    """What shows or tests the target's columns. The values of INSERT can only name the source's."""
    updates = (c for c in node.mergeWhenClauses if c.commandType == _Command.CMD_UPDATE)
    values = [target.val for clause in updates for target in clause.targetList]
    conditions = [clause.condition for clause in node.mergeWhenClauses]
    return [node.joinCondition, node.returningClause, *conditions, *values]


def _check_action(
    clause: Node, when: WhenClause, reference: Reference, resolved: Resolved, context: Context
) -> list[Unwrap]:
    match clause.commandType:
        case _Command.CMD_UPDATE:
            check_assignments(clause.targetList, ("WHEN", "RETURNING"), reference, resolved, context)
        case _Command.CMD_DELETE:
            check_delete(reference, resolved, context)
        case _Command.CMD_INSERT:
            return stamp_action(clause, when, reference, resolved, context)
    return []


def _confine(clause: Node, when: WhenClause, tests: Sequence[Pieces], context: Context) -> Unwrap:
    if when.condition is not None:
        return enclose(clause, "condition", (when.condition, when.then), tests, True, context)
    context.insert(context.tokens.end_before(when.then), " AND ", *joined(tests))
    return without_tests(clause, "condition", tests)


def _in_turn(undo: Sequence[Unwrap]) -> Unwrap:
    def unwrap(found: Node) -> Node:
        for each in undo:
            found = each(found)
        return found

    return unwrap
