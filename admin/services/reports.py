"""Which process makes a scheduled report: the first that writes itself down for its period, until its lease is over.

What becomes of it is an event of the admin audit log: `report` when it is made, `report_failed` for each attempt that
was in vain. A failed one is tried again after a minute, then two, four … an hour, by whichever process comes first.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import insert, select, update
from sqlalchemy.exc import IntegrityError

from admin.services.actor import Actor
from admin.store.change import changing
from admin.store.engine import Store
from admin.store.reports import ReportRow

LEASE_S: Final = 3600.0  # a report over a long log takes a while; a process that is gone delays it by that much
_FIRST_RETRY_S: Final = 60.0
_LAST_RETRY_S: Final = 3600.0
_MAX_REASON: Final = 500
_ACTOR: Final = Actor("tenantgate admin", via="schedule")


async def take(store: Store, schedule: str, period: str, holder: str) -> bool:
    """Whether `holder` is to make this report now. Raises StoreUnavailable."""
    now = store.clock()
    async with store.writing() as session:
        here = (ReportRow.schedule == schedule, ReportRow.period == period)
        row = (await session.execute(select(ReportRow).where(*here))).scalar()
        if row is not None and (row.made_at or row.lease_until > now):
            return False
        if row is not None:
            mine = update(ReportRow).where(*here, ReportRow.made_at == 0, ReportRow.lease_until == row.lease_until)
            done: Any = await session.execute(mine.values(holder=holder, lease_until=now + LEASE_S))
            return bool(done.rowcount)
        values = {"schedule": schedule, "period": period, "holder": holder, "lease_until": now + LEASE_S}
        try:
            await session.execute(insert(ReportRow).values(**values, made_at=0.0, failures=0, reason=""))
        except IntegrityError:
            await session.rollback()
            return False
    return True


async def made(store: Store, schedule: str, period: str, holder: str, what: str) -> None:
    """It is. what: files and findings, for the event. Raises StoreUnavailable."""
    async with changing(store, _ACTOR) as change:
        await change.session.execute(
            update(ReportRow).where(*_mine(schedule, period, holder)).values(made_at=change.now, reason="")
        )
        await change.record("report", "compliance", f"{schedule}/{period}", reason=what)


async def failed(store: Store, schedule: str, period: str, holder: str, reason: str) -> None:
    """This attempt was in vain. Raises StoreUnavailable."""
    async with changing(store, _ACTOR) as change:
        here = _mine(schedule, period, holder)
        row = (await change.session.execute(select(ReportRow).where(*here))).scalar()
        if row is None:
            return
        wait = min(_FIRST_RETRY_S * 2.0 ** min(row.failures, 10), _LAST_RETRY_S)
        await change.session.execute(
            update(ReportRow)
            .where(*here)
            .values(failures=row.failures + 1, reason=reason[:_MAX_REASON], lease_until=change.now + wait)
        )
        await change.record("report_failed", "compliance", f"{schedule}/{period}", reason=reason[:_MAX_REASON])


def _mine(schedule: str, period: str, holder: str) -> tuple[Any, ...]:
    return ReportRow.schedule == schedule, ReportRow.period == period, ReportRow.holder == holder
