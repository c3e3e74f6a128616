"""Revocations: a token by its `jti`, or all that a subject may show, refused at login and on live sessions.

A body has `jti` or `subject`; `tenant`: only sessions of this tenant; `issuer`: only its tokens; `issued_before`: only
tokens that were issued before (RFC 3339); `until`: when it may be forgotten; `reason`.
"""

from __future__ import annotations

from typing import Any

from admin.services import keeping
from admin.services.actor import Actor
from admin.services.entity import Body, Entity, Listed, Page
from admin.services.errors import Refused
from admin.services.keeping import FIRST, of_tenant
from admin.store.change import changing
from admin.store.engine import Store
from policy.revocations import revocation_id


async def revoke(store: Store, actor: Actor, body: Body) -> Entity:
    """Refuse a token or a subject from now on. An actor that is bound to a tenant revokes for its tenant only, which
    is filled in where the body leaves it out. Raises NotFound, Refused, Invalid."""
    named: dict[str, Any] = dict(body)
    if "tenant" not in named and not actor.may_everywhere("token", "write"):
        if actor.tenant is None:
            raise Refused("token:write is not among your permissions", hint="Ask an administrator.")
        named["tenant"] = actor.tenant
    async with changing(store, actor) as change:
        return await keeping.put_in(
            change, "revocation", revocation_id(named), named, action="revoke", reason=str(named.get("reason", ""))
        )


async def get_revocation(store: Store, actor: Actor, revocation: str) -> Entity:
    """Raises NotFound."""
    return await keeping.get(store, actor, "revocation", revocation)


async def list_revocations(store: Store, actor: Actor, *, tenant: str | None = None, page: Page = FIRST) -> Listed:
    """tenant: only those for it."""
    where = () if tenant is None else (of_tenant("revocation", tenant),)
    return await keeping.list_all(store, actor, "revocation", page, where=where)


async def lift_revocation(store: Store, actor: Actor, revocation: str, *, reason: str = "") -> None:
    """Take it back. Raises NotFound, Refused."""
    await keeping.remove(store, actor, "revocation", revocation, reason=reason)
