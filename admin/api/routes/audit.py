"""/audit: who changed what in the policy; /audit/events: what the data plane did; /compliance: reports on both."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query
from starlette.responses import Response

from admin.api.answers import Json
from admin.api.caller import Caller, CallerParam, ControlParam, above
from admin.api.control import Control, Trail
from admin.api.problems import ApiProblem
from admin.api.routes.parameters import PagingParam, time_of
from admin.audit_search.query import EVERYTHING, Scope
from admin.audit_search.query import Query as AuditQuery
from admin.audit_search.search import MAX_LIMIT
from admin.services.errors import Refused
from admin.services.events import EventFilter, list_events

router = APIRouter(tags=["audit"])
Text = Annotated[str | None, Query(max_length=400)]


@router.get("/audit", summary="Changes of the policy, and what was done through this API")
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
    which = EventFilter(caller.tenant, subject, action, kind, entity, time_of("since", since), time_of("until", until))
    events, next_cursor = await list_events(control.store, caller.actor, which, paging.asked)
    return paging.answer_items(events, next_cursor)


@router.get("/audit/events", summary="Logins and statements of the data plane, newest first")
async def list_data_events(
    control: ControlParam,
    caller: CallerParam,
    paging: PagingParam,
    user: Text = None,
    action: Text = None,
    relation: Text = None,
    column: Text = None,
    result: Text = None,
    fingerprint: Text = None,
    session: Text = None,
    text: Annotated[str | None, Query(max_length=1000, description="Words of the statement.")] = None,
    risk: Annotated[str | None, Query(max_length=16)] = None,
    budget_ms: Annotated[int, Query(ge=0, le=60_000, description="The page is what is found by then.")] = 150,
    since: Annotated[str | None, Query(max_length=64, description="RFC 3339")] = None,
    until: Annotated[str | None, Query(max_length=64, description="RFC 3339")] = None,
) -> Response:
    query = AuditQuery(
        since=time_of("since", since), until=time_of("until", until), user=user or "", action=action or "",
        relation=relation or "", column=column or "", result=result or "", fingerprint=fingerprint or "",
        session=session or "", text=text or "", risk=risk or "",
    )  # fmt: skip
    asked, trail = paging.asked, trail_of(control)
    limit = min(asked.limit, MAX_LIMIT)
    events, next_cursor = await trail.search(query, _scope(caller), limit, asked.cursor, budget_ms / 1000)
    return paging.answer_items(events, next_cursor)


@router.get("/compliance/{framework}", tags=["compliance"], summary="A report (docs/compliance.md)")
async def report(
    control: ControlParam,
    caller: CallerParam,
    framework: Annotated[str, Path(max_length=32)],
    since: Annotated[str, Query(max_length=64, description="RFC 3339; days are whole")],
    until: Annotated[str | None, Query(max_length=64, description="RFC 3339; default: now")] = None,
) -> Response:
    first, last = time_of("since", since), time_of("until", until)
    if caller.tenant is None:
        caller.actor.require_everywhere("compliance", "read", "a report on all tenants")
    elif not caller.actor.may_in("compliance", "read", caller.tenant, above(caller.tenant, caller.snapshot)):
        raise Refused("reports may not be read by you", hint="It takes compliance:…:read.")
    trail = trail_of(control)
    end = control.clock() if last is None else last
    return Json(await trail.report(caller.snapshot, framework, first or 0.0, end, caller.tenant))


def trail_of(control: Control) -> Trail:
    """Raises ApiProblem (404) where no audit log of the data plane is."""
    if control.trail is None:
        hint = "Start it with -c tenantgate.toml on a machine that has the log."
        raise ApiProblem(404, "not-configured", "there is no audit log of the data plane here", hint=hint)
    return control.trail


def _scope(caller: Caller) -> Scope:
    """The tenants whose events the caller may see, of those that the request is about."""
    tenants = caller.snapshot.tenants if caller.tenant is None else [caller.tenant]
    if caller.tenant is None and caller.actor.may_everywhere("audit", "read"):
        return EVERYTHING
    return Scope(frozenset(t for t in tenants if caller.actor.may_in("audit", "read", t, above(t, caller.snapshot))))
