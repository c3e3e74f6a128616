"""What one tenant uses of its quotas, in memory: connections, running statements, statements per second,
backends.

One per tenant and process, made when the tenant first logs in; plain arithmetic on the event loop, never awaits. Of
several workers `proxy/workers/usage.py` counts the others' part, too. What is limited per period, or measured, is in
the `ledger` (proxy/quota_ledger.py) of tenants that have such limits.

What a tenant and all below it in the tree use together is counted in a usage of its own, the group's
(`proxy/quota_tree.py`). Whoever is admitted is admitted by all of its groups, or takes nothing from any.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from math import ceil
from typing import Final

from policy.errors import QuotaExceeded
from policy.model import QuotaLimits
from policy.quotas import TokenBucket
from proxy.errors import LocalProtocolError
from proxy.quota_alerts import FULL, NEAR, REPEAT_S, Alerts, Tell, nobody
from proxy.quota_ledger import Ledger
from proxy.workers.table import QuotaTable, TableFull

UNLIMITED: Final = 1 << 30
_TELLING: Final = 5  # of smaller limits nobody is told that they are nearly reached: they always are
CONCURRENCY_RETRY_S: Final = 0.1  # nobody knows when a neighbour's statement ends; a short pause is fair advice


class LoopShare:
    """A tenant's share of the event loop for compiling: what one tenant's new texts may take from everybody else.

    A burst, and a small part of the time after that; beyond it, its texts are compiled in a process of their own.
    """

    __slots__ = ("_paid_at", "is_spent")

    SHARE = 0.005
    BURST_S = 0.1

    def __init__(self) -> None:
        self.is_spent = False
        self._paid_at = 0.0  # when all that was spent is paid off

    def spend(self, seconds: float, now: float) -> None:
        """Count a compilation that has ended at `now`."""
        self._paid_at = max(self._paid_at, now) + seconds / self.SHARE
        self.is_spent = self._paid_at - now > self.BURST_S / self.SHARE

    def has_recovered(self, now: float) -> bool:
        """Whether there is something to spend again."""
        self.is_spent = self._paid_at - now > self.BURST_S / self.SHARE
        return not self.is_spent


class QuotaKeeping:
    """What the usage of all tenants of a process needs. table: where ledgers are kept, made when one is. tell: of what
    is nearly used up. when_away: without the fleet's keeper of quotas: local | deny | allow; None: there is none."""

    __slots__ = ("table", "tell", "when_away")

    def __init__(self, table: Callable[[], QuotaTable], tell: Tell = nobody, when_away: str | None = None) -> None:
        self.table = table
        self.tell = tell
        self.when_away = when_away


class TenantUsage:
    """Every `admit_…` that returned must be paired with its release; one that raised took nothing.

    backends: that sessions of the tenant hold, counted by the pools. groups: of which the tenant's use is a part.
    """

    __slots__ = (
        "_bucket",
        "_groups",
        "_keeping",
        "_limits",
        "alerts",
        "backends",
        "compiling",
        "connections",
        "ledger",
        "max_backends",
        "statements",
        "tenant",
        "users",
    )

    def __init__(self, tenant: str, limits: QuotaLimits, now: float = 0.0, keeping: QuotaKeeping | None = None) -> None:
        self.tenant = tenant
        self.alerts = Alerts(tenant.rstrip("/"), nobody if keeping is None else keeping.tell)
        self.ledger: Ledger | None = None
        self._keeping = keeping
        self.connections = 0
        self.compiling = LoopShare()
        self.statements = 0
        self.users: int | None = None  # distinct subjects with open sessions, where that is limited
        self.backends = 0
        self.max_backends = limits.backends or UNLIMITED
        self._limits = limits
        self._bucket = make_bucket(limits, now)
        self._groups: tuple[TenantUsage, ...] = ()
        self._open_ledger()

    def _open_ledger(self) -> None:
        """Tenants with limits per period, of what is measured, or of one result have one. Raises QuotaExceeded."""
        if self.ledger is not None:
            self.ledger.set_limits(self._limits)
        elif has_ledger(self._limits):
            self._make_ledger()

    def _make_ledger(self) -> None:
        keeping = self._keeping
        if keeping is None:
            return
        table = keeping.table()
        try:
            row = table.row(self.tenant)
        except TableFull:
            raise too_many_tenants() from None
        self.ledger = Ledger(self.tenant, self._limits, table, row, self.alerts, keeping.when_away)

    @property
    def groups(self) -> tuple[TenantUsage, ...]:
        return self._groups

    @property
    def burst(self) -> int:
        return burst_of(self._limits)

    @property
    def limits(self) -> QuotaLimits:
        return self._limits

    def admit_connection(self) -> None:
        """Count a connection. Raises QuotaExceeded (53300)."""
        groups = self._groups
        if not groups:
            self._admit_own_connection()
            return
        entered: list[TenantUsage] = []
        try:
            for group in groups:
                group._admit_own_connection()
                entered.append(group)
            self._admit_own_connection()
        except QuotaExceeded as error:
            for group in entered:
                group._release_own_connection()
            raise self._of_group(error, len(entered)) from None

    def _weigh(self, quota: str, wanted: int, limit: int) -> None:
        """`wanted` of `limit`: refuse what is more unless the quota is soft, warn of what is nearly as much. Raises
        QuotaExceeded."""
        if wanted > limit:
            if not self._limits.is_soft(quota):
                raise (
                    too_many_connections(self.tenant, limit)
                    if quota == "connections"
                    else too_many_statements(self.tenant, limit)
                )
            self._alert(quota, FULL, f"quota {quota}: {wanted} of {limit} used")
        elif wanted * FULL >= limit * NEAR and limit >= _TELLING:
            self._alert(quota, NEAR, f"quota {quota}: {wanted} of {limit} used")

    def _alert(self, quota: str, level: int, text: str) -> None:
        wall = time.time()
        self.alerts.raise_alert(quota, level, text, wall, wall + REPEAT_S)

    def _weigh_rate(self, bucket: TokenBucket, wait_s: float) -> None:
        """A token was taken, or there is none for `wait_s`. Raises QuotaExceeded unless the quota is soft."""
        if wait_s:
            if not self._limits.is_soft("statements_per_s"):
                raise too_fast(self.tenant, self._limits, wait_s)
            self._alert("statements_per_s", FULL, f"quota statements_per_s: more than {self._rate_text()}")
        elif bucket.is_low:
            self._alert("statements_per_s", NEAR, f"quota statements_per_s: nearly {self._rate_text()}")

    def _rate_text(self) -> str:
        return f"{self._limits.statements_per_s:g} a second, with a burst of {burst_of(self._limits)}"

    def has_share(self) -> bool:
        """Whether this machine's share of the fleet's connections, and of its groups', has room for another, or none is
        asked for. False: the keeper knows now, and may grant more in a moment."""
        return self.has_own_share() and all(group.has_own_share() for group in self._groups)

    def has_own_share(self) -> bool:
        return True

    def release_connection(self) -> None:
        self._release_own_connection()
        for group in self._groups:
            group._release_own_connection()

    def admit_statement(self, now: float, *, pipelined: bool = False) -> None:
        """Count a running statement. `now`: seconds of a clock that does not step. Raises QuotaExceeded (53400).

        pipelined: behind another statement of its session, so that it does not run at the same time; it counts for
        the rate only, and has no `end_statement` of its own.
        """
        if not self._groups:
            self._admit_own_statement(now, pipelined)
            return
        entered: list[TenantUsage] = []
        try:
            for group in self._groups:
                group._admit_own_statement(now, pipelined)
                entered.append(group)
            self._admit_own_statement(now, pipelined)
        except QuotaExceeded as error:
            for group in entered:
                group._take_back(pipelined)
            raise self._of_group(error, len(entered)) from None

    def readmit_statement(self) -> None:
        """Count a statement again that was admitted, and has ended without a result to be run anew."""
        self._readmit_own_statement()
        for group in self._groups:
            group._readmit_own_statement()

    def end_statement(self) -> None:
        self._end_own_statement()
        for group in self._groups:
            group._end_own_statement()

    def set_groups(self, groups: tuple[TenantUsage, ...]) -> None:
        """The tenant stands elsewhere in the tree: what it uses now is counted there."""
        for group in self._groups:
            if group not in groups:
                group._move(-self.connections, -self.statements)
        for group in groups:
            if group not in self._groups:
                group._move(self.connections, self.statements)
        self._groups = groups
        above = tuple(g.ledger for g in groups if g.ledger is not None and g.ledger.gauges)
        if above and self.ledger is None:
            self._make_ledger()
        if self.ledger is not None:
            self.ledger.above = above

    def _of_group(self, error: QuotaExceeded, entered: int) -> QuotaExceeded:
        """The refusal in words for this tenant: it need not know which others its groups have."""
        if entered >= len(self._groups):
            return error
        group = self._groups[entered].tenant
        message = error.message.replace(f'tenant "{group}"', f'tenant "{self.tenant}" and those that share with it')
        return QuotaExceeded(message, quota=error.quota, retry_after_s=error.retry_after_s, sqlstate=error.sqlstate)

    # Of this usage alone, groups left out

    def _admit_own_connection(self) -> None:
        limit = self._limits.connections
        if limit is not None:
            self._weigh("connections", self.connections + 1, limit)
        self.connections += 1

    def _release_own_connection(self) -> None:
        if self.connections == 0:
            raise LocalProtocolError("a connection was released that had not been admitted")
        self.connections -= 1

    def _admit_own_statement(self, now: float, pipelined: bool) -> None:
        limit = self._limits.concurrent_statements
        if limit is not None and not pipelined and (self.statements + 1) * FULL >= limit * NEAR:
            self._weigh("concurrent_statements", self.statements + 1, limit)
        bucket = self._bucket
        if bucket is not None:
            wait_s = bucket.take(now)
            if wait_s or bucket.is_low:
                self._weigh_rate(bucket, wait_s)
        self.statements += not pipelined

    def _take_back(self, pipelined: bool) -> None:
        """Of a statement that was admitted, and then not by others."""
        self.statements -= not pipelined
        if self._bucket is not None:
            self._bucket.give_back()

    def note_users(self, users: int) -> None:
        """So many subjects have sessions now."""
        self.users, limit = users, self._limits.users
        if limit is not None and users * FULL >= limit * NEAR and (limit >= _TELLING or users > limit):
            level = FULL if users > limit else NEAR
            self._alert("users", level, f"quota users: {users} of {limit} used")

    def totals(self) -> tuple[int, int]:
        """Connections and running statements, of all workers of the machine."""
        return self.connections, self.statements

    def tokens_used(self, now: float) -> int | None:
        """Of the burst; None: no limit of statements per second."""
        return None if self._bucket is None else self._bucket.used(now)

    def _readmit_own_statement(self) -> None:
        self.statements += 1

    def _end_own_statement(self) -> None:
        if self.statements == 0:
            raise LocalProtocolError("a statement ended that had not been admitted")
        self.statements -= 1

    def _move(self, connections: int, statements: int) -> None:
        self.connections += connections
        self.statements += statements

    def set_limits(self, limits: QuotaLimits, now: float, version: int = 0) -> None:
        """Take new limits at a reload. Whoever is in stays in; tokens that are used up stay used up. version: of the
        policy that has them, for workers that hear of it one after the other."""
        old = self._limits
        self._limits = limits
        self.max_backends = limits.backends or UNLIMITED
        self._open_ledger()
        if (limits.statements_per_s, limits.burst) == (old.statements_per_s, old.burst):
            return
        if self._bucket is None or limits.statements_per_s is None:
            self._bucket = make_bucket(limits, now)
        else:
            self._bucket = self._bucket.resized(limits.statements_per_s, burst_of(limits), now)


def has_ledger(limits: QuotaLimits) -> bool:
    """Whether what these limits count is kept in a ledger."""
    found = (limits.rows, limits.bytes, limits.backend_seconds, limits.result_rows, limits.result_bytes)
    kept = any(limit is not None for limit in (*found, limits.storage_bytes, limits.tables))
    return kept or (limits.statement_timeout_ms is not None and limits.is_soft("statement_timeout"))


def too_many_tenants() -> QuotaExceeded:
    message = "there are more tenants with quotas than the gateway can count for"
    return QuotaExceeded(message, quota="tenants")


def nobody_counts(tenant: str) -> QuotaExceeded:
    message = f'connections of tenant "{tenant}" cannot be counted: the fleet\'s keeper of quotas is away'
    return QuotaExceeded(message, quota="connections", sqlstate="57P03")


def too_many_connections(tenant: str, limit: int, share: int | None = None) -> QuotaExceeded:
    """share: what this machine may have of the limit."""
    part = "" if share is None else f"; of all gateways together, and {share} of this one"
    message = f'too many connections for tenant "{tenant}" (limit {limit}{part})'
    return QuotaExceeded(message, quota="connections", sqlstate="53300")


def too_many_users(tenant: str, limit: int) -> QuotaExceeded:
    message = f'too many users of tenant "{tenant}" at a time (limit {limit})'
    return QuotaExceeded(message, quota="users", sqlstate="53300")


def too_many_statements(tenant: str, limit: int) -> QuotaExceeded:
    message = f'too many concurrent statements for tenant "{tenant}" (limit {limit})'
    return QuotaExceeded(message, quota="concurrent_statements", retry_after_s=CONCURRENCY_RETRY_S)


def too_fast(tenant: str, limits: QuotaLimits, wait_s: float) -> QuotaExceeded:
    message = f'too many statements per second for tenant "{tenant}" (limit {limits.statements_per_s:g})'
    retry_after_s = ceil(wait_s * 1000) / 1000  # the detail shows milliseconds
    return QuotaExceeded(message, quota="statements_per_s", retry_after_s=retry_after_s)


def make_bucket(limits: QuotaLimits, now: float) -> TokenBucket | None:
    """The bucket of these limits, full; None: without one."""
    if limits.statements_per_s is None:
        return None
    return TokenBucket(limits.statements_per_s, burst_of(limits), now)


def burst_of(limits: QuotaLimits) -> int:
    """One second's worth unless configured."""
    return limits.burst or max(1, ceil(limits.statements_per_s or 1))
