"""The operands of AND in a condition: where they stand in its text, and which of them need a barrier.

A barrier hides what is in it from the planner: `CASE WHEN tests THEN (id = 7 AND lower(note) = 'x') …` finds no index
on id. So of `a AND b` only those operands get one that could tell of a row (leakproof.py); the others stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from policy.sql.context import Context
from policy.sql.leakproof import leaks
from policy.sql.parse import ast, enums
from policy.sql.tokens import Tokens

Node = Any


def leaky_operands(
    statement: Node, condition: Node, start: int, end: int, context: Context
) -> list[tuple[int, tuple[int, int]]] | None:
    """Number and token range of the operands that need a barrier, of the condition in the tokens `[start, end)`;
    None when all of it needs one."""
    operands = operands_in_text(condition, start, end, context.tokens)
    found = leaks(statement, [operand for operand, _ in operands], context)
    if len(operands) == 1:
        return None if found[0] else []
    return [(number, span) for number, ((_, span), leaky) in enumerate(zip(operands, found, strict=True)) if leaky]


def operands_in_text(condition: Node, start: int, end: int, tokens: Tokens) -> list[tuple[Node, tuple[int, int]]]:
    """The operands of AND with their token ranges; the condition itself where text and tree do not agree."""
    operands = operands_of(condition)
    ranges = list(_ranges(start, end, tokens))
    if len(operands) == 1 or len(ranges) != len(operands):  # brackets within brackets
        return [(condition, (start, end))]
    return list(zip(operands, ranges, strict=True))


def operands_of(condition: Node) -> tuple[Node, ...]:
    """Of AND; any other condition is its only one."""
    if isinstance(condition, ast.BoolExpr) and condition.boolop == enums.BoolExprType.AND_EXPR:
        return tuple(condition.args or ())
    return (condition,)


def _ranges(start: int, end: int, tokens: Tokens) -> Iterator[tuple[int, int]]:
    """Token ranges between the ANDs of this depth that do not belong to a BETWEEN. What is not understood comes out
    as another number of ranges, or as others than the tree says, which the check of the outcome finds."""
    first, index, between = start, start, False
    while True:
        index = tokens.find_past_case(("AND", "BETWEEN"), index)
        if index >= end or tokens.name(index) not in ("AND", "BETWEEN"):
            break
        if tokens.name(index) == "AND" and not between:
            yield first, index
            first = index + 1
        between = tokens.name(index) == "BETWEEN"
        index += 1
    yield first, end
