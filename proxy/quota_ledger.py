"""What a tenant used of its quotas per period (rows, bytes, backend seconds) and of what is measured, in the table that
all workers of the machine share.

One per tenant and process, only for tenants with such limits. Work is admitted while there is something left, and
counted when it has ended; what runs gets at most what was left when it began (`budget`).

Of several machines each has a share of a limit, granted by the fleet's keeper (proxy/quota_shares.py) into the same
table; here it is a number to compare with.
"""

from __future__ import annotations

import time
from typing import Final

from policy.errors import QuotaExceeded
from policy.model import PeriodLimit, QuotaLimits
from policy.quota_periods import period_bounds, when
from proxy.quota_alerts import FULL, NEAR, REPEAT_S, Alerts
from proxy.workers.table import (
    END,
    GRANTED,
    LACKING,
    MEASURED,
    OTHERS,
    START,
    STATE,
    STORAGE,
    TABLES,
    USED,
    WARNED,
    QuotaTable,
    Row,
)

NAMES: Final = ("rows", "bytes", "backend_seconds")  # by kind, as the table numbers them
UNITS: Final = (1, 1, 1_000_000)  # in what the table counts, per unit of the limit
UNBOUNDED: Final = 1 << 60
SHARE_RETRY_S: Final = 0.2
GRANTING: Final = 1  # a STATE: the fleet's keeper has spoken of this period
EXHAUSTED: Final = 2  # and has no more to grant in it


class Gauge:
    """One limit per period. limit: in the table's units; warn: from where on it is nearly used up."""

    __slots__ = ("end", "kind", "limit", "name", "per", "soft", "start", "warn")

    def __init__(self, kind: int, limit: PeriodLimit, soft: bool) -> None:
        self.kind = kind
        self.name = NAMES[kind]
        self.per = limit.per
        self.limit = round(limit.limit * UNITS[kind])
        self.warn = -(-self.limit * NEAR // FULL)
        self.soft = soft
        self.start = self.end = 0

    def turn(self, wall: float) -> None:
        """Know the period that `wall` is in."""
        if not self.start <= wall < self.end:
            self.start, self.end = period_bounds(self.per, wall)


class Ledger:
    """result_rows, result_bytes: of one statement, UNBOUNDED without; soft_rows, soft_bytes: those that are soft.
    slow_s: a statement timeout that is soft. when_away: of the fleet's keeper, None: there is none. above: of the
    groups that the tenant is in (proxy/quota_tree.py), whose limits per period hold for all in them together."""

    __slots__ = (
        "_alerts",
        "_row",
        "_table",
        "_when_away",
        "above",
        "gauges",
        "limits",
        "result_bytes",
        "result_rows",
        "slow_s",
        "soft_bytes",
        "soft_rows",
        "tenant",
    )

    def __init__(
        self, tenant: str, limits: QuotaLimits, table: QuotaTable, row: Row, alerts: Alerts, when_away: str | None
    ) -> None:
        self.tenant = tenant
        self._table = table
        self._row = row
        self._alerts = alerts
        self._when_away = when_away
        self.above: tuple[Ledger, ...] = ()
        self.set_limits(limits)

    def set_limits(self, limits: QuotaLimits) -> None:
        self.limits = limits
        found = (limits.rows, limits.bytes, limits.backend_seconds)
        self.gauges = [
            Gauge(kind, limit, limits.is_soft(NAMES[kind])) for kind, limit in enumerate(found) if limit is not None
        ]
        rows = UNBOUNDED if limits.result_rows is None else limits.result_rows
        size = UNBOUNDED if limits.result_bytes is None else limits.result_bytes
        soft_rows, soft_bytes = limits.is_soft("result_rows"), limits.is_soft("result_bytes")
        self.soft_rows, self.result_rows = (rows, UNBOUNDED) if soft_rows else (UNBOUNDED, rows)
        self.soft_bytes, self.result_bytes = (size, UNBOUNDED) if soft_bytes else (UNBOUNDED, size)
        timeout_ms = limits.statement_timeout_ms if limits.is_soft("statement_timeout") else None
        self.slow_s = 1e18 if timeout_ms is None else timeout_ms / 1000

    # Per period

    def check(self, wall: float) -> None:
        """Whether another statement may begin. Raises QuotaExceeded (53400)."""
        self._check(self.tenant, wall)
        for group in self.above:
            group._check(self.tenant, wall)

    def _check(self, tenant: str, wall: float) -> None:
        for gauge in self.gauges:
            if gauge.soft:
                continue
            gauge.turn(wall)
            used, others = self._used(gauge)
            if self._when_away is not None:
                self._check_share(tenant, gauge, used, others, wall)
            elif used >= gauge.limit:
                raise used_up(self._whose(tenant), gauge, wall)

    def _whose(self, tenant: str) -> str:
        """Whose quota it is, in words for this tenant: of a group it need not know more."""
        return f'tenant "{tenant}"' + ("" if tenant == self.tenant else " and those that share with it")

    def _check_share(self, tenant: str, gauge: Gauge, used: int, others: int, wall: float) -> None:
        """Of several machines: whether there is something left, and this one has a share of it."""
        if self._is_away():
            if self._when_away == "deny":
                raise keeper_away(gauge)
            if self._when_away == "local" and used + others >= gauge.limit:
                raise used_up(self._whose(tenant), gauge, wall)
            return
        exhausted = self._row.period(gauge.kind, STATE) == EXHAUSTED
        if used + others >= gauge.limit or (exhausted and self._row.period(gauge.kind, START) == gauge.start):
            raise used_up(self._whose(tenant), gauge, wall)
        if used >= self._granted(gauge):
            self._row.put_period(gauge.kind, LACKING, 1)
            raise share_used_up(gauge)

    def _is_away(self) -> bool:
        return time.monotonic() * 1e6 >= self._table.shares_until

    def _granted(self, gauge: Gauge) -> int:
        row, kind = self._row, gauge.kind
        return (
            row.period(kind, GRANTED) if row.period(kind, START) == gauge.start else first_part(row, kind, gauge.limit)
        )

    def has_shares(self) -> bool:
        """Whether the fleet's keeper has spoken of this tenant, or is away."""
        if self._when_away is None or 0 < self._table.shares_until < time.monotonic() * 1e6:
            return True
        return all(self._row.period(gauge.kind, STATE) for gauge in self.gauges) and all(
            group.has_shares() for group in self.above
        )

    def _used(self, gauge: Gauge) -> tuple[int, int]:
        """By this machine, and by others as far as the keeper knows, in the gauge's period."""
        row, kind = self._row, gauge.kind
        if row.period(kind, START) != gauge.start or row.period(kind, END) != gauge.end:
            return 0, 0
        return row.period(kind, USED), row.period(kind, OTHERS)

    def used(self, gauge: Gauge, wall: float) -> int:
        """By all machines, as far as is known here."""
        gauge.turn(wall)
        own, others = self._used(gauge)
        return own + others

    def budget(self, kind: int, wall: float) -> int:
        """How much one statement may bring at most: what is left of the period's limit."""
        left = self._left(kind, wall)
        for group in self.above:
            left = min(left, group._left(kind, wall))
        return left

    def _left(self, kind: int, wall: float) -> int:
        for gauge in self.gauges:
            if gauge.kind == kind and not gauge.soft:
                return max(0, gauge.limit - self.used(gauge, wall))
        return UNBOUNDED

    def spend(self, rows: int, size: int, worked_us: int, wall: float) -> None:
        """A statement has ended: count what it brought and how long a backend worked for it."""
        for group in self.above:
            group.spend(rows, size, worked_us, wall)
        if not self.gauges:
            return
        row = self._row
        with row:
            for gauge in self.gauges:
                kind = gauge.kind
                amount = rows if kind == 0 else size if kind == 1 else worked_us
                gauge.turn(wall)
                if row.period(kind, START) != gauge.start or row.period(kind, END) != gauge.end:
                    part = 0 if self._when_away is None else first_part(row, kind, gauge.limit)
                    row.begin_period(kind, gauge.start, gauge.end, part)
                used = row.period(kind, USED) + amount
                row.put_period(kind, USED, used)
                used += row.period(kind, OTHERS)
                if used >= gauge.warn:
                    self._warn(gauge, used, wall)

    def _warn(self, gauge: Gauge, used: int, wall: float) -> None:
        """It is nearly used up, or is: say so, but for what another worker has said already."""
        level = FULL if used >= gauge.limit else NEAR
        told = self._row.period(gauge.kind, WARNED) >= level
        if not told:
            self._row.put_period(gauge.kind, WARNED, level)
        text = told_of(gauge, used)
        self._alerts.raise_alert(gauge.name, level, text, wall, gauge.end, told=told)

    def was_slow(self, duration_s: float, wall: float) -> None:
        """A statement took longer than a statement timeout that is soft."""
        text = f"quota statement_timeout: a statement took {duration_s:.3f} s (limit {self.slow_s:g} s)"
        self._alerts.raise_alert("statement_timeout", FULL, text, wall, wall + REPEAT_S)

    # What is measured

    def measured(self, word: int) -> int | None:
        """STORAGE in bytes or TABLES; None: not measured yet."""
        value = self._row.measured(word)
        return value - 1 if value else None

    def put_measured(self, storage: int | None, tables: int | None, wall: float) -> None:
        """What was measured. Storage is measured by one process for all."""
        if storage is not None:
            self._row.put_measured(STORAGE, storage + 1)
            self._near("storage", storage, self.limits.storage_bytes, wall)
        if tables is not None:
            self._row.put_measured(TABLES, tables + 1)
            self._near("tables", tables, self.limits.tables, wall)

    def claim_measuring(self, wall: float, interval_s: float) -> bool:
        """Whether it is this process that measures now: the first to ask after the interval."""
        row = self._row
        with row:
            if wall - row.measured(MEASURED) < interval_s:
                return False
            row.put_measured(MEASURED, int(wall))
            return True

    def _near(self, quota: str, used: int, limit: int | None, wall: float) -> None:
        if limit is not None and used * FULL >= limit * NEAR:
            level = FULL if used >= limit else NEAR
            text = f"quota {quota}: {used} of {limit} used"
            self._alerts.raise_alert(quota, level, text, wall, wall + REPEAT_S)

    def check_storage(self) -> None:
        """Whether something may be written. Raises QuotaExceeded (53100)."""
        limit, used = self.limits.storage_bytes, self.measured(STORAGE)
        if limit is not None and used is not None and used >= limit and not self.limits.is_soft("storage"):
            raise QuotaExceeded(
                f'tenant "{self.tenant}" uses {used} bytes of storage (limit {limit})',
                quota="storage",
                sqlstate="53100",
                hint="Reading, DELETE, TRUNCATE and DROP still work; it is measured again within minutes.",
            )

    def check_tables(self, more: int, known: int) -> None:
        """Whether a session that has made `known` tables already may make `more`. Raises QuotaExceeded (53400)."""
        limit, used = self.limits.tables, self.measured(TABLES)
        if limit is not None and used is not None and used + known + more > limit and not self.limits.is_soft("tables"):
            raise QuotaExceeded(
                f'too many tables for tenant "{self.tenant}" (limit {limit})',
                quota="tables",
                hint="DROP what is not needed, or ask your administrator to raise the quota.",
            )

    # Of one statement

    def allowance(self, wall: float) -> tuple[int, int]:
        """Rows and bytes that the result of a statement may have that begins now."""
        return min(self.result_rows, self.budget(0, wall)), min(self.result_bytes, self.budget(1, wall))

    def was_large(self, rows: int, size: int, wall: float) -> None:
        """A result was larger than a limit that is soft."""
        for quota, had, limit in (("result_rows", rows, self.soft_rows), ("result_bytes", size, self.soft_bytes)):
            if had > limit:
                text = f"quota {quota}: a result had {had} (limit {limit})"
                self._alerts.raise_alert(quota, FULL, text, wall, wall + REPEAT_S)

    def cut(self, rows: int, wall: float) -> QuotaExceeded:
        """Why a result is not shown to its end, of which `rows` have been."""
        left_rows, left_bytes = self.budget(0, wall), self.budget(1, wall)
        by_rows = rows >= min(self.result_rows, left_rows)
        kind, left = (0, left_rows) if by_rows else (1, left_bytes)
        if left < (self.result_rows if by_rows else self.result_bytes):
            for ledger in (self, *self.above):
                if ledger._left(kind, wall) == left:
                    gauge = next(gauge for gauge in ledger.gauges if gauge.kind == kind)
                    return used_up(ledger._whose(self.tenant), gauge, wall)
        what = f"{self.result_rows} rows" if by_rows else f"{self.result_bytes} bytes"
        return QuotaExceeded(
            f"the result is larger than {what}",
            quota="result_rows" if by_rows else "result_bytes",
            sqlstate="54000",
            hint="Ask for less: use LIMIT or a narrower WHERE, or fetch it in parts with a cursor.",
        )


def first_part(row: Row, kind: int, limit: int) -> int:
    """What a machine may use of a new period before the fleet's keeper has granted it something, a moment later.
    Nothing of the first one that it knows: it may be used up."""
    return limit // 100 if row.period(kind, START) else 0


def told_of(gauge: Gauge, used: int) -> str:
    unit = UNITS[gauge.kind]
    shown = f"{used / unit:.3f} of {gauge.limit / unit:g}" if unit > 1 else f"{used} of {gauge.limit}"
    percent = used * FULL // gauge.limit
    return f"quota {gauge.name} per {gauge.per}: {shown} used ({percent} %), resets at {when(gauge.end)}"


def used_up(whose: str, gauge: Gauge, wall: float) -> QuotaExceeded:
    limit = gauge.limit / UNITS[gauge.kind]
    return QuotaExceeded(
        f"quota {gauge.name} of {whose} is used up (limit {limit:.15g} per {gauge.per})",
        quota=gauge.name,
        retry_after_s=max(0.001, gauge.end - wall),
        hint=f"It resets at {when(gauge.end)}. SHOW QUOTA tells how much is left.",
    )


def share_used_up(gauge: Gauge) -> QuotaExceeded:
    return QuotaExceeded(
        f"the share that this gateway has of quota {gauge.name} is used up",
        quota=gauge.name,
        retry_after_s=SHARE_RETRY_S,
        hint="Try again: it is asking for more.",
    )


def keeper_away(gauge: Gauge) -> QuotaExceeded:
    return QuotaExceeded(
        f"quota {gauge.name} cannot be checked: the fleet's keeper of quotas is away",
        quota=gauge.name,
        sqlstate="57P03",
        retry_after_s=1.0,
        hint="Try again later, or tell your administrator.",
    )
