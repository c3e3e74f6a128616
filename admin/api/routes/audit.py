"""/audit: who changed what in the policy, newest first."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from admin.api.caller import CallerParam, ControlParam
from admin.api.problems import ApiProblem
from admin.api.routes.parameters import PagingParam
from admin.services.events import EventFilter, list_events
from policy.timestamps import TIMESTAMP_HINT, parse_timestamp

router = APIRouter(prefix="/audit", tags=["audit"])
Text = Annotated[str | None, Query(max_length=400)]


@router.get("", summary="Changes of the policy, and what was done through this API")
async def list_audit(
    control: ControlParam,
    caller: CallerParam,
    paging: PagingParam,
    subject: Text = None,
    action: Text = None,
    kind: Text = None,
    entity: Text = None,
    since: Annotated[str | None, Query(max_length=64, description="RFC 3339")] = None,
    until: Annotated[str | None, Query(max_length=64, description="RFC 3339")] = None,
) -> Response:
    which = EventFilter(caller.tenant, subject, action, kind, entity, _time("since", since), _time("until", until))
    events, next_cursor = await list_events(control.store, caller.actor, which, paging.asked)
    return paging.answer_items(events, next_cursor)


def _time(name: str, text: str | None) -> float | None:
    if text is None:
        return None
    try:
        return parse_timestamp(text)
    except ValueError as error:
        problem = (f"query.{name}", str(error), TIMESTAMP_HINT)
        raise ApiProblem(422, "invalid", "a time is not valid", errors=[problem]) from None
