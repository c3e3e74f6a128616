"""Transactions and the session's own settings: BEGIN, SET, SHOW, DISCARD, DEALLOCATE, FETCH, and set_config in SELECT.

Settings are an allow-list: what a client may change must neither change how its text is read (client_encoding,
standard_conforming_strings), nor what names mean (search_path), nor who it is, nor take memory from others. A
setting's value is read, so these statements hold for their exact text.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from policy.errors import AccessDenied, StatementRefused, UnsupportedStatement
from policy.model import Isolation
from policy.sql import builtin_functions as builtin
from policy.sql.classify import TRANSACTION_COMMANDS
from policy.sql.context import Context
from policy.sql.parse import ast, enums, walk
from policy.sql.plan import StatementKind
from policy.sql.references import names_of

Node = Any
# What a setting may be set to: None is anything; else lower-case words.
Values = frozenset[str] | None

_SWITCH = frozenset({"on", "off", "true", "false", "yes", "no", "1", "0"})
_ON = frozenset({"on", "true", "yes", "1"})
_UTF8 = frozenset({"utf8", "utf-8", "unicode", "sql_ascii"})

SETTINGS: dict[str, Values] = {
    "application_name": None,
    "bytea_output": None,
    "client_encoding": _UTF8,
    "client_min_messages": frozenset({"notice", "warning", "error", "info", "log"}),
    "datestyle": None,
    "default_transaction_deferrable": _SWITCH,
    "default_transaction_isolation": None,
    "default_transaction_read_only": _SWITCH,
    "extra_float_digits": None,
    "geqo": _SWITCH,
    "idle_in_transaction_session_timeout": None,
    "intervalstyle": None,
    "jit": _SWITCH,
    "lock_timeout": None,
    "standard_conforming_strings": _ON,
    "statement_timeout": None,
    "timezone": None,
    "transaction_deferrable": _SWITCH,
    "transaction_isolation": None,
    "transaction_read_only": _SWITCH,
    "transaction_timeout": None,
    "xmlbinary": None,
    "xmloption": None,
}
_HINTS = {
    "role": "The session's identity was settled at login; connect as another user instead.",
    "session_authorization": "The session's identity was settled at login; connect as another user instead.",
    "search_path": "The gateway sets it; qualify names, or leave it at {path}.",
    "client_encoding": "Use UTF8.",
    "standard_conforming_strings": "The gateway reads strings as with on; use E'…' for escapes.",
}
_HINT = "Only settings of the session's own formats and time-outs can be changed, such as TimeZone or DateStyle."

_Kind = enums.VariableSetKind


def own_path(context: Context) -> str:
    """The one schema on the session's search_path."""
    return context.schema if context.access.isolation is Isolation.SCHEMA else "public"


def check_setting(name: str, values: list[str | None], position: int, context: Context) -> None:
    """Refuse a setting, or a value of it, that is not allowed. A value of None is a parameter: known to nobody yet."""
    name = name.lower()
    if name == "search_path":
        if values and all(v == own_path(context) for v in values):
            return
        raise _refused(name, position, context)
    if name not in SETTINGS:
        raise _refused(name, position, context)
    allowed = SETTINGS[name]
    if allowed is not None and not all(v is not None and v.strip().lower() in allowed for v in values):
        raise _refused(name, position, context)


def _refused(name: str, position: int, context: Context) -> StatementRefused:
    hint = _HINTS.get(name, _HINT).format(path=own_path(context))
    return AccessDenied(f'permission denied to set parameter "{name}"', hint=hint, position=position)


# -- set_config in a query ------------------------------------------------------------------------------------------


def answered_calls(context: Context) -> Collection[int]:
    """Locations of the set_config calls of a statement, each checked here; raises when one is not allowed."""
    answered: set[int] = set()
    for node in walk(context.statement.node):
        if isinstance(node, ast.FuncCall) and names_of(node.funcname) in (
            ("set_config",),
            ("pg_catalog", "set_config"),
        ):
            context.pin()
            _check_set_config(node, context)
            answered.add(int(node.location or 0))
            context.kind = StatementKind.SESSION
    return answered


def _check_set_config(call: Node, context: Context) -> None:
    position = call.location + 1
    arguments: tuple[Node, ...] = call.args or ()
    name = _text(arguments[0]) if len(arguments) == 3 else None
    if name is None or any(isinstance(a, ast.NamedArgExpr) for a in arguments):
        raise AccessDenied(
            "set_config needs the setting's name as a constant",
            hint="Write set_config('TimeZone', 'UTC', false).",
            position=position,
        )
    value = _text(arguments[1])
    if value is None and not isinstance(_bare(arguments[1]), ast.ParamRef):
        raise AccessDenied(
            "set_config needs the setting's value as a constant or a parameter",
            hint="Write set_config('TimeZone', 'UTC', false).",
            position=position,
        )
    check_setting(name, [value], position, context)


def _bare(node: Node) -> Node:
    while isinstance(node, ast.TypeCast):
        node = node.arg
    return node


def _text(node: Node) -> str | None:
    constant = _bare(node)
    if isinstance(constant, ast.A_Const) and isinstance(constant.val, ast.String):
        return str(constant.val.sval)
    return None


# -- statements -------------------------------------------------------------------------------------------------------


def transaction(node: Node, context: Context) -> None:
    command = TRANSACTION_COMMANDS.get(node.kind)
    if command is None:
        raise UnsupportedStatement(
            "two-phase commit is not supported through this gateway",
            hint="Use COMMIT.",
            position=context.statement.start + 1,
        )
    context.command = command


def set_variable(node: Node, context: Context) -> None:
    context.pin()
    position = context.statement.start + 1
    if node.kind in (_Kind.VAR_RESET, _Kind.VAR_RESET_ALL):
        context.command = "RESET"
    if node.kind == _Kind.VAR_RESET_ALL:
        return
    if node.kind == _Kind.VAR_SET_MULTI:
        if node.name == "TRANSACTION SNAPSHOT":
            raise UnsupportedStatement("snapshots cannot be imported", hint="Use one session.", position=position)
        return
    if node.kind in (_Kind.VAR_SET_DEFAULT, _Kind.VAR_RESET):
        _check_default(node.name.lower(), position, context)
        return
    if node.kind != _Kind.VAR_SET_VALUE:
        raise _refused(node.name.lower(), position, context)
    check_setting(node.name, [_setting_value(a) for a in node.args], position, context)


def _check_default(name: str, position: int, context: Context) -> None:
    """The default is what the gateway set when it connected, also for the path and the identity."""
    if name not in SETTINGS and name not in ("search_path", "role", "session_authorization"):
        raise _refused(name, position, context)


def _setting_value(node: Node) -> str | None:
    constant = _bare(node)
    value = getattr(constant, "val", None)
    if isinstance(value, ast.String):
        return str(value.sval)
    if isinstance(value, ast.Integer):
        return str(value.ival)
    if isinstance(value, ast.Float):
        return str(value.fval)
    return None


def show_variable(node: Node, context: Context) -> None:
    name = node.name.lower()
    if name not in SETTINGS and name not in builtin.READABLE_SETTINGS:
        raise AccessDenied(
            f'permission denied to examine "{node.name}"',
            hint="Settings of the server are not shown; SHOW TimeZone and the like work.",
            position=context.statement.start + 1,
        )


def set_constraints(node: Node, context: Context) -> None:
    if node.constraints:
        raise UnsupportedStatement(
            "SET CONSTRAINTS is supported for ALL only",
            hint="Write SET CONSTRAINTS ALL DEFERRED.",
            position=context.statement.start + 1,
        )


def discard(node: Node, context: Context) -> None:
    if node.target == enums.DiscardMode.DISCARD_ALL:
        context.session_action = ("discard_all",)


def deallocate(node: Node, context: Context) -> None:
    context.session_action = ("deallocate_all",) if node.isall else ("deallocate", node.name)


def fetch(node: Node, context: Context) -> None:
    if node.ismove:
        context.command = "MOVE"


def accept(_node: Node, _context: Context) -> None:
    """Nothing to add to what classify.py said."""


RULES: dict[type, Callable[[Any, Context], None]] = {
    ast.TransactionStmt: transaction,
    ast.VariableSetStmt: set_variable,
    ast.VariableShowStmt: show_variable,
    ast.ConstraintsSetStmt: set_constraints,
    ast.DiscardStmt: discard,
    ast.DeallocateStmt: deallocate,
    ast.FetchStmt: fetch,
    ast.ClosePortalStmt: accept,
    ast.UnlistenStmt: accept,
    ast.ListenStmt: accept,
    ast.NotifyStmt: accept,
}
