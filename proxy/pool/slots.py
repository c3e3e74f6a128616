"""How many backends all pools of one target may have together: `max_backends` is the target's, not a pool's.

A tenant with a schema or a database of its own, or under the second lock, has a pool of its own; without this, each
could fill the target. A pool that needs room takes the place of another's idle backend. When there is none, it stands
in a queue; what becomes free goes to its first. A pool whose own sessions wait, too, gives a backend up only to one
that has none, or at least two less: so each comes to an equal share, and backends are not made anew all the time.
"""

from __future__ import annotations

from typing import Protocol


class Sharer(Protocol):
    """A pool, as the others of its target see it."""

    @property
    def size(self) -> int:
        """Backends that count: idle, in use, connecting."""
        ...

    def close_one_idle(self) -> bool:
        """Give up the backend that was idle for longest; False when none is idle."""
        ...

    def fill(self) -> None:
        """Connect for those who wait, as far as there is room."""
        ...

    def press(self) -> bool:
        """Somebody waits and there is no room: give up a lane; False when there is none."""
        ...


class GatewayShare:
    """Who holds the backends that are no tenant's: lanes."""

    __slots__ = ("backends", "max_backends", "tenant")

    def __init__(self) -> None:
        self.tenant = ""
        self.backends = 0
        self.max_backends = 1 << 30


class TargetSlots:
    """One per target. Invariant: after `make_room` said yes, the pools together have less than `limit` backends.

    hungry: the pools with sessions that wait for room; the first is the next to get some. own: what lanes hold.
    """

    __slots__ = ("_pools", "_waking", "hungry", "limit", "own")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.own = GatewayShare()
        self.hungry: dict[Sharer, None] = {}
        self._pools: dict[Sharer, None] = {}
        self._waking = False

    def join(self, pool: Sharer) -> None:
        self._pools[pool] = None

    def leave(self, pool: Sharer) -> None:
        self._pools.pop(pool, None)
        self.hungry.pop(pool, None)

    @property
    def has_room(self) -> bool:
        """One more may be opened, at nobody's cost."""
        return not self.hungry and sum(pool.size for pool in self._pools) < self.limit

    def make_room(self, asking: Sharer) -> bool:
        """Whether `asking` may connect one more; closes an idle backend of another pool when it must. A pool that is
        hungry stays so until it is `sated`, behind the others when it got something."""
        room = sum(pool.size for pool in self._pools) < self.limit
        room = room or any(pool.close_one_idle() for pool in self._pools if pool is not asking)
        if room and asking in self.hungry:
            del self.hungry[asking]
            self.hungry[asking] = None
        elif not room:
            self.hungry[asking] = None
        return room

    def sated(self, pool: Sharer) -> None:
        """Nobody waits for room in `pool` any more."""
        self.hungry.pop(pool, None)

    def owes(self, pool: Sharer) -> bool:
        """Whether `pool` shall give up the backend that came back to it, which it does not count now: another waits and
        has none, or less even than `pool` without it."""
        size = pool.size
        return any(other is not pool and (not other.size or other.size < size) for other in self.hungry)

    def press(self, asking: Sharer) -> None:
        """`asking` has neither room nor lanes: those of another pool make some."""
        for pool in self._pools:
            if pool is not asking and pool.press():
                return

    def freed(self, by: Sharer) -> None:
        """`by` has room or an idle backend to spare: others may have been waiting for it."""
        if self._waking or not self.hungry:
            return
        self._waking = True
        try:
            for pool in tuple(self.hungry):
                if pool is by:
                    continue
                size = pool.size
                pool.fill()
                if pool in self.hungry and pool.size == size:
                    break  # there was no room for it, and so is none for those behind it
        finally:
            self._waking = False
