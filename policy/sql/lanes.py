"""Which statements may be shared by sessions, on a lane or as a prepared statement, and their text with parameters.

A lane (proxy/postgres/lanes) runs statements of many sessions in turn on one connection. What goes there reads only: it
may be run a second time elsewhere without anybody noticing. It touches nothing that belongs to a session or to the
transaction, and runs nothing that could: built-in functions that compute, and tables. What writes or locks may run as
a prepared statement all the same, on its session's own backend.

A statement of the simple protocol becomes one that is prepared once for all: its literals are parameters, typed as
PostgreSQL's parser types the literals themselves (an integer is int4, a string is of unknown type), and so are the
tenant's and the principal's values. Where a literal is part of the grammar or means something to the parser (a type's
length, ORDER BY 1, `interval '1 day'`) it stays. The outcome is parsed again and must be the same tree but for the
parameters; else the statement has no such form.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from policy.errors import StatementRefused
from policy.model import Isolation
from policy.sql import builtin_functions as builtin
from policy.sql.context import Context
from policy.sql.parse import Node, ast, enums, fields_of, is_node, parse_statements, walk
from policy.sql.plan import ClientText, CompiledQuery, Piece, Slot, SlotKind, StatementKind
from policy.sql.shape import shape_of
from policy.sql.user_code import user_code_of

UNKNOWN, INT8, INT4, NUMERIC = 0, 20, 23, 1700  # OIDs
MAX_PARAMETERS = 64
MAX_CHARACTERS = 4_096  # of what is sent: longer statements are not worth it, and finding their form costs the loop
_MAX_ATTEMPTS = 8
_COMPUTING = frozenset().union(
    builtin.MATHEMATICS, builtin.STRINGS, builtin.DATES, builtin.CONVERSIONS, builtin.JSON, builtin.ARRAYS,
    builtin.RANGES, builtin.TEXT_SEARCH, builtin.GEOMETRY_AND_NETWORK, builtin.XML, builtin.AGGREGATES,
    builtin.WINDOWS, builtin.ENUMS_AND_UUIDS, builtin.SETS_AND_VALUES,
)  # fmt: skip
_PLAIN_TABLES = ("r", "p")
_PREPARABLE = (ast.SelectStmt, ast.InsertStmt, ast.UpdateStmt, ast.DeleteStmt)
_PARAMETERS = frozenset({SlotKind.LITERAL, SlotKind.TENANT, SlotKind.SUBJECT, SlotKind.ATTRIBUTE})
_LARGEST_INT4, _LARGEST_INT8 = 2**31 - 1, 2**63 - 1


def may_share(context: Context) -> bool:
    """Whether the statement that was compiled in this context may run on a lane, as far as policy can tell."""
    if context.kind is not StatementKind.READ or context.write:
        return False
    if not isinstance(context.statement.node, ast.SelectStmt) or not may_prepare(context):
        return False
    return not any(isinstance(node, ast.LockingClause) for node in context.nodes)


def may_prepare(context: Context) -> bool:
    """Whether it may run as a shared prepared statement on its session's own backend: it may write and lock, too."""
    if context.kind not in (StatementKind.READ, StatementKind.WRITE) or context.settings or context.pins:
        return False
    if not isinstance(context.statement.node, _PREPARABLE) or not _without_user_code(context):
        return False
    if context.session_action or not all(_is_plain_table(name, context) for name in context.relations):
        return False
    return all(_only_computes(node, context) for node in context.nodes)


def _without_user_code(context: Context) -> bool:
    """In a database of its own a tenant may have code that does anything, behind operators and casts, too."""
    if context.access.isolation is not Isolation.DATABASE:
        return True  # unreviewed code was refused
    code = user_code_of(context.catalog)
    return not code.operators and not code.casts


def _is_plain_table(qualified: str, context: Context) -> bool:
    at = qualified.find(".")
    while at >= 0:
        relation = context.catalog.relations.get((qualified[:at], qualified[at + 1 :]))
        if relation is not None:
            return relation.kind in _PLAIN_TABLES and not relation.has_rules
        at = qualified.find(".", at + 1)
    return False


def _only_computes(node: Node, context: Context) -> bool:
    if isinstance(node, ast.FuncCall):
        names = [part.sval for part in node.funcname or ()]
        own = len(names) == 1 or names[:-1] == ["pg_catalog"]
        return own and names[-1] in _COMPUTING and names[-1] not in context.catalog.user_functions
    return not isinstance(node, (ast.IntoClause, ast.RangeTableSample, ast.CurrentOfExpr))


@dataclass(frozen=True, slots=True)
class ParameterForm:
    """A statement with parameters in place of values.

    pieces: its text; slots that are left in it are filled by the session. parameters: what $1, $2 … stand for.
    """

    pieces: tuple[str | Slot, ...]
    parameters: tuple[Slot, ...]


def parameter_form(compiled: CompiledQuery) -> ParameterForm | None:
    """The form of a query string that is one statement which may be prepared, else None."""
    if len(compiled.plans) != 1 or not compiled.plans[0].preparable or _is_long(compiled.plans[0].pieces):
        return None
    sample = _Sample(compiled)
    kept: set[int] = set()
    for _ in range(_MAX_ATTEMPTS):
        candidates = [slot for slot in sample.slots if slot not in kept]
        if len(candidates) > MAX_PARAMETERS:
            return None
        try:
            tree = parse_statements(sample.text(candidates))[0].node
        except StatementRefused as error:
            found = sample.slot_at(error.position - 1, candidates)
            if found is None:
                return None
            kept.add(found)
            continue
        misplaced = _misplaced(tree)
        if not misplaced:
            return sample.form(candidates) if _same(sample.tree, tree, len(candidates)) else None
        kept.update(candidates[number - 1] for number in misplaced)
    return None


def _is_long(pieces: tuple[Piece, ...]) -> bool:
    texts = (piece if isinstance(piece, str) else piece.text for piece in pieces if not isinstance(piece, Slot))
    return sum(map(len, texts)) > MAX_CHARACTERS


class _Sample:
    """A plan rendered with sample values. slots: the pieces, by number, that may become parameters."""

    def __init__(self, compiled: CompiledQuery) -> None:
        plan = compiled.plans[0]
        shape = shape_of(plan.original) if compiled.by_shape else None
        literals = shape.literals if shape is not None else ()
        self._pieces = plan.pieces
        self._texts = [_sample_text(piece, literals) for piece in plan.pieces]
        self.slots = [n for n, piece in enumerate(plan.pieces) if isinstance(piece, Slot) and piece.kind in _PARAMETERS]
        self.tree = parse_statements("".join(self._texts))[0].node

    def text(self, candidates: list[int]) -> str:
        """With parameters in these slots."""
        return "".join(self._with_parameters(candidates))

    def _with_parameters(self, candidates: list[int]) -> list[str]:
        texts = list(self._texts)
        for number, slot in enumerate(candidates, 1):
            texts[slot] = f" ${number} "
        return texts

    def slot_at(self, offset: int, candidates: list[int]) -> int | None:
        """The parameter that stands at an offset of `text(candidates)`."""
        at = 0
        for number, text in enumerate(self._with_parameters(candidates)):
            if at <= offset < at + len(text):
                return number if number in candidates else None
            at += len(text)
        return None

    def form(self, candidates: list[int]) -> ParameterForm:
        pieces: list[str | Slot] = []
        for number, text in enumerate(self._with_parameters(candidates)):
            piece = self._pieces[number]
            pieces.append(piece if isinstance(piece, Slot) and number not in candidates else text)
        parameters = [piece for n in candidates if isinstance(piece := self._pieces[n], Slot)]
        return ParameterForm(tuple(pieces), tuple(parameters))


def _sample_text(piece: Piece, literals: tuple[str, ...]) -> str:
    if isinstance(piece, str):
        return piece
    if isinstance(piece, ClientText):
        return piece.text
    if piece.kind is SlotKind.LITERAL:
        return literals[piece.index]
    return '"sample"' if piece.kind is SlotKind.SCHEMA else "'sample'"


def _misplaced(tree: Node) -> set[int]:
    """Parameters where a constant is no value: a type's length, a position in ORDER BY, GROUP BY and DISTINCT ON."""
    found: set[int] = set()
    for node in walk(tree):
        if isinstance(node, ast.TypeName):
            found |= _parameters(node.typmods)
        elif isinstance(node, ast.SortBy):
            found |= _parameters((node.node,))
        elif isinstance(node, ast.GroupingSet):
            found |= _parameters(node.content)
        elif isinstance(node, ast.InferClause):  # ON CONFLICT finds its index by the very expressions
            found |= {int(each.number or 0) for each in walk(node) if isinstance(each, ast.ParamRef)}
        elif isinstance(node, ast.SelectStmt):
            found |= _parameters(node.groupClause) | _parameters(node.distinctClause)
        elif isinstance(node, ast.FuncCall) and node.funcformat == enums.CoercionForm.COERCE_SQL_SYNTAX:
            found |= _parameters(node.args)  # EXTRACT('year' FROM …)
        elif isinstance(node, ast.TypeCast) and _stands_before(node.typeName, node.arg):
            found |= _parameters((node.arg,))
    return found


def _stands_before(type_name: Node, value: Node) -> bool:
    """`date '2024-01-01'`: libpg_query takes a parameter there, PostgreSQL does not."""
    return isinstance(value, ast.ParamRef) and (type_name.location or 0) < (value.location or 0)


def _parameters(nodes: Any) -> set[int]:
    found = (_negated(node) or node for node in nodes or ())
    return {int(node.number or 0) for node in found if isinstance(node, ast.ParamRef)}


def _negated(node: Any) -> Node | None:
    """The parameter of `- $1`: where a literal stands the parser makes a negative constant of it."""
    if not isinstance(node, ast.A_Expr) or node.lexpr is not None or not isinstance(node.rexpr, ast.ParamRef):
        return None
    minus = node.kind == enums.A_Expr_Kind.AEXPR_OP and [part.sval for part in node.name or ()] == ["-"]
    return node.rexpr if minus else None


def _is_negated_int4(node: Any) -> bool:
    """`-3`, not `-2147483648`, which is an int4 while the negation of its parameter is an int8."""
    if not isinstance(node, ast.A_Const) or not isinstance(node.val, ast.Integer):
        return False
    return -_LARGEST_INT4 <= (node.val.ival or 0) <= 0


def _same(before: Node, after: Node, count: int) -> bool:
    """Two trees are equal but for `count` parameters, each once, in place of constants."""
    seen: set[int] = set()
    stack: list[tuple[Any, Any]] = [(before, after)]
    while stack:
        old, new = stack.pop()
        if _is_negated_int4(old):
            new = _negated(new) or new
        if isinstance(new, ast.ParamRef):
            number = int(new.number or 0)
            if not isinstance(old, ast.A_Const) or number in seen:
                return False
            seen.add(number)
        elif is_node(old):
            if type(old) is not type(new):
                return False
            stack.extend((getattr(old, name), getattr(new, name)) for name in fields_of(type(old)))
        elif isinstance(old, tuple):
            if not isinstance(new, tuple) or len(old) != len(new):
                return False
            stack.extend(zip(old, new, strict=True))
        elif old != new:
            return False
    return seen == set(range(1, count + 1))


def literal_type(literal: str) -> int:
    """The type OID that PostgreSQL's parser gives a literal: int4, int8 or numeric by its value, or unknown."""
    if literal.startswith("'"):
        return UNKNOWN
    if not literal.isdigit() or int(literal) > _LARGEST_INT8:
        return NUMERIC
    return INT4 if int(literal) <= _LARGEST_INT4 else INT8
