"""A statement as a vector, for finding what is unlike a user's other statements, and as words, for saying why. Pure.

Groups of features are scaled so that a difference of one is worth a look: time of day on a circle, size on a logarithm,
kind, tables and address by hashing into buckets.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import Final
from zlib import crc32

from admin.audit_search.facets import list_of, text_of

_ACTIONS: Final = ("read", "write", "copy_in", "copy_out", "ddl", "transaction", "session", "utility")
_TABLE_BUCKETS: Final = 24
_ADDRESS_BUCKETS: Final = 8

GROUPS: Final[Mapping[str, tuple[int, int]]] = {
    "time": (0, 2), "rows": (2, 3), "bytes": (3, 4), "duration": (4, 5), "width": (5, 7),
    "kind": (7, 7 + len(_ACTIONS)), "tables": (15, 15 + _TABLE_BUCKETS), "address": (39, 39 + _ADDRESS_BUCKETS),
}  # fmt: skip
DIMENSIONS: Final = 47


def vector_of(event: Mapping[str, object]) -> list[float]:
    """DIMENSIONS numbers."""
    turn = _seconds(event) % 86_400 / 86_400 * 2 * math.pi
    action = text_of(event, "action")
    return [
        math.sin(turn),
        math.cos(turn),
        _size(event, "rows") / 2,
        _size(event, "bytes") / 4,
        _size(event, "duration_us") / 6,
        len(list_of(event, "relations")) / 4,
        len(list_of(event, "columns")) / 20,
        *(1.0 if action == name else 0.0 for name in _ACTIONS),
        *_buckets(list_of(event, "relations"), _TABLE_BUCKETS),
        *_buckets([text_of(event, "client").rpartition(":")[0]], _ADDRESS_BUCKETS),
    ]


def in_words(event: Mapping[str, object], group: str) -> str:
    """What the event is like in one group of features."""
    if group == "time":
        return time.strftime("at %H:%M UTC", time.gmtime(_seconds(event)))
    if group == "tables":
        return f"tables {', '.join(list_of(event, 'relations')[:3]) or 'none'}"
    if group == "kind":
        return f"{text_of(event, 'action') or text_of(event, 'command') or 'no action'}"
    if group == "address":
        return f"from {text_of(event, 'client').rpartition(':')[0]}"
    if group == "width":
        return f"{len(list_of(event, 'relations'))} tables and {len(list_of(event, 'columns'))} columns"
    return f"{event.get('duration_us' if group == 'duration' else group)} {'µs' if group == 'duration' else group}"


def _buckets(names: list[str], count: int) -> list[float]:
    found = [0.0] * count
    for name in names:
        found[crc32(name.encode("utf-8", "backslashreplace")) % count] = 1.0
    return found


def _size(event: Mapping[str, object], name: str) -> float:
    value = event.get(name)
    return math.log1p(value) if isinstance(value, int) and value > 0 else 0.0


def _seconds(event: Mapping[str, object]) -> float:
    value = event.get("time")
    return float(value) if isinstance(value, int | float) and 0 <= value < 1e11 else 0.0
