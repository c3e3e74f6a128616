"""What a session holds of the gateway's: a place among its tenant's connections, a cancel key, and at times a backend.

Lifetime: a session. A backend is held while a transaction is open, or something that only that backend knows; `end`
gives everything back, once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine

from proxy.cancel import send_cancel
from proxy.config import TargetConfig
from proxy.errors import BackendLost, ShuttingDown
from proxy.pool.pool import Pool
from proxy.pool.waiter import Holder
from proxy.postgres.backend import BackendConnection, BackendReceiver

SendCancel = Callable[[TargetConfig, int, bytes], Awaitable[bool]]


class Lease:
    """`cancels_pending`: requests that may still hit the backend. A backend that one may still hit is never used
    again: the next session's statement, another tenant's, would be cancelled. `holder`: the session's tenant."""

    __slots__ = (
        "_give_back",
        "_holder",
        "_home",
        "_overtaken",
        "_send_cancel",
        "_waiting",
        "_waiting_since",
        "backend",
        "cancels_pending",
        "ended",
        "pool",
        "receiver",
    )

    def __init__(
        self, pool: Pool, holder: Holder, give_back: Callable[[], None], send_cancel: SendCancel = send_cancel
    ) -> None:
        self._holder = holder
        self._waiting: asyncio.Task[object] | None = None  # which waits for a backend
        self._waiting_since = 0.0
        self.pool = pool  # where the next backend comes from: another one when the target is configured anew
        self._home = pool  # where the one that is held came from
        self.backend: BackendConnection | None = None
        self.receiver: BackendReceiver | None = None  # of the backend's bytes, once the session is at work
        self.cancels_pending = 0
        self.ended = False
        self._give_back = give_back
        self._send_cancel = send_cancel
        self._overtaken = False  # a request was given up: nobody knows when the target takes it

    def take_nowait(self) -> BackendConnection | None:
        """A backend that is idle now, or None."""
        backend = self.pool.acquire_nowait(self._holder)
        return None if backend is None else self._hold(backend, self.pool)

    async def take(self) -> BackendConnection:
        """A backend, when one is to be had. Raises as `Pool.acquire`; who waits when the target is configured anew
        waits on."""
        self._waiting = asyncio.current_task()
        self._waiting_since = asyncio.get_running_loop().time()
        try:
            while True:
                pool = self.pool
                try:
                    backend = await pool.acquire(self._holder)
                except ShuttingDown:
                    if pool is self.pool:
                        raise
                    continue
                return self._hold(backend, pool)
        finally:
            self._waiting = None

    def waits_for_s(self, now: float) -> float:
        """How long the session has been waiting for a backend; 0.0 when it does not."""
        return 0.0 if self._waiting is None else now - self._waiting_since

    def stop_waiting(self) -> None:
        """The session does not want a backend any more; the task that waits for one is cancelled."""
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

    def _hold(self, backend: BackendConnection, home: Pool) -> BackendConnection:
        if self.ended:
            home.give_back(backend)
            raise BackendLost("the session has ended")
        if self.backend is not None:  # another wait was served first
            home.give_back(backend)
            return self.backend
        self.backend, self._home = backend, home
        if self.receiver is not None:
            backend.attach(self.receiver)
        return backend

    def let_go(self) -> None:
        """The backend is idle and holds nothing of the session: to the pool with it."""
        backend, self.backend = self.backend, None
        if backend is None:
            return
        if self._may_be_hit:
            self._overtaken = False
            self._home.release(backend, reusable=False)
        else:
            self._home.give_back(backend)

    @property
    def _may_be_hit(self) -> bool:
        return self.cancels_pending > 0 or self._overtaken

    def cancel(self) -> Coroutine[object, object, None]:
        """Cancel what the backend runs now. The request counts as pending from this call on, not from its first
        step: the session may end before that."""
        assert self.backend is not None
        self.cancels_pending += 1
        return self._cancel(self.backend)

    async def _cancel(self, backend: BackendConnection) -> None:
        taken = False
        try:
            taken = await self._send_cancel(backend.target, backend.pid, backend.secret)
        finally:
            self._overtaken = self._overtaken or (not taken and self.backend is backend)
            self.cancels_pending -= 1

    def end(self, *, reusable: bool) -> None:
        """Return the backend and the rest. `reusable`: every reply that was asked for has been read."""
        self.ended = True
        self.stop_waiting()
        self._give_back()
        backend, self.backend = self.backend, None
        if backend is not None:
            self._home.release(backend, reusable=reusable and not self._may_be_hit)
