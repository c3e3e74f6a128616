"""Tiers (quotas and flags that tenants have unless they have their own) and the policy's own feature flags."""

from __future__ import annotations

from sqlalchemy import func, select

from admin.services import keeping
from admin.services.actor import Actor
from admin.services.entity import Body, Entity, Listed, Page
from admin.services.errors import Conflict
from admin.services.keeping import FIRST
from admin.services.reach import name_of, seen
from admin.store.change import changing
from admin.store.engine import Store
from admin.store.tables import TenantRow


async def list_tiers(store: Store, actor: Actor, *, page: Page = FIRST) -> Listed:
    """For operators; nobody else sees any."""
    return await keeping.list_all(store, actor, "tier", page)


async def get_tier(store: Store, actor: Actor, name: str) -> Entity:
    """Raises NotFound."""
    return await keeping.get(store, actor, "tier", name)


async def put_tier(
    store: Store, actor: Actor, name: str, body: Body, *, etag: str | None = None, new: bool = False
) -> Entity:
    """Make or replace. Raises NotFound, Refused, Conflict, EtagMismatch, Invalid."""
    return await keeping.put(store, actor, "tier", name, body, etag=etag, new=new)


async def delete_tier(store: Store, actor: Actor, name: str, *, etag: str | None = None) -> None:
    """Raises NotFound, Refused, EtagMismatch, Conflict (tenants have it)."""
    async with changing(store, actor) as change:
        await seen(change.session, actor, "tier", name, keeping.CONTROL["tier"])
        tenants = (await change.session.execute(select(func.count()).where(TenantRow.tier == name))).scalar() or 0
        if tenants:
            hint = "Give them another tier first, or leave it without quotas and flags."
            raise Conflict(f"{name_of('tier', name)} is that of {tenants} tenant(s)", hint=hint)
        await keeping.remove_in(change, "tier", name, etag=etag)


async def list_flag_definitions(store: Store, actor: Actor, *, page: Page = FIRST) -> Listed:
    """For operators; nobody else sees any."""
    return await keeping.list_all(store, actor, "flag", page)


async def get_flag_definition(store: Store, actor: Actor, name: str) -> Entity:
    """Raises NotFound."""
    return await keeping.get(store, actor, "flag", name)


async def put_flag_definition(
    store: Store, actor: Actor, name: str, body: Body, *, etag: str | None = None, new: bool = False
) -> Entity:
    """Make or replace. Raises NotFound, Refused, Conflict, EtagMismatch, Invalid."""
    return await keeping.put(store, actor, "flag", name, body, etag=etag, new=new)


async def delete_flag_definition(store: Store, actor: Actor, name: str, *, etag: str | None = None) -> None:
    """Raises NotFound, Refused, EtagMismatch, Invalid (tenants or tiers switch it)."""
    await keeping.remove(store, actor, "flag", name, etag=etag)
