"""The queue of those who wait for a backend: first come, first served, bounded, each with a deadline.

Every waiter ends in exactly one of: a backend, an error, its own cancellation; it leaves the queue at that moment,
so the length is the number of those who really wait.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class WaitQueue(Generic[T]):
    """Belongs to one pool and one event loop."""

    __slots__ = ("_futures", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._futures: dict[asyncio.Future[T], None] = {}  # a dict keeps order and removes in O(1)

    def __len__(self) -> int:
        return len(self._futures)

    @property
    def full(self) -> bool:
        return len(self._futures) >= self.limit

    def join(self, timeout_s: float, make_error: Callable[[], Exception]) -> asyncio.Future[T]:
        """Stand in the queue; after `timeout_s` the future fails with make_error(). Await it with `wait`."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        timer = loop.call_later(timeout_s, self._expire, future, make_error)
        future.add_done_callback(lambda _: timer.cancel())
        self._futures[future] = None
        return future

    async def wait(self, future: asyncio.Future[T], give_back: Callable[[T], None]) -> T:
        """What the queue gave. A caller cancelled in the moment it was served hands its value to `give_back`."""
        try:
            return await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled() and future.exception() is None:
                give_back(future.result())
            raise
        finally:
            self._futures.pop(future, None)

    def serve(self, value: T) -> bool:
        """Give `value` to the first in the queue; False when nobody waits."""
        future = self._pop()
        if future is None:
            return False
        future.set_result(value)
        return True

    def fail_all(self, make_error: Callable[[], Exception]) -> None:
        """Wake everybody with an error of their own."""
        while (future := self._pop()) is not None:
            future.set_exception(make_error())

    def _pop(self) -> asyncio.Future[T] | None:
        while self._futures:
            future = next(iter(self._futures))
            del self._futures[future]
            if not future.done():
                return future
        return None

    def _expire(self, future: asyncio.Future[T], make_error: Callable[[], Exception]) -> None:
        self._futures.pop(future, None)
        if not future.done():
            future.set_exception(make_error())
