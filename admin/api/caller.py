"""Who asks, and for which tenant: the token is the authority, header, host name and path only select within it.

A tenant that the caller may not see is told as one that does not exist, by the same error. Selections that contradict
each other are refused as they are written, before anything is looked up.
"""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass, replace
from typing import Annotated

from fastapi import Depends, Header, Request

from admin.api.authority import control_permissions
from admin.api.control import Control
from admin.api.problems import ApiProblem
from admin.services.actor import Actor
from admin.services.errors import NotFound
from admin.services.judgement import picture
from admin.services.reach import name_of
from policy.errors import AuthenticationError
from policy.model import Principal
from policy.revocations import find_revocation
from policy.snapshot import Snapshot
from policy.tenancy import tenant_from_server_name

TENANT_HEADER = "TenantGate-Tenant"
_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="TenantGate", error="invalid_token"'}
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Caller:
    """One request's. tenant: the one that the request is about, None: all that the caller sees. key: which caller this
    is, among all of all issuers."""

    principal: Principal
    actor: Actor
    tenant: str | None
    key: str
    snapshot: Snapshot


def control_of(request: Request) -> Control:
    control: Control = request.app.state.control
    return control


async def caller_of(
    request: Request,
    authorization: Annotated[str | None, Header(description="Bearer and a token", include_in_schema=False)] = None,
    selected: Annotated[
        str | None, Header(alias=TENANT_HEADER, description="The tenant that the request is about.", max_length=63)
    ] = None,
) -> Caller:
    """The caller, authenticated and within its rate. Raises ApiProblem: 401, 429, 400; NotFound."""
    control = control_of(request)
    principal = await _authenticate(control, request, authorization)
    request.state.principal = principal
    key = caller_key(principal)
    control.limit.take(key)
    tenant = _selection(selected, _host_tenant(request, control), request.path_params.get("tenant_id"))
    async with control.store.reading() as session:
        snapshot = await picture(control.store, session)
    caller = _as_caller(control, request, principal, snapshot, key)
    if find_revocation(snapshot.revocations, principal, caller.actor.tenant, control.clock()) is not None:
        raise _unauthenticated(control, request, "the token or its subject is revoked")
    if tenant is None:
        return caller if caller.actor.is_operator else replace(caller, tenant=caller.actor.tenant)
    if not _reaches(caller.actor, tenant, snapshot):
        raise NotFound(name_of("tenant", tenant))
    return replace(caller, tenant=tenant)


CallerParam = Annotated[Caller, Depends(caller_of)]
ControlParam = Annotated[Control, Depends(control_of)]


def caller_key(principal: Principal) -> str:
    """Two issuers may name the same subject, and so may two tenants."""
    parts = "\0".join((principal.issuer, principal.method, ",".join(sorted(principal.tenants)), principal.subject))
    return hashlib.sha256(parts.encode()).hexdigest()


def above(tenant: str, snapshot: Snapshot) -> tuple[str, ...]:
    """The ids of the tenants over one."""
    found: list[str] = []
    current = snapshot.tenants.get(tenant)
    while current is not None and current.parent is not None and current.parent not in found:
        found.append(current.parent)
        current = snapshot.tenants.get(current.parent)
    return tuple(found)


async def _authenticate(control: Control, request: Request, authorization: str | None) -> Principal:
    scheme, _, token = (authorization or "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise _unauthenticated(control, request, "no bearer token")
    try:
        return await control.verify(token.strip())
    except AuthenticationError as error:
        raise _unauthenticated(control, request, error.message) from None


def _unauthenticated(control: Control, request: Request, why: str) -> ApiProblem:
    """All failures look alike; why is for the log. Too many from one address are told to wait."""
    address = request.client.host if request.client else ""
    logger.warning("request refused: %s", why, extra={"client": address})
    control.failures.take(address)
    hint = "Send Authorization: Bearer and a token of a trusted issuer that has not expired."
    return ApiProblem(401, "unauthenticated", "the request is not authenticated", hint=hint, headers=_CHALLENGE)


def _host_tenant(request: Request, control: Control) -> str | None:
    host = request.headers.get("host", "").rpartition(":")
    name = host[0] if host[1] and host[2].isdigit() else request.headers.get("host", "")
    return tenant_from_server_name(name, control.host_suffix)


def _selection(header: str | None, host: str | None, path: str | None) -> str | None:
    """The one tenant that all of them name. Host names have no case. Raises ApiProblem (400)."""
    named = [name for name in (path, header) if name is not None]
    if len(set(named)) > 1 or (named and host is not None and named[0].lower() != host):
        detail = "header, host name and path name different tenants"
        raise ApiProblem(400, "contradiction", detail, hint="Name the tenant once, or the same everywhere.")
    return named[0] if named else host


def _as_caller(control: Control, request: Request, principal: Principal, snapshot: Snapshot, key: str) -> Caller:
    own = next(iter(principal.tenants)) if len(principal.tenants) == 1 else None
    actor = Actor(
        subject=principal.subject,
        tenant=own,
        permissions=control_permissions(snapshot, principal, own, control.clock()),
        client=request.client.host if request.client else "",
        via="api",
    )
    return Caller(principal, actor, None, key, snapshot)


def _reaches(actor: Actor, tenant: str, snapshot: Snapshot) -> bool:
    """Something of it may be read. The own tenant is no secret to anybody, and no tenant is one to an operator."""
    if actor.is_operator or tenant == actor.tenant:
        return True
    over = above(tenant, snapshot)
    kinds = {permission.kind for permission in actor.permissions}
    return tenant in snapshot.tenants and any(actor.may_in(kind, "read", tenant, over) for kind in kinds)
