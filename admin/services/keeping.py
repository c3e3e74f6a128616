"""What all kinds of entities but tenants have in common: read, list, put, delete, each within an actor's reach.

The services of each kind (roles.py, assignments.py …) add what is special to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement, or_, select

from admin.services.actor import Actor
from admin.services.entity import Body, Entity, Listed, Page, encode_cursor
from admin.services.errors import Conflict
from admin.services.judgement import judge
from admin.services.reach import check_etag, name_of, require, seen, within
from admin.store.change import Change, changing
from admin.store.engine import Store
from admin.store.entities import erase_entity, read_entity, tenant_of, to_entities, write_entity
from admin.store.kinds import KINDS

CONTROL: Mapping[str, str] = {
    "role": "role",
    "assignment": "user",
    "policy": "policy",
    "tables": "target",
    "functions": "target",
    "target": "target",
    "tier": "quota",
    "flag": "flag",
    "revocation": "token",
}  # the kind of the permission that a change takes
FIRST = Page()


async def get(store: Store, actor: Actor, kind: str, entity_id: str) -> Entity:
    """Raises NotFound."""
    async with store.reading() as session:
        return await seen(session, actor, kind, entity_id, CONTROL[kind])


async def list_all(
    store: Store, actor: Actor, kind: str, page: Page = FIRST, *, where: tuple[ColumnElement[bool], ...] = ()
) -> Listed:
    """Those that the actor sees, by id."""
    row, control = KINDS[kind].row, CONTROL[kind]
    query = select(row).where(*where).order_by(row.id)
    if not actor.may_everywhere(control, "read"):
        if not hasattr(row, "tenant"):
            return Listed(())
        query = query.where(within(actor, control, row.tenant))
    after = page.after()
    if after is not None:
        query = query.where(row.id > after)
    async with store.reading() as session:
        rows = (await session.execute(query.limit(page.limit + 1))).scalars().all()
        entities = await to_entities(session, kind, rows[: page.limit])
    return Listed(tuple(entities), encode_cursor(entities[-1].id) if len(rows) > page.limit else None)


async def put(
    store: Store, actor: Actor, kind: str, entity_id: str, body: Body, *, etag: str | None = None, new: bool = False
) -> Entity:
    """Make or replace an entity; new: there must be none yet. The actor must be allowed where it was and where it will
    be. Raises NotFound, Refused, Conflict, EtagMismatch, Invalid.
    """
    async with changing(store, actor) as change:
        return await put_in(change, kind, entity_id, body, etag=etag, new=new)


async def put_in(
    change: Change, kind: str, entity_id: str, body: Body, *, etag: str | None = None, new: bool = False,
    action: str = "", reason: str = "",
) -> Entity:  # fmt: skip
    """As `put`, within a change."""
    what = name_of(kind, entity_id)
    if isinstance(body, Mapping):
        await require(change.session, change.actor, CONTROL[kind], "write", tenant_asked(kind, entity_id, body), what)
    before = await read_entity(change.session, kind, entity_id)
    if before is not None:
        await require(
            change.session, change.actor, CONTROL[kind], "write", tenant_of(kind, entity_id, before.body), what
        )
        if new:
            raise Conflict(f"{what} exists already", hint="Choose another name, or change it.")
        check_etag(before, etag)
    elif etag is not None:
        await seen(change.session, change.actor, kind, entity_id, CONTROL[kind])
    judged = await judge(change, [(kind, entity_id, body)])
    return await write_entity(change, kind, entity_id, judged.bodies[kind, entity_id], action=action, reason=reason)


async def remove(
    store: Store, actor: Actor, kind: str, entity_id: str, *, etag: str | None = None, reason: str = ""
) -> None:
    """Take an entity out. Raises NotFound, Refused, EtagMismatch, Invalid (it is still used)."""
    async with changing(store, actor) as change:
        await remove_in(change, kind, entity_id, etag=etag, reason=reason)


async def remove_in(change: Change, kind: str, entity_id: str, *, etag: str | None = None, reason: str = "") -> None:
    """As `remove`, within a change."""
    entity = await seen(change.session, change.actor, kind, entity_id, CONTROL[kind])
    tenant = tenant_of(kind, entity_id, entity.body)
    await require(change.session, change.actor, CONTROL[kind], "write", tenant, name_of(kind, entity_id))
    check_etag(entity, etag)
    await judge(change, [(kind, entity_id, None)])
    await erase_entity(change, kind, entity, reason=reason)


def of_tenant(kind: str, tenant: str, *, everybody: bool = False) -> ColumnElement[bool]:
    """SQL: entities of one tenant; everybody: and those of no tenant."""
    column: Any = KINDS[kind].row.tenant
    return or_(column == tenant, column.is_(None)) if everybody else column == tenant


def tenant_asked(kind: str, entity_id: str, body: Body) -> str | None:
    """Whose the entity would be, of a body that nobody has judged yet."""
    if kind == "role":
        return entity_id.rpartition("/")[0] or None
    tenant = body.get("tenant") if hasattr(KINDS[kind].row, "tenant") else None
    return tenant if isinstance(tenant, str) and tenant != "*" else None
