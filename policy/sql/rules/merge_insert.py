"""WHEN NOT MATCHED THEN INSERT of a MERGE: one row, which gets the session's tenant as that of any INSERT does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from policy.errors import InvalidStatement, UnsupportedStatement
from policy.sql import parse
from policy.sql.catalog import Column
from policy.sql.context import Context, Unwrap
from policy.sql.guard import filter_expression, tenant_value
from policy.sql.parse import Node
from policy.sql.plan import quote_identifier
from policy.sql.references import Reference
from policy.sql.resolve import Resolved
from policy.sql.rules.default_only import check_not_given, given_in_rows
from policy.sql.rules.insert_layout import is_star, nth_item
from policy.sql.rules.merge_layout import WhenClause, not_understood
from policy.sql.rules.row_check import Span, check_inserted, untestable_rows
from policy.sql.rules.stamp import foreign_value, is_tenant_value, stamp_value
from policy.sql.rules.target import check_defaults, generated_columns
from policy.sql.verify import failed

ast: Any = parse.ast

_OPEN = "ASCII_40"


def stamp_action(
    clause: Node, when: WhenClause, reference: Reference, resolved: Resolved, context: Context
) -> list[Unwrap]:
    """Stamp and test the row of an INSERT action; return what takes this away again. Raises a StatementRefused."""
    columns = _columns(clause, reference, resolved)
    if columns is None:
        return []
    if resolved.is_guarded and any(is_star(value) for value in clause.values or ()):
        raise UnsupportedStatement(
            "the number of inserted columns cannot be told", hint="Name the values.", position=reference.position
        )
    check_not_given(given_in_rows(columns, [clause.values or ()]), reference, resolved)
    _check_defaults(clause, columns, reference, resolved, context)
    tenant = resolved.tenant_column
    if clause.values is None:
        if filter_expression(resolved) is not None:
            raise untestable_rows(resolved, reference)
        return [] if tenant is None else [_stamp_default_values(when, tenant, context)]
    listed, values = _brackets(clause, when, context)
    undo: list[Unwrap] = []
    if tenant is not None:
        context.note(f"{resolved.name}: rows are stamped with {tenant.name}")
        if tenant.name in columns:
            undo.append(_check_given(clause, columns.index(tenant.name), values, tenant, context))
        else:
            undo.append(_add_column(clause, columns, listed, values, tenant, context))
    if filter_expression(resolved) is not None:
        # taken away after the tenant's value, which stands last
        undo.append(_check_row(clause, columns, values, reference, resolved, context))
    return undo


def _columns(clause: Node, reference: Reference, resolved: Resolved) -> list[str] | None:
    """The columns that get a value; None when they are not known and need not be."""
    if clause.targetList:
        return [target.name for target in clause.targetList]
    if resolved.relation is None:
        return None
    known = [column.name for column in resolved.relation.columns]
    if len(clause.values or ()) > len(known):
        raise InvalidStatement("INSERT has more expressions than target columns", position=reference.position)
    return known[: len(clause.values or ())]


def _check_defaults(
    clause: Node, columns: list[str], reference: Reference, resolved: Resolved, context: Context
) -> None:
    if resolved.relation is None:
        return
    values = zip(columns, clause.values or (), strict=False)
    given = {name for name, value in values if not isinstance(value, ast.SetToDefault)}
    tenant = resolved.tenant_column
    filled = [c for c in resolved.relation.all_columns if c.name not in given and c is not tenant]
    check_defaults([*filled, *generated_columns(resolved)], reference, resolved, context)


def _brackets(clause: Node, when: WhenClause, context: Context) -> tuple[tuple[int, int] | None, tuple[int, int]]:
    """The brackets of the column list, if there is one, and of VALUES."""
    tokens = context.tokens
    index = when.then + 2
    listed = None
    if clause.targetList:
        listed = (index, tokens.closing(index))
        index = listed[1] + 1
    if tokens.name(index) == "OVERRIDING":
        index += 3
    values = (index + 1, tokens.closing(index + 1))
    if tokens.name(index) != "VALUES" or any(tokens.name(b[0]) != _OPEN for b in (listed, values) if b is not None):
        raise not_understood(context)
    if clause.targetList and len(clause.targetList) != len(clause.values):
        raise InvalidStatement(
            "INSERT has a different number of target columns and expressions", position=tokens.items[index].start + 1
        )
    return listed, values


def _stamp_default_values(when: WhenClause, tenant: Column, context: Context) -> Unwrap:
    tokens = context.tokens
    if tokens.name(when.then + 2) != "DEFAULT":
        raise not_understood(context)
    value = tenant_value(tenant)
    start, end = tokens.items[when.then + 2].start, tokens.end_before(when.end)
    context.replace(start, end, f"({quote_identifier(tenant.name)}) VALUES (", *value, ")")

    def undo(found: Node) -> Node:
        if len(found.values or ()) != 1 or not is_tenant_value(found.values[0], tenant):
            raise failed("tenant value")
        if [t.name for t in found.targetList or ()] != [tenant.name] or found.targetList[0].indirection:
            raise failed("column list")
        found.targetList = found.values = None
        return found

    return undo


def _add_column(
    clause: Node,
    columns: list[str],
    listed: tuple[int, int] | None,
    values: tuple[int, int],
    tenant: Column,
    context: Context,
) -> Unwrap:
    tokens = context.tokens
    if listed is not None:
        context.insert(tokens.items[listed[1]].start, f", {quote_identifier(tenant.name)}")
    else:
        names = ", ".join(quote_identifier(name) for name in (*columns, tenant.name))
        context.insert(tokens.end_before(values[0] - _words_before_values(clause)), f" ({names})")
    context.insert(tokens.items[values[1]].start, ",", *tenant_value(tenant))

    def undo(found: Node) -> Node:
        names = [target.name for target in found.targetList or ()]
        if names != [*columns, tenant.name] or found.targetList[-1].indirection:
            raise failed("column list")
        if not found.values or not is_tenant_value(found.values[-1], tenant):
            raise failed("tenant value")
        found.values = found.values[:-1]
        found.targetList = found.targetList[:-1] if clause.targetList else None
        return found

    return undo


def _words_before_values(clause: Node) -> int:
    """How many tokens stand between INSERT and the bracket of VALUES."""
    return 1 if clause.override == parse.enums.OverridingKind.OVERRIDING_NOT_SET else 4


def _check_given(clause: Node, number: int, values: tuple[int, int], tenant: Column, context: Context) -> Unwrap:
    if clause.targetList and clause.targetList[number].indirection:
        raise foreign_value(tenant, clause.targetList[number].location)
    unwrap = stamp_value(clause.values[number], *_span(values, number, context), tenant, context)
    return _at(number, unwrap)


def _check_row(
    clause: Node,
    columns: list[str],
    values: tuple[int, int],
    reference: Reference,
    resolved: Resolved,
    context: Context,
) -> Unwrap:
    if any(target.indirection for target in clause.targetList or ()):
        raise untestable_rows(resolved, reference)
    span_of: Callable[[str], Span] = lambda name: _span(values, columns.index(name), context)  # noqa: E731
    row = dict(zip(columns, clause.values, strict=False))
    chosen, unwrap = check_inserted(row, span_of, reference, resolved, context)
    return _at(columns.index(chosen), unwrap)


def _span(values: tuple[int, int], number: int, context: Context) -> Span:
    first, last = nth_item(values[0] + 1, values[1], number, context)
    return context.tokens.items[first].start, context.tokens.end_before(last)


def _at(number: int, unwrap: Unwrap) -> Unwrap:
    def undo(found: Node) -> Node:
        if len(found.values or ()) <= number:
            raise failed("VALUES")
        found.values = (*found.values[:number], unwrap(found.values[number]), *found.values[number + 1 :])
        return found

    return undo
