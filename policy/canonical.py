"""Canonical JSON: one text for one value, so that it can be hashed, compared and kept in git without noise."""

from __future__ import annotations

import json
from typing import Any, Final

_encode: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), sort_keys=True, allow_nan=False).encode


def canonical_json(value: object) -> str:
    """Keys sorted, no spaces, no NaN. Raises ValueError or TypeError for what JSON cannot hold."""
    return _encode(value)


def read_canonical(text: str) -> Any:
    """The value of a text that `canonical_json` wrote."""
    return json.loads(text)
