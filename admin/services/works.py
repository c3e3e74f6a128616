"""The journal of work on tenants' places: opened, kept, taken over when its holder is gone, closed."""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
from collections.abc import AsyncIterator, Collection
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import delete, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from admin.places.place import Place
from admin.places.shared import SharedRows
from admin.services.errors import Conflict, StoreUnavailable
from admin.store.engine import Store
from admin.store.works import WorkRow
from policy.canonical import canonical_json, read_canonical

LEASE_S = 60.0


@dataclass(frozen=True, slots=True)
class Work:
    """One piece. kind: make | remove; body: the tenant's; data: export | destroy."""

    id: str
    tenant: str
    kind: str
    place: Place | SharedRows
    body: dict[str, Any]
    data: str
    subject: str


async def open_work(session: AsyncSession, work: Work, holder: str, now: float) -> None:
    """Write it down, in the session of the change that begins it. Raises Conflict when the tenant has one."""
    values = {
        "id": work.id, "tenant": work.tenant, "kind": work.kind, "place": canonical_json(asdict(work.place)),
        "body": canonical_json(work.body), "data": work.data, "subject": work.subject, "holder": holder,
        "lease_until": now + LEASE_S, "created_at": now,
    }  # fmt: skip
    try:
        await session.execute(insert(WorkRow).values(**values))
    except IntegrityError:
        raise under_way(work.tenant) from None


async def close_work(session: AsyncSession, work: Work) -> bool:
    """Strike it out, in the session of the change that ends it; False: somebody else has."""
    done: Any = await session.execute(delete(WorkRow).where(WorkRow.id == work.id))
    return bool(done.rowcount)


async def is_open(session: AsyncSession, tenant: str) -> bool:
    return (await session.execute(select(WorkRow.id).where(WorkRow.tenant == tenant))).first() is not None


async def take_over(store: Store, holder: str, skip: Collection[str] = ()) -> Work | None:
    """One whose lease is over, held by `holder` from now on; None: there is none. Raises StoreUnavailable."""
    async with store.writing() as session:
        now = store.clock()
        query = select(WorkRow).where(WorkRow.lease_until < now, WorkRow.id.not_in(skip))
        row = (await session.execute(query.order_by(WorkRow.created_at).limit(1))).scalar()
        if row is None:
            return None
        mine = update(WorkRow).where(WorkRow.id == row.id, WorkRow.lease_until == row.lease_until)
        done: Any = await session.execute(mine.values(holder=holder, lease_until=now + LEASE_S))
        return _work(row) if done.rowcount else None


@contextlib.asynccontextmanager
async def held(store: Store, work: Work, holder: str) -> AsyncIterator[None]:
    """Renew the lease while the work is done."""
    task = asyncio.create_task(_renew(store, work, holder))
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def let_go(store: Store, work: Work, holder: str) -> None:
    """Nobody works on it any more: recovery may at once."""
    with contextlib.suppress(StoreUnavailable):
        async with store.writing() as session:
            mine = update(WorkRow).where(WorkRow.id == work.id, WorkRow.holder == holder)
            await session.execute(mine.values(lease_until=0.0))


def new_holder() -> str:
    """A name for a process."""
    return secrets.token_hex(16)


def under_way(tenant: str) -> Conflict:
    return Conflict(
        f'tenant "{tenant}" is being made or removed',
        hint="Wait until that is done. What a process left behind is finished or undone within two minutes.",
    )


async def _renew(store: Store, work: Work, holder: str) -> None:
    while True:
        await asyncio.sleep(LEASE_S / 3)
        with contextlib.suppress(StoreUnavailable):
            async with store.writing() as session:
                mine = update(WorkRow).where(WorkRow.id == work.id, WorkRow.holder == holder)
                await session.execute(mine.values(lease_until=store.clock() + LEASE_S))


def _work(row: WorkRow) -> Work:
    place = _place(json.loads(row.place))
    return Work(row.id, row.tenant, row.kind, place, read_canonical(row.body), row.data, row.subject)


def _place(fields: dict[str, Any]) -> Place | SharedRows:
    if "tables" not in fields:
        return Place(**fields)
    return SharedRows(**{**fields, "tables": tuple(tuple(table) for table in fields["tables"])})
