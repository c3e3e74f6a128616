"""Tenants: create, read, list, change, suspend, resume, delete; quotas, flags, children, users.

Bodies are those of policy.yaml's section `tenants` (docs/policy.md). An actor that is bound to a tenant changes of its
own what is only a label, and of the tenants below quotas and attributes, too; where a tenant's rows are, its tier, its
flags and its parent are for operators.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from admin.services.actor import Actor
from admin.services.entity import Body, Entity, Listed, Page, encode_cursor
from admin.services.errors import Conflict, Refused
from admin.services.judgement import Proposal, judge
from admin.services.reach import check_etag, name_of, require, seen, within
from admin.store.change import Change, changing
from admin.store.engine import Store
from admin.store.entities import erase_entity, read_entity, to_entities, write_entity
from admin.store.tables import AssignmentRow, RoleRow, TenantRow

_OWN_FIELDS = frozenset({"name", "owner"})
_CHILD_FIELDS = frozenset({"name", "owner", "attributes", "quotas"})


@dataclass(frozen=True, slots=True)
class TenantFilter:
    """None: any. search: part of id or name, without case."""

    status: str | None = None
    tier: str | None = None
    target: str | None = None
    parent: str | None = None
    isolation: str | None = None
    search: str | None = None


ANY = TenantFilter()
FIRST = Page()


async def create_tenant(store: Store, actor: Actor, tenant_id: str, body: Body) -> Entity:
    """A new tenant; where its rows go must be nobody's. Raises Refused, Conflict, Invalid."""
    actor.require_everywhere("tenant", "write", "creating tenants")
    async with changing(store, actor) as change:
        if await read_entity(change.session, "tenant", tenant_id) is not None:
            raise Conflict(f"{name_of('tenant', tenant_id)} exists already", hint="Choose another id, or change it.")
        return await _put(change, tenant_id, body)


async def get_tenant(store: Store, actor: Actor, tenant_id: str) -> Entity:
    """Raises NotFound."""
    async with store.reading() as session:
        return await seen(session, actor, "tenant", tenant_id, "tenant")


async def list_tenants(store: Store, actor: Actor, which: TenantFilter = ANY, page: Page = FIRST) -> Listed:
    """Those that the actor sees, by id. Raises Invalid for a bad page."""
    query = select(TenantRow).where(within(actor, "tenant", TenantRow.id)).order_by(TenantRow.id)
    for name in ("status", "tier", "target", "parent", "isolation"):
        if getattr(which, name) is not None:
            query = query.where(getattr(TenantRow, name) == getattr(which, name))
    if which.search:
        query = query.where(TenantRow.id.icontains(which.search, autoescape=True)
                            | TenantRow.name.icontains(which.search, autoescape=True))  # fmt: skip
    after = page.after()
    if after is not None:
        query = query.where(TenantRow.id > after)
    async with store.reading() as session:
        rows = (await session.execute(query.limit(page.limit + 1))).scalars().all()
        entities = await to_entities(session, "tenant", rows[: page.limit])
    more = len(rows) > page.limit
    return Listed(tuple(entities), encode_cursor(entities[-1].id) if more else None)


async def tenant_children(store: Store, actor: Actor, tenant_id: str, page: Page = FIRST) -> Listed:
    """The tenants right below. Raises NotFound."""
    await get_tenant(store, actor, tenant_id)
    return await list_tenants(store, actor, TenantFilter(parent=tenant_id), page)


async def replace_tenant(store: Store, actor: Actor, tenant_id: str, body: Body, *, etag: str | None = None) -> Entity:
    """The whole body anew (PUT). Raises NotFound, Refused, EtagMismatch, Invalid."""
    async with changing(store, actor) as change:
        before = await _changeable(change, tenant_id, etag)
        await _check_fields(change, before, body)
        return await _put(change, tenant_id, body)


async def patch_tenant(
    store: Store, actor: Actor, tenant_id: str, patch: Mapping[str, Any], *, etag: str | None = None
) -> Entity:
    """A JSON merge patch (RFC 7396) of the body. Raises as `replace_tenant`."""
    async with changing(store, actor) as change:
        before = await _changeable(change, tenant_id, etag)
        body = merge_patch(before.body, patch)
        await _check_fields(change, before, body)
        return await _put(change, tenant_id, body)


async def suspend_tenant(
    store: Store, actor: Actor, tenant_id: str, *, etag: str | None = None, reason: str = ""
) -> Entity:
    """Sessions of it end, none begin. Raises NotFound, Refused, EtagMismatch."""
    return await _set_status(store, actor, tenant_id, "suspend", "suspended", etag, reason)


async def resume_tenant(
    store: Store, actor: Actor, tenant_id: str, *, etag: str | None = None, reason: str = ""
) -> Entity:
    """Active again. Raises as `suspend_tenant`."""
    return await _set_status(store, actor, tenant_id, "resume", "active", etag, reason)


async def delete_tenant(store: Store, actor: Actor, tenant_id: str, *, word: str, etag: str | None = None) -> None:
    """Take a tenant out, with its own roles and assignments; its rows on the target stay where they are.

    word: must be the tenant's id, so that nobody does this by accident. Raises NotFound, Refused, EtagMismatch, Invalid
    (tenants below it).
    """
    async with changing(store, actor) as change:
        entity = await seen(change.session, actor, "tenant", tenant_id, "tenant")
        actor.require_everywhere("tenant", "write", "deleting tenants")
        check_etag(entity, etag)
        check_word(tenant_id, word)
        await erase_tenant(change, entity)


def check_word(tenant_id: str, word: str) -> None:
    """Raises Refused unless the word is the tenant's id."""
    if word != tenant_id:
        hint = f"Repeat its id to say that you mean it: {tenant_id}"
        raise Refused(f"{name_of('tenant', tenant_id)} is only deleted with its id as the word", hint=hint)


async def erase_tenant(change: Change, entity: Entity, reason: str = "") -> None:
    """Take a tenant out with its own roles and assignments. Raises Invalid: tenants are below it."""
    own = [*await _of_tenant(change, "assignment", entity.id), *await _of_tenant(change, "role", entity.id)]
    gone: list[Proposal] = [(each.kind, each.id, None) for each in (*own, entity)]
    await judge(change, gone)
    for each in (*own, entity):
        await erase_entity(change, each.kind, each, reason=reason)


async def get_quotas(store: Store, actor: Actor, tenant_id: str) -> tuple[dict[str, Any], str]:
    """The tenant's own limits, and the etag to change them with. Raises NotFound."""
    entity = await get_tenant(store, actor, tenant_id)
    return entity.body.get("quotas", {}), entity.etag


async def put_quotas(
    store: Store, actor: Actor, tenant_id: str, quotas: Mapping[str, Any], *, etag: str | None = None
) -> Entity:
    """All limits of the tenant's own anew; {}: its tier's hold. Raises as `replace_tenant`."""
    return await _put_part(store, actor, tenant_id, "quotas", quotas, etag)


async def get_flags(store: Store, actor: Actor, tenant_id: str) -> tuple[dict[str, Any], str]:
    """The flags that the tenant has otherwise than its tier, and the etag. Raises NotFound."""
    entity = await get_tenant(store, actor, tenant_id)
    return entity.body.get("flags", {}), entity.etag


async def put_flags(
    store: Store, actor: Actor, tenant_id: str, flags: Mapping[str, Any], *, etag: str | None = None
) -> Entity:
    """All flags of the tenant's own anew. Raises as `replace_tenant`."""
    return await _put_part(store, actor, tenant_id, "flags", flags, etag)


async def tenant_users(store: Store, actor: Actor, tenant_id: str, page: Page = FIRST) -> Listed:
    """Who has roles in the tenant by an assignment: the assignments, by id. Raises NotFound."""
    await get_tenant(store, actor, tenant_id)
    query = select(AssignmentRow).where(AssignmentRow.tenant == tenant_id)
    query = query.where(within(actor, "user", AssignmentRow.tenant)).order_by(AssignmentRow.id)
    after = page.after()
    if after is not None:
        query = query.where(AssignmentRow.id > after)
    async with store.reading() as session:
        rows = (await session.execute(query.limit(page.limit + 1))).scalars().all()
        entities = await to_entities(session, "assignment", rows[: page.limit])
    return Listed(tuple(entities), encode_cursor(entities[-1].id) if len(rows) > page.limit else None)


def merge_patch(value: Any, patch: Any) -> Any:
    """RFC 7396: members of the patch replace those of the value, null takes them out."""
    if not isinstance(patch, Mapping):
        return patch
    merged = dict(value) if isinstance(value, Mapping) else {}
    for key, item in patch.items():
        if item is None:
            merged.pop(key, None)
        else:
            merged[key] = merge_patch(merged.get(key), item)
    return merged


async def _put(change: Change, tenant_id: str, body: Body, action: str = "", reason: str = "") -> Entity:
    judged = await judge(change, [("tenant", tenant_id, body)])
    return await write_entity(
        change, "tenant", tenant_id, judged.bodies["tenant", tenant_id], action=action, reason=reason
    )


async def _put_part(
    store: Store, actor: Actor, tenant_id: str, field: str, part: Mapping[str, Any], etag: str | None
) -> Entity:
    async with changing(store, actor) as change:
        before = await _changeable(change, tenant_id, etag)
        body = {**before.body, field: dict(part)}
        if not part:
            del body[field]
        await _check_fields(change, before, body)
        return await _put(change, tenant_id, body, action=f"set_{field}")


async def _changeable(change: Change, tenant_id: str, etag: str | None) -> Entity:
    """The tenant, if the actor may change anything of it and it is as the actor read it."""
    entity = await seen(change.session, change.actor, "tenant", tenant_id, "tenant")
    await require(change.session, change.actor, "tenant", "write", tenant_id, name_of("tenant", tenant_id))
    check_etag(entity, etag)
    return entity


async def _check_fields(change: Change, before: Entity, body: Body) -> None:
    """Raises Refused when an actor that is bound to a tenant changes what is for operators."""
    actor = change.actor
    if actor.may_everywhere("tenant", "write"):
        return
    allowed = _OWN_FIELDS if before.id == actor.tenant else _CHILD_FIELDS
    changed = {key for key in before.body.keys() | body.keys() if before.body.get(key) != body.get(key)}
    if refused := sorted(changed - allowed):
        raise Refused(
            f"{', '.join(refused)} of {name_of('tenant', before.id)} may not be changed by you",
            hint=f"You may change {', '.join(sorted(allowed))}; ask an operator of the gateway for the rest.",
        )
    if "quotas" in changed:
        await require(change.session, actor, "quota", "write", before.id, f"quotas of {before.id}")


async def _set_status(
    store: Store, actor: Actor, tenant_id: str, action: str, status: str, etag: str | None, reason: str
) -> Entity:
    async with changing(store, actor) as change:
        before = await _changeable(change, tenant_id, etag)
        if tenant_id == actor.tenant and not actor.may_everywhere("tenant", "write"):
            raise Refused("your own tenant is suspended and resumed by others", hint="Ask an operator of the gateway.")
        if before.body.get("status", "active") == "deleting":
            raise Conflict(f"{name_of('tenant', tenant_id)} is being deleted", hint="It cannot be used any more.")
        return await _put(change, tenant_id, {**before.body, "status": status}, action=action, reason=reason)


async def _of_tenant(change: Change, kind: str, tenant_id: str) -> list[Entity]:
    row: Any = AssignmentRow if kind == "assignment" else RoleRow
    rows = (await change.session.execute(select(row).where(row.tenant == tenant_id))).scalars().all()
    return await to_entities(change.session, kind, rows)
