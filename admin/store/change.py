"""One change of the store: rows, policy version, feed entry and admin audit event, all of them or none.

The version is taken first, by an UPDATE of the table's only row: from there on no other change runs, so that what is
checked is still so at the commit, and versions come into force in their order. A change that has changed nothing is
undone, so that nobody hears of it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import delete, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from admin.services.actor import Actor
from admin.services.errors import StoreUnavailable
from admin.store.admin_audit import Recorded, chain_line, first_line
from admin.store.engine import Store
from admin.store.tables import AdminEventRow, PolicyEntryRow, PolicyVersionRow
from policy.canonical import canonical_json
from policy.entries import CHANNEL

_AT_ONCE = 500  # ids in one statement


class Change:
    """Lifetime: one transaction. `version`: the policy version that it makes."""

    __slots__ = ("_events", "_head", "actor", "before", "now", "session", "store", "version")

    def __init__(self, store: Store, session: AsyncSession, actor: Actor, version: int, now: float) -> None:
        self.store = store
        self.session = session
        self.actor = actor
        self.version = version
        self.now = now
        self.before = version - 1
        self._head: tuple[int, str] | None = None
        self._events = 0

    async def publish(self, kind: str, bodies: Mapping[str, Mapping[str, Any] | None]) -> None:
        """Put entities' newest states in the feed, by id; None: it is gone."""
        ids = list(bodies)
        for start in range(0, len(ids), _AT_ONCE):
            some = ids[start : start + _AT_ONCE]
            await self.session.execute(
                delete(PolicyEntryRow).where(PolicyEntryRow.kind == kind, PolicyEntryRow.id.in_(some))
            )
        rows = [
            {
                "kind": kind,
                "id": entity_id,
                "version": self.version,
                "body": None if body is None else canonical_json(body),
            }
            for entity_id, body in bodies.items()
        ]
        if rows:
            await self.session.execute(insert(PolicyEntryRow), rows)

    async def record(
        self,
        action: str,
        kind: str,
        entity_id: str,
        *,
        tenant: str | None = None,
        before: Mapping[str, Any] | None = None,
        after: Mapping[str, Any] | None = None,
        reason: str = "",
    ) -> None:
        """Write an admin audit event. action: create, replace, delete, suspend, resume, revoke …"""
        await self.record_all([Recorded(action, kind, entity_id, tenant, before, after, reason)])

    async def record_all(self, recorded: Iterable[Recorded]) -> None:
        """Write admin audit events, in this order."""
        seq, prev = self._head or await self._chain_head()
        rows = []
        for each in recorded:
            seq += 1
            line, prev = chain_line(each, self.actor, self.version, self.now, seq, prev)
            rows.append(
                {
                    "seq": seq, "time": self.now, "subject": self.actor.subject, "action": each.action,
                    "kind": each.kind, "entity": each.entity, "tenant": each.tenant, "version": self.version,
                    "line": line, "hash": prev,
                }
            )  # fmt: skip
        self._head = seq, prev
        self._events += len(rows)
        if rows:
            await self.session.execute(insert(AdminEventRow), rows)

    @property
    def is_empty(self) -> bool:
        """Nothing was recorded, so nothing was changed."""
        return self._events == 0

    async def _chain_head(self) -> tuple[int, str]:
        """The last line's number and hash; a new chain begins with a header."""
        found = await self.session.execute(
            select(AdminEventRow.seq, AdminEventRow.hash).order_by(AdminEventRow.seq.desc()).limit(1)
        )
        row = found.first()
        if row is not None:
            return row[0], row[1]
        line, digest = first_line(self.now)
        await self.session.execute(
            insert(AdminEventRow).values(
                seq=1, time=self.now, subject="", action="header", kind="", entity="", tenant=None, version=0,
                line=line, hash=digest,
            )
        )  # fmt: skip
        return 1, digest


@asynccontextmanager
async def changing(store: Store, actor: Actor) -> AsyncIterator[Change]:
    """A change by `actor`. Other changes wait until it is done. Raises StoreUnavailable."""
    async with store.writing() as session:
        now = store.clock()
        taken = await session.execute(
            update(PolicyVersionRow)
            .values(version=PolicyVersionRow.version + 1, changed_at=now)
            .returning(PolicyVersionRow.version)
        )
        version = taken.scalar()
        if version is None:
            raise StoreUnavailable("the store has no policy version", hint="Run: tenantgate store upgrade --store URL")
        change = Change(store, session, actor, version, now)
        yield change
        if change.is_empty:
            await session.rollback()
        elif not store.is_sqlite:
            await session.execute(text("SELECT pg_notify(:channel, :version)"), _notice(version))


def _notice(version: int) -> dict[str, str]:
    return {"channel": CHANNEL, "version": str(version)}


async def policy_version(session: AsyncSession) -> int:
    """The version that is in force."""
    return int((await session.execute(select(PolicyVersionRow.version))).scalar() or 0)
