"""Typed values out of a parsed YAML document; what has the wrong type becomes a problem and None or nothing."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TypeVar

from policy.problems import Problems, did_you_mean, join_key
from policy.units import DURATION_HINT, parse_duration_s

_T = TypeVar("_T")


def as_mapping(problems: Problems, path: str, value: object) -> dict[str, object]:
    """A mapping with text keys; None (a section without content) is empty."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        problems.add(path or "document", f"must be a mapping, not {describe(value)}", "Write it as key: value.")
        return {}
    found: dict[str, object] = {}
    for key, item in value.items():
        if isinstance(key, str):
            found[key] = item
        else:
            problems.add(join_key(path, str(key)), f"a key must be text, not {describe(key)}", f'Write it as "{key}".')
    return found


def as_list(problems: Problems, path: str, value: object) -> list[object]:
    if value is None:
        return []
    if not isinstance(value, list):
        problems.add(path, f"must be a list, not {describe(value)}", "Write it as [a, b].")
        return []
    return value


def as_text(problems: Problems, path: str, value: object, hint: str = "Put it in quotes.") -> str | None:
    if isinstance(value, str) and value.strip() and "\0" not in value:
        return value
    problems.add(path, f"must be text, not {describe(value)}", hint)
    return None


def as_choice(problems: Problems, path: str, value: object, choices: Collection[str]) -> str | None:
    if isinstance(value, str) and value in choices:
        return value
    problems.add(path, f"must be one of {', '.join(choices)}", did_you_mean(str(value), choices))
    return None


def as_flag(problems: Problems, path: str, value: object) -> bool:
    """true, false, on or off; True when it is none of them."""
    if value in (True, False):
        return bool(value)
    if value not in ("on", "off"):
        problems.add(path, f"must be on or off, not {describe(value)}", "Write on or off.")
    return value != "off"


def as_count(problems: Problems, path: str, value: object) -> int | None:
    """A whole number from 1 up."""
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 1_000_000_000:
        return value
    problems.add(path, f"must be a whole number from 1 up, not {describe(value)}", "Leave it out for no limit.")
    return None


def as_rate(problems: Problems, path: str, value: object) -> float | None:
    """A number of things per second, at least one in a thousand seconds."""
    if isinstance(value, int | float) and not isinstance(value, bool) and 0.001 <= value <= 1e9:
        return float(value)
    problems.add(path, f"must be a number per second, not {describe(value)}", "Leave it out for no limit.")
    return None


def as_milliseconds(problems: Problems, path: str, value: object) -> int | None:
    """A duration of at least a millisecond and at most what PostgreSQL's statement_timeout takes."""
    try:
        milliseconds = round(parse_duration_s(value) * 1000)
    except ValueError as error:
        problems.add(path, str(error), DURATION_HINT)
        return None
    if 1 <= milliseconds <= 2_147_483_647:
        return milliseconds
    problems.add(path, "must be from 1 ms up to 24 days", DURATION_HINT)
    return None


def optional(
    read: Callable[[Problems, str, object], _T | None],
    problems: Problems,
    path: str,
    fields: dict[str, object],
    key: str,
) -> _T | None:
    """What `read` makes of a field that may be missing."""
    return read(problems, f"{path}.{key}", fields[key]) if key in fields else None


def describe(value: object) -> str:
    """What a value is, in the words of YAML."""
    if value is None:
        return "nothing"
    if isinstance(value, str):
        return "an empty text" if not value.strip() else "text"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "a mapping"
    return "a list" if isinstance(value, list) else str(value)
