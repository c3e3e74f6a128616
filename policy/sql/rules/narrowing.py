"""Conditions that a guard takes into its sub-select, where a barrier would keep them from an index.

Behind `OFFSET 0` PostgreSQL reads all rows of the tenant, though `WHERE id = 7 AND lower(note) = 'x'` asks for one. So
the operands of AND that can tell nothing of a row (leakproof.py) and that are about one relation only are repeated in
its guard. The client's own WHERE stays as it is; what is repeated can only leave out rows that it leaves out.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from policy.errors import StatementRefused
from policy.sql.context import Context
from policy.sql.guard import Pieces, joined, needs_barrier
from policy.sql.leakproof import leaks
from policy.sql.parse import ast, parse_statements, walk
from policy.sql.plan import Piece, quote_identifier
from policy.sql.references import Reference, names_of
from policy.sql.resolve import Resolved
from policy.sql.rules.conjuncts import operands_in_text
from policy.sql.rules.where import CLAUSES, from_keyword
from policy.sql.verify import same_tree

Node = Any

_MAX_CHARS = 1000  # of an operand: it is kept once more in the plan
_AFTER_WHERE = CLAUSES | {"ON", "WITH", "WITH_LA"}  # ON CONFLICT, WITH NO DATA
_PLAIN = (
    ast.A_Expr, ast.BoolExpr, ast.NullTest, ast.BooleanTest, ast.ColumnRef, ast.A_Const, ast.ParamRef, ast.A_ArrayExpr,
    ast.TypeCast, ast.TypeName, ast.String, ast.Integer, ast.Float, ast.Boolean, ast.SQLValueFunction,
)  # fmt: skip


def narrowing_conditions(reference: Reference, resolved: Resolved, context: Context) -> Pieces:
    """What of its level's WHERE is to be repeated in a relation's guard, joined by AND; empty for nothing."""
    node = reference.scope.node
    if not isinstance(node, ast.SelectStmt) or node.whereClause is None or not needs_barrier(context):
        return ()
    if reference.nullable or reference.sample is not None or getattr(reference.node.alias, "colnames", None):
        return ()
    tokens = context.tokens
    clause = tokens.find(CLAUSES, from_keyword(reference.start, tokens) + 1)
    if tokens.name(clause) != "WHERE":
        return ()
    operands = operands_in_text(node.whereClause, clause + 1, tokens.find(_AFTER_WHERE, clause + 1), tokens)
    own = [(operand, span) for operand, span in operands if _is_about(operand, reference, resolved, context)]
    found = zip(own, leaks(node, [operand for operand, _ in own], context), strict=True)
    pieces = [_over_bare_columns(operand, *span, context) for (operand, span), leaky in found if not leaky]
    return joined([each for each in pieces if each])


def _is_about(operand: Node, reference: Reference, resolved: Resolved, context: Context) -> bool:
    """Whether an operand names columns of this relation, as they are, and nothing else."""
    assert resolved.relation is not None
    parts = list(walk(operand))
    columns: list[Node] = [part for part in parts if isinstance(part, ast.ColumnRef)]
    if not columns or not all(isinstance(part, _PLAIN) for part in parts):
        return False
    changed = resolved.access.masks.keys() | resolved.access.denied
    known = {column.name for column in resolved.relation.columns} - changed
    sources: tuple[Node, ...] = reference.scope.node.fromClause or ()
    alone = len(sources) == 1 and sources[0] is reference.node
    for column in columns:
        names = names_of(column.fields)
        own = names[:-1] == (reference.visible_name,) or (len(names) == 1 and alone)
        if isinstance(column.fields[-1], ast.A_Star) or not own or names[-1] not in known:
            return False
    return _settles_no_type(parts, context)


def _settles_no_type(parts: list[Node], context: Context) -> bool:
    """PostgreSQL gives a parameter the type of its first use, and the guard stands before the select list."""
    mine = {part.number for part in parts if isinstance(part, ast.ParamRef)}
    if not mine:
        return True
    uses = Counter(n.number for n in context.nodes if isinstance(n, ast.ParamRef))
    return all(uses[number] == 1 for number in mine)


def _over_bare_columns(operand: Node, first: int, last: int, context: Context) -> Pieces:
    """An operand's text in brackets, its columns without a qualifier; empty when long, or not what the tree says."""
    tokens = context.tokens
    start, end = tokens.items[first].start, tokens.end_before(last)
    if end - start > _MAX_CHARS or not _is_its_text(operand, context.text[start:end]):
        return ()
    out: list[Piece] = ["("]
    columns: list[Node] = [found for found in walk(operand) if isinstance(found, ast.ColumnRef)]
    for column in sorted(columns, key=lambda found: int(found.location)):
        name = tokens.index_at(column.location)
        out += [context.client_text(start, column.location), quote_identifier(names_of(column.fields)[-1])]
        start = tokens.end_before(tokens.qualified_name_end(name))
    return (*out, context.client_text(start, end), ")")


def _is_its_text(operand: Node, text: str) -> bool:
    try:
        return same_tree(parse_statements(f"SELECT WHERE {text}")[0].node.whereClause, operand)
    except StatementRefused:
        return False
