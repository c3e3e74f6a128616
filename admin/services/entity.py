"""What services return: entities, and pages of them."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from admin.services.errors import Invalid

Body = Mapping[str, Any]
MOST_PER_PAGE = 500


@dataclass(frozen=True, slots=True)
class Entity:
    """One entity. version: the policy version of its last change. Times are seconds since the epoch."""

    kind: str
    id: str
    body: dict[str, Any]
    version: int
    created_at: float
    updated_at: float

    @property
    def etag(self) -> str:
        """To be given back with a change. Versions only grow: it never comes again, not when the entity does."""
        return str(self.version)


@dataclass(frozen=True, slots=True)
class Page:
    """Which part of a list: at most `limit` entries after `cursor`, which is `next_cursor` of the page before."""

    limit: int = 100
    cursor: str | None = None

    def after(self) -> str | None:
        """The id that the page begins after. Raises Invalid."""
        if not 1 <= self.limit <= MOST_PER_PAGE:
            raise Invalid((("limit", f"must be from 1 to {MOST_PER_PAGE}", "Ask for the next page with cursor."),))
        return None if self.cursor is None else _decode(self.cursor)


@dataclass(frozen=True, slots=True)
class Listed:
    """One page; `next_cursor` is None when it is the last."""

    entities: tuple[Entity, ...]
    next_cursor: str | None = None


def encode_cursor(last_id: str) -> str:
    """An opaque text for URLs."""
    return base64.urlsafe_b64encode(json.dumps(last_id).encode()).decode().rstrip("=")


def _decode(cursor: str) -> str:
    try:
        value = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (ValueError, binascii.Error):
        value = None
    if not isinstance(value, str):
        raise Invalid((("cursor", "is not one that a list has given", "Take next_cursor of the page before."),))
    return value
