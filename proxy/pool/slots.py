"""How many backends all pools of one target may have together: `max_backends` is the target's, not a pool's.

A tenant with a schema or a database of its own has a pool of its own; without this, each could fill the target. A pool
that needs room takes the place of another's idle backend; one that gives room back wakes those who wait for it.
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


class TargetSlots:
    """One per target. Invariant: after `make_room` said yes, the pools together have less than `limit` backends."""

    __slots__ = ("_pools", "_waking", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._pools: list[Sharer] = []
        self._waking = False

    def join(self, pool: Sharer) -> None:
        self._pools.append(pool)

    def leave(self, pool: Sharer) -> None:
        if pool in self._pools:
            self._pools.remove(pool)

    def make_room(self, asking: Sharer) -> bool:
        """Whether `asking` may connect one more; closes an idle backend of another pool when it must."""
        if sum(pool.size for pool in self._pools) < self.limit:
            return True
        return any(pool.close_one_idle() for pool in self._pools if pool is not asking)

    def freed(self, by: Sharer) -> None:
        """`by` has room or an idle backend to spare: others may have been waiting for it."""
        if self._waking:
            return
        self._waking = True
        try:
            for pool in tuple(self._pools):
                if pool is not by:
                    pool.fill()
        finally:
            self._waking = False
