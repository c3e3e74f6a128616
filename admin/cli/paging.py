"""Whole lists out of pages."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from admin.services.entity import Entity, Listed, Page


async def every(pages: Callable[[Page], Awaitable[Listed]]) -> list[Entity]:
    """All entities of a list, page after page."""
    from admin.services.entity import MOST_PER_PAGE, Page

    found: list[Entity] = []
    cursor: str | None = None
    while True:
        listed = await pages(Page(MOST_PER_PAGE, cursor))
        found += listed.entities
        cursor = listed.next_cursor
        if cursor is None:
            return found
