"""Where the rows of an INSERT are tested against the roles' row filter (row_check.py): in each row of VALUES, or in the
target list of a plain SELECT."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from policy.sql import parse
from policy.sql.context import Context
from policy.sql.guard import filter_expression
from policy.sql.parse import Node, enums
from policy.sql.references import Reference
from policy.sql.resolve import Resolved
from policy.sql.rules import insert_layout as layout_of
from policy.sql.rules.insert_layout import Arm, InsertLayout, arms_of
from policy.sql.rules.row_check import Span, check_inserted, is_repeatable, untestable_rows
from policy.sql.rules.stamp import Unwrap
from policy.sql.verify import failed

ast: Any = parse.ast

Undo = Callable[[Node], None]


def check_rows(
    node: Node,
    columns: list[str] | None,
    layout: InsertLayout,
    reference: Reference,
    resolved: Resolved,
    context: Context,
) -> list[Undo]:
    """Test every new row where it stands; return what takes the tests away again. Raises a StatementRefused."""
    if filter_expression(resolved) is None:
        return []
    query = node.selectStmt
    if columns is None or query is None:
        raise untestable_rows(resolved, reference)
    if any(target.indirection for target in node.cols or ()):
        raise untestable_rows(resolved, reference)
    (arm,) = arms_of(query, layout, context)
    if query.valuesLists:
        return [_check_values(arm, columns, reference, resolved, context)]
    return [_check_select(arm, columns, reference, resolved, context)]


def cannot_be_tested_in_place(node: Node, columns: list[str], resolved: Resolved, context: Context) -> bool:
    """Whether a query's rows must be tested outside of it (insert_outside.py)."""
    expression = filter_expression(resolved)
    if expression is None or any(target.indirection for target in node.cols or ()):
        return False
    query = node.selectStmt
    targets = query.targetList or ()
    if query.op != enums.SetOperation.SETOP_NONE or query.distinctClause or len(targets) < len(columns):
        return True
    if any(layout_of.is_star(target.val) for target in targets):
        return True
    tested = (target.val for name, target in zip(columns, targets, strict=False) if name in expression.columns)
    return not all(is_repeatable(value, context) for value in tested)


def _check_values(arm: Arm, columns: list[str], reference: Reference, resolved: Resolved, context: Context) -> Undo:
    unwraps: list[tuple[int, Unwrap]] = []
    for row, (open_, close) in zip(arm.node.valuesLists, layout_of.rows_of(arm, context), strict=True):
        span_of = _spans(open_ + 1, close, columns, context)
        values = dict(zip(columns, row, strict=False))
        chosen, unwrap = check_inserted(values, span_of, reference, resolved, context)
        unwraps.append((columns.index(chosen), unwrap))

    def undo(found: Node) -> None:
        rows = found.selectStmt.valuesLists or ()
        if len(rows) != len(unwraps):
            raise failed("VALUES")
        found.selectStmt.valuesLists = tuple(
            (*row[:number], unwrap(row[number]), *row[number + 1 :])
            for row, (number, unwrap) in zip(rows, unwraps, strict=True)
        )

    return undo


def _spans(start: int, end: int, columns: list[str], context: Context) -> Callable[[str], Span]:
    """Offsets of the items of the list in the tokens `[start, end)`, by the column that each is for."""

    def span_of(column: str) -> Span:
        first, last = layout_of.nth_item(start, end, columns.index(column), context)
        return context.tokens.items[first].start, context.tokens.end_before(last)

    return span_of


def _check_select(arm: Arm, columns: list[str], reference: Reference, resolved: Resolved, context: Context) -> Undo:
    targets = arm.node.targetList or ()
    if context.tokens.name(arm.index) != "SELECT":
        raise untestable_rows(resolved, reference)
    first = arm.index + (2 if context.tokens.name(arm.index + 1) == "ALL" else 1)
    end = layout_of.end_of_targets(arm, context)
    by_column = dict(zip(columns, targets, strict=False))

    def span_of(column: str) -> Span:
        item = layout_of.nth_item(first, end, columns.index(column), context)
        start, last = layout_of.without_label(item, by_column[column], context)
        return context.tokens.items[start].start, context.tokens.end_before(last)

    values = {name: target.val for name, target in by_column.items()}
    chosen, unwrap = check_inserted(values, span_of, reference, resolved, context)
    number = columns.index(chosen)

    def undo(found: Node) -> None:
        same = found.selectStmt.targetList or ()
        if len(same) <= number:
            raise failed("target list")
        same[number].val = unwrap(same[number].val)

    return undo
