"""/health and /version: for load balancers and people, without a token; they tell nothing of tenants."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from admin.api.answers import Json
from admin.api.caller import ControlParam
from admin.services.errors import StoreUnavailable
from admin.store.change import policy_version

router = APIRouter(tags=["meta"])


@router.get("/health", summary="Whether the store answers")
async def health(control: ControlParam) -> Response:
    try:
        async with control.store.reading() as session:
            await policy_version(session)
    except StoreUnavailable:
        return Json({"status": "unavailable", "store": "unavailable"}, 503, {"Retry-After": "1"})
    return Json({"status": "ok", "store": "ok"})


@router.get("/version", summary="The program's version")
async def version(control: ControlParam) -> Response:
    return Json({"name": "TenantGate", "version": control.version})
