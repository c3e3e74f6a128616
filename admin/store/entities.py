"""Entities read from and written to their tables, the feed and the admin audit log, within one change.

Nothing is judged here: that a body means something, and that the actor may, was asked before (admin/services).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import delete, insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from admin.services.entity import Entity
from admin.store.change import Change
from admin.store.kinds import KINDS, Body
from admin.store.tables import FlagRow, PlaceRow, QuotaRow
from policy.canonical import canonical_json, read_canonical
from policy.canonical_values import canonical_value

_ASIDE: Mapping[str, type[QuotaRow] | type[FlagRow]] = {"quotas": QuotaRow, "flags": FlagRow}
_AT_ONCE = 500  # ids in one statement


async def read_entity(session: AsyncSession, kind: str, entity_id: str) -> Entity | None:
    """One entity as it is now."""
    row = await session.get(KINDS[kind].row, entity_id, populate_existing=True)
    return None if row is None else (await to_entities(session, kind, [row]))[0]


async def read_all(session: AsyncSession, kind: str) -> list[Entity]:
    """Every entity of a kind, by id."""
    row = KINDS[kind].row
    found = await session.execute(select(row).order_by(row.id).execution_options(populate_existing=True))
    return await to_entities(session, kind, found.scalars().all())


async def to_entities(session: AsyncSession, kind: str, rows: Sequence[Any]) -> list[Entity]:
    """Rows of a kind's table as entities with whole bodies."""
    bodies = {row.id: read_canonical(row.body) for row in rows}
    if kind == "tenant":
        for field, aside in _ASIDE.items():
            await _add_aside(session, field, aside, bodies)
    return [
        Entity(kind, row.id, bodies[row.id], str(row.etag), row.version, row.created_at, row.updated_at) for row in rows
    ]


async def _add_aside(
    session: AsyncSession, field: str, aside: type[QuotaRow] | type[FlagRow], bodies: Mapping[str, dict[str, Any]]
) -> None:
    ids = list(bodies)
    for start in range(0, len(ids), _AT_ONCE):
        some = ids[start : start + _AT_ONCE]
        rows = await session.execute(select(aside.tenant, aside.name, aside.value).where(aside.tenant.in_(some)))
        for tenant, name, value in rows:
            bodies[tenant].setdefault(field, {})[name] = read_canonical(value)


async def write_entity(
    change: Change, kind: str, entity_id: str, body: Body, *, action: str = "", reason: str = ""
) -> Entity:
    """Make or replace an entity. One that is as it was stays so, and nothing is recorded. action: for the audit log,
    create or replace unless given."""
    before = await read_entity(change.session, kind, entity_id)
    if before is not None and canonical_json(before.body) == canonical_json(body):
        return before
    created_at = change.now if before is None else before.created_at
    etag = 1 if before is None else int(before.etag) + 1
    await _put_rows(change, kind, entity_id, body, etag, created_at, exists=before is not None)
    if KINDS[kind].fed:
        await change.publish(kind, entity_id, body)
    await change.record(
        action or ("create" if before is None else "replace"), kind, entity_id,
        tenant=tenant_of(kind, entity_id, body), before=None if before is None else before.body, after=body,
        reason=reason,
    )  # fmt: skip
    return Entity(kind, entity_id, dict(body), str(etag), change.version, created_at, change.now)


async def erase_entity(change: Change, kind: str, entity: Entity, *, action: str = "delete", reason: str = "") -> None:
    """Take an entity out."""
    row = KINDS[kind].row
    await change.session.execute(delete(row).where(row.id == entity.id))
    if KINDS[kind].fed:
        await change.publish(kind, entity.id, None)
    await change.record(
        action, kind, entity.id, tenant=tenant_of(kind, entity.id, entity.body), before=entity.body, reason=reason
    )


def tenant_of(kind: str, entity_id: str, body: Body) -> str | None:
    """The tenant that an entity belongs to; None: nobody's."""
    if kind == "tenant":
        return entity_id
    columns = KINDS[kind].columns(entity_id, body)
    return columns.get("tenant")


async def _put_rows(
    change: Change, kind: str, entity_id: str, body: Body, etag: int, created_at: float, *, exists: bool
) -> None:
    found, session = KINDS[kind], change.session
    kept = {key: value for key, value in body.items() if kind != "tenant" or key not in _ASIDE}
    values = {
        "etag": etag,
        "version": change.version,
        "body": canonical_json(kept),
        "created_at": created_at,
        "updated_at": change.now,
        **found.columns(entity_id, body),
    }
    if exists:
        await session.execute(found.row.__table__.update().where(found.row.id == entity_id).values(**values))
    else:
        await session.execute(insert(found.row).values(id=entity_id, **values))
    if kind == "tenant":
        await _put_aside(session, entity_id, body)
        await _put_places(session, entity_id, body)


async def _put_aside(session: AsyncSession, tenant: str, body: Body) -> None:
    for field, aside in _ASIDE.items():
        await session.execute(delete(aside).where(aside.tenant == tenant))
        rows = [{"tenant": tenant, "name": n, "value": canonical_json(v)} for n, v in body.get(field, {}).items()]
        if rows:
            await session.execute(insert(aside), rows)


async def _put_places(session: AsyncSession, tenant: str, body: Body) -> None:
    target = await read_entity(session, "target", body["target"])
    own = "" if target is None else target.body.get("database", "")
    await free_places(session, [tenant])
    rows = [{"place": place, "tenant": tenant} for place in places_of(tenant, body, own)]
    await session.execute(insert(PlaceRow), rows)


async def free_places(session: AsyncSession, tenants: Sequence[str]) -> None:
    """Give up the places of tenants that are about to be written anew, so that two of them may change places."""
    for start in range(0, len(tenants), _AT_ONCE):
        some = tenants[start : start + _AT_ONCE]
        await session.execute(delete(PlaceRow).where(PlaceRow.tenant.in_(some)))


def places_of(tenant: str, body: Body, own_database: str) -> Iterable[str]:
    """What only this tenant may have, as texts that are equal where two tenants would share it. own_database: the
    target's, which a tenant may name or leave out."""
    where = [body["target"], body.get("database", own_database)]
    match body["isolation"]:
        case "database":
            yield canonical_json(["database", *where])
        case "schema":
            yield canonical_json(["schema", *where, body["schema"]])
        case _:
            value = canonical_value(str(body.get("value", tenant)))
            yield canonical_json(["value", *where, hashlib.sha256(value.encode("utf-8", "replace")).hexdigest()])
