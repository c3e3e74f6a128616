"""The conditions of the second lock's policies, and whether one that stands on a target is what it should be."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from policy.errors import StatementRefused
from policy.second_lock import FUNCTION
from policy.sql.catalog import Column
from policy.sql.parse import ast, fields_of, is_node, parse_statements
from policy.sql.plan import quote_identifier, quote_literal
from policy.sql.references import names_of
from policy.sql.type_names import cast_name, is_text


def tenant_expression(column: str, cast: str | None) -> str:
    """The policy's test for a table with a tenant column; the sub-select makes it one call for each statement."""
    proven = f"{FUNCTION}('tenant')"
    value = proven if cast is None else f"({proven})::{cast}"
    return f"{quote_identifier(column)} OPERATOR(pg_catalog.=) (SELECT {value})"


@lru_cache(maxsize=4096)
def is_lock_of(condition: str, column: Column) -> bool:
    """Whether a policy's condition, as the server writes it, is the tenant test of this column."""
    cast = None if is_text(column) else cast_name(column)
    return same_expression(condition, tenant_expression(column.name, cast))


def schema_expression(schema: str) -> str:
    """The policy's test for the tables of a tenant's own schema."""
    return f"(SELECT {FUNCTION}('schema')) OPERATOR(pg_catalog.=) {quote_literal(schema).strip()}"


def direct_expression(role: str) -> str:
    """True for sessions that are not the gateway's, whatever role their code runs as."""
    return f"session_user OPERATOR(pg_catalog.<>) {quote_literal(role).strip()}"


def same_expression(one: str, other: str) -> bool:
    """Whether two conditions are the same but for casts, aliases and brackets, which the server writes its own way."""
    try:
        return bool(_normal_form(one) == _normal_form(other))
    except StatementRefused:  # not an expression that we could have written
        return False


def _normal_form(expression: str) -> Any:
    statement = parse_statements(f"SELECT WHERE {expression}")[0]
    return _normal(statement.node)


def _normal(node: Any) -> Any:
    if isinstance(node, tuple):
        return tuple(_normal(item) for item in node)
    if not is_node(node):
        return node
    if isinstance(node, ast.TypeCast):
        return _normal(node.arg)
    fields = {name: getattr(node, name) for name in fields_of(type(node))}
    if isinstance(node, ast.ResTarget):
        fields["name"] = None
    if isinstance(node, ast.A_Expr):
        names = names_of(node.name)
        fields["name"] = names[-1:] if names[:-1] == ("pg_catalog",) else names
    return type(node).__name__, tuple((name, _normal(value)) for name, value in sorted(fields.items()))
