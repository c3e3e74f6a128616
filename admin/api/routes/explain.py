"""/explain: what a statement becomes for whom, by which rules, or why it is refused. It is not run."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.responses import Response

from admin.api.answers import Json
from admin.api.body import ExplainBody, StrictRoute
from admin.api.caller import Caller, CallerParam, ControlParam, above
from admin.api.control import Control, Explain, ExplainRequest
from admin.api.problems import ApiProblem
from admin.api.routes.parameters import time_of
from admin.services.errors import NotFound
from admin.services.reach import name_of

router = APIRouter(prefix="/explain", tags=["explain"], route_class=StrictRoute)
Roles = Annotated[list[str] | None, Query(max_length=50, description="The roles that the token would name.")]
Words = Annotated[list[str] | None, Query(max_length=50)]
_READ_IT = "GET /v1/openapi.json describes it."


@router.get("", summary="Explain a statement")
async def explain(
    control: ControlParam,
    caller: CallerParam,
    sql: Annotated[str, Query(min_length=1, max_length=100_000)],
    subject: Annotated[str, Query(min_length=1, max_length=255)],
    role: Roles = None,
    group: Words = None,
    tenant: Annotated[str | None, Query(max_length=63)] = None,
    issuer: Annotated[str | None, Query(max_length=255)] = None,
    amr: Words = None,
    acr: Annotated[str | None, Query(max_length=255)] = None,
    address: Annotated[str | None, Query(max_length=64, description="The client's IP address.")] = None,
    application: Annotated[str | None, Query(max_length=255)] = None,
    tls: bool | None = None,
    read_replica: bool | None = None,
    at: Annotated[str | None, Query(max_length=64, description="RFC 3339: as at this time.")] = None,
    why: Annotated[bool, Query(description="Also why no rows come: asks the target.")] = False,
) -> Response:
    given: dict[str, object] = {
        "tenant": tenant, "subject": subject, "roles": role, "groups": group, "issuer": issuer, "amr": amr, "acr": acr,
        "address": address, "application": application, "tls": tls, "read_replica": read_replica, "at": at, "sql": sql,
        "why": why,
    }  # fmt: skip
    return await _answer(control, caller, {name: value for name, value in given.items() if value is not None})


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
    given: dict[str, Any] = {"tenant": caller.tenant}
    given |= {name: value for name, value in body.items() if value is not None}
    tenant = given["tenant"]
    missing = [name for name in ("tenant", "subject", "sql") if given.get(name) is None]
    wrong = [(name, "is missing", _READ_IT) for name in missing]
    for name, value in given.items():
        fits = _FIELDS.get(name)
        if fits is None:
            wrong.append((name, "is not known", _READ_IT))
        elif name not in missing and not fits(value):
            wrong.append((name, "is not of the form that the document describes", _READ_IT))
    if caller.tenant is not None and isinstance(tenant, str) and tenant != caller.tenant:
        raise NotFound(name_of("tenant", tenant))
    if wrong:
        raise ApiProblem(422, "invalid", "the request is not valid", errors=wrong)
    at = time_of("at", given.pop("at", None))
    values: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}
    return ExplainRequest(**values, at=at)


def _is_text(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= 255


def _is_short(value: object) -> bool:
    return isinstance(value, str) and len(value) <= 255


def _are_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def _is_flag(value: object) -> bool:
    return isinstance(value, bool)


def _is_address(value: object) -> bool:
    try:
        return isinstance(value, str) and bool(ipaddress.ip_address(value))
    except ValueError:
        return False


_FIELDS: Mapping[str, Callable[[object], bool]] = {
    "tenant": _is_text,
    "subject": _is_text,
    "sql": lambda value: isinstance(value, str) and 0 < len(value) <= 1_000_000,
    "roles": _are_texts,
    "groups": _are_texts,
    "attributes": lambda value: isinstance(value, dict) and all(isinstance(each, str) for each in value.values()),
    "issuer": _is_text,
    "amr": _are_texts,
    "acr": _is_short,
    "address": _is_address,
    "application": _is_short,
    "tls": _is_flag,
    "read_replica": _is_flag,
    "at": _is_short,
    "why": _is_flag,
}
