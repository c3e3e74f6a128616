"""Targets, as far as policy needs them (a name and the target's own database), and the classified tables and callable
functions of each. How gateways reach a target, and its password, stand in their tenantgate.toml and nowhere here."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from admin.services import keeping
from admin.services.actor import Actor
from admin.services.entity import Body, Entity, Listed, Page
from admin.services.errors import Conflict, Invalid
from admin.services.keeping import FIRST
from admin.services.reach import check_etag, name_of, seen
from admin.store.change import changing
from admin.store.engine import Store
from admin.store.entities import erase_entity, read_entity, write_entity
from admin.store.tables import FunctionsRow, TablesRow, TenantRow
from policy.problems import Problems
from policy.yaml_values import as_count, as_mapping, as_text

_FIELDS = ("database", "host", "port", "description")


async def get_target(store: Store, actor: Actor, target_id: str) -> Entity:
    """Raises NotFound."""
    return await keeping.get(store, actor, "target", target_id)


async def list_targets(store: Store, actor: Actor, *, page: Page = FIRST) -> Listed:
    """For operators; nobody else sees any."""
    return await keeping.list_all(store, actor, "target", page)


async def put_target(
    store: Store, actor: Actor, target_id: str, body: Body, *, etag: str | None = None, new: bool = False
) -> Entity:
    """Make or replace; its database stays while tenants are there. Raises Refused, Conflict, EtagMismatch, Invalid."""
    actor.require_everywhere("target", "write", "changing targets")
    check_target(target_id, body)
    async with changing(store, actor) as change:
        before = await read_entity(change.session, "target", target_id)
        if before is not None:
            check_etag(before, etag)
            moved = before.body["database"] != body["database"]
            if new or (moved and await _tenants_at(change.session, target_id)):
                reason = "exists already" if new else "has tenants: its database cannot be another"
                raise Conflict(f"{name_of('target', target_id)} {reason}", hint="Make a target of another name.")
        return await write_entity(change, "target", target_id, body)


async def delete_target(store: Store, actor: Actor, target_id: str, *, etag: str | None = None) -> None:
    """Raises NotFound, Refused, EtagMismatch, Conflict (tenants, tables or functions are there)."""
    async with changing(store, actor) as change:
        entity = await seen(change.session, actor, "target", target_id, "target")
        actor.require_everywhere("target", "write", "deleting targets")
        check_etag(entity, etag)
        tenants = await _tenants_at(change.session, target_id)
        classified = [await change.session.get(row, target_id) for row in (TablesRow, FunctionsRow)]
        if tenants or any(classified):
            used = f"{tenants} tenant(s)" if tenants else "classified tables or functions"
            raise Conflict(f"{name_of('target', target_id)} is used by {used}", hint="Move or delete these first.")
        await erase_entity(change, "target", entity)


async def get_tables(store: Store, actor: Actor, target_id: str) -> Entity:
    """The classification of a target's relations. Raises NotFound."""
    return await keeping.get(store, actor, "tables", target_id)


async def put_tables(store: Store, actor: Actor, target_id: str, body: Body, *, etag: str | None = None) -> Entity:
    """All of it anew. Raises NotFound, Refused, EtagMismatch, Invalid."""
    return await keeping.put(store, actor, "tables", target_id, body, etag=etag)


async def get_functions(store: Store, actor: Actor, target_id: str) -> Entity:
    """The target's callable functions. Raises NotFound."""
    return await keeping.get(store, actor, "functions", target_id)


async def put_functions(store: Store, actor: Actor, target_id: str, body: Body, *, etag: str | None = None) -> Entity:
    """All of them anew. Raises NotFound, Refused, EtagMismatch, Invalid."""
    return await keeping.put(store, actor, "functions", target_id, body, etag=etag)


def check_target(target_id: str, body: object, path: str = "") -> None:
    """Raises Invalid. path: where the body stands."""
    problems = Problems()
    path = path or f"targets.{target_id}"
    fields: Mapping[str, object] = as_mapping(problems, path, body)
    problems.unknown_keys(path, fields, _FIELDS)
    if not target_id.replace("_", "").replace("-", "").replace(".", "").isalnum() or len(target_id) > 63:
        problems.add(path, "not a name for a target", "Letters, digits and _ . -")
    if "database" not in fields:
        problems.add(f"{path}.database", "is missing", "Name the target's own database, as gateways have it.")
    for key in ("database", "host", "description"):
        if key in fields:
            as_text(problems, f"{path}.{key}", fields[key])
    if "port" in fields:
        as_count(problems, f"{path}.port", fields["port"])
    if problems.found:
        raise Invalid(tuple(problems.found))


async def _tenants_at(session: AsyncSession, target_id: str) -> int:
    return int((await session.execute(select(func.count()).where(TenantRow.target == target_id))).scalar() or 0)
