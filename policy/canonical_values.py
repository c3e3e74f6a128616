"""When two texts are one value to a tenant column, whatever its type."""

from __future__ import annotations

import re
import uuid
from decimal import Context, Decimal

_LONGEST_NUMBER = 100  # digits; longer ones are compared as they are written


def canonical_value(value: str) -> str:
    """Equal for texts that a number's, uuid, bytea or character column would take to be the same value."""
    text = value.strip()
    if re.fullmatch(r"\\x([0-9a-fA-F]{2})+", text):
        return bytes.fromhex(text[2:]).decode("utf-8", "backslashreplace")
    try:
        return str(uuid.UUID(text))
    except ValueError:
        return _as_number(text)


def _as_number(text: str) -> str:
    """A number in one spelling: `1`, `+01`, `1.0`, `1e0`, `0x1` and `1_0` for 10 are read by PostgreSQL's types."""
    plain = text.replace("_", "")
    if len(plain) < _LONGEST_NUMBER and re.fullmatch(r"[+-]?0([xX][0-9a-fA-F]+|[oO][0-7]+|[bB][01]+)", plain):
        plain = str(int(plain, 0))
    if not re.fullmatch(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,4})?", plain, re.ASCII):
        return text
    if len(plain) > _LONGEST_NUMBER:
        return plain.lstrip("+0")
    number = Decimal(plain).normalize(Context(prec=_LONGEST_NUMBER))
    return str(number or 0)
