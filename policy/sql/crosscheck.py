"""A second opinion: sqlglot parses the client's query too and must see the same relations.

Two independent parsers, because a parser differential is how SQL proxies are broken. pglast stays the authority: where
sqlglot cannot parse, or falls back to an opaque command, the statement rests on pglast and the check of the
outcome, and is counted here for the metrics.
"""

from __future__ import annotations

import logging
from collections import Counter

import sqlglot
from sqlglot import exp
from sqlglot.dialects.postgres import Postgres
from sqlglot.errors import SqlglotError

from policy.errors import UnsupportedStatement
from policy.sql.context import Context
from policy.sql.parse import ast
from policy.sql.references import Place

# sqlglot warns with the statement's own text
logging.getLogger("sqlglot").setLevel(logging.CRITICAL)

_CHECKED = (ast.SelectStmt, ast.InsertStmt, ast.UpdateStmt, ast.DeleteStmt)
_MAX_CHARS = 50_000  # beyond, its time grows out of proportion; such texts are bulk data

Name = tuple[str, str]


class _Reader(Postgres):
    """PostgreSQL's dialect without rewriting of subscripts, which costs the square of a chain `x[1][1]…`."""

    INDEX_OFFSET = 0


class Counts:
    """What became of cross-checks since the process started; plain ints for the metrics."""

    __slots__ = ("agreed", "differed", "unparsed")

    def __init__(self) -> None:
        self.agreed = 0
        self.differed = 0
        self.unparsed = 0


COUNTS = Counts()


def cross_check(context: Context) -> None:
    """Compare the relations that both parsers name. Raises UnsupportedStatement when they differ."""
    if not isinstance(context.statement.node, _CHECKED):
        return
    theirs = _names_by_sqlglot(context.text[context.statement.start : context.statement.end])
    if theirs is None:
        COUNTS.unparsed += 1
        return
    made = context.into is not None  # INTO names a table, too
    ours = Counter((r.schema or "", r.name) for r in context.references.all if made or r.place is not Place.OTHER)
    if ours != theirs:
        COUNTS.differed += 1
        raise UnsupportedStatement(
            "statement is ambiguous: two parsers do not agree on the tables it names",
            hint="Write it more simply: quote names that are keywords, give sub-selects an alias.",
            position=context.statement.start + 1,
        )
    COUNTS.agreed += 1


def _names_by_sqlglot(sql: str) -> Counter[Name] | None:
    """(schema, name) of every table in FROM, INTO and the like; None when sqlglot does not understand the text."""
    if len(sql) > _MAX_CHARS:
        return None
    try:
        parsed = sqlglot.parse(sql, dialect=_Reader)
    except (SqlglotError, RecursionError, ValueError, TypeError, AttributeError, IndexError):
        return None
    if len(parsed) != 1 or parsed[0] is None or parsed[0].find(exp.Command) is not None:
        return None
    if not isinstance(parsed[0], exp.Query | exp.Insert | exp.Update | exp.Delete):
        return None
    return Counter(_name(t) for t in parsed[0].find_all(exp.Table) if _is_relation(t))


def _is_relation(table: exp.Table) -> bool:
    """Not a function in FROM, and not the name in FOR UPDATE OF."""
    return isinstance(table.this, exp.Identifier) and not isinstance(table.parent, exp.Lock)


def _name(table: exp.Table) -> Name:
    schema = table.args.get("db")
    return (_folded(schema) if schema is not None else "", _folded(table.this))


def _folded(identifier: exp.Expression) -> str:
    """As PostgreSQL stores it: unquoted ASCII folded, cut at 63 bytes."""
    name = identifier.name
    if not identifier.args.get("quoted"):
        name = "".join(c.lower() if c.isascii() else c for c in name)
    return name.encode()[:63].decode(errors="ignore")
