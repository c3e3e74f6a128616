"""Entities read from and written to their tables, the feed and the admin audit log, within one change.

Nothing is judged here: that a body means something, and that the actor may, was asked before (admin/services). Many
are written as few statements: `tenantgate policy apply` may bring ten thousand.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import bindparam, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from admin.services.entity import Entity
from admin.store.admin_audit import Recorded
from admin.store.change import Change
from admin.store.kinds import KINDS, Body
from admin.store.tables import FlagRow, PlaceRow, QuotaRow, TargetRow
from policy.canonical import canonical_json, read_canonical
from policy.canonical_values import canonical_value

_T = TypeVar("_T")
_ASIDE: Mapping[str, type[QuotaRow] | type[FlagRow]] = {"quotas": QuotaRow, "flags": FlagRow}
_AT_ONCE = 500  # ids in one statement


@dataclass(frozen=True, slots=True)
class Written:
    """One entity to be written: as it is, None where there is none yet, and as it will be."""

    id: str
    before: Entity | None
    body: Body


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
    return [Entity(kind, row.id, bodies[row.id], row.version, row.created_at, row.updated_at) for row in rows]


async def _add_aside(
    session: AsyncSession, field: str, aside: type[QuotaRow] | type[FlagRow], bodies: Mapping[str, dict[str, Any]]
) -> None:
    for some in _parts(list(bodies)):
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
    return (await write_entities(change, kind, [Written(entity_id, before, body)], action=action, reason=reason))[0]


async def write_entities(
    change: Change, kind: str, some: Sequence[Written], *, action: str = "", reason: str = ""
) -> list[Entity]:
    """Make or replace entities that are known to change."""
    entities = [_entity(change, kind, one) for one in some]
    rows = [_row(kind, entity) for entity in entities]
    known = {one.id for one in some if one.before is not None}
    await _put_rows(change.session, kind, rows, known)
    if kind == "tenant":
        await _put_aside(change.session, entities, known)
        await _put_places(change.session, entities, known)
    if KINDS[kind].fed:
        await change.publish(kind, {entity.id: entity.body for entity in entities})
    await change.record_all(
        Recorded(
            action or ("create" if one.before is None else "replace"), kind, one.id, tenant_of(kind, one.id, one.body),
            None if one.before is None else one.before.body, one.body, reason,
        )
        for one in some
    )  # fmt: skip
    return entities


async def erase_entity(change: Change, kind: str, entity: Entity, *, action: str = "delete", reason: str = "") -> None:
    """Take an entity out."""
    await erase_entities(change, kind, [entity], action=action, reason=reason)


async def erase_entities(
    change: Change, kind: str, entities: Sequence[Entity], *, action: str = "delete", reason: str = ""
) -> None:
    row = KINDS[kind].row
    for some in _parts(entities):
        await change.session.execute(delete(row).where(row.id.in_([entity.id for entity in some])))
    if KINDS[kind].fed:
        await change.publish(kind, dict.fromkeys((entity.id for entity in entities), None))
    await change.record_all(
        Recorded(action, kind, each.id, tenant_of(kind, each.id, each.body), each.body, None, reason)
        for each in entities
    )


def tenant_of(kind: str, entity_id: str, body: Body) -> str | None:
    """The tenant that an entity belongs to; None: nobody's."""
    if kind == "tenant":
        return entity_id
    tenant: str | None = KINDS[kind].columns(entity_id, body).get("tenant")
    return tenant


async def free_places(session: AsyncSession, tenants: Sequence[str]) -> None:
    """Give up the places of tenants that are about to be written anew, so that two of them may change places."""
    for some in _parts(tenants):
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


def _entity(change: Change, kind: str, one: Written) -> Entity:
    created_at = change.now if one.before is None else one.before.created_at
    return Entity(kind, one.id, dict(one.body), change.version, created_at, change.now)


def _row(kind: str, entity: Entity) -> dict[str, Any]:
    kept = {key: value for key, value in entity.body.items() if kind != "tenant" or key not in _ASIDE}
    return {
        "id": entity.id,
        "version": entity.version,
        "body": canonical_json(kept),
        "created_at": entity.created_at,
        "updated_at": entity.updated_at,
        **KINDS[kind].columns(entity.id, entity.body),
    }


async def _put_rows(session: AsyncSession, kind: str, rows: Sequence[dict[str, Any]], known: set[str]) -> None:
    table = KINDS[kind].row.__table__
    connection = await session.connection()
    new = [row for row in rows if row["id"] not in known]
    old = [{**row, "id_": row["id"]} for row in rows if row["id"] in known]
    if new:
        await connection.execute(insert(table), new)
    if old:
        names: dict[str, Any] = {name: bindparam(name) for name in rows[0] if name != "id"}
        await connection.execute(update(table).where(table.c.id == bindparam("id_")).values(names), old)


async def _put_aside(session: AsyncSession, tenants: Sequence[Entity], known: set[str]) -> None:
    for field, aside in _ASIDE.items():
        for some in _parts(sorted(known)):
            await session.execute(delete(aside).where(aside.tenant.in_(some)))
        rows = [
            {"tenant": tenant.id, "name": name, "value": canonical_json(value)}
            for tenant in tenants
            for name, value in tenant.body.get(field, {}).items()
        ]
        if rows:
            await session.execute(insert(aside), rows)


async def _put_places(session: AsyncSession, tenants: Sequence[Entity], known: set[str]) -> None:
    found = await session.execute(select(TargetRow.id, TargetRow.body))
    own = {row.id: read_canonical(row.body)["database"] for row in found}
    await free_places(session, sorted(known))
    rows = [
        {"place": place, "tenant": tenant.id}
        for tenant in tenants
        for place in places_of(tenant.id, tenant.body, own.get(tenant.body["target"], ""))
    ]
    await session.execute(insert(PlaceRow), rows)


def _parts(items: Sequence[_T]) -> Iterator[Sequence[_T]]:
    for start in range(0, len(items), _AT_ONCE):
        yield items[start : start + _AT_ONCE]
