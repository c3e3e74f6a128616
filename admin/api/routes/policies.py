"""/policies: conditions and effects, and whether a body would be taken."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from admin.api.answers import Json, one
from admin.api.body import NewPolicyBody, PolicyBody, StrictRoute, named, take_id
from admin.api.caller import CallerParam, ControlParam
from admin.api.once import OnceParam
from admin.api.preconditions import required_match
from admin.api.routes.parameters import IfMatch, IfNoneMatch, PagingParam
from admin.services import policies
from admin.services.validation import problems_of

router = APIRouter(prefix="/policies", tags=["policies"], route_class=StrictRoute)


@router.get("", summary="The policies that the caller sees")
async def list_policies(control: ControlParam, caller: CallerParam, paging: PagingParam) -> Response:
    found = await policies.list_policies(control.store, caller.actor, tenant=caller.tenant, page=paging.asked)
    return paging.answer(found)


@router.post("", status_code=201, summary="Make a policy")
async def create_policy(control: ControlParam, caller: CallerParam, once: OnceParam, body: NewPolicyBody) -> Response:
    policy_id, fields = take_id(body)

    async def create() -> Response:
        entity = await policies.create_policy(control.store, caller.actor, policy_id, fields)
        return one(entity, 201, headers={"Location": f"/v1/policies/{policy_id}"})

    return await once.answer(create)


@router.post("/validate", summary="Would it be taken? Nothing is changed")
async def validate_policy(control: ControlParam, caller: CallerParam, body: NewPolicyBody) -> Response:
    policy_id, fields = take_id(body)
    problems = await problems_of(control.store, caller.actor, "policy", policy_id, fields)
    listed = [{"at": at, "message": message, "hint": hint} for at, message, hint in problems]
    return Json({"valid": not problems, "errors": listed})


@router.get("/{policy_id:path}", summary="One policy")
async def get_policy(
    control: ControlParam, caller: CallerParam, policy_id: str, if_none_match: IfNoneMatch = None
) -> Response:
    return one(await policies.get_policy(control.store, caller.actor, policy_id), if_none_match=if_none_match)


@router.put("/{policy_id:path}", summary="The whole policy anew")
async def put_policy(
    control: ControlParam, caller: CallerParam, policy_id: str, body: PolicyBody, if_match: IfMatch = None
) -> Response:
    etag = required_match(if_match)
    return one(await policies.put_policy(control.store, caller.actor, policy_id, named(body, policy_id), etag=etag))


@router.delete("/{policy_id:path}", status_code=204, summary="Delete a policy")
async def delete_policy(
    control: ControlParam, caller: CallerParam, policy_id: str, if_match: IfMatch = None
) -> Response:
    etag = required_match(if_match)
    await policies.delete_policy(control.store, caller.actor, policy_id, etag=etag)
    return Response(None, 204)
