"""Roles: everybody's (`analyst`), and tenants' own (`acme/analyst`), which only give what is within the tenant."""

from __future__ import annotations

from admin.services import keeping
from admin.services.actor import Actor
from admin.services.ceiling import check_within_tenants
from admin.services.entity import Body, Entity, Listed, Page
from admin.services.judgement import judge
from admin.services.keeping import FIRST, of_tenant
from admin.store.change import changing
from admin.store.engine import Store


async def get_role(store: Store, actor: Actor, role_id: str) -> Entity:
    """Raises NotFound."""
    return await keeping.get(store, actor, "role", role_id)


async def list_roles(store: Store, actor: Actor, *, tenant: str | None = None, page: Page = FIRST) -> Listed:
    """tenant: only its own."""
    where = () if tenant is None else (of_tenant("role", tenant),)
    return await keeping.list_all(store, actor, "role", page, where=where)


async def create_role(store: Store, actor: Actor, role_id: str, body: Body) -> Entity:
    """Raises Refused, Conflict, Invalid."""
    return await _put(store, actor, role_id, body, None, new=True)


async def put_role(store: Store, actor: Actor, role_id: str, body: Body, *, etag: str | None = None) -> Entity:
    """Make or replace. Raises NotFound, Refused, EtagMismatch, Invalid."""
    return await _put(store, actor, role_id, body, etag, new=False)


async def delete_role(store: Store, actor: Actor, role_id: str, *, etag: str | None = None) -> None:
    """Raises NotFound, Refused, EtagMismatch, Invalid (it is still inherited or assigned)."""
    await keeping.remove(store, actor, "role", role_id, etag=etag)


async def _put(store: Store, actor: Actor, role_id: str, body: Body, etag: str | None, *, new: bool) -> Entity:
    """Who is bound to a tenant makes no role that reaches beyond it: a token could name it."""
    async with changing(store, actor) as change:
        entity = await keeping.put_in(change, "role", role_id, body, etag=etag, new=new)
        if not actor.may_everywhere("role", "write"):
            after = (await judge(change, [("role", role_id, entity.body)])).after
            check_within_tenants(after, after.roles[role_id], "make")
        return entity
