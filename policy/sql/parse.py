"""The one door to PostgreSQL's own grammar (libpg_query, by way of pglast).

Nothing else imports pglast: `ast` and `enums` are handed on from here, so that the library can be exchanged in one
place. All offsets are 0-based characters of the text that was parsed; error positions are 1-based as PostgreSQL's.

Input is bounded before the parser sees it: libpg_query and its Python binding recurse on the C stack, and a chain
such as `1+1+1+…` is as deep as it is long.
"""

from __future__ import annotations

from collections.abc import Container, Iterator
from dataclasses import dataclass
from typing import Any

from pglast import ast, enums, parser

from policy.errors import InvalidStatement, UnsupportedStatement
from policy.sql.tokens import Token, Tokens

__all__ = [
    "Statement",
    "ast",
    "child_nodes",
    "enums",
    "fields_of",
    "fingerprint_of",
    "is_node",
    "parse_statements",
    "repeats_source",
    "scan",
    "text_constant",
    "walk",
]

Node = Any  # pglast's ast.Node; it ships no usable types

MAX_TEXT_CHARS = 1_000_000
MAX_CHAIN_TOKENS = 5_000

_COMMENTS = frozenset({"SQL_COMMENT", "C_COMMENT"})
_BRACKETS = {"ASCII_40": "ASCII_41", "ASCII_91": "ASCII_93", "CASE": "END_P"}
_CLOSING = frozenset(_BRACKETS.values())
_COMMA = "ASCII_44"
_SEPARATING = frozenset({_COMMA, "WHEN", "THEN", "ELSE"})
_CHAINING = frozenset({"UNION", "INTERSECT", "EXCEPT", "JOIN"})


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement of a query string: its tree, and where it stands (`end` excludes the semicolon)."""

    node: Node
    start: int
    end: int


def parse_statements(text: str, tokens: Tokens | None = None) -> tuple[Statement, ...]:
    """Parse a query string; `tokens`: of the same text, when it was scanned already.

    Raises InvalidStatement on a syntax error, UnsupportedStatement when the text is too big.
    """
    tokens = scan(text) if tokens is None else tokens
    found = []
    multiple = _may_assign_lists(tokens)
    for raw in _parse(text):
        if multiple:
            _keep_one_source(raw)
        end = raw.stmt_location + raw.stmt_len if raw.stmt_len else len(text)
        found.append(Statement(raw.stmt, raw.stmt_location, tokens.end_before(tokens.index_at(end))))
    return tuple(found)


def _may_assign_lists(tokens: Tokens) -> bool:
    """Whether `SET (a, b) = …` may occur."""
    return any(
        token.name == "ASCII_61" and tokens.name(index - 1) == "ASCII_41" for index, token in enumerate(tokens.items)
    )


def _keep_one_source(root: Node) -> None:
    """`SET (a, b) = (SELECT …)` has the sub-select once per column in the tree: leave it with the first only."""
    for node in walk(root):
        if isinstance(node, ast.MultiAssignRef) and node.colno != 1:
            node.source = None


def _parse(text: str) -> tuple[Any, ...]:
    try:
        return tuple(parser.parse_sql(text))
    except parser.ParseError as error:
        raise _syntax_error(error, text) from None
    except UnicodeEncodeError:
        raise InvalidStatement('invalid byte sequence for encoding "UTF8"', sqlstate="22021") from None


def _syntax_error(error: Any, text: str) -> InvalidStatement:
    message = str(error.args[0])
    location = error.args[1] if len(error.args) > 1 else None
    position = location + 1 if isinstance(location, int) and location >= 0 else len(text) + 1
    if message.startswith("memory exhausted"):
        return InvalidStatement("stack depth limit exceeded", sqlstate="54001", position=position)
    return InvalidStatement(message, position=position)


def scan(text: str) -> Tokens:
    """Split into PostgreSQL's tokens, without comments, and refuse what would exhaust the parser's stack.

    Raises InvalidStatement on a lexical error, UnsupportedStatement when the text is too long or too deep.
    """
    if len(text) > MAX_TEXT_CHARS:
        raise UnsupportedStatement(
            f"query string is longer than {MAX_TEXT_CHARS} characters",
            sqlstate="54000",
            hint="Send the data with COPY, or in several statements.",
        )
    if "\0" in text:
        raise InvalidStatement('invalid byte sequence for encoding "UTF8": 0x00', sqlstate="22021")
    try:
        raw = parser.scan(text)
    except parser.ParseError as error:
        raise _syntax_error(error, text) from None
    except UnicodeEncodeError:
        raise InvalidStatement('invalid byte sequence for encoding "UTF8"', sqlstate="22021") from None
    tokens = tuple(Token(t.name, t.start, t.end + 1) for t in raw if t.name not in _COMMENTS)
    _bound_depth(tokens)
    return Tokens(text, tokens)


@dataclass(slots=True)
class _Level:
    """What is between two brackets: the element since the last comma, and the deepest one before."""

    closes: str
    tokens: int = 0
    deepest: int = 0  # of the brackets in this element
    elements: int = 0  # depth of the deepest element that is over
    joins: int = 0  # chained across commas: joins and set operations

    def end_element(self) -> None:
        self.elements = max(self.elements, self.tokens + self.deepest)
        self.tokens = self.deepest = 0

    def depth(self) -> int:
        return max(self.elements, self.tokens + self.deepest) + self.joins


def _bound_depth(tokens: tuple[Token, ...]) -> None:
    """Bound the tree's depth from above: a chain is at most as deep as it has tokens, plus its deepest bracket."""
    if len(tokens) <= MAX_CHAIN_TOKENS:
        return
    levels = [_Level("")]
    for token in tokens:
        name = token.name
        level = levels[-1]
        if name in _BRACKETS:
            level.tokens += 1
            levels.append(_Level(_BRACKETS[name]))
        elif name in _CLOSING:
            _close(levels, name)
        elif name in _SEPARATING and (name == _COMMA or level.closes == "END_P"):
            level.end_element()
        else:
            level.tokens += 1
            level.joins += name in _CHAINING
            if level.tokens + level.deepest + level.joins <= MAX_CHAIN_TOKENS:
                continue
        if levels[-1].depth() > MAX_CHAIN_TOKENS:
            raise UnsupportedStatement(
                "statement is nested too deeply or has too long an expression",
                sqlstate="54001",
                position=token.start + 1,
                hint="Use IN (…) or = ANY (…) instead of a long chain of OR, or split the statement.",
            )


def _close(levels: list[_Level], name: str) -> None:
    """Leave a level. END may be a name: it closes a CASE only; a bracket also closes what is left of a CASE in it."""
    if name == "END_P" and levels[-1].closes != name:
        levels[-1].tokens += 1
        return
    while len(levels) > 1:
        inner = levels.pop()
        levels[-1].deepest = max(levels[-1].deepest, inner.depth())
        if inner.closes != "END_P" or name == "END_P":
            return


def fingerprint_of(text: str) -> str:
    """libpg_query's fingerprint: equal for statements that differ in constants only."""
    return str(parser.fingerprint(text))


_NODE = ast.Node
_FIELDS: dict[type, tuple[str, ...]] = {}
_POSITIONS = frozenset({"location", "stmt_location", "stmt_len", "rexpr_list_start", "rexpr_list_end"}) | {
    "list_start",  # of A_ArrayExpr
    "list_end",
    "payload_location",  # of NotifyStmt
}


def fields_of(cls: type) -> tuple[str, ...]:
    """Names of a node class's attributes without the positions."""
    found = _FIELDS.get(cls)
    if found is None:
        slots: Any = cls.__slots__  # type: ignore[attr-defined]
        found = _FIELDS[cls] = tuple(name for name in slots if name not in _POSITIONS)
    return found


def is_node(value: object) -> bool:
    return isinstance(value, _NODE)


def repeats_source(node: Node) -> bool:
    """Whether a node only repeats what an earlier one holds: of `SET (a, b) = (SELECT …)` each column has the query."""
    return isinstance(node, ast.MultiAssignRef) and node.colno != 1


def child_nodes(node: Node, skip: Container[str] = ()) -> Iterator[Node]:
    """The nodes directly below one, in field order, without the fields in `skip`; nested lists are flattened.

    What is repeated in the tree but stands in the text once (see `repeats_source`) comes once.
    """
    if repeats_source(node):
        return
    for name in fields_of(type(node)):
        if name in skip:
            continue
        value = getattr(node, name)
        if isinstance(value, _NODE):
            yield value
        elif isinstance(value, tuple):
            yield from _flatten(value)


def _flatten(values: tuple[Any, ...]) -> Iterator[Node]:
    for value in values:
        if isinstance(value, _NODE):
            yield value
        elif isinstance(value, tuple):
            yield from _flatten(value)


def text_constant(node: Node) -> str | None:
    """The text of a string constant, whatever it is cast to; None for anything else."""
    while isinstance(node, ast.TypeCast):
        node = node.arg
    if isinstance(node, ast.A_Const) and isinstance(node.val, ast.String):
        return str(node.val.sval)
    return None


def walk(node: Node) -> Iterator[Node]:
    """The node and everything below it, without recursion; order is not specified."""
    stack = [node]
    while stack:
        found = stack.pop()
        yield found
        stack.extend(child_nodes(found))
