"""Tests added to the WHERE of a query level or of a DML statement, and how the check takes them away again.

Plain: `tests AND (condition)`. As a barrier: `tests AND CASE WHEN tests THEN (condition) ELSE false END`: the tests
keep their index, and the client's condition is evaluated for rows that passed them only (corpus finding 1). Of the
operands of AND only those that need it are put into a CASE (conjuncts.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from policy.errors import UnsupportedStatement
from policy.sql.context import Context, Unwrap
from policy.sql.guard import Pieces, joined
from policy.sql.parse import ast, enums
from policy.sql.rules.conjuncts import leaky_operands
from policy.sql.tokens import CLOSE, Tokens
from policy.sql.verify import failed, parse_condition, same_tree

Node = Any

_END: Pieces = (") ELSE false END",)

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
    clause = clause_after(from_keyword(inside, context.tokens) + 1, context.tokens)
    add_tests_at(node, clause, tests, barrier, context)


def add_tests_at(node: Node, clause: int, tests: Sequence[Pieces], barrier: bool, context: Context) -> None:
    """Add tests to `node.whereClause`, whose WHERE, or where it is missing whose next clause, is token `clause`."""
    tokens = context.tokens
    if node.whereClause is None:
        context.insert(tokens.end_before(clause), " WHERE ", *joined(tests))
        context.expect(node, without_tests(node, "whereClause", tests))
        return
    if tokens.name(clause) != "WHERE":
        raise UnsupportedStatement("WHERE clause is not understood", position=context.statement.start + 1)
    span = clause + 1, clause_after(clause + 1, tokens)
    context.expect(node, enclose(node, "whereClause", span, tests, barrier, context))


def enclose(
    node: Node, field: str, span: tuple[int, int], tests: Sequence[Pieces], barrier: bool, context: Context
) -> Unwrap:
    """Put tests before the condition in `field` of a node, the tokens `span`, and around what of it needs a barrier.

    Return what takes them away again.
    """
    tokens, tested = context.tokens, joined(tests)
    leaky = leaky_operands(node, getattr(node, field), *span, context) if barrier and _has_level(node) else None
    whole = barrier and leaky is None
    start, end = tokens.end_before(span[0]), tokens.end_before(span[1])
    opening: Pieces = (" AND CASE WHEN ", *tested, " THEN (") if whole else (" AND (",)
    context.wrap(start, end, (" ", *tested, *opening), _END if whole else (")",))
    for _, (first, last) in leaky or ():
        before = (" CASE WHEN ", *tested, " THEN (")
        context.wrap(tokens.items[first].start, tokens.end_before(last), before, _END)
    return without_tests(node, field, tests, None if whole else [number for number, _ in leaky or ()])


def _has_level(node: Node) -> bool:
    """Whether a node has the sources that its condition names."""
    return isinstance(node, ast.SelectStmt | ast.UpdateStmt | ast.DeleteStmt | ast.MergeStmt)


def without_tests(node: Node, field: str, tests: Sequence[Pieces], leaky: Sequence[int] | None = ()) -> Unwrap:
    """What takes the tests away again that `enclose` put around the condition in `field` of a node. leaky: the
    numbers of the operands that got a barrier, None for all of the condition."""
    had_condition = getattr(node, field) is not None

    def unwrap(found: Node) -> Node:
        if type(found) is not type(node):
            raise failed("WHERE")
        expected = parse_condition(joined(tests))
        condition = getattr(found, field)
        if had_condition:
            setattr(found, field, _without(condition, expected, leaky))
        elif same_tree(condition, expected):
            setattr(found, field, None)
        else:
            raise failed("WHERE")
        return found

    return unwrap


def _without(where: Node, expected: Node, leaky: Sequence[int] | None) -> Node:
    """The client's condition out of `expected AND condition`; AND is n-ary in the tree."""
    if not isinstance(where, ast.BoolExpr) or where.boolop != enums.BoolExprType.AND_EXPR:
        raise failed("WHERE")
    wanted = _arguments_of(expected)
    arguments: tuple[Node, ...] = where.args or ()
    *tests, rest = arguments
    if len(tests) != len(wanted) or not all(same_tree(a, b) for a, b in zip(tests, wanted, strict=True)):
        raise failed("WHERE")
    if leaky is None:
        return _out_of_case(rest, expected)
    operands: tuple[Node, ...] = rest.args or () if isinstance(rest, ast.BoolExpr) else ()
    if leaky and max(leaky) >= len(operands):
        raise failed("WHERE")
    if leaky:
        rest.args = tuple(_out_of_case(o, expected) if n in leaky else o for n, o in enumerate(operands))
    return rest


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
