"""Row filters and masks as policy authors write them: one SQL expression over the columns of one table.

Checked with sqlglot when the document is read. The rewriter parses them again with PostgreSQL's own grammar where
they are spliced in, so what passes here is not thereby trusted; here an author's slip gets a kind answer.
"""

from __future__ import annotations

import re

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

MAX_EXPRESSION_CHARS = 10_000

_ESCAPE_CODES = re.compile(r"\x1b\[[0-9;]*m")
_VALUE = re.compile(r"subject|tenant|attr_[A-Za-z0-9_]{1,60}")
_UNICODE_ESCAPE = re.compile(r"\b[uU]&['\"]")

_REFUSED: tuple[tuple[type[exp.Expr], str], ...] = (
    (exp.Query, "sub-queries are not allowed"),
    (exp.Values, "sub-queries are not allowed"),
    (exp.Table, "other tables are not allowed"),
    (exp.DDL, "must be an expression, not a statement"),
    (exp.DML, "must be an expression, not a statement"),
    (exp.Command, "must be an expression, not a statement"),
    (exp.Drop, "must be an expression, not a statement"),
    (exp.Alias, "must not have an alias"),
    (exp.Star, "must be a single expression, not *"),
    (exp.Window, "window functions are not allowed"),
    (exp.AggFunc, "aggregate functions are not allowed"),
    (exp.Parameter, "parameters such as $1 are not allowed"),
    (exp.Semicolon, "must be a single expression"),
)

VALUES_HINT = "Values of the session are :subject, :tenant and :attr_NAME."


def check_expression(text: str) -> None:
    """Raise ValueError, with the reason, unless `text` is one expression as described above."""
    if len(text) > MAX_EXPRESSION_CHARS or "\0" in text:
        raise ValueError(f"longer than {MAX_EXPRESSION_CHARS} characters, or holds NUL")
    for node in _parse(text).walk():
        for refused, reason in _REFUSED:
            if isinstance(node, refused):
                raise ValueError(reason)
        if isinstance(node, exp.Column) and node.table:
            raise ValueError(f"write column {node.name} without a table name before it")
        if isinstance(node, exp.Placeholder) and _VALUE.fullmatch(str(node.this or "")) is None:
            raise ValueError(f"unknown value :{node.this}. {VALUES_HINT}")


def columns_in(text: str) -> frozenset[str]:
    """The columns that a checked expression names, as the catalog has them."""
    found = (node for node in _parse(text).walk() if isinstance(node, exp.Column))
    return frozenset(node.name if node.this.args.get("quoted") else node.name.lower() for node in found)


def values_in(text: str) -> frozenset[str]:
    """The values of the session that a checked expression names, without their colons."""
    return frozenset(str(node.this) for node in _parse(text).walk() if isinstance(node, exp.Placeholder))


def _parse(text: str) -> exp.Expr:
    if _UNICODE_ESCAPE.search(text):  # sqlglot reads it as the operator &
        raise ValueError("write characters themselves instead of U& escapes")
    try:
        tokens = sqlglot.tokenize(text, read="postgres")
        statements = sqlglot.parse(text, read="postgres")
        sqlglot.parse_one(f"SELECT 1 WHERE ({text}\n)", read="postgres")
    except SqlglotError as error:
        message = _ESCAPE_CODES.sub("", str(error)).splitlines()[0] if str(error) else "syntax error"
        raise ValueError(f"cannot be parsed as one SQL expression: {message}") from None
    if any(token.comments for token in tokens):
        raise ValueError("comments are not allowed inside an expression")
    if len(statements) != 1 or statements[0] is None:
        raise ValueError("must be a single expression")
    return statements[0]
