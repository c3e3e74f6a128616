"""How entities and lists look in answers: the fields of policy.yaml with the id, the rest in headers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from email.utils import formatdate
from typing import Any

from starlette.responses import Response

from admin.api.preconditions import as_header, is_known
from admin.services.entity import Entity

VERSION_HEADER = "TenantGate-Policy-Version"


class Json(Response):
    """JSON as it is in the store: UTF-8, no NaN."""

    media_type = "application/json"

    def __init__(self, content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        text = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        super().__init__(text.encode(), status, dict(headers or {}))


def shown(entity: Entity) -> dict[str, Any]:
    """An entity as a JSON object."""
    return {"id": entity.id, **entity.body}


def entity_headers(entity: Entity) -> dict[str, str]:
    return {
        "ETag": as_header(entity.etag),
        "Last-Modified": formatdate(entity.updated_at, usegmt=True),
        VERSION_HEADER: str(entity.version),
    }


def one(
    entity: Entity,
    status: int = 200,
    *,
    if_none_match: str | None = None,
    content: Any = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """An entity, or a part of it (`content`) under its ETag; 304 when the caller has it."""
    all_headers = {**entity_headers(entity), **(headers or {})}
    if if_none_match is not None and is_known(if_none_match, entity.etag):
        return Response(None, 304, all_headers)
    return Json(shown(entity) if content is None else content, status, all_headers)


def page(items: list[Any], next_cursor: str | None) -> Response:
    return Json({"items": items, "next_cursor": next_cursor})
