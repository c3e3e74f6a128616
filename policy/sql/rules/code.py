"""Stored code: functions, triggers, DO and CALL of a tenant that has the target to itself.

What a function's body does, nobody sees: it can name every schema, look at the sessions of its login role and end
them, and change settings. So it is for tenants whose target serves nobody else (`Access.code`), and for roles that
limit nothing, and a session that ran such code keeps its backend, which is made as new afterwards.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from policy.errors import AccessDenied, UnsupportedStatement
from policy.sql.context import Context
from policy.sql.parse import ast
from policy.sql.plan import USER_CODE
from policy.sql.references import names_of
from policy.sql.rules.ddl import check_listed, check_names, refuse_guarded

Node = Any

PINS = USER_CODE

_LANGUAGES = frozenset({"sql", "plpgsql"})  # the others reach the server's host, or nobody has read what they reach


def create_function(node: Node, context: Context) -> None:
    """CREATE FUNCTION and CREATE PROCEDURE."""
    context.command = "CREATE PROCEDURE" if node.is_procedure else "CREATE FUNCTION"
    check_listed(iter([names_of(node.funcname)]), 2, context)
    _check_language(node.options, "sql", context)
    if node.sql_body is not None:
        if not context.has_own_code:
            raise _unsupported("a body without quotes", "Write it as a string: AS $$ … $$.", context)
        refuse_guarded("a body without quotes", context)


def do(node: Node, context: Context) -> None:
    _check_call("DO", context)
    _check_language(node.args, "plpgsql", context)
    context.pins = PINS


def call(_node: Node, context: Context) -> None:
    """The procedure and its arguments were reviewed as a function's call is."""
    _check_call("CALL", context)
    context.pins = PINS


def _check_call(command: str, context: Context) -> None:
    if not context.access.call:
        raise AccessDenied(
            f"permission denied: {command}",
            hint="Your roles deny database:*:call; ask your administrator.",
            position=context.statement.start + 1,
        )


def create_trigger(node: Node, context: Context) -> None:
    check_names(context)
    check_listed(iter([names_of(node.funcname)]), 2, context)


def _check_language(options: Any, default: str, context: Context) -> None:
    named = [option.arg.sval for option in options or () if option.defname == "language"]
    if not _LANGUAGES.issuperset(named or [default]):
        raise _unsupported(f"language {named[0]}", "Use sql or plpgsql.", context)


def _unsupported(what: str, hint: str, context: Context) -> UnsupportedStatement:
    return UnsupportedStatement(
        f"{what} is not supported through this gateway", hint=hint, position=context.statement.start + 1
    )


CODE_RULES: dict[type, Callable[[Any, Context], None]] = {
    ast.CreateFunctionStmt: create_function,
    ast.CreateTrigStmt: create_trigger,
    ast.DoStmt: do,
    ast.CallStmt: call,
}
