"""The lanes of one pool for sessions with the same settings: which one takes a request, and when there are more.

A request behind a slow head would wait for a stranger. So a lane whose head has run for a while takes no newcomers, and
after `SHED_S` those behind it are run elsewhere; the lane keeps the slow one and serves again when that has ended. The
same happens at once when a client does not read its reply. Lanes have backends of the pool, and give them back when
they are idle or when sessions wait for one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from typing import Final

from policy.errors import TenantGateError
from proxy.cancel import send_cancel
from proxy.pool.pool import Pool
from proxy.postgres.backend import BackendConnection
from proxy.postgres.lanes.lane import Lane
from proxy.postgres.lanes.request import LaneRequest
from proxy.postgres.leftovers import take_leftovers
from proxy.postgres.settings import setting_statements
from proxy.postgres.statements import StatementBook

logger = logging.getLogger(__name__)

MAX_LANES: Final = 2
MAX_DEPTH: Final = 64
SLOW_HEAD_S: Final = 0.010
SHED_S: Final = 0.050
_TICK_S: Final = 0.020
_IDLE_S: Final = 10.0
_RETRY_S: Final = 1.0
_YIELD_S: Final = 5.0


class Lanes:
    """Lifetime: as the pool. Only the event loop's thread may touch it.

    settings: what the sessions' settings are, by name, where they differ from the pool's own.
    """

    __slots__ = (
        "_clock",
        "_lanes",
        "_not_before",
        "_opening",
        "_pool",
        "_settings",
        "_spawn",
        "_timer",
        "book",
        "requests",
    )

    def __init__(
        self,
        pool: Pool,
        book: StatementBook,
        settings: Mapping[str, str],
        clock: Callable[[], float],
        spawn: Callable[[Coroutine[object, object, None]], None],
    ) -> None:
        self.book = book
        self.requests = 0  # that lanes took
        self._pool = pool
        self._settings = settings
        self._clock = clock
        self._spawn = spawn
        self._lanes: list[Lane] = []
        self._opening = 0
        self._not_before = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._lanes)

    @property
    def backends(self) -> tuple[BackendConnection, ...]:
        return tuple(lane.backend for lane in self._lanes)

    def take(self, now: float) -> Lane | None:
        """A lane for one more request, or None: run it without."""
        best: Lane | None = None
        depth = MAX_DEPTH
        for lane in self._lanes:
            length = len(lane.queue)
            if length < depth and lane.open and (not length or now - lane.head_since < SLOW_HEAD_S):
                best, depth = lane, length
        if (best is None or depth > 1) and len(self._lanes) + self._opening < MAX_LANES:
            self._open(now)
        return best

    def submit(self, lane: Lane, request: LaneRequest) -> None:
        self.requests += 1
        lane.submit(request)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_TICK_S, self._tick)

    # Opening and closing

    def _open(self, now: float) -> None:
        if now >= self._not_before and self._pool.may_spare:
            self._opening += 1
            self._spawn(self._add())

    async def _add(self) -> None:
        try:
            backend = await self._pool.acquire()
        except TenantGateError:
            self._not_before = self._clock() + _RETRY_S
            return
        finally:
            self._opening -= 1
        lane = Lane(backend, self._clock, asyncio.get_running_loop().call_soon, self._on_lost)
        try:
            statements = take_leftovers(backend) + setting_statements(backend.settings, self._settings)
            if statements:
                await backend.exchange(*statements)
                backend.settings = dict(self._settings)
            backend.attach(lane)
        except TenantGateError as error:
            logger.warning("a lane could not be opened: %s", error)
            self._not_before = self._clock() + _RETRY_S
            self._pool.release(backend, reusable=False)
            return
        self.use(lane)

    def use(self, lane: Lane) -> None:
        """One more lane."""
        self._lanes.append(lane)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_TICK_S, self._tick)

    def _close(self, lane: Lane) -> None:
        self._lanes.remove(lane)
        lane.open = False
        self._pool.release(lane.backend, reusable=not lane.doomed)

    def yield_one(self) -> bool:
        """A session waits for a backend: give one up, now or when it is empty; open none for a while."""
        self._not_before = self._clock() + _YIELD_S
        idle = next((lane for lane in self._lanes if not lane.queue), None)
        if idle is not None:
            self._close(idle)
            return True
        for lane in self._lanes:
            lane.open = False
        return bool(self._lanes)

    def _on_lost(self, lane: Lane, again: list[LaneRequest]) -> None:
        """Its backend has gone; nothing of these requests was shown, and they only read."""
        if lane in self._lanes:
            self._lanes.remove(lane)
            self._pool.release(lane.backend, reusable=False)
        self._resubmit(again)

    def _resubmit(self, requests: list[LaneRequest]) -> None:
        for request in requests:
            lane = self.take(self._clock())
            if request.owner is None:
                continue
            if lane is None:
                request.owner.lane_again(request)
            else:
                request.owner.lane_moved(lane)
                self.submit(lane, request)

    # Looking after them

    def _tick(self) -> None:
        self._timer = None
        now = self._clock()
        busy = False
        for lane in tuple(self._lanes):
            if now - lane.opened_at > self._pool.target.max_lifetime_s:
                lane.open, lane.doomed = False, True
            if lane.queue:
                busy = True
                if len(lane.queue) > 1 and now - lane.head_since > SHED_S:
                    self.shed(lane)
            elif lane.doomed or (not lane.open and now < self._not_before) or now - lane.idle_since > _IDLE_S:
                self._close(lane)
            else:
                lane.open = True
        if self._lanes:
            delay_s = _TICK_S if busy else 1.0
            self._timer = asyncio.get_running_loop().call_later(delay_s, self._tick)

    def shed(self, lane: Lane) -> None:
        """Run those behind the head elsewhere; the head's statement goes on probation again."""
        lane.queue[0].statement.demote()
        self._resubmit(lane.shed())

    def pause(self, lane: Lane, request: LaneRequest, paused: bool) -> None:
        """The client of this request does not read its reply (or reads again): nobody shall wait for it."""
        if not paused:
            lane.backend.resume_reading()
        elif lane.queue and lane.queue[0] is request:
            self.shed(lane)
            lane.backend.pause_reading()

    def cancel(self, lane: Lane, request: LaneRequest) -> None:
        """Its client does not want it any more. What has run for a while is cancelled on the target, too."""
        running = bool(lane.queue) and lane.queue[0] is request
        lane.abandon(request)
        lane.backend.resume_reading()
        if running and self._clock() - lane.head_since > SLOW_HEAD_S:
            self.cancel_running(lane)

    def cancel_running(self, lane: Lane) -> None:
        """Cancel what the lane's head runs; nobody stands behind it any more, and the lane is closed after it."""
        self._resubmit(lane.shed())
        lane.doomed = True
        self._spawn(_cancel(lane.backend))

    def close(self) -> None:
        """Give all backends back, those with requests when these have ended."""
        self._not_before = float("inf")
        for lane in tuple(self._lanes):
            if lane.queue:
                lane.open = False
            else:
                self._close(lane)


async def _cancel(backend: BackendConnection) -> None:
    await send_cancel(backend.target, backend.pid, backend.secret)
