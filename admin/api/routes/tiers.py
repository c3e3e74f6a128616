"""/tiers, what tenants have unless they have their own, and /flags, the policy's own feature flags; for operators."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from admin.api.answers import one
from admin.api.body import FlagBody, StrictRoute, TierBody, named
from admin.api.caller import CallerParam, ControlParam
from admin.api.preconditions import match_if_there, required_match
from admin.api.routes.parameters import IfMatch, IfNoneMatch, PagingParam
from admin.services import tiers

router = APIRouter(tags=["tiers"], route_class=StrictRoute)


@router.get("/tiers", summary="The tiers")
async def list_tiers(control: ControlParam, caller: CallerParam, paging: PagingParam) -> Response:
    return paging.answer(await tiers.list_tiers(control.store, caller.actor, page=paging.asked))


@router.get("/tiers/{name}", summary="One tier")
async def get_tier(
    control: ControlParam, caller: CallerParam, name: str, if_none_match: IfNoneMatch = None
) -> Response:
    return one(await tiers.get_tier(control.store, caller.actor, name), if_none_match=if_none_match)


@router.put("/tiers/{name}", summary="Make it, or the whole of it anew by its ETag")
async def put_tier(
    control: ControlParam, caller: CallerParam, name: str, body: TierBody, if_match: IfMatch = None
) -> Response:
    etag = await match_if_there(if_match, lambda: tiers.get_tier(control.store, caller.actor, name))
    return one(await tiers.put_tier(control.store, caller.actor, name, named(body, name), etag=etag, new=etag is None))


@router.delete("/tiers/{name}", status_code=204, summary="Delete a tier that no tenant has")
async def delete_tier(control: ControlParam, caller: CallerParam, name: str, if_match: IfMatch = None) -> Response:
    etag = required_match(if_match)
    await tiers.delete_tier(control.store, caller.actor, name, etag=etag)
    return Response(None, 204)


@router.get("/flags", summary="The feature flags")
async def list_flags(control: ControlParam, caller: CallerParam, paging: PagingParam) -> Response:
    return paging.answer(await tiers.list_flag_definitions(control.store, caller.actor, page=paging.asked))


@router.get("/flags/{name}", summary="One feature flag: what it denies while it is off")
async def get_flag(
    control: ControlParam, caller: CallerParam, name: str, if_none_match: IfNoneMatch = None
) -> Response:
    return one(await tiers.get_flag_definition(control.store, caller.actor, name), if_none_match=if_none_match)


@router.put("/flags/{name}", summary="Make it, or the whole of it anew by its ETag")
async def put_flag(
    control: ControlParam, caller: CallerParam, name: str, body: FlagBody, if_match: IfMatch = None
) -> Response:
    etag = await match_if_there(if_match, lambda: tiers.get_flag_definition(control.store, caller.actor, name))
    fields = named(body, name)
    return one(await tiers.put_flag_definition(control.store, caller.actor, name, fields, etag=etag, new=etag is None))


@router.delete("/flags/{name}", status_code=204, summary="Delete a flag that neither tenants nor tiers switch")
async def delete_flag(control: ControlParam, caller: CallerParam, name: str, if_match: IfMatch = None) -> Response:
    etag = required_match(if_match)
    await tiers.delete_flag_definition(control.store, caller.actor, name, etag=etag)
    return Response(None, 204)
