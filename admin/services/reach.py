"""Whom an actor reaches: the tenants of the tree that its permissions cover, and nothing else is there for it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import ColumnElement, false, or_, select, true
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute, aliased

from admin.services.actor import Actor
from admin.services.entity import Entity
from admin.services.errors import EtagMismatch, NotFound, Refused
from admin.store.entities import read_entity, tenant_of
from admin.store.tables import TenantRow

_DEEPEST = 64


async def above(session: AsyncSession, tenant: str) -> tuple[str, ...]:
    """The ids of the tenants over one, its parent first. Those of a tenant that is not there: none."""
    found: list[str] = []
    current: str | None = tenant
    while current is not None and len(found) < _DEEPEST:
        current = (await session.execute(select(TenantRow.parent).where(TenantRow.id == current))).scalar()
        if current is not None:
            found.append(current)
    return tuple(found)


def within(actor: Actor, kind: str, column: InstrumentedAttribute[Any]) -> ColumnElement[bool]:
    """SQL: `column` is a tenant in which the actor may read this kind."""
    scopes = actor.scopes(kind, "read")
    if "*" in scopes:
        return true()
    parts: list[ColumnElement[bool]] = []
    if actor.tenant is not None and "own" in scopes:
        parts.append(column == actor.tenant)
    if actor.tenant is not None and "children" in scopes:
        parts.append(column.in_(_below(actor.tenant)))
    return or_(*parts) if parts else false()


def _below(tenant: str):  # type: ignore[no-untyped-def]  # SQLAlchemy's CTE of one column
    tree = select(TenantRow.id).where(TenantRow.parent == tenant).cte("below", recursive=True)
    child = aliased(TenantRow)
    return select(tree.union(select(child.id).join(tree, child.parent == tree.c.id)).c.id)


async def seen(session: AsyncSession, actor: Actor, kind: str, entity_id: str, control: str) -> Entity:
    """The entity, if the actor may read it. control: the kind of the permission. Raises NotFound."""
    entity = await read_entity(session, kind, entity_id)
    what = name_of(kind, entity_id)
    if entity is None:
        raise NotFound(what)
    tenant = tenant_of(kind, entity_id, entity.body)
    if tenant is None:
        if not actor.may_everywhere(control, "read"):
            raise NotFound(what)
        return entity
    if not actor.may_in(control, "read", tenant, await above(session, tenant)):
        raise NotFound(what)
    return entity


async def require(
    session: AsyncSession, actor: Actor, control: str, action: str, tenant: str | None, what: str
) -> None:
    """The actor may do this in a tenant (None: outside of all). Raises NotFound or Refused."""
    if tenant is None:
        actor.require_everywhere(control, action, what)
    elif not actor.may_everywhere(control, action):
        if not actor.scopes(control, action) and not actor.scopes(control, "read"):
            raise Refused(f"{control}:{action} is not among your permissions", hint="Ask an administrator.")
        actor.require_in(control, action, tenant, await above(session, tenant), what)


def check_etag(entity: Entity, etag: str | None) -> None:
    """Raises EtagMismatch; None and `*` match whatever is there."""
    if etag not in (None, "*", entity.etag):
        raise EtagMismatch(name_of(entity.kind, entity.id), entity.etag)


def name_of(kind: str, entity_id: str) -> str:
    """An entity for people: tenant "acme"."""
    return f'{kind} "{entity_id}"'


def names(entities: Iterable[Entity]) -> list[str]:
    return [entity.id for entity in entities]
