"""A tenant's use of its quotas when several workers serve it: as `TenantUsage`, but the others' part counts, too.

`connections` and `statements` stay this process's own. A tenant without limits has no row in the shared table, and
costs nothing more.
"""

from __future__ import annotations

import time

from policy.model import QuotaLimits
from policy.quotas import TokenBucket
from proxy.quotas import (
    QuotaKeeping,
    TenantUsage,
    burst_of,
    make_bucket,
    nobody_counts,
    too_many_connections,
    too_many_tenants,
)
from proxy.workers.table import QuotaTable, Row, TableFull


class SharedUsage(TenantUsage):
    """One per tenant and worker. The bucket's state is in the row; the object here lends its arithmetic."""

    __slots__ = ("_row", "_table", "_version")

    def __init__(
        self,
        tenant: str,
        limits: QuotaLimits,
        now: float,
        table: QuotaTable,
        version: int,
        keeping: QuotaKeeping | None = None,
    ) -> None:
        """version: of the policy that has these limits."""
        super().__init__(tenant, limits, now, keeping)
        self._table = table
        self._row: Row | None = None
        self._version = version
        self._take_row()

    def _take_row(self) -> None:
        limits = self._limits
        if self._row is None and (limits.connections or limits.concurrent_statements or limits.statements_per_s):
            try:
                self._row = self._table.row(self.tenant)
            except TableFull:
                raise too_many_tenants() from None
            self._row.set_connections(self.connections)
            self._row.set_statements(self.statements)

    def _admit_own_connection(self) -> None:
        limit, row = self._limits.connections, self._row
        if row is None:
            self.connections += 1
            return
        with row:
            if limit is not None:
                wanted = row.total_connections() + 1
                self._weigh("connections", wanted, limit)
                self._weigh_share(row, wanted, limit)
            self.connections += 1
            row.set_connections(self.connections)

    def _weigh_share(self, row: Row, wanted: int, limit: int) -> None:
        """Of several machines: what this one may have of the limit. Raises QuotaExceeded."""
        if not self._shares_connections():
            return
        if time.monotonic() * 1e6 >= self._table.shares_until:
            if self._keeping is not None and self._keeping.when_away == "deny":
                raise nobody_counts(self.tenant)
            return
        share = row.connections_share()
        if wanted > share:
            row.put_connections_share(share, lacking=True)
            raise too_many_connections(self.tenant, limit, share)

    def _shares_connections(self) -> bool:
        keeping = self._keeping
        return keeping is not None and keeping.when_away is not None and not self._limits.is_soft("connections")

    def has_own_share(self) -> bool:
        row, limit = self._row, self._limits.connections
        if row is None or limit is None or not self._shares_connections():
            return True
        if 0 < self._table.shares_until < time.monotonic() * 1e6:
            return True
        with row:
            wanted, share = row.total_connections() + 1, row.connections_share()
            if wanted <= share or wanted > limit:
                return True
            row.put_connections_share(share, lacking=True)
        return False

    def _release_own_connection(self) -> None:
        super()._release_own_connection()
        if self._row is not None:
            self._row.set_connections(self.connections)

    def _admit_own_statement(self, now: float, pipelined: bool) -> None:
        limit, row = self._limits.concurrent_statements, self._row
        if row is None:
            self.statements += not pipelined
            return
        if limit is None and self._bucket is None:
            self.statements += not pipelined
            row.set_statements(self.statements)
            return
        with row:
            if limit is not None and not pipelined:
                self._weigh("concurrent_statements", row.total_statements() + 1, limit)
            if self._bucket is not None:
                wait_s = self._take(self._bucket, row, now)
                if wait_s or self._bucket.is_low:
                    self._weigh_rate(self._bucket, wait_s)
            self.statements += not pipelined
            row.set_statements(self.statements)

    def totals(self) -> tuple[int, int]:
        row = self._row
        return super().totals() if row is None else (row.total_connections(), row.total_statements())

    def tokens_used(self, now: float) -> int | None:
        bucket, row = self._bucket, self._row
        if bucket is None or row is None:
            return None
        found = row.bucket()
        if found is not None:
            bucket.resume(*found[0])
        return bucket.used(now)

    def _take_back(self, pipelined: bool) -> None:
        self.statements -= not pipelined
        row, bucket = self._row, self._bucket
        if row is None:
            return
        with row:
            row.set_statements(self.statements)
            found = None if bucket is None else row.bucket()
            if bucket is not None and found is not None:
                bucket.resume(*found[0])
                bucket.give_back()
                state = bucket.state()
                row.put_level(state[3], state[4])

    def _move(self, connections: int, statements: int) -> None:
        super()._move(connections, statements)
        if self._row is not None:
            self._row.set_connections(self.connections)
            self._row.set_statements(self.statements)

    def _readmit_own_statement(self) -> None:
        super()._readmit_own_statement()
        if self._row is not None:
            self._row.set_statements(self.statements)

    def _end_own_statement(self) -> None:
        super()._end_own_statement()
        if self._row is not None:
            self._row.set_statements(self.statements)

    def set_limits(self, limits: QuotaLimits, now: float, version: int = 0) -> None:
        old = self._limits
        super().set_limits(limits, now, version)
        self._version = version
        self._take_row()
        if (limits.statements_per_s, limits.burst) != (old.statements_per_s, old.burst):
            self._bucket = make_bucket(limits, now)

    def _take(self, bucket: TokenBucket, row: Row, now: float) -> float:
        """Take a token from the row's bucket, which goes by the newest policy that any worker has seen."""
        found = row.bucket()
        if found is None:
            row.put_bucket(bucket.state(), self._version)
        elif found[1] >= self._version:
            bucket.resume(*found[0])
        else:
            bucket.resume(*found[0])
            bucket = self._bucket = bucket.resized(self._limits.statements_per_s or 1.0, burst_of(self._limits), now)
            row.put_bucket(bucket.state(), self._version)
        wait_s = bucket.take(now)
        state = bucket.state()
        row.put_level(state[3], state[4])
        return wait_s
