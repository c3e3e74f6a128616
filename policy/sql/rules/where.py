"""Tests added to the WHERE of a query level or of a DML statement, and how the check takes them away again.

Plain: `tests AND (condition)`. As a barrier: `tests AND CASE WHEN tests THEN (condition) ELSE false END`: the tests
keep their index, and the client's condition is evaluated for rows that passed them only (corpus finding 1). Of the
operands of AND only those that need it are put into a CASE (conjuncts.py), or into a shield of their own (shields.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from policy.errors import UnsupportedStatement
from policy.sql.context import Context, Unwrap
from policy.sql.guard import Pieces, joined
from policy.sql.parse import ast, enums
from policy.sql.rules.conjuncts import leaky_operands, operands_in_text, operands_of
from policy.sql.tokens import CLOSE, Tokens
from policy.sql.verify import HOLE, client_part, failed, parse_condition, same_tree

Node = Any

CLAUSES = frozenset(
    {
        "WHERE",
        "GROUP_P",
        "HAVING",
        "WINDOW",
        "ORDER",
        "LIMIT",
        "OFFSET",
        "FETCH",
        "FOR",
        "UNION",
        "INTERSECT",
        "EXCEPT",
        "RETURNING",
    }
)


@dataclass(frozen=True, slots=True)
class Shield:
    """What stands around a condition, so that it is evaluated for rows of the tenant only."""

    before: Pieces
    after: Pieces

    def taken_from(self, found: Node) -> Node:
        """The condition out of the expression that it is now; raises unless the shield is there."""
        return client_part(found, (*self.before, HOLE, *self.after))


def case_shield(tests: Pieces) -> Shield:
    return Shield((" CASE WHEN ", *tests, " THEN ("), (") ELSE false END",))


Shields = Mapping[int, Shield | None]  # by id() of an operand of AND; None: it needs none


def add_tests(
    node: Node, inside: int, tests: Sequence[Pieces], barrier: bool, context: Context, shields: Shields | None = None
) -> None:
    """Add tests to the WHERE of a SELECT level; `inside`: offset of a relation that stands in its FROM."""
    clause = clause_after(from_keyword(inside, context.tokens) + 1, context.tokens)
    add_tests_at(node, clause, tests, barrier, context, shields)


def add_tests_at(
    node: Node, clause: int, tests: Sequence[Pieces], barrier: bool, context: Context, shields: Shields | None = None
) -> None:
    """Add tests to `node.whereClause`, whose WHERE, or where it is missing whose next clause, is token `clause`."""
    tokens = context.tokens
    if node.whereClause is None:
        context.insert(tokens.end_before(clause), " WHERE ", *joined(tests))
        context.expect(node, without_tests(node, "whereClause", tests))
        return
    if tokens.name(clause) != "WHERE":
        raise UnsupportedStatement("WHERE clause is not understood", position=context.statement.start + 1)
    span = clause + 1, clause_after(clause + 1, tokens)
    context.expect(node, enclose(node, "whereClause", span, tests, barrier, context, shields))


def enclose(
    node: Node,
    field: str,
    span: tuple[int, int],
    tests: Sequence[Pieces],
    barrier: bool,
    context: Context,
    shields: Shields | None = None,
) -> Unwrap:
    """Put tests before the condition in `field` of a node, the tokens `span`, and around what of it needs a barrier.

    shields: those of its operands, which then need no other barrier. Return what takes them away again.
    """
    tokens, tested = context.tokens, joined(tests)
    shielded = _shielded(node, field, span, tested, barrier, context, shields)
    start, end = tokens.end_before(span[0]), tokens.end_before(span[1])
    if shielded is None:
        whole = case_shield(tested)
        context.wrap(start, end, (" ", *tested, " AND", *whole.before), whole.after)
        return without_tests(node, field, tests, None)
    context.wrap(start, end, (" ", *tested, " AND ("), (")",))
    for (first, last), shield in shielded.values():
        context.wrap(tokens.items[first].start, tokens.end_before(last), shield.before, shield.after)
    return without_tests(node, field, tests, {number: shield for number, (_, shield) in shielded.items()})


def _shielded(
    node: Node,
    field: str,
    span: tuple[int, int],
    tested: Pieces,
    barrier: bool,
    context: Context,
    shields: Shields | None,
) -> dict[int, tuple[tuple[int, int], Shield]] | None:
    """Token ranges and shields of the operands that need one, by their numbers; None when all of the condition does."""
    condition = getattr(node, field)
    if shields is not None:
        operands = operands_in_text(condition, *span, context.tokens)
        if shields.keys() <= {id(operand) for operand, _ in operands}:
            pairs = ((number, span, shields.get(id(operand))) for number, (operand, span) in enumerate(operands))
            return {number: (span, shield) for number, span, shield in pairs if shield is not None}
        return None
    if not barrier:
        return {}
    leaky = leaky_operands(node, condition, *span, context) if _has_level(node) else None
    return None if leaky is None else {number: (span, case_shield(tested)) for number, span in leaky}


def _has_level(node: Node) -> bool:
    """Whether a node has the sources that its condition names."""
    return isinstance(node, ast.SelectStmt | ast.UpdateStmt | ast.DeleteStmt | ast.MergeStmt)


_NONE: Mapping[int, Shield] = {}


def without_tests(
    node: Node, field: str, tests: Sequence[Pieces], shields: Mapping[int, Shield] | None = _NONE
) -> Unwrap:
    """What takes the tests away again that `enclose` put around the condition in `field` of a node. shields: by the
    numbers of the operands that got one, None for a CASE around all of the condition."""
    had_condition = getattr(node, field) is not None

    def unwrap(found: Node) -> Node:
        if type(found) is not type(node):
            raise failed("WHERE")
        condition = getattr(found, field)
        if had_condition:
            setattr(found, field, _without(condition, joined(tests), shields))
        elif same_tree(condition, parse_condition(joined(tests))):
            setattr(found, field, None)
        else:
            raise failed("WHERE")
        return found

    return unwrap


def _without(where: Node, tested: Pieces, shields: Mapping[int, Shield] | None) -> Node:
    """The client's condition out of `tests AND condition`; AND is n-ary in the tree."""
    if not isinstance(where, ast.BoolExpr) or where.boolop != enums.BoolExprType.AND_EXPR:
        raise failed("WHERE")
    wanted = _arguments_of(parse_condition(tested))
    arguments: tuple[Node, ...] = where.args or ()
    *tests, rest = arguments
    if len(tests) != len(wanted) or not all(same_tree(a, b) for a, b in zip(tests, wanted, strict=True)):
        raise failed("WHERE")
    if shields is None:
        return case_shield(tested).taken_from(rest)
    if not shields:
        return rest
    operands = operands_of(rest)
    if max(shields) >= len(operands):
        raise failed("WHERE")
    if len(operands) == 1:
        return shields[0].taken_from(rest)
    rest.args = tuple(shields[n].taken_from(o) if n in shields else o for n, o in enumerate(operands))
    return rest


def _arguments_of(expected: Node) -> tuple[Node, ...]:
    is_and = isinstance(expected, ast.BoolExpr) and expected.boolop == enums.BoolExprType.AND_EXPR
    return tuple(expected.args or ()) if is_and else (expected,)


def clause_after(index: int, tokens: Tokens) -> int:
    """The first token from `index` on that begins another clause: also ON CONFLICT, after an INSERT's SELECT."""
    found = tokens.find({*CLAUSES, "ON"}, index)
    while tokens.name(found) == "ON" and not _is_on_conflict(found, tokens):
        found = tokens.find({*CLAUSES, "ON"}, found + 1)
    return found


def _is_on_conflict(index: int, tokens: Tokens) -> bool:
    return tokens.name(index + 1) == "CONFLICT" and tokens.name(index + 2) in ("DO", "ON", "ASCII_40")


def from_keyword(inside: int, tokens: Tokens) -> int:
    """Index of the FROM before an offset, out of the brackets of joins; not that of IS DISTINCT FROM or ROWS FROM."""
    index = tokens.index_at(inside) - 1
    while index >= 0:
        if tokens.name(index) in CLOSE:
            index = tokens.opening(index)
        elif tokens.name(index) == "FROM" and not _is_another_from(index, tokens):
            return index
        index -= 1
    raise UnsupportedStatement("FROM clause is not understood", position=inside + 1)


def _is_another_from(index: int, tokens: Tokens) -> bool:
    before = tokens.name(index - 1)
    return before in ("DISTINCT", "ASCII_46") or (before == "ROWS" and tokens.name(index + 1) == "ASCII_40")
