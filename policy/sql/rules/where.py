"""Tests added to the WHERE of a query level or of a DML statement, and how the check takes them away again.

Plain: `tests AND (condition)`. As a barrier: `tests AND CASE WHEN tests THEN (condition) ELSE false END`: the tests
keep their index, and the client's condition is evaluated for rows that passed them only (corpus finding 1).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from policy.errors import UnsupportedStatement
from policy.sql.context import Context, Unwrap
from policy.sql.guard import Pieces, joined
from policy.sql.parse import ast, enums
from policy.sql.plan import Piece
from policy.sql.tokens import CLOSE, Tokens
from policy.sql.verify import failed, parse_condition, same_tree

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


def add_tests(node: Node, inside: int, tests: Sequence[Pieces], barrier: bool, context: Context) -> None:
    """Add tests to the WHERE of a SELECT level; `inside`: offset of a relation that stands in its FROM."""
    clause = context.tokens.find(CLAUSES, from_keyword(inside, context.tokens) + 1)
    add_tests_at(node, clause, tests, barrier, context)


def add_tests_at(node: Node, clause: int, tests: Sequence[Pieces], barrier: bool, context: Context) -> None:
    """Add tests to `node.whereClause`, whose WHERE, or where it is missing whose next clause, is token `clause`."""
    tokens = context.tokens
    condition = joined(tests)
    if node.whereClause is None:
        context.insert(tokens.end_before(clause), " WHERE ", *condition)
    else:
        if tokens.name(clause) != "WHERE":
            raise UnsupportedStatement("WHERE clause is not understood", position=context.statement.start + 1)
        end = tokens.end_before(tokens.find(CLAUSES, clause + 1))
        before, after = enclosing(condition, barrier)
        context.wrap(tokens.items[clause].end, end, before, after)
    expect_tests(node, tests, barrier, context)


def enclosing(condition: Pieces, barrier: bool) -> tuple[tuple[Piece, ...], tuple[Piece, ...]]:
    """What stands before and after a client's condition."""
    if not barrier:
        return (" ", *condition, " AND ("), (")",)
    return (" ", *condition, " AND CASE WHEN ", *condition, " THEN ("), (") ELSE false END",)


def expect_tests(node: Node, tests: Sequence[Pieces], barrier: bool, context: Context) -> None:
    """Tell the check that `node.whereClause` has tests added as `enclosing` does."""
    context.expect(node, without_tests(node, "whereClause", tests, barrier))


def without_tests(node: Node, field: str, tests: Sequence[Pieces], barrier: bool) -> Unwrap:
    """What takes the tests away again that `enclosing` put around the condition in `field` of a node."""
    had_condition = getattr(node, field) is not None

    def unwrap(found: Node) -> Node:
        if type(found) is not type(node):
            raise failed("WHERE")
        expected = parse_condition(joined(tests))
        condition = getattr(found, field)
        if had_condition:
            setattr(found, field, _without(condition, expected, barrier))
        elif same_tree(condition, expected):
            setattr(found, field, None)
        else:
            raise failed("WHERE")
        return found

    return unwrap


def _without(where: Node, expected: Node, barrier: bool) -> Node:
    """The client's condition out of `expected AND condition`; AND is n-ary in the tree."""
    if not isinstance(where, ast.BoolExpr) or where.boolop != enums.BoolExprType.AND_EXPR:
        raise failed("WHERE")
    wanted = _arguments_of(expected)
    arguments: tuple[Node, ...] = where.args or ()
    *tests, rest = arguments
    if len(tests) != len(wanted) or not all(same_tree(a, b) for a, b in zip(tests, wanted, strict=True)):
        raise failed("WHERE")
    return _out_of_case(rest, expected) if barrier else rest


def _arguments_of(expected: Node) -> tuple[Node, ...]:
    is_and = isinstance(expected, ast.BoolExpr) and expected.boolop == enums.BoolExprType.AND_EXPR
    return tuple(expected.args or ()) if is_and else (expected,)


def _out_of_case(case: Node, expected: Node) -> Node:
    false = parse_condition(("false",))
    if not isinstance(case, ast.CaseExpr) or case.arg is not None:
        raise failed("WHERE")
    branches: tuple[Node, ...] = case.args or ()
    if len(branches) != 1 or not same_tree(branches[0].expr, expected) or not same_tree(case.defresult, false):
        raise failed("WHERE")
    return branches[0].result


def from_keyword(inside: int, tokens: Tokens) -> int:
    """Index of the FROM before an offset, out of the brackets of joins and not that of IS DISTINCT FROM."""
    index = tokens.index_at(inside) - 1
    while index >= 0:
        if tokens.name(index) in CLOSE:
            index = tokens.opening(index)
        elif tokens.name(index) == "FROM" and tokens.name(index - 1) not in ("DISTINCT", "ASCII_46"):
            return index
        index -= 1
    raise UnsupportedStatement("FROM clause is not understood", position=inside + 1)
