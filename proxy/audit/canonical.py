"""Canonical JSON: the JSON Canonicalization Scheme (RFC 8785). One value has one text, and its hash one meaning.

Members sorted by UTF-16 code units, no spaces, numbers as ECMAScript writes them, strings with the fewest escapes.
A lone surrogate, which a JWT can bring and UTF-8 cannot hold, is written out as six characters of text (`encoded`).
"""

from __future__ import annotations

import codecs
import math
from collections.abc import Mapping, Sequence
from json.encoder import encode_basestring as quote
from typing import Final

__all__ = ["canonical", "encoded", "number", "quote"]

Value = str | int | float | bool | None | Sequence["Value"] | Mapping[str, "Value"]

MAX_INTEGER: Final = 2**53  # beyond, a double skips integers (RFC 8785 section 3.2.2.3, I-JSON)
_PLAIN_LEAST: Final = 1e-4
_PLAIN_MOST: Final = 1e15  # between them repr() has no exponent
_ERRORS: Final = "tenantgate-surrogates"


def canonical(value: Value) -> str:
    """The canonical text. Raises ValueError for NaN, infinity and integers that a double cannot hold."""
    if isinstance(value, str):
        return quote(value)
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return number(value)
    if isinstance(value, Mapping):
        members = sorted(value.items(), key=_utf16)
        return "{" + ",".join(f"{quote(name)}:{canonical(item)}" for name, item in members) + "}"
    return "[" + ",".join(map(canonical, value)) + "]"


def encoded(text: str) -> bytes:
    """Canonical text as UTF-8."""
    return text.encode("utf-8", _ERRORS)


def number(value: float) -> str:
    """As ECMAScript's Number::toString (RFC 8785 section 3.2.2.3). Raises ValueError."""
    if isinstance(value, int):
        if abs(value) > MAX_INTEGER:
            raise ValueError("an integer that a double cannot hold")
        return str(value)
    if _PLAIN_LEAST <= value < _PLAIN_MOST:
        text = repr(value)
        return text[:-2] if text.endswith(".0") else text
    return _number(value)


def _number(value: float) -> str:
    """`digits` and `point`: the value is 0.digits times ten to the power of point."""
    if not math.isfinite(value):
        raise ValueError("not a number")
    if value == 0:
        return "0"
    sign = "-" if value < 0 else ""
    mantissa, _, exponent = repr(abs(value)).partition("e")
    whole, _, fraction = mantissa.partition(".")
    point = len(whole) + int(exponent or 0)
    digits = whole + fraction
    stripped = digits.lstrip("0")
    point -= len(digits) - len(stripped)
    digits = stripped.rstrip("0")
    if len(digits) <= point <= 21:
        return sign + digits.ljust(point, "0")
    if 0 < point <= 21:
        return f"{sign}{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    rest = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{sign}{digits[0]}{rest}e{point - 1:+d}"


def _utf16(member: tuple[str, Value]) -> bytes:
    return member[0].encode("utf-16-be", "surrogatepass")


def _write_out(error: UnicodeError) -> tuple[str, int]:
    """A lone surrogate within a JSON string as the text of its escape: the backslash is escaped itself."""
    assert isinstance(error, UnicodeEncodeError)
    return "".join(f"\\\\u{ord(char):04x}" for char in error.object[error.start : error.end]), error.end


codecs.register_error(_ERRORS, _write_out)
