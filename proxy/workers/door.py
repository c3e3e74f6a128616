"""`max_connections` over all workers: each writes down what it has, and asks for the sum before it takes one more."""

from __future__ import annotations

from proxy.workers.table import QuotaTable

_ROW = "\0gateway"  # no tenant is called so


class Door:
    """One per worker. What the others have lost is seen when they publish, a moment later."""

    __slots__ = ("_row",)

    def __init__(self, table: QuotaTable) -> None:
        self._row = table.row(_ROW)

    def publish(self, own: int) -> None:
        """This worker has `own` connections now."""
        self._row.set_connections(own)

    def enter(self, own: int, limit: int) -> bool:
        """Whether one more may come to the `own` that are here; it is counted then."""
        with self._row:
            self._row.set_connections(own)
            if self._row.total_connections() >= limit:
                return False
            self._row.set_connections(own + 1)
            return True
