"""Transactions and what a session holds: BEGIN, SHOW, DISCARD, DEALLOCATE, FETCH. SET is settings.py's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from policy.errors import AccessDenied, UnsupportedStatement
from policy.model import Isolation
from policy.sql import builtin_functions as builtin
from policy.sql.classify import TRANSACTION_COMMANDS, TWO_PHASE_COMMANDS
from policy.sql.context import Context
from policy.sql.parse import ast, enums
from policy.sql.plan import SettingChange
from policy.sql.references import names_of
from policy.sql.rules.settings import is_own_setting

Node = Any


def transaction(node: Node, context: Context) -> None:
    """Prepared transactions have names that are one server's, and outlive their session: for who is alone there."""
    command = TRANSACTION_COMMANDS.get(node.kind)
    if command is None and not context.access.code:
        raise UnsupportedStatement(
            "two-phase commit is not supported through this gateway",
            hint="Use COMMIT.",
            position=context.statement.start + 1,
        )
    context.command = command or TWO_PHASE_COMMANDS[node.kind]


def show_variable(node: Node, context: Context) -> None:
    name = node.name.lower()
    if not is_own_setting(name, context.access) and name not in builtin.READABLE_SETTINGS:
        raise AccessDenied(
            f'permission denied to examine "{node.name}"',
            hint="Settings of the server are not shown; SHOW TimeZone and the like work.",
            position=context.statement.start + 1,
        )


def set_constraints(node: Node, context: Context) -> None:
    """By name where names are the tenant's own: in shared tables a name could tell of a table that is not seen."""
    if context.access.isolation is Isolation.DATABASE:
        return
    own = None if context.shared else context.schema
    if any(own is None or name.schemaname not in (None, own) for name in node.constraints or ()):
        raise UnsupportedStatement(
            "SET CONSTRAINTS names constraints that are not your own",
            hint="Write SET CONSTRAINTS ALL DEFERRED.",
            position=context.statement.start + 1,
        )


def discard(node: Node, context: Context) -> None:
    if node.target == enums.DiscardMode.DISCARD_ALL:
        context.session_action = ("discard_all",)
        context.settings.append(SettingChange("", None))


def deallocate(node: Node, context: Context) -> None:
    context.session_action = ("deallocate_all",) if node.isall else ("deallocate", node.name)


def fetch(node: Node, context: Context) -> None:
    context.session_action = ("fetch", node.portalname)
    if node.ismove:
        context.command = "MOVE"


def close(node: Node, context: Context) -> None:
    context.session_action = ("close_all",) if node.portalname is None else ("close", node.portalname)


_CURSOR_OPT_HOLD = 0x0020  # PostgreSQL's parsenodes.h


def keep_what_stays(context: Context) -> None:
    """Keep the session on its backend where a statement leaves behind what outlives its transaction.

    Nothing puts it right when the backend changes hands: a cursor WITH HOLD is anybody's who knows its name.
    """
    for node in context.nodes:
        if isinstance(node, ast.DeclareCursorStmt) and (node.options or 0) & _CURSOR_OPT_HOLD:
            context.pins = "cursor WITH HOLD"
        elif isinstance(node, ast.FuncCall) and names_of(node.funcname)[-1] == "setseed":
            context.pins = "seed of random()"


RULES: dict[type, Callable[[Any, Context], None]] = {
    ast.TransactionStmt: transaction,
    ast.VariableShowStmt: show_variable,
    ast.ConstraintsSetStmt: set_constraints,
    ast.DiscardStmt: discard,
    ast.DeallocateStmt: deallocate,
    ast.FetchStmt: fetch,
    ast.ClosePortalStmt: close,
}
