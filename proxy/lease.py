"""What a session holds of the gateway's: a backend, a place among its tenant's connections, a cancel key.

Lifetime: a session. `end` gives everything back, once.
"""

from __future__ import annotations

from collections.abc import Callable

from proxy.cancel import send_cancel
from proxy.pool.pool import Pool
from proxy.postgres.backend import BackendConnection


class Lease:
    """`cancels_pending`: requests that may still hit the backend; while there are any it must not be used again."""

    __slots__ = ("_give_back", "backend", "cancels_pending", "pool")

    def __init__(self, pool: Pool, backend: BackendConnection, give_back: Callable[[], None]) -> None:
        self.pool = pool
        self.backend = backend
        self.cancels_pending = 0
        self._give_back = give_back

    async def cancel(self) -> None:
        """Cancel what the backend runs now."""
        self.cancels_pending += 1
        try:
            await send_cancel(self.backend.target, self.backend.pid, self.backend.secret)
        finally:
            self.cancels_pending -= 1

    def end(self, *, reusable: bool) -> None:
        """Return the backend and the rest. `reusable`: every reply that was asked for has been read."""
        self._give_back()
        self.pool.release(self.backend, reusable=reusable)
