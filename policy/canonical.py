"""Canonical JSON: one text for one value, so that it can be hashed, compared and kept in git without noise."""

from __future__ import annotations

import json
from typing import Any, Final

_encode: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), sort_keys=True, allow_nan=False).encode


def canonical_json(value: object) -> str:
    """Keys sorted, no spaces, no NaN. Raises ValueError or TypeError for what JSON cannot hold."""
    return _encode(value)


def in_canonical_order(value: Any) -> Any:
    """The same value with the members of its objects in the order of their names, for people to read."""
    if isinstance(value, dict):
        return {key: in_canonical_order(value[key]) for key in sorted(value)}
    return [in_canonical_order(item) for item in value] if isinstance(value, list) else value


def read_canonical(text: str) -> Any:
    """The value of a text that `canonical_json` wrote."""
    return json.loads(text)
