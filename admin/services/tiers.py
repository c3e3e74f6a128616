"""Tiers (quotas and flags that tenants have unless they have their own) and the policy's own feature flags."""

from __future__ import annotations

from admin.services import keeping
from admin.services.actor import Actor
from admin.services.entity import Body, Entity, Listed, Page
from admin.services.keeping import FIRST
from admin.store.engine import Store


async def list_tiers(store: Store, actor: Actor, *, page: Page = FIRST) -> Listed:
    """For operators; nobody else sees any."""
    return await keeping.list_all(store, actor, "tier", page)


async def get_tier(store: Store, actor: Actor, name: str) -> Entity:
    """Raises NotFound."""
    return await keeping.get(store, actor, "tier", name)


async def put_tier(store: Store, actor: Actor, name: str, body: Body, *, etag: str | None = None) -> Entity:
    """Make or replace. Raises NotFound, Refused, EtagMismatch, Invalid."""
    return await keeping.put(store, actor, "tier", name, body, etag=etag)


async def delete_tier(store: Store, actor: Actor, name: str, *, etag: str | None = None) -> None:
    """Raises NotFound, Refused, EtagMismatch, Invalid (tenants have it)."""
    await keeping.remove(store, actor, "tier", name, etag=etag)


async def list_flag_definitions(store: Store, actor: Actor, *, page: Page = FIRST) -> Listed:
    """For operators; nobody else sees any."""
    return await keeping.list_all(store, actor, "flag", page)


async def get_flag_definition(store: Store, actor: Actor, name: str) -> Entity:
    """Raises NotFound."""
    return await keeping.get(store, actor, "flag", name)


async def put_flag_definition(store: Store, actor: Actor, name: str, body: Body, *, etag: str | None = None) -> Entity:
    """Make or replace. Raises NotFound, Refused, EtagMismatch, Invalid."""
    return await keeping.put(store, actor, "flag", name, body, etag=etag)


async def delete_flag_definition(store: Store, actor: Actor, name: str, *, etag: str | None = None) -> None:
    """Raises NotFound, Refused, EtagMismatch, Invalid (tenants or tiers switch it)."""
    await keeping.remove(store, actor, "flag", name, etag=etag)
