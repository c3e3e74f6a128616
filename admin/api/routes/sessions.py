"""/sessions of the gateways: listed and ended, within the tenants that the caller may."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from starlette.responses import Response

from admin.api.answers import Json
from admin.api.caller import Caller, CallerParam, ControlParam, above
from admin.api.fleet import sessions
from admin.services.errors import NotFound, Refused
from admin.services.events import record_event

router = APIRouter(prefix="/sessions", tags=["sessions"])
_MOST = 10_000


@router.get("", summary="Open sessions, of all gateways")
async def list_sessions(
    control: ControlParam,
    caller: CallerParam,
    user: Annotated[str | None, Query(max_length=255)] = None,
    limit: Annotated[int, Query(ge=1, le=_MOST)] = 500,
) -> Response:
    found, silent = await sessions(control.gateways)
    seen = [row for _, row in found if _may(caller, "read", row) and (user is None or row["user"] == user)]
    content = {"items": seen[:limit], "total": len(seen), "gateways": len(control.gateways) - silent}
    return Json(content | {"silent_gateways": silent})


@router.delete("/{session_id}", status_code=204, summary="End a session")
async def kill_session(
    control: ControlParam,
    caller: CallerParam,
    session_id: Annotated[str, Path(max_length=64, pattern="^[0-9a-f]+$")],
) -> Response:
    found, _ = await sessions(control.gateways)
    for gateway, row in found:
        if row["id"] == session_id and _may(caller, "read", row):
            if not _may(caller, "write", row):
                raise Refused("the session may be seen but not ended by you", hint="It takes session:…:write.")
            if await gateway.kill(session_id):
                await record_event(
                    control.store, caller.actor, "kill", "session", session_id, tenant=row["tenant"],
                    reason=f"user {row['user']}",
                )  # fmt: skip
                return Response(None, 204)
    raise NotFound(f'session "{session_id}"')


def _may(caller: Caller, action: str, row: dict[str, Any]) -> bool:
    """The session's tenant is one of the request's, and the caller's permissions reach it."""
    tenant = row["tenant"]
    if caller.tenant is not None and tenant != caller.tenant:
        return False
    return caller.actor.may_in("session", action, tenant, above(tenant, caller.snapshot))
