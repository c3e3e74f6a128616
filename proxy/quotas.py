"""What one tenant uses of its quotas, in memory: connections, running statements, statements per second,
backends.

One per tenant and process, made when the tenant first logs in; plain arithmetic on the event loop, never awaits. Of
several workers `proxy/workers/usage.py` counts the others' part, too.
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

    backends: that sessions of the tenant hold, counted by the pools.
    """

    __slots__ = (
        "_bucket",
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

    @property
    def limits(self) -> QuotaLimits:
        return self._limits

    def admit_connection(self) -> None:
        """Count a connection. Raises QuotaExceeded (53300)."""
        limit = self._limits.connections
        if limit is not None and self.connections >= limit:
            raise too_many_connections(self.tenant, limit)
        self.connections += 1

    def release_connection(self) -> None:
        if self.connections == 0:
            raise LocalProtocolError("a connection was released that had not been admitted")
        self.connections -= 1

    def admit_statement(self, now: float, *, pipelined: bool = False) -> None:
        """Count a running statement. `now`: seconds of a clock that does not step. Raises QuotaExceeded (53400).

        pipelined: behind another statement of its session, so that it does not run at the same time; it counts for
        the rate only, and has no `end_statement` of its own.
        """
        limit = self._limits.concurrent_statements
        if limit is not None and self.statements >= limit and not pipelined:
            raise too_many_statements(self.tenant, limit)
        if self._bucket is not None and (wait_s := self._bucket.take(now)):
            raise too_fast(self.tenant, self._limits, wait_s)
        self.statements += not pipelined

    def readmit_statement(self) -> None:
        """Count a statement again that was admitted, and has ended without a result to be run anew."""
        self.statements += 1

    def end_statement(self) -> None:
        if self.statements == 0:
            raise LocalProtocolError("a statement ended that had not been admitted")
        self.statements -= 1

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
