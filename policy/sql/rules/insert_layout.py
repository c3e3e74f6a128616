"""Where the parts of an INSERT stand in its text: column list, query, the arms of the query, rows, and target lists.

The tree tells what the parts are, tokens tell where; when the two disagree the statement is refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from policy.errors import UnsupportedStatement
from policy.sql import parse
from policy.sql.context import Context
from policy.sql.parse import Node, enums
from policy.sql.references import Reference
from policy.sql.tokens import CLOSE, Tokens

ast: Any = parse.ast

_OPEN, _CLOSE, _COMMA, _DOT = "ASCII_40", "ASCII_41", "ASCII_44", "ASCII_46"
_SET_OPERATIONS = frozenset({"UNION", "INTERSECT", "EXCEPT"})
_AFTER_TARGETS = _SET_OPERATIONS | {
    "INTO", "FROM", "WHERE", "GROUP_P", "HAVING", "WINDOW", "ORDER", "LIMIT", "OFFSET", "FETCH", "FOR",
    "ON", "RETURNING",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class InsertLayout:
    """Token indexes. columns: the brackets of the column list. query: its first token (of DEFAULT VALUES: DEFAULT), and
    the one after its last."""

    columns: tuple[int, int] | None
    name_end: int
    query: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Arm:
    """A leaf of the query's set operations: its tree and its first token (SELECT, VALUES or TABLE)."""

    node: Node
    index: int


def lay_out(node: Node, reference: Reference, context: Context) -> InsertLayout:
    """Find the parts of an INSERT. Raises UnsupportedStatement when the text is not understood."""
    tokens = context.tokens
    index = tokens.index_at(reference.end)
    if tokens.name(index) == "AS":
        index = tokens.qualified_name_end(index + 1)
    name_end, columns = index, None
    if node.cols:
        if tokens.name(index) != _OPEN:
            raise not_understood(context)
        columns = (index, tokens.closing(index))
        index = columns[1] + 1
    if tokens.name(index) == "OVERRIDING":
        index += 3
    return InsertLayout(columns, name_end, (index, _end_of_query(index, tokens)))


def not_understood(context: Context) -> UnsupportedStatement:
    """The refusal of a text whose parts could not be found."""
    return UnsupportedStatement(
        "INSERT is not understood",
        hint="Name the columns, without the tenant's, and write VALUES or a plain SELECT.",
        position=context.statement.start + 1,
    )


def _end_of_query(index: int, tokens: Tokens) -> int:
    end = tokens.find({"ON", "RETURNING"}, index)
    while tokens.name(end) == "ON" and tokens.name(end + 1) != "CONFLICT":
        end = tokens.find({"ON", "RETURNING"}, end + 1)
    return end


def arms_of(query: Node, layout: InsertLayout, context: Context) -> list[Arm]:
    """The leaves of a query in the order of the text. Raises UnsupportedStatement when tree and text disagree."""
    nodes = leaves(query)
    found = list(_arm_indexes(layout.query[0], layout.query[1], context.tokens))
    kinds = [context.tokens.name(index) for index in found]
    if len(nodes) != len(found) or any(
        (kind == "VALUES") != bool(node.valuesLists) for node, kind in zip(nodes, kinds, strict=True)
    ):
        raise not_understood(context)
    return [Arm(node, index) for node, index in zip(nodes, found, strict=True)]


def leaves(query: Node) -> list[Node]:
    """The SELECT and VALUES nodes of a chain of set operations, left to right."""
    pending, found = [query], []
    while pending:
        node = pending.pop()
        if node.op != enums.SetOperation.SETOP_NONE:
            pending += [node.rarg, node.larg]
        else:
            found.append(node)
    return found


def _arm_indexes(start: int, end: int, tokens: Tokens) -> Iterator[int]:
    """First tokens of the arms of the query in `[start, end)`, in order."""
    index: int | None = _skip_with(start, end, tokens)
    while index is not None and index < end:
        if tokens.name(index) in ("ALL", "DISTINCT"):
            index += 1
        if tokens.name(index) == _OPEN:
            yield from _arm_indexes(index + 1, tokens.closing(index), tokens)
        elif tokens.name(index) == "WITH":
            yield -1
        else:
            yield index
        following = find_clause(_SET_OPERATIONS, index, tokens)
        index = following + 1 if following < end and tokens.name(following) in _SET_OPERATIONS else None


def _skip_with(start: int, end: int, tokens: Tokens) -> int:
    """The first token after a WITH clause: a query keyword, or a bracket right after a CTE's."""
    if tokens.name(start) not in ("WITH", "WITH_LA"):
        return start
    index = start + 1
    while index < end:
        name = tokens.name(index)
        if name in ("SELECT", "TABLE") or (name == "VALUES" and tokens.name(index - 1) == _CLOSE):
            return index  # VALUES may be a CTE's name, too
        if name == _OPEN:
            if tokens.name(index - 1) == _CLOSE:
                return index
            index = tokens.closing(index)
        index += 1
    return end


def find_clause(names: frozenset[str], index: int, tokens: Tokens) -> int:
    """The next keyword of `names` at this depth that begins a clause: no label (`AS from`), no IS DISTINCT FROM, no
    DISTINCT ON, no WITHIN GROUP."""
    found = tokens.find(names, index)
    while tokens.name(found) in names and tokens.name(found) not in CLOSE:
        before = tokens.name(found - 1)
        distinct_from = tokens.name(found) == "FROM" and before == "DISTINCT"
        distinct_on = tokens.name(found) == "ON" and tokens.name(found + 1) != "CONFLICT"
        if before not in ("AS", "WITHIN") and not distinct_from and not distinct_on:
            break
        found = tokens.find(names, found + 1)
    return found


def is_star(value: Node) -> bool:
    """Whether an expression stands for any number of columns: `*`, `t.*`, `(f()).*`."""
    if isinstance(value, ast.ColumnRef):
        return isinstance(value.fields[-1], ast.A_Star)
    return isinstance(value, ast.A_Indirection) and isinstance(value.indirection[-1], ast.A_Star)


def rows_of(arm: Arm, context: Context) -> list[tuple[int, int]]:
    """The brackets of each row of a VALUES arm."""
    tokens = context.tokens
    rows: list[tuple[int, int]] = []
    index = arm.index + 1
    for _ in arm.node.valuesLists:
        if tokens.name(index) != _OPEN:
            raise not_understood(context)
        rows.append((index, tokens.closing(index)))
        index = rows[-1][1] + 2
    return rows


def end_of_targets(arm: Arm, context: Context) -> int:
    """Index of the token after the target list of a SELECT arm."""
    return find_clause(_AFTER_TARGETS, arm.index + 1, context.tokens)


def nth_item(start: int, end: int, number: int, context: Context) -> tuple[int, int]:
    """Token range of item `number` of the comma-separated list in `[start, end)`."""
    tokens = context.tokens
    first = start
    for _ in range(number):
        first = tokens.find({_COMMA}, first) + 1
        if first > end:
            raise not_understood(context)
    last = tokens.find({_COMMA}, first)
    return first, min(last, end)


def without_label(item: tuple[int, int], target: Node, context: Context) -> tuple[int, int]:
    """The expression of a target, without its label (`expr AS name`, `expr name`)."""
    start, end = item
    if target.name is None:
        return item
    return (start, end - 2) if context.tokens.name(end - 2) == "AS" else (start, end - 1)
