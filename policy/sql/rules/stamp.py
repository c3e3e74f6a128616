"""A client's own value for the tenant column: what is stored is always the session's tenant.

DEFAULT becomes it. Any other expression, a parameter too, is compared by the target itself, as its value is known to
nobody else (a parameter's type may have been settled elsewhere in the statement, so its bytes do not tell):
`CASE WHEN (expression)::text = tenant THEN tenant ELSE <error> END`. The error comes from a function that is not
immutable, so that planning does not raise it, and its text holds `MARKER`, by which the data plane knows it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from policy.errors import AccessDenied
from policy.sql import parse
from policy.sql.catalog import Column
from policy.sql.context import Context
from policy.sql.guard import Pieces, tenant_value
from policy.sql.parse import Node
from policy.sql.plan import Piece
from policy.sql.type_names import cast_name
from policy.sql.verify import failed, parse_sample, same_tree

ast: Any = parse.ast

Unwrap = Callable[[Node], Node]

MARKER = "tenantgate_foreign_tenant"


def stamp_value(value: Node, start: int, end: int, column: Column, context: Context) -> Unwrap:
    """Make `text[start:end]`, the expression `value`, store the session's tenant or fail.

    Returns what takes this away again for verify.py. Raises AccessDenied for NULL.
    """
    if isinstance(value, ast.SetToDefault):
        context.replace(start, end, *tenant_value(column))
        return lambda found: _same(found, tenant_value(column), value)
    if isinstance(value, ast.A_Const) and value.isnull:
        raise foreign_value(column, start)
    before, after = checked(column)
    context.wrap(start, end, before, after)
    context.has_runtime_check = True
    return lambda found: without_check(found, column)


def checked(column: Column) -> tuple[tuple[Piece, ...], tuple[Piece, ...]]:
    """What stands before and after an expression whose value must be the session's tenant."""
    cast = cast_name(column)
    value = tenant_value(column)
    comparison = (f")::{cast} OPERATOR(pg_catalog.=)", *value)
    error = f"pg_catalog.current_setting('{MARKER}')::{cast}"
    return ("CASE WHEN (",), (*comparison, "THEN", *value, f"ELSE {error} END")


def without_check(found: Node, column: Column) -> Node:
    """The client's expression out of what `checked` put around it."""
    before, after = checked(column)
    expected = parse_sample("SELECT %", (*before, "NULL", *after)).targetList[0].val
    try:
        cast = found.args[0].expr.lexpr
        inner, cast.arg = cast.arg, expected.args[0].expr.lexpr.arg
    except (AttributeError, TypeError, IndexError):
        raise failed("tenant value") from None
    if not same_tree(found, expected):
        raise failed("tenant value")
    return inner


def is_tenant_value(found: Node, column: Column) -> bool:
    """Whether a node is the session's tenant value as `tenant_value` writes it."""
    return same_tree(found, parse_sample("SELECT %", tenant_value(column)).targetList[0].val)


def _same(found: Node, pieces: Pieces, client: Node) -> Node:
    if not same_tree(found, parse_sample("SELECT %", pieces).targetList[0].val):
        raise failed("tenant value")
    return client


def foreign_value(column: Column, offset: int) -> AccessDenied:
    """The refusal of a value that cannot be the session's tenant."""
    return AccessDenied(
        f"column {column.name} can only hold your own tenant",
        hint=f"Leave {column.name} out; the gateway fills it in.",
        position=offset + 1,
    )
