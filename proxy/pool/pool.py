"""Backends of one database of one target, lent to one session at a time.

At every moment `idle + in_use + connecting` is the number of backends that count against `max_backends` (those that are
being reset or checked are in use), and nobody who may have one waits while one is idle. Idle ones are a stack, so that
a quiet pool shrinks to `min_backends`; waiters are a queue, tenants in turn. Connections are made by tasks of the pool,
not by those who wait: one that is ready goes to whoever is first. What a session had counts as its tenant's until it is
clean or closed. Only the event loop's thread may touch a pool.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Final

from policy.errors import QuotaExceeded, TenantGateError
from proxy.cancel import send_cancel
from proxy.config import TargetConfig
from proxy.errors import LocalProtocolError, PoolError, ShuttingDown, TargetUnavailable
from proxy.pool.health import CHECK_AFTER_IDLE_S, REMEMBER_FAILURE_S, Circuit, Tenure, is_alive
from proxy.pool.reset import reset
from proxy.pool.slots import TargetSlots
from proxy.pool.waiter import Holder, WaitQueue
from proxy.postgres.backend import BackendConnection, connect_backend

MAX_WAITERS: Final = 10_000
SWEEP_INTERVAL_S: Final = 10.0
TRUST_IDLE_S: Final = 1.0  # one that was used a moment ago is not asked whether it lives
DEFAULT_OPTIONS: Final[Mapping[str, str]] = {"application_name": "tenantgate"}

Connect = Callable[[], Awaitable[BackendConnection]]
Cancel = Callable[[TargetConfig, int, bytes], Awaitable[object]]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PoolCounts:
    idle: int
    in_use: int
    connecting: int
    waiting: int


class Pool:
    """Lives as long as the gateway wants the target; `close()` is final."""

    def __init__(
        self,
        target: TargetConfig,
        database: str,
        *,
        protocol_options: Mapping[str, str] = DEFAULT_OPTIONS,
        connect: Connect | None = None,
        cancel: Cancel = send_cancel,
        max_waiters: int = MAX_WAITERS,
        slots: TargetSlots | None = None,
    ) -> None:
        self._clock: Callable[[], float] | None = None  # the loop's, once it runs
        self.target = target
        self.database = database
        self._options = protocol_options
        self._connect = connect or self._connect_target
        self._cancel = cancel
        self._idle: dict[BackendConnection, Tenure] = {}  # in order of return: the last is the top of the stack
        self._in_use: dict[BackendConnection, Tenure] = {}
        self._returning: set[BackendConnection] = set()  # those in use that no session has any more
        self._connecting = 0
        self._waiters: WaitQueue[BackendConnection] = WaitQueue(max_waiters)
        self._circuit = Circuit()
        self._retry: asyncio.TimerHandle | None = None
        self._sweeper: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False
        self._slots = slots or TargetSlots(target.max_backends)
        self._slots.join(self)
        self.on_pressure: Callable[[], bool] = _nothing  # a session waits, and there is no room: give up a lane

    @property
    def size(self) -> int:
        """Backends that count against the target's max_backends."""
        return len(self._idle) + len(self._in_use) + self._connecting

    @property
    def counts(self) -> PoolCounts:
        return PoolCounts(len(self._idle), len(self._in_use), self._connecting, self._waiters.count)

    def longest_wait_s(self, now: float) -> float:
        """How long the session that waits for longest has been waiting."""
        return self._waiters.longest_wait_s(now)

    @property
    def may_spare(self) -> bool:
        """There are enough backends for one to be kept for lanes, here and on the target."""
        if self._closed or self._circuit.open or self._waiters.count:
            return False
        half = self.target.max_backends // 2
        return len(self._in_use) + self._connecting < half and self._slots.own.backends < half

    @property
    def is_well(self) -> bool:
        """The target has been reached, and still has backends of this pool."""
        down = self._closed or (self._circuit.open and not self._circuit.doubtful)
        return not down and bool(self._idle or self._in_use)

    @property
    def failing(self) -> bool:
        """The target could not be reached a moment ago."""
        return self._circuit.open

    def _now(self) -> float:
        """Kept, since get_running_loop asks the kernel each time which process this is."""
        clock = self._clock
        if clock is None:
            clock = self._clock = asyncio.get_running_loop().time
        return clock()

    # --- acquire

    async def acquire(self, holder: Holder | None = None) -> BackendConnection:
        """A live, clean, detached backend for a session of `holder` (None: for a lane); the caller must `release` it.

        Raises TargetUnavailable (57P03) when the target cannot be reached, PoolError or QuotaExceeded (both 53300)
        when no backend becomes free within acquire_timeout_s, ShuttingDown when the pool is closed.
        """
        if holder is None:
            holder = self._slots.own
        deadline = self._now() + self.target.acquire_timeout_s
        while True:
            if self._closed:
                raise ShuttingDown("the gateway is shutting down")
            backend = self._pop_idle(holder) if holder.backends < holder.max_backends else None
            if backend is None:
                backend = await self._wait(holder, max(0.0, deadline - self._now()))
            if await self._usable(backend):
                return backend

    def acquire_nowait(self, holder: Holder) -> BackendConnection | None:
        """The same without waiting: None when none is idle, others wait for one, or the idle one may be dead."""
        if self._closed or holder.backends >= holder.max_backends:
            return None
        if self._waiters.count and self._waiters.wants_more_than(0):
            return None
        backend = self._pop_idle(holder)
        if backend is None:
            return None
        tenure = self._in_use[backend]
        if self._now() - tenure.idle_since >= TRUST_IDLE_S and self._doubtful(backend, tenure):
            self._idle[backend] = self._end_hold(backend)
            return None
        return backend

    def _pop_idle(self, holder: Holder) -> BackendConnection | None:
        """Lease the most recently used idle backend that is not past its time."""
        while self._idle:
            backend, tenure = self._idle.popitem()
            if backend.closed or self._past_its_time(tenure, self.size + 1):
                backend.close()
                continue
            self._in_use[backend] = tenure
            tenure.holder = holder
            holder.backends += 1
            return backend
        return None

    def _end_hold(self, backend: BackendConnection) -> Tenure:
        """Nobody has it any more."""
        tenure = self._in_use.pop(backend)
        holder, tenure.holder = tenure.holder, None
        if holder is not None:
            holder.backends -= 1
        return tenure

    async def _wait(self, holder: Holder, timeout_s: float) -> BackendConnection:
        if self._circuit.open:
            self._circuit.asked = True
            if not self._worth_waiting():
                raise self._circuit.error()
        if self._waiters.full:
            raise self._exhausted("too many sessions wait for one")
        future = self._waiters.join(holder, timeout_s, self._timed_out)
        self._fill()
        if self._waiters.wants_more_than(self._connecting) and self._slots.own.backends and not self.press():
            self._slots.press(self)
        return await self._waiters.wait(holder, future, self._give_back)

    def _worth_waiting(self) -> bool:
        """While the target may be up, a session may give one back."""
        return self._circuit.doubtful and bool(self._in_use)

    async def _usable(self, backend: BackendConnection) -> bool:
        """Check a leased backend that was idle for long or has something to say; drop it when it is dead."""
        tenure = self._in_use[backend]
        try:
            alive = not backend.closed and (not self._doubtful(backend, tenure) or await is_alive(backend))
        except BaseException:
            self._drop(backend)
            raise
        if alive and not self._closed:
            tenure.idle_since = self._now()
            return True
        for other in [other for other, its in self._idle.items() if self._doubtful(other, its)]:
            del self._idle[other]  # the target was restarted or the network is gone: these died with it
            other.close()
        self._drop(backend)
        return False

    def _doubtful(self, backend: BackendConnection, tenure: Tenure) -> bool:
        return self._now() - tenure.idle_since >= CHECK_AFTER_IDLE_S or backend.input_pending()

    def _timed_out(self, holder: Holder) -> TenantGateError:
        if holder.backends >= holder.max_backends:
            message = f'too many backends for tenant "{holder.tenant}" (limit {holder.max_backends})'
            return QuotaExceeded(message, quota="backends", sqlstate="53300")
        return self._exhausted(f"none became free within {self.target.acquire_timeout_s:g} s")

    def _exhausted(self, why: str) -> PoolError:
        return PoolError(
            f'no connection to target "{self.target.name}" is free: {why}',
            hint=f"All of max_backends = {self.target.max_backends} may be in use; raise it, or end sessions.",
        )

    # --- release

    def release(self, backend: BackendConnection, *, reusable: bool) -> None:
        """Take a leased backend back. `reusable`: every reply that the session asked for has been read; it is then
        reset. Otherwise what runs on it is cancelled and it is closed, never used again."""
        if backend not in self._in_use or backend in self._returning:
            raise LocalProtocolError("release of a backend that is not leased")
        self._returning.add(backend)
        backend.detach()
        finished = reusable and (self._closed or self._in_use[backend].retired(self._now()))
        if backend.closed or finished:
            self._drop(backend)
        elif reusable:
            self._spawn(self._reset(backend))
        else:
            self._spawn(self._cancel_and_drop(backend))

    def give_back(self, backend: BackendConnection) -> None:
        """Take a leased backend back that is idle and clean: nothing of the session is left on it that is not in its
        `settings` and `statements`."""
        if backend not in self._in_use or backend in self._returning:
            raise LocalProtocolError("release of a backend that is not leased")
        backend.detach()
        if backend.closed:
            self._drop(backend)
        else:
            self._give_back(backend)

    async def _reset(self, backend: BackendConnection) -> None:
        try:
            clean = await reset(backend)
        except BaseException:
            self._drop(backend)
            raise
        if clean:
            self._give_back(backend)
        else:
            logger.warning("a backend of target %s could not be reset and was closed", self.target.name)
            self._drop(backend)

    async def _cancel_and_drop(self, backend: BackendConnection) -> None:
        try:
            await self._cancel(self.target, backend.pid, backend.secret)
        finally:
            self._drop(backend)

    def _give_back(self, backend: BackendConnection) -> None:
        """A leased, clean backend is free again."""
        self._returning.discard(backend)
        tenure = self._end_hold(backend)
        if self._slots.hungry and self._slots.owes(self):
            backend.close()
            self._slots.freed(self)
            self._fill()
        else:
            self._give(backend, tenure)

    def _give(self, backend: BackendConnection, tenure: Tenure) -> None:
        """One that nobody has: to the first who waits, or on top of the idle ones."""
        now = self._now()
        if self._closed or backend.closed or tenure.retired(now):
            self._discard(backend)
            return
        tenure.idle_since = now
        if not self._serve(backend, tenure):
            self._idle[backend] = tenure
            self._schedule_sweep()
            self._slots.freed(self)

    def _serve(self, backend: BackendConnection, tenure: Tenure) -> bool:
        """To the first who waits; whether anybody does who may have one."""
        holder = self._waiters.serve(backend) if self._waiters.count else None
        if holder is None:
            return False
        self._in_use[backend] = tenure
        tenure.holder = holder
        holder.backends += 1
        return True

    def _discard(self, backend: BackendConnection) -> None:
        """Close one that nobody has; there is room for another, here or elsewhere."""
        backend.close()
        self.fill()
        self._slots.freed(self)
        self._leave_if_done()

    def _leave_if_done(self) -> None:
        """A pool that is closed counts for its target until its last backend is gone."""
        if self._closed and not self.size:
            self._slots.leave(self)

    def _drop(self, backend: BackendConnection) -> None:
        self._returning.discard(backend)
        if backend in self._in_use:
            self._end_hold(backend)
        self._discard(backend)

    def _on_lost(self, backend: BackendConnection) -> None:
        """The target ended it. One that is in use is told to its session, which releases it."""
        self._idle.pop(backend, None)
        self._slots.freed(self)

    # --- connect

    def fill(self) -> None:
        """There is room, or a tenant may have more: serve those who wait, and connect for the others."""
        while self._idle and self._waiters.count:
            backend = next(reversed(self._idle))
            if not self._serve(backend, self._idle[backend]):
                break
            del self._idle[backend]
        self._fill()

    def _fill(self) -> None:
        """Start as many connections as there are waiters without one, within max_backends."""
        if not self._closed and not self._circuit.open:
            while self._waiters.wants_more_than(self._connecting):
                if not self._slots.make_room(self):
                    return
                self._start_connecting()
        self._slots.sated(self)

    def close_one_idle(self) -> bool:
        """Make room for another pool of the target: the backend that was idle for longest goes."""
        if not self._idle:
            return False
        backend = next(iter(self._idle))
        del self._idle[backend]
        backend.close()
        return True

    def press(self) -> bool:
        """A session waits and there is no room; whether a lane makes some."""
        return self.on_pressure()

    def idle_backends(self) -> tuple[BackendConnection, ...]:
        return tuple(self._idle)

    def _start_connecting(self) -> None:
        self._connecting += 1
        self._spawn(self._open())

    async def _connect_target(self) -> BackendConnection:
        return await connect_backend(self.target, self.database, protocol_options=self._options)

    async def _open(self) -> None:
        try:
            backend = await self._connect()
        except TargetUnavailable as error:
            self._on_failure(error)
            return
        except Exception:
            self._on_failure(TargetUnavailable(f'target "{self.target.name}" cannot be used'))
            raise
        self._connecting -= 1
        backend.on_lost = self._on_lost
        self._circuit.close()
        self._give(backend, Tenure.begin(self._now(), self.target.max_lifetime_s, self.target.idle_timeout_s))
        self._fill()
        self._keep_minimum()

    def _on_failure(self, error: TargetUnavailable) -> None:
        """Remember it, wake those who waited for this target, and look again in a second."""
        self._connecting -= 1
        if self._closed:
            return
        if not self._circuit.open:
            logger.warning("%s: %s", error.message, error.__cause__ or "refused")
        self._circuit.trip(error)
        if not self._worth_waiting():
            self._waiters.fail_all(self._circuit.error)
        self._slots.sated(self)
        self._slots.freed(self)
        if self._retry is None:
            self._retry = asyncio.get_running_loop().call_later(REMEMBER_FAILURE_S, self._probe)

    def _probe(self) -> None:
        """One connection tries whether the target is back, if anybody asked; until it succeeds all others fail fast."""
        self._retry = None
        if not self._circuit.open:
            return
        wanted = self._circuit.asked or self._waiters.count > 0
        self._circuit.asked = False
        if not wanted or not self._slots.make_room(self):
            self._circuit.close()
            self._fill()
        elif self._connecting == 0:
            self._start_connecting()

    # --- housekeeping

    def _schedule_sweep(self) -> None:
        if self._sweeper is None:
            interval_s = min(SWEEP_INTERVAL_S, self.target.idle_timeout_s)
            self._sweeper = asyncio.get_running_loop().call_later(interval_s, self._sweep)

    def _sweep(self) -> None:
        """Close idle backends that are past their time, those that were idle for longest first."""
        self._sweeper = None
        for backend, tenure in tuple(self._idle.items()):
            if self._past_its_time(tenure, self.size):
                del self._idle[backend]
                backend.close()
        self._keep_minimum()
        if self._idle or self.target.min_backends:
            self._schedule_sweep()

    def _past_its_time(self, tenure: Tenure, size: int) -> bool:
        """Too old, or idle for too long in a pool of `size` that may shrink."""
        now = self._now()
        return tenure.retired(now) or (size > self.target.min_backends and tenure.stale(now))

    def _keep_minimum(self) -> None:
        """Once it was used, a pool has min_backends, as far as there is room that nobody else wants."""
        while self.size < self.target.min_backends and self._slots.has_room:
            if self._closed or self._circuit.open:
                return
            self._start_connecting()

    async def close(self) -> None:
        """Refuse newcomers, close what is idle, end resets and connects. Leased backends are closed on release."""
        self._closed = True
        for timer in (self._retry, self._sweeper):
            if timer is not None:
                timer.cancel()
        self._waiters.fail_all(lambda: ShuttingDown("the gateway is shutting down"))
        while self._idle:
            self._idle.popitem()[0].close()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for backend in list(self._returning):  # those whose task was cancelled before its first step
            self._drop(backend)
        self._connecting = 0
        self._slots.freed(self)
        self._leave_if_done()

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._on_task_done)

    def _on_task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("pool of target %s: unexpected error", self.target.name, exc_info=error)


def _nothing() -> bool:
    """Nobody has backends to spare."""
    return False
