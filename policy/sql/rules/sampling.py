"""TABLESAMPLE of a guarded relation: a test for each row of the tenant takes the place of PostgreSQL's own methods.

They sample the table's pages: SYSTEM shows which rows share a page with those of others, REPEATABLE where rows
stand, and both read everybody's rows. So each visible row is taken with the probability that was asked for, as
BERNOULLI does; SYSTEM, which promises no more than about that share, is the same here. With REPEATABLE it depends on
a hash of the row's primary key (of all its columns where there is none) and the seed: the same rows each time. Masked
columns take no part in the hash, for one who chooses seeds could guess them.
"""

from __future__ import annotations

from typing import Any

from policy.errors import InvalidStatement, UnsupportedStatement
from policy.sql.context import Context
from policy.sql.guard import Pieces
from policy.sql.parse import ast
from policy.sql.plan import quote_identifier
from policy.sql.references import Reference, names_of
from policy.sql.resolve import Resolved

Node = Any

_PLAIN = (ast.A_Const, ast.ParamRef)
_MANTISSA = 2**53  # a float8 holds every whole number below it


def sampling_test(reference: Reference, resolved: Resolved, context: Context) -> Pieces:
    """The test that stands for a relation's TABLESAMPLE, which is taken out of the text; nothing when it has none."""
    sample = reference.sample
    if sample is None:
        return ()
    if resolved.source:
        raise InvalidStatement(
            "TABLESAMPLE clause can only be applied to tables and materialized views",
            sqlstate="42809",
            position=reference.position,
        )
    method = context.tokens.index_at(sample.location)
    opening = context.tokens.qualified_name_end(method)
    closing = context.tokens.closing(opening)
    if context.tokens.name(method - 1) != "TABLESAMPLE" or len(sample.args or ()) != 1:
        raise InvalidStatement(
            f"tablesample method {names_of(sample.method)[-1]} requires 1 argument",
            sqlstate="2202H",
            position=sample.location + 1,
        )
    _check_percentage(sample, context)
    percent = _argument(sample.args[0], opening, closing, context)
    end = closing
    draw: Pieces = ("pg_catalog.random() OPERATOR(pg_catalog.*) '100'::pg_catalog.float8",)
    if sample.repeatable is not None:
        end = context.tokens.closing(closing + 2)
        draw = _hash(_argument(sample.repeatable, closing + 2, end, context), resolved)
    context.replace(context.tokens.end_before(method - 1), context.tokens.items[end].end)
    context.note(f"{resolved.name}: the sample is of the tenant's rows")
    return ("(", *draw, " OPERATOR(pg_catalog.<) ", *percent, ")")


def _argument(node: Node, opening: int, closing: int, context: Context) -> Pieces:
    """A percentage or seed: a number or parameter, as the client wrote it."""
    if not isinstance(node.arg if isinstance(node, ast.TypeCast) else node, _PLAIN):
        raise UnsupportedStatement(
            "an expression in TABLESAMPLE is not supported",
            hint="Write the number itself, or a parameter.",
            position=context.tokens.items[opening].start + 1,
        )
    written = context.client_text(context.tokens.items[opening].end, context.tokens.items[closing].start)
    return ("(", written, ")::pg_catalog.float8")


def _check_percentage(sample: Node, context: Context) -> None:
    """As PostgreSQL does; a parameter's value is not seen here: out of range, it takes no row or every row."""
    argument = sample.args[0]
    if not isinstance(argument, ast.A_Const):
        return
    context.pin()
    try:
        value = argument.val
        number = float(value.ival or 0) if isinstance(value, ast.Integer) else float(getattr(value, "fval", "nan"))
    except ValueError:
        number = -1.0
    if not 0 <= number <= 100:
        raise InvalidStatement(
            "sample percentage must be between 0 and 100",
            sqlstate="2202H",
            hint="100 takes every row.",
            position=sample.location + 1,
        )


def _hash(seed: Pieces, resolved: Resolved) -> Pieces:
    """A number from 0 up to 100, made of a row's key and the seed."""
    assert resolved.relation is not None
    shown = [column.name for column in resolved.relation.columns if column.name not in resolved.access.masks]
    key = resolved.relation.primary_key
    names = key if key and set(key) <= set(shown) else shown
    row = "ROW(" + ", ".join(map(quote_identifier, names)) + ')::pg_catalog.text COLLATE pg_catalog."C"'
    return (
        f"(pg_catalog.hashtextextended({row}, pg_catalog.hashfloat8extended(",
        *seed,
        f", '0')) OPERATOR(pg_catalog.&) '{_MANTISSA - 1}'::pg_catalog.int8)::pg_catalog.float8"
        f" OPERATOR(pg_catalog./) '{_MANTISSA / 100}'::pg_catalog.float8",
    )
