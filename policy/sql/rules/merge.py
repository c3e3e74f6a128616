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
from policy.sql.parse import Node, enums
from policy.sql.references import Reference
from policy.sql.resolve import Resolved
from policy.sql.rules.assignments import check_assignments
from policy.sql.rules.merge_insert import stamp_action
from policy.sql.rules.merge_layout import WhenClause, lay_out
from policy.sql.rules.referential import check_delete
from policy.sql.rules.target import check_reads, resolve_target, target_tests
from policy.sql.rules.where import enclosing, without_tests

ast: Any = parse.ast

_Command = enums.CmdType
_BY_SOURCE = enums.MergeMatchKind.MERGE_WHEN_NOT_MATCHED_BY_SOURCE


def rewrite_merge(node: Node, context: Context) -> None:
    """Confine a MERGE. Raises a StatementRefused."""
    reference, resolved = resolve_target(node, context)
    check_reads(_reading(node), reference, resolved)
    layout = lay_out(node, reference, context)
    tests = target_tests(reference, resolved, context)
    if tests:
        _refuse_full_join(node, reference)
        tokens = context.tokens
        barrier = needs_barrier(context)
        before, after = enclosing(joined(tests), barrier)
        context.wrap(tokens.items[layout.on].end, tokens.end_before(layout.first), before, after)
        context.expect(node, without_tests(node, "joinCondition", tests, barrier))
    for clause, when in zip(node.mergeWhenClauses, layout.whens, strict=True):
        undo = _check_action(clause, when, reference, resolved, context)
        if tests and clause.matchKind == _BY_SOURCE:
            undo.append(_confine(clause, when, tests, context))
        if undo:
            context.expect(clause, _in_turn(undo))


def _refuse_full_join(node: Node, reference: Reference) -> None:
    """With both kinds of WHEN NOT MATCHED, PostgreSQL joins in full, which no test of one side may be a part of."""
    kinds = {clause.matchKind for clause in node.mergeWhenClauses}
    if {_BY_SOURCE, enums.MergeMatchKind.MERGE_WHEN_NOT_MATCHED_BY_TARGET} <= kinds:
        raise UnsupportedStatement(
            "MERGE with both WHEN NOT MATCHED BY SOURCE and BY TARGET is not supported on this table",
            hint="Make two statements of it, one for either.",
            position=reference.position,
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
    tokens = context.tokens
    condition = joined(tests)
    end = tokens.end_before(when.then)
    if when.condition is None:
        context.insert(end, " AND", " ", *condition)
    else:
        before, after = enclosing(condition, True)
        context.wrap(tokens.end_before(when.condition), end, before, after)
    return without_tests(clause, "condition", tests, True)


def _in_turn(undo: Sequence[Unwrap]) -> Unwrap:
    def unwrap(found: Node) -> Node:
        for each in undo:
            found = each(found)
        return found

    return unwrap
