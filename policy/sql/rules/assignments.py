"""The SET list of UPDATE and of ON CONFLICT DO UPDATE: a row stays with its tenant."""

from __future__ import annotations

from collections.abc import Container
from typing import Any

from policy.errors import UnsupportedStatement
from policy.sql import parse
from policy.sql.catalog import Column
from policy.sql.context import Context
from policy.sql.parse import Node
from policy.sql.references import Reference
from policy.sql.resolve import Resolved
from policy.sql.rules.referential import check_update
from policy.sql.rules.row_check import check_assigned
from policy.sql.rules.stamp import Unwrap, foreign_value, stamp_value
from policy.sql.rules.target import check_defaults, generated_columns

ast: Any = parse.ast

_COMMA, _EQUALS = "ASCII_44", "ASCII_61"


def check_assignments(
    targets: tuple[Node, ...], ends: Container[str], reference: Reference, resolved: Resolved, context: Context
) -> None:
    """Check the items of a SET list that ends at one of the keywords `ends`; pin the tenant column to the tenant."""
    columns = {} if resolved.relation is None else {column.name: column for column in resolved.relation.columns}
    tenant = resolved.tenant_column
    to_default = [columns[t.name] for t in targets if isinstance(t.val, ast.SetToDefault) and t.name in columns]
    check_defaults([c for c in to_default if c is not tenant], reference, resolved, context)
    check_defaults(generated_columns(resolved), reference, resolved, context)
    check_update([target.name for target in targets], reference, resolved, context)
    check_assigned(targets, lambda target: _span_of_value(target, ends, context), reference, resolved, context)
    for target in targets:
        if tenant is not None and target.name == tenant.name:
            _stamp(target, tenant, ends, context)


def _stamp(target: Node, tenant: Column, ends: Container[str], context: Context) -> None:
    if isinstance(target.val, ast.MultiAssignRef) or target.indirection:
        raise foreign_value(tenant, target.location)
    unwrap_value = stamp_value(target.val, *_span_of_value(target, ends, context), tenant, context)
    context.expect(target, _unwrap_target(unwrap_value))


def _span_of_value(target: Node, ends: Container[str], context: Context) -> tuple[int, int]:
    """Offsets of the expression of `column = expression`."""
    tokens = context.tokens
    equals = tokens.qualified_name_end(tokens.index_at(target.location))
    if tokens.name(equals) != _EQUALS:
        raise UnsupportedStatement("assignment is not understood", position=target.location + 1)
    end = _end_of_value(equals + 1, ends, context)
    return tokens.items[equals + 1].start, tokens.end_before(end)


def _unwrap_target(unwrap_value: Unwrap) -> Unwrap:
    def unwrap(found: Node) -> Node:
        found.val = unwrap_value(found.val)
        return found

    return unwrap


def _end_of_value(index: int, ends: Container[str], context: Context) -> int:
    """Index of the token after an expression: a comma or a keyword, but not the FROM of IS DISTINCT FROM."""
    tokens = context.tokens
    names = {_COMMA, *(name for name in ("FROM", "WHERE", "RETURNING") if name in ends)}
    end = tokens.find(names, index)
    while tokens.name(end) == "FROM" and tokens.name(end - 1) == "DISTINCT":
        end = tokens.find(names, end + 1)
    return end
