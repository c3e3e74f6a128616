"""What policies (policy/abac) say of a statement and of each relation that it uses, looked up while it is compiled.

All was decided before, per session; here the action is known. A refusal names the policy; what a policy on trial would
have done becomes a note, which the audit event of every run carries.
"""

from __future__ import annotations

from typing import Any, Final

from policy.access import PolicyOutcome
from policy.errors import AccessDenied
from policy.sql.context import Context
from policy.sql.parse import ast
from policy.sql.plan import StatementKind
from policy.sql.references import Reference

Node = Any

TRIAL: Final = "on trial: "
"""What notes of policies on trial begin with."""


def check_statement_policies(context: Context) -> None:
    """Refuse a statement of a kind that policies forbid: ddl, call, explain."""
    outcome, node = context.access.policy, context.statement.node
    actions = ["explain"] if isinstance(node, ast.ExplainStmt) else []
    if context.kind is StatementKind.DDL:
        actions.append("ddl")
    if isinstance(node, (ast.CallStmt, ast.DoStmt)):
        actions.append("call")
    for action in actions:
        _check(outcome, action, "", context.statement.start + 1, context)


def check_table_policies(outcome: PolicyOutcome, name: str, right: str, reference: Reference, context: Context) -> None:
    """Refuse what policies forbid of a relation that is used by `right` (read, copy, insert, update, delete)."""
    if not (outcome.restricts or outcome.would):
        return
    for action in _actions(right, reference, context):
        _check(outcome, action, name, reference.position, context)
        if action == "select" or (action == "copy" and context.kind is not StatementKind.COPY_IN):
            _limit(outcome, context)


def check_locks(outcome: PolicyOutcome, name: str, reference: Reference, context: Context) -> None:
    """A row lock needs what an UPDATE needs."""
    _check(outcome, "update", name, reference.position, context)


def take_over(inner: Context, outer: Context) -> None:
    """What the query of a view wants, the statement around it wants."""
    outer.approvals |= inner.approvals
    outer.row_limit = _least(outer.row_limit, inner.row_limit)
    outer.byte_limit = _least(outer.byte_limit, inner.byte_limit)
    outer.limited_by += [name for name in inner.limited_by if name not in outer.limited_by]


def _actions(right: str, reference: Reference, context: Context) -> tuple[str, ...]:
    """The actions that using a relation by a right is. Changing rows looks at them, and so does returning them."""
    if right == "read":
        return ("select",)
    if right in ("update", "delete"):
        return (right, "select")
    if right == "insert" and _looks_at_rows(reference, context):
        return ("insert", "select")
    return (right,)


def _looks_at_rows(reference: Reference, context: Context) -> bool:
    write = next((node for node in context.references.writes if node.relation is reference.node), None)
    if not isinstance(write, ast.InsertStmt):
        return isinstance(write, ast.MergeStmt)
    returns = getattr(write, "returningClause", None) or getattr(write, "returningList", None)
    return bool(returns) or write.onConflictClause is not None


def _check(outcome: PolicyOutcome, action: str, name: str, position: int, context: Context) -> None:
    refusal = outcome.refusals.get(action)
    if refusal is not None:
        on = f" on {name}" if name else ""
        raise AccessDenied(refusal.message + on, sqlstate=refusal.sqlstate, hint=refusal.hint, position=position)
    context.approvals |= dict(outcome.approvals.get(action, ()))
    for text in outcome.would.get(action, ()):
        context.note(TRIAL + (f"{name}: {text}" if name else text))


def _limit(outcome: PolicyOutcome, context: Context) -> None:
    context.row_limit = _least(context.row_limit, outcome.rows)
    context.byte_limit = _least(context.byte_limit, outcome.bytes)
    context.limited_by += [name for name in outcome.limited_by if name not in context.limited_by]


def _least(one: int | None, other: int | None) -> int | None:
    return min((n for n in (one, other) if n is not None), default=None)
