"""/tenants: their bodies, quotas, flags, users, children, usage; made, suspended, resumed and deleted."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from admin.api.answers import Json, entity_headers, one, shown
from admin.api.body import FlagsBody, NewTenantBody, QuotasBody, StrictRoute, TenantBody, TenantPatch, named, take_id
from admin.api.caller import CallerParam, ControlParam
from admin.api.fleet import tenant_usage
from admin.api.once import OnceParam
from admin.api.preconditions import optional_match, required_match
from admin.api.routes.parameters import IfMatch, IfNoneMatch, PagingParam, Reason
from admin.services import tenants
from admin.services.tenants import TenantFilter

router = APIRouter(prefix="/tenants", tags=["tenants"], route_class=StrictRoute)


class PlaceWish(StrEnum):
    """make: the schema or database is made; adopt: it is there already."""

    MAKE = "make"
    ADOPT = "adopt"


class DataWish(StrEnum):
    """What becomes of the tenant's rows on the target."""

    EXPORT = "export"
    DESTROY = "destroy"
    KEEP = "keep"


@router.get("", summary="The tenants that the caller sees")
async def list_tenants(
    control: ControlParam,
    caller: CallerParam,
    paging: PagingParam,
    status: Annotated[str | None, Query(max_length=32)] = None,
    tier: Annotated[str | None, Query(max_length=200)] = None,
    target: Annotated[str | None, Query(max_length=63)] = None,
    parent: Annotated[str | None, Query(max_length=63)] = None,
    isolation: Annotated[str | None, Query(max_length=32)] = None,
    search: Annotated[str | None, Query(max_length=200, description="Part of id or name.")] = None,
) -> Response:
    which = TenantFilter(status, tier, target, parent, isolation, search)
    return paging.answer(await tenants.list_tenants(control.store, caller.actor, which, paging.asked))


@router.post("", status_code=201, summary="Make a tenant, with its schema or database on the target")
async def create_tenant(
    control: ControlParam,
    caller: CallerParam,
    once: OnceParam,
    body: NewTenantBody,
    place: Annotated[PlaceWish, Query(description="make it, or adopt what is there")] = PlaceWish.MAKE,
) -> Response:
    tenant_id, fields = take_id(body)

    async def create() -> Response:
        adopt = place is PlaceWish.ADOPT
        made = await control.provisioner.create(caller.actor, tenant_id, fields, adopt=adopt)
        content = {**shown(made.entity), "provisioned": [step.text for step in made.steps]}
        return one(made.entity, 201, content=content, headers={"Location": f"/v1/tenants/{tenant_id}"})

    return await once.answer(create)


@router.get("/{tenant_id}", summary="One tenant")
async def get_tenant(
    control: ControlParam, caller: CallerParam, tenant_id: str, if_none_match: IfNoneMatch = None
) -> Response:
    entity = await tenants.get_tenant(control.store, caller.actor, tenant_id)
    return one(entity, if_none_match=if_none_match)


@router.put("/{tenant_id}", summary="The whole tenant anew")
async def replace_tenant(
    control: ControlParam, caller: CallerParam, tenant_id: str, body: TenantBody, if_match: IfMatch = None
) -> Response:
    etag = required_match(if_match)
    fields = named(body, tenant_id)
    return one(await tenants.replace_tenant(control.store, caller.actor, tenant_id, fields, etag=etag))


@router.patch("/{tenant_id}", summary="A JSON merge patch (RFC 7396)")
async def patch_tenant(
    control: ControlParam, caller: CallerParam, tenant_id: str, body: TenantPatch, if_match: IfMatch = None
) -> Response:
    etag = required_match(if_match)
    fields = named(body, tenant_id)
    return one(await tenants.patch_tenant(control.store, caller.actor, tenant_id, fields, etag=etag))


@router.delete("/{tenant_id}", summary="Delete a tenant, and its schema or database")
async def delete_tenant(
    control: ControlParam,
    caller: CallerParam,
    tenant_id: str,
    data: Annotated[DataWish, Query(description="export the rows and drop them, destroy them, or keep them there")],
    confirm: Annotated[str, Query(max_length=63, description="The tenant's id, unless the rows are exported.")] = "",
    if_match: IfMatch = None,
) -> Response:
    etag = required_match(if_match)
    removed = await control.provisioner.delete(caller.actor, tenant_id, data=data.value, word=confirm, etag=etag)
    export = removed.export
    about = (
        None if export is None else {"directory": str(export.directory), "rows": export.rows, "tables": export.tables}
    )
    return Json({"id": tenant_id, "removed": [step.text for step in removed.steps], "export": about})


@router.get("/{tenant_id}/quotas", summary="The tenant's own limits")
async def get_quotas(
    control: ControlParam, caller: CallerParam, tenant_id: str, if_none_match: IfNoneMatch = None
) -> Response:
    entity = await tenants.get_tenant(control.store, caller.actor, tenant_id)
    return one(entity, if_none_match=if_none_match, content=entity.body.get("quotas", {}))


@router.put("/{tenant_id}/quotas", summary="All of its limits anew")
async def put_quotas(
    control: ControlParam, caller: CallerParam, tenant_id: str, body: QuotasBody, if_match: IfMatch = None
) -> Response:
    etag = required_match(if_match)
    entity = await tenants.put_quotas(control.store, caller.actor, tenant_id, body, etag=etag)
    return one(entity, content=entity.body.get("quotas", {}))


@router.get("/{tenant_id}/flags", summary="The flags that it has otherwise than its tier")
async def get_flags(
    control: ControlParam, caller: CallerParam, tenant_id: str, if_none_match: IfNoneMatch = None
) -> Response:
    entity = await tenants.get_tenant(control.store, caller.actor, tenant_id)
    return one(entity, if_none_match=if_none_match, content=entity.body.get("flags", {}))


@router.put("/{tenant_id}/flags", summary="All of its flags anew")
async def put_flags(
    control: ControlParam, caller: CallerParam, tenant_id: str, body: FlagsBody, if_match: IfMatch = None
) -> Response:
    etag = required_match(if_match)
    entity = await tenants.put_flags(control.store, caller.actor, tenant_id, body, etag=etag)
    return one(entity, content=entity.body.get("flags", {}))


@router.get("/{tenant_id}/users", summary="Who has roles in it by an assignment")
async def list_users(control: ControlParam, caller: CallerParam, paging: PagingParam, tenant_id: str) -> Response:
    return paging.answer(await tenants.tenant_users(control.store, caller.actor, tenant_id, paging.asked))


@router.get("/{tenant_id}/children", summary="The tenants right below it")
async def list_children(control: ControlParam, caller: CallerParam, paging: PagingParam, tenant_id: str) -> Response:
    return paging.answer(await tenants.tenant_children(control.store, caller.actor, tenant_id, paging.asked))


@router.get("/{tenant_id}/usage", summary="What it uses now and has used since the gateways started")
async def get_usage(control: ControlParam, caller: CallerParam, tenant_id: str) -> Response:
    entity = await tenants.get_tenant(control.store, caller.actor, tenant_id)
    return Json(await tenant_usage(control.gateways, tenant_id), headers=entity_headers(entity))


@router.post("/{tenant_id}/suspend", summary="Its sessions end, none begin")
async def suspend_tenant(
    control: ControlParam,
    caller: CallerParam,
    once: OnceParam,
    tenant_id: str,
    reason: Reason = "",
    if_match: IfMatch = None,
) -> Response:
    etag = optional_match(if_match)

    async def suspend() -> Response:
        return one(await tenants.suspend_tenant(control.store, caller.actor, tenant_id, etag=etag, reason=reason))

    return await once.answer(suspend)


@router.post("/{tenant_id}/resume", summary="It is active again")
async def resume_tenant(
    control: ControlParam,
    caller: CallerParam,
    once: OnceParam,
    tenant_id: str,
    reason: Reason = "",
    if_match: IfMatch = None,
) -> Response:
    etag = optional_match(if_match)

    async def resume() -> Response:
        return one(await tenants.resume_tenant(control.store, caller.actor, tenant_id, etag=etag, reason=reason))

    return await once.answer(resume)
