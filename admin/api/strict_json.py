"""Bodies of requests: JSON that has one meaning only, bounded in size and depth (RFC 8259, with the doubts refused).

Refused: a member that is named twice (two readers would take different ones), NaN and Infinity, numbers that no
double holds, text that UTF-8 or PostgreSQL cannot hold (lone surrogates, NUL), nesting beyond `MAX_DEPTH`.
"""

from __future__ import annotations

import json
import math
import re

MAX_DEPTH = 32
_MAX_DIGITS = 400  # of one number: more is no number that anybody stores
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_BRACKET = re.compile(rb"[\[\]{}]")
_OPENING = frozenset(b"[{")


class NotJson(ValueError):
    """The text says what is wrong, and nothing of the body beyond a member's name."""


def parse_strict(data: bytes) -> object:
    """The value. Raises NotJson."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise NotJson(f"is not UTF-8 (at byte {error.start})") from None
    if _depth(data) > MAX_DEPTH:
        raise NotJson(f"is nested deeper than {MAX_DEPTH}")
    try:
        value: object = json.loads(
            text, object_pairs_hook=_members, parse_constant=_constant, parse_float=_float, parse_int=_int
        )
    except json.JSONDecodeError as error:
        raise NotJson(f"is not JSON: {error.msg} (line {error.lineno}, column {error.colno})") from None
    except RecursionError:
        raise NotJson("is nested too deeply") from None
    _check_texts(value)
    return value


def _depth(data: bytes) -> int:
    """How deep brackets go. In what is not JSON it may be too much, never too little for what a parser would open."""
    deepest = depth = 0
    for match in _BRACKET.finditer(_STRING.sub(b"", data)):
        if match[0][0] in _OPENING:
            depth += 1
            deepest = max(deepest, depth)
        else:
            depth -= 1
    return deepest


def _members(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise NotJson(f"names the member {twice[:60]!r} twice")
    return members


def _constant(name: str) -> object:
    raise NotJson(f"holds {name}, which is not JSON")


def _float(text: str) -> float:
    value = float(text[:_MAX_DIGITS])
    if len(text) > _MAX_DIGITS or not math.isfinite(value):
        raise NotJson("holds a number that is too large")
    return value


def _int(text: str) -> int:
    if len(text) > 19:  # beyond 64 bits
        raise NotJson("holds a number that is too large")
    return int(text)


def _check_texts(value: object) -> None:
    """Raise NotJson for a text that cannot be stored. The depth is bounded, so recursion is."""
    if isinstance(value, str):
        if "\0" in value:
            raise NotJson("holds the character NUL")
        if any("\ud800" <= character <= "\udfff" for character in value):
            raise NotJson("holds half of a surrogate pair")
    elif isinstance(value, dict):
        for name, item in value.items():
            _check_texts(name)
            _check_texts(item)
    elif isinstance(value, list):
        for item in value:
            _check_texts(item)
