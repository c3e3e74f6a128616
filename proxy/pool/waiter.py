"""The queue of those who wait for a backend: tenants in turn, and first come, first served within one.

So a tenant with many waiting sessions delays its own and not another's. A tenant that has as many backends as it may
have lets others pass until one of its own comes back. Bounded; every waiter has a deadline and ends in exactly one of:
a backend, an error, its own cancellation. It leaves the queue at that moment, so `count` is how many really wait.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

T = TypeVar("T")


class Holder(Protocol):
    """A tenant, as the pools see it. backends: that its sessions have, kept by the pools."""

    tenant: str
    backends: int
    max_backends: int


class WaitQueue(Generic[T]):
    """Belongs to one pool and one event loop. `_lines`: those who wait, by tenant, with the time since when; the
    tenant whose turn comes next is the first."""

    __slots__ = ("_lines", "count", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.count = 0
        self._lines: dict[Holder, dict[asyncio.Future[T], float]] = {}  # a dict keeps order and removes in O(1)

    @property
    def full(self) -> bool:
        return self.count >= self.limit

    def join(self, holder: Holder, timeout_s: float, make_error: Callable[[Holder], Exception]) -> asyncio.Future[T]:
        """Stand in the queue; after `timeout_s` the future fails with make_error(holder). Await it with `wait`."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        timer = loop.call_later(timeout_s, self._expire, holder, future, make_error)
        future.add_done_callback(lambda _: timer.cancel())
        self._lines.setdefault(holder, {})[future] = loop.time()
        self.count += 1
        return future

    async def wait(self, holder: Holder, future: asyncio.Future[T], give_back: Callable[[T], None]) -> T:
        """What the queue gave. A caller cancelled in the moment it was served hands its value to `give_back`."""
        try:
            return await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled() and future.exception() is None:
                give_back(future.result())
            raise
        finally:
            self._leave(holder, future)

    def wants_more_than(self, backends: int) -> bool:
        """Whether more than so many could be given away now. Tenants that have all they may have are few: each of
        them has a backend."""
        wanted = 0
        for holder, line in self._lines.items():
            wanted += max(0, min(len(line), holder.max_backends - holder.backends))
            if wanted > backends:
                return True
        return False

    def serve(self, value: T) -> Holder | None:
        """Give `value` to the first of the tenant whose turn it is; that tenant, or None when nobody may have it."""
        for holder in tuple(self._lines):
            if holder.backends >= holder.max_backends:
                continue
            future = self._pop(holder)
            if future is not None:
                line = self._lines.pop(holder, None)
                if line is not None:  # its next turn comes after everybody else's
                    self._lines[holder] = line
                future.set_result(value)
                return holder
        return None

    def fail_all(self, make_error: Callable[[], Exception]) -> None:
        """Wake everybody with an error of their own."""
        for holder in tuple(self._lines):
            while (future := self._pop(holder)) is not None:
                future.set_exception(make_error())

    def longest_wait_s(self, now: float) -> float:
        """How long the one who came first of all has been waiting."""
        return max((now - next(iter(line.values())) for line in self._lines.values()), default=0.0)

    def _pop(self, holder: Holder) -> asyncio.Future[T] | None:
        while (line := self._lines.get(holder)) is not None:
            future = next(iter(line))
            self._leave(holder, future)
            if not future.done():
                return future
        return None

    def _leave(self, holder: Holder, future: asyncio.Future[T]) -> None:
        line = self._lines.get(holder)
        if line is None or line.pop(future, None) is None:
            return
        self.count -= 1
        if not line:
            del self._lines[holder]

    def _expire(self, holder: Holder, future: asyncio.Future[T], make_error: Callable[[Holder], Exception]) -> None:
        self._leave(holder, future)
        if not future.done():
            future.set_exception(make_error(holder))
