"""The admin audit log: who changed what, when, and from what to what."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from admin.services.actor import Actor
from admin.services.entity import Page
from admin.services.reach import within
from admin.store.admin_audit import NO_HASH, is_whole
from admin.store.change import changing
from admin.store.engine import Store
from admin.store.tables import AdminEventRow

FIRST = Page()


@dataclass(frozen=True, slots=True)
class EventFilter:
    """None: any. since, until: seconds since the epoch."""

    tenant: str | None = None
    subject: str | None = None
    action: str | None = None
    kind: str | None = None
    entity: str | None = None
    since: float | None = None
    until: float | None = None


ANY = EventFilter()


async def list_events(
    store: Store, actor: Actor, which: EventFilter = ANY, page: Page = FIRST
) -> tuple[list[dict[str, Any]], str | None]:
    """Events within the actor's reach, newest first, and the next page's cursor."""
    from admin.services.entity import encode_cursor

    query = select(AdminEventRow.seq, AdminEventRow.line).where(AdminEventRow.action != "header")
    if not actor.may_everywhere("audit", "read"):
        query = query.where(within(actor, "audit", AdminEventRow.tenant))
    for name in ("tenant", "subject", "action", "kind", "entity"):
        if getattr(which, name) is not None:
            query = query.where(getattr(AdminEventRow, name) == getattr(which, name))
    if which.since is not None:
        query = query.where(AdminEventRow.time >= which.since)
    if which.until is not None:
        query = query.where(AdminEventRow.time < which.until)
    after = page.after()
    if after is not None and after.isdigit():
        query = query.where(AdminEventRow.seq < int(after))
    async with store.reading() as session:
        rows = (await session.execute(query.order_by(AdminEventRow.seq.desc()).limit(page.limit + 1))).all()
    shown = rows[: page.limit]
    more = len(rows) > page.limit
    return [_readable(row.line) for row in shown], encode_cursor(str(shown[-1].seq)) if more else None


async def record_event(
    store: Store, actor: Actor, action: str, kind: str, entity: str, *, tenant: str | None = None, reason: str = ""
) -> None:
    """Write down what was done elsewhere than in the store. Raises StoreUnavailable."""
    async with changing(store, actor) as change:
        await change.record(action, kind, entity, tenant=tenant, reason=reason)


async def verify_events(store: Store, actor: Actor) -> int:
    """How many lines the log has. Raises Refused for who may not read all of it, ValueError naming the first line that
    was changed, left out or put in."""
    actor.require_everywhere("audit", "read", "verifying the log")
    prev, number = NO_HASH, 0
    async with store.reading() as session:
        rows = await session.stream(select(AdminEventRow.seq, AdminEventRow.line).order_by(AdminEventRow.seq))
        async for seq, line in rows:
            number += 1
            digest = is_whole(line, prev)
            if seq != number or digest is None:
                raise ValueError(f"line {number} of the admin audit log does not follow the one before")
            prev = digest
    return number


async def export_events(store: Store, actor: Actor) -> list[str]:
    """All lines, as a file that `tenantgate audit verify` reads. Raises Refused."""
    actor.require_everywhere("audit", "read", "exporting the log")
    async with store.reading() as session:
        return list((await session.execute(select(AdminEventRow.line).order_by(AdminEventRow.seq))).scalars())


def _readable(line: str) -> dict[str, Any]:
    fields: dict[str, Any] = json.loads(line)
    for key in ("before", "after"):
        fields[key] = json.loads(fields[key]) if fields[key] else None
    return fields
