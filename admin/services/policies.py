"""Policies of conditions and effects; a tenant's own name it in `tenant`."""

from __future__ import annotations

from admin.services import keeping
from admin.services.actor import Actor
from admin.services.entity import Body, Entity, Listed, Page
from admin.services.keeping import FIRST, of_tenant
from admin.store.engine import Store


async def get_policy(store: Store, actor: Actor, policy_id: str) -> Entity:
    """Raises NotFound."""
    return await keeping.get(store, actor, "policy", policy_id)


async def list_policies(store: Store, actor: Actor, *, tenant: str | None = None, page: Page = FIRST) -> Listed:
    """tenant: only its own."""
    where = () if tenant is None else (of_tenant("policy", tenant),)
    return await keeping.list_all(store, actor, "policy", page, where=where)


async def create_policy(store: Store, actor: Actor, policy_id: str, body: Body) -> Entity:
    """Raises Refused, Conflict, Invalid."""
    return await keeping.put(store, actor, "policy", policy_id, body, new=True)


async def put_policy(store: Store, actor: Actor, policy_id: str, body: Body, *, etag: str | None = None) -> Entity:
    """Make or replace. Raises NotFound, Refused, EtagMismatch, Invalid."""
    return await keeping.put(store, actor, "policy", policy_id, body, etag=etag)


async def delete_policy(store: Store, actor: Actor, policy_id: str, *, etag: str | None = None) -> None:
    """Raises NotFound, Refused, EtagMismatch."""
    await keeping.remove(store, actor, "policy", policy_id, etag=etag)
