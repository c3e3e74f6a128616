"""A tenant's use of its quotas when several workers serve it: as `TenantUsage`, but the others' part counts, too.

`connections` and `statements` stay this process's own. A tenant without limits has no row in the shared table, and
costs nothing more.
"""

from __future__ import annotations

from policy.errors import QuotaExceeded
from policy.model import QuotaLimits
from policy.quotas import TokenBucket
from proxy.quotas import TenantUsage, burst_of, make_bucket, too_fast, too_many_connections, too_many_statements
from proxy.workers.table import QuotaTable, Row, TableFull


class SharedUsage(TenantUsage):
    """One per tenant and worker. The bucket's state is in the row; the object here lends its arithmetic."""

    __slots__ = ("_row", "_table", "_version")

    def __init__(self, tenant: str, limits: QuotaLimits, now: float, table: QuotaTable, version: int) -> None:
        """version: of the policy that has these limits."""
        super().__init__(tenant, limits, now)
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
                message = "there are more tenants with quotas than the gateway can count for"
                raise QuotaExceeded(message, quota="tenants") from None
            self._row.set_connections(self.connections)
            self._row.set_statements(self.statements)

    def _admit_own_connection(self) -> None:
        limit, row = self._limits.connections, self._row
        if row is None:
            self.connections += 1
            return
        with row:
            if limit is not None and row.total_connections() >= limit:
                raise too_many_connections(self.tenant, limit)
            self.connections += 1
            row.set_connections(self.connections)

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
            if limit is not None and not pipelined and row.total_statements() >= limit:
                raise too_many_statements(self.tenant, limit)
            if self._bucket is not None and (wait_s := self._take(self._bucket, row, now)):
                raise too_fast(self.tenant, self._limits, wait_s)
            self.statements += not pipelined
            row.set_statements(self.statements)

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
