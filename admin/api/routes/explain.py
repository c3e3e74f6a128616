"""/explain: what a statement becomes for whom, by which rules, or why it is refused. It is not run."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from admin.api.answers import Json
from admin.api.body import ExplainBody, StrictRoute
from admin.api.caller import Caller, CallerParam, ControlParam, above
from admin.api.control import Control, Explain, ExplainRequest
from admin.api.problems import ApiProblem
from admin.services.errors import NotFound
from admin.services.reach import name_of

router = APIRouter(prefix="/explain", tags=["explain"], route_class=StrictRoute)
Roles = Annotated[list[str] | None, Query(max_length=50, description="The roles that the token would name.")]


@router.get("", summary="Explain a statement")
async def explain(
    control: ControlParam,
    caller: CallerParam,
    sql: Annotated[str, Query(min_length=1, max_length=100_000)],
    subject: Annotated[str, Query(min_length=1, max_length=255)],
    role: Roles = None,
    tenant: Annotated[str | None, Query(max_length=63)] = None,
    why: Annotated[bool, Query(description="Also why no rows come: asks the target.")] = False,
) -> Response:
    body: dict[str, object] = {"tenant": tenant, "subject": subject, "roles": role or [], "sql": sql, "why": why}
    return await _answer(control, caller, body)


@router.post("", summary="The same, for a statement that no proxy on the way should write down")
async def explain_body(control: ControlParam, caller: CallerParam, body: ExplainBody) -> Response:
    return await _answer(control, caller, body)


async def _answer(control: Control, caller: Caller, body: dict[str, object]) -> Response:
    explain_it, request = asked(control, caller, body)
    return Json(await explain_it(caller.snapshot, request))


def asked(control: Control, caller: Caller, body: dict[str, object]) -> tuple[Explain, ExplainRequest]:
    """What explains, and what is to be explained. Raises NotFound, ApiProblem."""
    if control.explain is None:
        raise ApiProblem(
            404, "not-configured", "no target is configured here", hint="Start it with -c tenantgate.toml."
        )
    request = _request(caller, body)
    over = above(request.tenant, caller.snapshot)
    if request.tenant not in caller.snapshot.tenants or not caller.actor.may_in("policy", "read", request.tenant, over):
        raise NotFound(name_of("tenant", request.tenant))
    return control.explain, request


def _request(caller: Caller, body: dict[str, object]) -> ExplainRequest:
    tenant = body.get("tenant") or caller.tenant
    subject, sql = body.get("subject"), body.get("sql")
    roles, attributes, why = body.get("roles", []), body.get("attributes", {}), body.get("why", False)
    wrong = [
        (name, "is missing, or not of the form that the document describes", "GET /v1/openapi.json describes it.")
        for name, fits in (
            ("tenant", isinstance(tenant, str)),
            ("subject", isinstance(subject, str) and 0 < len(subject) <= 255),
            ("sql", isinstance(sql, str) and 0 < len(sql) <= 1_000_000),
            ("roles", isinstance(roles, list) and all(isinstance(each, str) for each in roles)),
            ("why", isinstance(why, bool)),
            ("attributes", isinstance(attributes, dict) and all(isinstance(v, str) for v in attributes.values())),
        )
        if not fits
    ]
    unknown = body.keys() - {"tenant", "subject", "roles", "attributes", "sql", "why"}
    wrong += [(name, "is not known", "") for name in sorted(unknown)]
    if caller.tenant is not None and isinstance(tenant, str) and tenant != caller.tenant:
        raise NotFound(name_of("tenant", tenant))
    if wrong:
        raise ApiProblem(422, "invalid", "the request is not valid", errors=wrong)
    assert isinstance(tenant, str)
    assert isinstance(subject, str)
    assert isinstance(sql, str)
    assert isinstance(roles, list)
    assert isinstance(attributes, dict)
    return ExplainRequest(tenant, subject, sql, tuple(roles), attributes, why is True)
