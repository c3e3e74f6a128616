"""Row filters and masks: SQL expressions of roles, turned into pieces that stand for one table's row.

An expression may use the table's columns, reviewed functions and `:subject`, `:tenant`, `:attr_<name>`; no sub-selects,
no aggregates. Its text is kept: columns are qualified and names replaced in place, found with PostgreSQL's own parser.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from policy.errors import StatementRefused, UnsupportedStatement
from policy.sql.parse import ast, parse_statements, scan, walk
from policy.sql.plan import Piece, Slot, SlotKind, quote_identifier
from policy.sql.tokens import Tokens

_ATTRIBUTE = "attr_"
_NEVER = (ast.RangeVar, ast.ParamRef, ast.WindowDef, ast.A_Star)
_NO_ROWS_OF_OTHERS = (ast.SubLink, ast.RangeVar, ast.SelectStmt, ast.ParamRef, ast.WindowDef, ast.A_Star)


@dataclass(frozen=True, slots=True)
class _Hole:
    """A place in the expression's text that is not kept: a session value, or a column to be qualified."""

    start: int
    end: int
    slot: Slot | None
    column: str = ""


@dataclass(frozen=True, slots=True)
class RoleExpression:
    """A parsed expression. `node` is its tree (session values stand there as strings), for leak classification."""

    text: str
    node: Any
    holes: tuple[_Hole, ...]

    def pieces(self, qualifier: str) -> tuple[Piece, ...]:
        """The expression over the columns of what SQL text `qualifier` names (an alias, already quoted; "": bare)."""
        dot = f"{qualifier}." if qualifier else ""
        return self.with_values({name: (dot + quote_identifier(name),) for name in self.columns})

    def with_values(self, values: Mapping[str, tuple[Piece, ...]]) -> tuple[Piece, ...]:
        """The expression with these pieces in place of its columns."""
        out: list[Piece] = []
        at = 0
        for hole in self.holes:
            out.append(self.text[at : hole.start])
            out += values[hole.column] if hole.slot is None else (" ", hole.slot, " ")
            at = hole.end
        out.append(self.text[at:])
        return tuple(out)

    @property
    def columns(self) -> frozenset[str]:
        """The columns that the expression names."""
        return frozenset(hole.column for hole in self.holes if hole.slot is None)

    @property
    def is_null(self) -> bool:
        return isinstance(self.node, ast.A_Const) and bool(self.node.isnull)


def parse_role_expression(
    text: str, columns: Collection[str], where: str, *, of_library: bool = False
) -> RoleExpression:
    """Parse a filter or mask over a table with these columns; `where` names it in errors.

    of_library: the gateway's own text (policy/abac/masks.py), which may have sub-selects over its one value.

    Raises UnsupportedStatement when the policy's expression cannot be used: the statement is refused then.
    """
    try:
        return _parse(text, tuple(columns), of_library)
    except StatementRefused as error:
        raise UnsupportedStatement(
            f"{where} cannot be applied: {error.message}",
            sqlstate="42501",
            hint="The policy has an error; ask your administrator to run tenantgate check-config.",
        ) from None


@lru_cache(maxsize=4096)
def _parse(text: str, columns: tuple[str, ...], of_library: bool) -> RoleExpression:
    prefix = "SELECT ("
    session, plain = _session_values(text)
    source = f"{prefix}{plain}\n)"
    tokens = scan(source)
    if tokens.closing(1) != len(tokens.items) - 1:
        raise UnsupportedStatement("unbalanced brackets or comment")
    statements = parse_statements(source, tokens)
    select: Any = statements[0].node if len(statements) == 1 else None
    if not isinstance(select, ast.SelectStmt) or len(select.targetList or ()) != 1:
        raise UnsupportedStatement("not one expression")
    node: Any = (select.targetList or ())[0].val
    holes = list(session)
    for found in walk(node):
        if isinstance(found, _NO_ROWS_OF_OTHERS) and not (of_library and not isinstance(found, _NEVER)):
            raise UnsupportedStatement("sub-selects, parameters and windows may not stand in a filter or mask")
        if isinstance(found, ast.ColumnRef) and not (of_library and len(found.fields or ()) > 1):
            holes.append(_column(found, tokens, len(prefix), columns))
    holes.sort(key=lambda hole: hole.start)
    return RoleExpression(plain, node, tuple(holes))


def _session_values(text: str) -> tuple[list[_Hole], str]:
    """Replace `:name` by a string constant of the same length, so that offsets stay right."""
    # A colon in the text is no token error for PostgreSQL's scanner: it comes as ASCII_58.
    tokens = scan(text)
    holes: list[_Hole] = []
    out = text
    for index, token in enumerate(tokens.items):
        following = tokens.items[index + 1] if index + 1 < len(tokens.items) else None
        if token.name != "ASCII_58" or following is None or following.start != token.end:
            continue
        slot = _slot(tokens.word(index + 1))
        holes.append(_Hole(token.start, following.end, slot))
        constant = "'" + "x" * (following.end - token.start - 2) + "'"
        out = out[: token.start] + constant + out[following.end :]
    return holes, out


def _slot(name: str) -> Slot:
    if name == "subject":
        return Slot(SlotKind.SUBJECT)
    if name == "tenant":
        return Slot(SlotKind.TENANT)
    if name.startswith(_ATTRIBUTE) and len(name) > len(_ATTRIBUTE):
        return Slot(SlotKind.ATTRIBUTE, name=name.removeprefix(_ATTRIBUTE))
    raise UnsupportedStatement(f"unknown name :{name}")


def _column(node: Any, tokens: Tokens, shift: int, columns: tuple[str, ...]) -> _Hole:
    fields = node.fields
    name = fields[-1].sval if isinstance(fields[-1], ast.String) else "*"
    if len(fields) != 1 or name not in columns:
        raise UnsupportedStatement(f"column {name} does not exist in the table, or is qualified")
    index = tokens.index_at(node.location)
    end = tokens.end_before(tokens.qualified_name_end(index))
    return _Hole(node.location - shift, end - shift, None, name)
