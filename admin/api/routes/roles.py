"""/roles, everybody's and tenants' own (`acme/analyst`), and /users/{subject}/roles, who has them."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from admin.api.answers import one
from admin.api.body import NewRoleBody, RoleBody, StrictRoute, UserRolesBody, named, take_id
from admin.api.caller import Caller, CallerParam, ControlParam
from admin.api.once import OnceParam
from admin.api.preconditions import match_if_there, required_match
from admin.api.problems import ApiProblem
from admin.api.routes.parameters import IfMatch, IfNoneMatch, PagingParam
from admin.services import assignments, roles

router = APIRouter(tags=["roles"], route_class=StrictRoute)


@router.get("/roles", summary="The roles that the caller sees")
async def list_roles(control: ControlParam, caller: CallerParam, paging: PagingParam) -> Response:
    return paging.answer(await roles.list_roles(control.store, caller.actor, tenant=caller.tenant, page=paging.asked))


@router.post("/roles", status_code=201, summary="Make a role")
async def create_role(control: ControlParam, caller: CallerParam, once: OnceParam, body: NewRoleBody) -> Response:
    role_id, fields = take_id(body)

    async def create() -> Response:
        entity = await roles.create_role(control.store, caller.actor, role_id, fields)
        return one(entity, 201, headers={"Location": f"/v1/roles/{role_id}"})

    return await once.answer(create)


@router.get("/roles/{role_id:path}", summary="One role")
async def get_role(
    control: ControlParam, caller: CallerParam, role_id: str, if_none_match: IfNoneMatch = None
) -> Response:
    return one(await roles.get_role(control.store, caller.actor, role_id), if_none_match=if_none_match)


@router.put("/roles/{role_id:path}", summary="The whole role anew")
async def put_role(
    control: ControlParam, caller: CallerParam, role_id: str, body: RoleBody, if_match: IfMatch = None
) -> Response:
    etag = required_match(if_match)
    return one(await roles.put_role(control.store, caller.actor, role_id, named(body, role_id), etag=etag))


@router.delete("/roles/{role_id:path}", status_code=204, summary="Delete a role that nobody has")
async def delete_role(control: ControlParam, caller: CallerParam, role_id: str, if_match: IfMatch = None) -> Response:
    etag = required_match(if_match)
    await roles.delete_role(control.store, caller.actor, role_id, etag=etag)
    return Response(None, 204)


@router.get("/users/{subject:path}/roles", tags=["users"], summary="The assignments that name a subject")
async def list_user_roles(control: ControlParam, caller: CallerParam, paging: PagingParam, subject: str) -> Response:
    return paging.answer(
        await assignments.list_assignments(
            control.store, caller.actor, subject=subject, tenant=caller.tenant, page=paging.asked
        )
    )


@router.put("/users/{subject:path}/roles", tags=["users"], summary="Exactly these roles in the request's tenant")
async def put_user_roles(
    control: ControlParam, caller: CallerParam, subject: str, body: UserRolesBody, if_match: IfMatch = None
) -> Response:
    """The first time there is nothing to match; what is there is replaced by its ETag only."""
    tenant, wanted = _tenant_of(caller), _roles_of(body)
    name = f"{subject}@{tenant}"
    etag = await match_if_there(if_match, lambda: assignments.get_assignment(control.store, caller.actor, name))
    entity = await assignments.set_user_roles(control.store, caller.actor, subject, tenant, wanted, etag=etag)
    return Response(None, 204) if entity is None else one(entity)


@router.delete("/users/{subject:path}/roles", tags=["users"], status_code=204, summary="None in the request's tenant")
async def delete_user_roles(
    control: ControlParam, caller: CallerParam, subject: str, if_match: IfMatch = None
) -> Response:
    etag = required_match(if_match)
    name = f"{subject}@{_tenant_of(caller)}"
    await assignments.delete_assignment(control.store, caller.actor, name, etag=etag)
    return Response(None, 204)


def _tenant_of(caller: Caller) -> str:
    if caller.tenant is None:
        hint = "Name it in the header TenantGate-Tenant."
        raise ApiProblem(400, "no-tenant", "the request does not say in which tenant", hint=hint)
    return caller.tenant


def _roles_of(body: dict[str, object]) -> list[str]:
    wanted = body.get("roles")
    if set(body) != {"roles"} or not isinstance(wanted, list) or not all(isinstance(name, str) for name in wanted):
        problem = ("roles", "must be a list of role names, and nothing else", 'Write {"roles": ["analyst"]}.')
        raise ApiProblem(422, "invalid", "the body is not valid", errors=[problem])
    return wanted
