"""What a session holds of the gateway's: a backend, a place among its tenant's connections, a cancel key.

Lifetime: a session. `end` gives everything back, once.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine

from proxy.cancel import send_cancel
from proxy.config import TargetConfig
from proxy.pool.pool import Pool
from proxy.postgres.backend import BackendConnection

SendCancel = Callable[[TargetConfig, int, bytes], Awaitable[bool]]


class Lease:
    """`cancels_pending`: requests that may still hit the backend. A backend that one may still hit is never used
    again: the next session's statement, another tenant's, would be cancelled."""

    __slots__ = ("_give_back", "_overtaken", "_send_cancel", "backend", "cancels_pending", "pool")

    def __init__(
        self,
        pool: Pool,
        backend: BackendConnection,
        give_back: Callable[[], None],
        send_cancel: SendCancel = send_cancel,
    ) -> None:
        self.pool = pool
        self.backend = backend
        self.cancels_pending = 0
        self._give_back = give_back
        self._send_cancel = send_cancel
        self._overtaken = False  # a request was given up: nobody knows when the target takes it

    def cancel(self) -> Coroutine[object, object, None]:
        """Cancel what the backend runs now. The request counts as pending from this call on, not from its first
        step: the session may end before that."""
        self.cancels_pending += 1
        return self._cancel()

    async def _cancel(self) -> None:
        taken = False
        try:
            taken = await self._send_cancel(self.backend.target, self.backend.pid, self.backend.secret)
        finally:
            self._overtaken = self._overtaken or not taken
            self.cancels_pending -= 1

    def end(self, *, reusable: bool) -> None:
        """Return the backend and the rest. `reusable`: every reply that was asked for has been read."""
        self._give_back()
        self.pool.release(self.backend, reusable=reusable and not self.cancels_pending and not self._overtaken)
