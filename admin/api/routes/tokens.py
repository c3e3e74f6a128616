"""/tokens: revoked, by `jti` or by subject, also on open sessions; and taken back."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from admin.api.answers import one
from admin.api.body import RevocationBody, StrictRoute
from admin.api.caller import CallerParam, ControlParam
from admin.api.once import OnceParam
from admin.api.routes.parameters import PagingParam, Reason
from admin.services import revocations

router = APIRouter(prefix="/tokens", tags=["tokens"], route_class=StrictRoute)


@router.post("/revoke", status_code=201, summary="Refuse a token or a subject from now on")
async def revoke(control: ControlParam, caller: CallerParam, once: OnceParam, body: RevocationBody) -> Response:
    fields = dict(body)
    if caller.tenant is not None:
        fields.setdefault("tenant", caller.tenant)

    async def work() -> Response:
        return one(await revocations.revoke(control.store, caller.actor, fields), 201)

    return await once.answer(work)


@router.get("/revocations", summary="What is revoked")
async def list_revocations(control: ControlParam, caller: CallerParam, paging: PagingParam) -> Response:
    found = await revocations.list_revocations(control.store, caller.actor, tenant=caller.tenant, page=paging.asked)
    return paging.answer(found)


@router.delete("/revocations/{revocation_id:path}", status_code=204, summary="Take a revocation back")
async def lift_revocation(
    control: ControlParam, caller: CallerParam, revocation_id: str, reason: Reason = ""
) -> Response:
    await revocations.lift_revocation(control.store, caller.actor, revocation_id, reason=reason)
    return Response(None, 204)
