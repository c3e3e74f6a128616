"""What one tenant uses of its quotas, in memory: connections, running statements, statements per second,
backends.

One per tenant and process, made when the tenant first logs in; plain arithmetic on the event loop, never awaits. Of
several workers `proxy/workers/usage.py` counts the others' part, too.

What a tenant and all below it in the tree use together is counted in a usage of its own, the group's
(`proxy/quota_tree.py`). Whoever is admitted is admitted by all of its groups, or takes nothing from any.
"""

from __future__ import annotations

from math import ceil
from typing import Final

from policy.errors import QuotaExceeded
from policy.model import QuotaLimits
from policy.quotas import TokenBucket
from proxy.errors import LocalProtocolError

UNLIMITED: Final = 1 << 30
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


class TenantUsage:
    """Every `admit_…` that returned must be paired with its release; one that raised took nothing.

    backends: that sessions of the tenant hold, counted by the pools. groups: of which the tenant's use is a part.
    """

    __slots__ = (
        "_bucket",
        "_groups",
        "_limits",
        "backends",
        "compiling",
        "connections",
        "max_backends",
        "statements",
        "tenant",
    )

    def __init__(self, tenant: str, limits: QuotaLimits, now: float = 0.0) -> None:
        self.tenant = tenant
        self.connections = 0
        self.compiling = LoopShare()
        self.statements = 0
        self.backends = 0
        self.max_backends = limits.backends or UNLIMITED
        self._limits = limits
        self._bucket = make_bucket(limits, now)
        self._groups: tuple[TenantUsage, ...] = ()

    @property
    def groups(self) -> tuple[TenantUsage, ...]:
        return self._groups

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
        if limit is not None and self.connections >= limit:
            raise too_many_connections(self.tenant, limit)
        self.connections += 1

    def _release_own_connection(self) -> None:
        if self.connections == 0:
            raise LocalProtocolError("a connection was released that had not been admitted")
        self.connections -= 1

    def _admit_own_statement(self, now: float, pipelined: bool) -> None:
        limit = self._limits.concurrent_statements
        if limit is not None and self.statements >= limit and not pipelined:
            raise too_many_statements(self.tenant, limit)
        if self._bucket is not None and (wait_s := self._bucket.take(now)):
            raise too_fast(self.tenant, self._limits, wait_s)
        self.statements += not pipelined

    def _take_back(self, pipelined: bool) -> None:
        """Of a statement that was admitted, and then not by others."""
        self.statements -= not pipelined
        if self._bucket is not None:
            self._bucket.give_back()

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
        if (limits.statements_per_s, limits.burst) == (old.statements_per_s, old.burst):
            return
        if self._bucket is None or limits.statements_per_s is None:
            self._bucket = make_bucket(limits, now)
        else:
            self._bucket = self._bucket.resized(limits.statements_per_s, burst_of(limits), now)


def too_many_connections(tenant: str, limit: int) -> QuotaExceeded:
    message = f'too many connections for tenant "{tenant}" (limit {limit})'
    return QuotaExceeded(message, quota="connections", sqlstate="53300")


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
