"""/policies: conditions and effects, and whether a body would be taken."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from admin.api.answers import Json, one
from admin.api.body import DryRunBody, NewPolicyBody, PolicyBody, ReplayBody, StrictRoute, named, take_id
from admin.api.caller import CallerParam, ControlParam
from admin.api.once import OnceParam
from admin.api.preconditions import required_match
from admin.api.problems import ApiProblem
from admin.api.routes.audit import trail_of
from admin.api.routes.explain import asked
from admin.api.routes.parameters import IfMatch, IfNoneMatch, PagingParam, time_of
from admin.services import policies
from admin.services.validation import problems_of, with_draft

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


@router.post("/dry-run", summary="What a statement becomes now, and what with this policy. Nothing is changed")
async def dry_run(control: ControlParam, caller: CallerParam, body: DryRunBody) -> Response:
    policy_id, fields, rest = _draft_of(body)
    explain, request = asked(control, caller, rest)
    after = await with_draft(control.store, caller.actor, policy_id, {**fields, "state": "active"})
    now, then = await explain(caller.snapshot, request), await explain(after, request)
    return Json({"now": now, "then": then})


@router.post("/replay", summary="What this policy would have made of the audited statements. Nothing is run")
async def replay(control: ControlParam, caller: CallerParam, body: ReplayBody) -> Response:
    policy_id, fields, rest = _draft_of(body)
    caller.actor.require_everywhere("audit", "read", "replaying statements of all tenants")
    after = await with_draft(control.store, caller.actor, policy_id, {**fields, "state": "draft"})
    trail = trail_of(control)
    since, until = (time_of(name, rest.pop(name, None)) for name in ("since", "until"))
    if rest:
        errors = [(name, "is not known", "") for name in sorted(rest)]
        raise ApiProblem(422, "invalid", "the request is not valid", errors=errors)
    return Json(await trail.replay(caller.snapshot, after, since, until))


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


def _draft_of(body: dict[str, Any]) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """The policy's id and body, and what else was sent. Raises ApiProblem."""
    rest = dict(body)
    policy = rest.pop("policy", None)
    if not isinstance(policy, dict):
        problem = ("policy", "is missing, or not an object", "Write the policy with its id.")
        raise ApiProblem(422, "invalid", "the request is not valid", errors=[problem])
    policy_id, fields = take_id(policy)
    return policy_id, fields, rest
