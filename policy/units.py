"""Durations and sizes as people write them in configuration: `5s`, `300ms`, `256MB`, or a plain number."""

from __future__ import annotations

import math
import re

_NUMBER = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]*)")
_SECONDS = {"": 1.0, "us": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_BYTES = {
    "": 1,
    "b": 1,
    **dict.fromkeys(("k", "kb", "kib"), 1024),
    **dict.fromkeys(("m", "mb", "mib"), 1024**2),
    **dict.fromkeys(("g", "gb", "gib"), 1024**3),
}

DURATION_HINT = "Write a number of seconds, or a text such as 300ms, 5s, 2min, 1h, 7d."
SIZE_HINT = "Write a number of bytes, or a text such as 64kB, 256MB, 1GB (1 kB is 1024 bytes)."


def parse_duration_s(value: object) -> float:
    """Seconds of `5`, `0.3`, `300ms`, `5s`, `2min`, `1h`, `7d`. Raises ValueError when it is none of these."""
    if isinstance(value, str):
        number, unit = _split(value)
        if unit not in _SECONDS:
            raise ValueError(f"unknown unit of time {unit!r}")
        return number * _SECONDS[unit]
    return _plain_number(value)


def parse_size_bytes(value: object) -> int:
    """Bytes of `1024`, `64kB`, `256MB`, `1GiB`; units are powers of 1024. Raises ValueError."""
    if isinstance(value, str):
        number, unit = _split(value)
        if unit.lower() not in _BYTES:
            raise ValueError(f"unknown unit of size {unit!r}")
        return int(number * _BYTES[unit.lower()])
    number = _plain_number(value)
    if number != int(number):
        raise ValueError("a size is a whole number of bytes")
    return int(number)


def _split(text: str) -> tuple[float, str]:
    match = _NUMBER.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a number with a unit")
    return float(match[1]), match[2]


def _plain_number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"a {type(value).__name__} is not a number")
    if not math.isfinite(value) or value < 0:
        raise ValueError("must not be negative or infinite")
    return float(value)
