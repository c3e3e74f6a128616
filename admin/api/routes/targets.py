"""/targets: as far as policy needs them; their classified tables and functions; what the doctor finds there."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from admin.api.answers import Json, one
from admin.api.body import ClassificationBody, StrictRoute, TargetBody, named
from admin.api.caller import CallerParam, ControlParam
from admin.api.preconditions import match_if_there, required_match
from admin.api.routes.parameters import IfMatch, IfNoneMatch, PagingParam
from admin.services import targets
from admin.services.errors import NotFound

router = APIRouter(prefix="/targets", tags=["targets"], route_class=StrictRoute)


@router.get("", summary="The targets; for operators")
async def list_targets(control: ControlParam, caller: CallerParam, paging: PagingParam) -> Response:
    return paging.answer(await targets.list_targets(control.store, caller.actor, page=paging.asked))


@router.get("/{target_id}", summary="One target")
async def get_target(
    control: ControlParam, caller: CallerParam, target_id: str, if_none_match: IfNoneMatch = None
) -> Response:
    return one(await targets.get_target(control.store, caller.actor, target_id), if_none_match=if_none_match)


@router.put("/{target_id}", summary="Make it, or the whole of it anew by its ETag")
async def put_target(
    control: ControlParam, caller: CallerParam, target_id: str, body: TargetBody, if_match: IfMatch = None
) -> Response:
    etag = await match_if_there(if_match, lambda: targets.get_target(control.store, caller.actor, target_id))
    fields = named(body, target_id)
    return one(await targets.put_target(control.store, caller.actor, target_id, fields, etag=etag, new=etag is None))


@router.delete("/{target_id}", status_code=204, summary="Delete a target that nothing is on")
async def delete_target(
    control: ControlParam, caller: CallerParam, target_id: str, if_match: IfMatch = None
) -> Response:
    etag = required_match(if_match)
    await targets.delete_target(control.store, caller.actor, target_id, etag=etag)
    return Response(None, 204)


@router.get("/{target_id}/tables", summary="Which of its tables are whose")
async def get_tables(
    control: ControlParam, caller: CallerParam, target_id: str, if_none_match: IfNoneMatch = None
) -> Response:
    return one(await targets.get_tables(control.store, caller.actor, target_id), if_none_match=if_none_match)


@router.put("/{target_id}/tables", summary="All of the classification anew")
async def put_tables(
    control: ControlParam, caller: CallerParam, target_id: str, body: ClassificationBody, if_match: IfMatch = None
) -> Response:
    etag = required_match(if_match)
    return one(await targets.put_tables(control.store, caller.actor, target_id, body, etag=etag))


@router.get("/{target_id}/functions", summary="Which of its functions may be called")
async def get_functions(
    control: ControlParam, caller: CallerParam, target_id: str, if_none_match: IfNoneMatch = None
) -> Response:
    return one(await targets.get_functions(control.store, caller.actor, target_id), if_none_match=if_none_match)


@router.put("/{target_id}/functions", summary="All of them anew")
async def put_functions(
    control: ControlParam, caller: CallerParam, target_id: str, body: ClassificationBody, if_match: IfMatch = None
) -> Response:
    etag = required_match(if_match)
    return one(await targets.put_functions(control.store, caller.actor, target_id, body, etag=etag))


@router.get("/{target_id}/doctor", summary="What could leak there, worst first")
async def examine(control: ControlParam, caller: CallerParam, target_id: str) -> Response:
    caller.actor.require_everywhere("target", "read", "examining a target")
    if control.doctor is None or target_id not in control.targets:
        raise NotFound(f'target "{target_id}"')
    return Json({"target": target_id, "findings": await control.doctor(caller.snapshot, target_id)})
