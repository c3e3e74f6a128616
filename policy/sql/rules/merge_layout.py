"""Where the parts of a MERGE stand in its text: ON, and of each WHEN its condition, its THEN and its end.

The tree has no positions for them. CASE has a WHEN and a THEN of its own, so it is passed over like a bracket.
"""

from __future__ import annotations

from dataclasses import dataclass

from policy.errors import UnsupportedStatement
from policy.sql.context import Context
from policy.sql.parse import Node
from policy.sql.references import Reference


@dataclass(frozen=True, slots=True)
class WhenClause:
    """Token indexes. condition: the first token after AND, None without one. end: the token after the action."""

    condition: int | None
    then: int
    end: int


@dataclass(frozen=True, slots=True)
class MergeLayout:
    """on: index of ON. whens: in the order of the text, the first of which begins at token `first`."""

    on: int
    first: int
    whens: tuple[WhenClause, ...]


def lay_out(node: Node, reference: Reference, context: Context) -> MergeLayout:
    """Find the parts of a MERGE. Raises UnsupportedStatement when text and tree disagree."""
    tokens = context.tokens
    using = tokens.find({"USING"}, tokens.index_at(reference.end))
    on = 0
    first = tokens.find_past_case({"ON", "WHEN"}, using + 1)
    while tokens.name(first) == "ON":  # the source may be a join without brackets, which has ONs of its own
        on = first
        first = tokens.find_past_case({"ON", "WHEN"}, first + 1)
    whens: list[WhenClause] = []
    index = first
    while tokens.name(index) == "WHEN":
        start = tokens.find({"AND", "THEN"}, index + 1)
        then = tokens.find_past_case({"THEN"}, start)
        end = tokens.find_past_case({"WHEN", "RETURNING"}, then + 1)
        whens.append(WhenClause(start + 1 if tokens.name(start) == "AND" else None, then, end))
        index = end
    same = len(whens) == len(node.mergeWhenClauses) and all(
        (when.condition is None) == (clause.condition is None)
        for when, clause in zip(whens, node.mergeWhenClauses, strict=True)
    )
    if not on or not same:
        raise not_understood(context)
    return MergeLayout(on, first, tuple(whens))


def not_understood(context: Context) -> UnsupportedStatement:
    """The refusal of a text whose parts could not be found."""
    return UnsupportedStatement(
        "MERGE is not understood",
        hint="Name the columns of INSERT, and put long conditions in brackets.",
        position=context.statement.start + 1,
    )
