"""Where the arguments of a function call stand in the text."""

from __future__ import annotations

from typing import Any

from policy.errors import UnsupportedStatement
from policy.sql.parse import ast
from policy.sql.tokens import Tokens

_COMMA = "ASCII_44"


def argument_spans(call: Any, tokens: Tokens) -> tuple[tuple[int, int], ...]:
    """(start, end) of each argument. Raises UnsupportedStatement when they are not all given by position."""
    bracket = tokens.qualified_name_end(tokens.index_at(call.location))
    closing = tokens.closing(bracket)
    spans: list[tuple[int, int]] = []
    first = bracket + 1
    while first < closing:
        after = min(tokens.find({_COMMA}, first), closing)
        spans.append((tokens.items[first].start, tokens.end_before(after)))
        first = after + 1
    named = any(isinstance(argument, ast.NamedArgExpr) for argument in call.args or ())
    plain = not (named or call.func_variadic or call.agg_distinct or call.agg_order or call.agg_star)
    if tokens.name(bracket) != "ASCII_40" or not plain or len(spans) != len(call.args or ()):
        raise UnsupportedStatement("write the arguments by position", position=call.location + 1)
    return tuple(spans)
