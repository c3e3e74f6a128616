"""`limit` and `cursor` of a list: the store's place in it, sealed for who asked and for nothing else."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Query, Request
from starlette.responses import Response

from admin.api.answers import page, shown
from admin.api.caller import CallerParam, ControlParam
from admin.api.pages import CursorScope, CursorSigner
from admin.services.entity import Listed, Page


class Paging:
    """A dependency: the page that is asked for, and the answer that shows it."""

    __slots__ = ("_scope", "_signer", "asked")

    def __init__(
        self,
        request: Request,
        caller: CallerParam,
        control: ControlParam,
        limit: Annotated[int, Query(ge=1, le=500, description="At most so many.")] = 100,
        cursor: Annotated[str | None, Query(max_length=1024, description="next_cursor of the page before.")] = None,
    ) -> None:
        filters = {name: value for name, value in request.query_params.items() if name not in ("limit", "cursor")}
        self._scope = CursorScope(caller.key, caller.tenant, request.url.path, filters)
        self._signer: CursorSigner = control.signer
        self.asked = Page(limit, None if cursor is None else self._signer.open(cursor, self._scope))

    def answer(self, listed: Listed) -> Response:
        return self.answer_items([shown(entity) for entity in listed.entities], listed.next_cursor)

    def answer_items(self, items: list[Any], next_cursor: str | None) -> Response:
        return page(items, None if next_cursor is None else self._signer.seal(next_cursor, self._scope))
