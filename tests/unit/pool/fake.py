"""A target that does what a test says, and a clock that stands still until it is told: for the pool's own logic.

What real servers do is in tests/integration/test_pool.py.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from proxy.config import TargetConfig
from proxy.errors import BackendLost
from proxy.pool.pool import Pool
from proxy.postgres.backend import IDLE, BackendConnection, QueryResult

T = TypeVar("T")


class StillLoop(asyncio.SelectorEventLoop):
    """An event loop whose time passes only by `advance`."""

    now = 1000.0

    def time(self) -> float:
        return self.now

    def settle(self) -> None:
        """Run everything that can run now."""
        self.turn(30)

    def turn(self, times: int) -> None:
        """Let callbacks run a few times; 0 does nothing at all."""
        if times:
            self.run_until_complete(_turns(times))

    def advance(self, seconds: float) -> None:
        self.settle()
        self.now += seconds
        self.settle()

    def call(self, function: Callable[..., object], *args: object, **options: object) -> None:
        """Call `function` as the loop calls things."""

        async def inside() -> None:
            function(*args, **options)

        self.run_until_complete(inside())

    def finish(self, work: Coroutine[Any, Any, T]) -> T:
        return self.run_until_complete(work)


async def _turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


class FakeBackend(BackendConnection):
    """Answers queries as its target's `mode` says: ok, dirty (it cannot be cleaned), hang (until the time-out)."""

    def __init__(self, target: FakeTarget) -> None:
        super().__init__(target.config, "db")
        self.fake = target
        self.chatty = False
        self.queries: list[str] = []
        self._lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def exchange(self, *statements: str, timeout_s: float = 30.0) -> list[QueryResult]:
        self.queries += statements
        self.fake.busy.add(self)
        try:
            if self.fake.mode == "hang":
                async with asyncio.timeout(timeout_s):
                    await asyncio.shield(self._lost)
        except TimeoutError:
            self.abort()
            raise BackendLost("time-out") from None
        except BaseException:
            self.abort()
            raise
        finally:
            self.fake.busy.discard(self)
        if self.closed:
            raise BackendLost("lost")
        self.chatty = False
        self.transaction_status = ord("T") if self.fake.mode == "dirty" else IDLE
        return [_answer(sql) for sql in statements]

    def input_pending(self) -> bool:
        return self.chatty

    def die(self) -> None:
        """The server ends the connection."""
        if not self.closed:
            self.connection_lost(None)
            if not self._lost.done():
                self._lost.set_result(None)


def _answer(sql: str) -> QueryResult:
    if sql.startswith("SELECT '"):
        return QueryResult([[sql[8:-1]]], "SELECT 1")
    return QueryResult([], sql)


class FakeTarget:
    """Connects when the test says so (`patient`) or at once."""

    def __init__(self, *, patient: bool = False, **settings: Any) -> None:
        self.config = TargetConfig("fake", "127.0.0.1", 1, "db", "user", **settings)
        self.patient = patient
        self.mode = "ok"
        self.failure: Exception | None = None
        self.attempts: list[asyncio.Future[None]] = []
        self.connects = 0
        self.backends: list[FakeBackend] = []
        self.busy: set[BackendConnection] = set()
        self.cancelled: list[BackendConnection] = []

    def pool(self, **options: Any) -> Pool:
        return Pool(self.config, "db", connect=self.connect, cancel=self.cancel, **options)

    async def connect(self) -> BackendConnection:
        self.connects += 1
        if self.patient:
            attempt: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self.attempts.append(attempt)
            try:
                await attempt
            finally:
                self.attempts.remove(attempt)
        if self.failure is not None:
            raise self.failure
        backend = FakeBackend(self)
        backend.pid = len(self.backends)
        self.backends.append(backend)
        return backend

    async def cancel(self, target: TargetConfig, pid: int, secret: bytes) -> None:
        backend = self.backends[pid]
        self.cancelled.append(backend)
        self.busy.add(backend)
        try:
            if self.mode == "hang":
                await asyncio.sleep(5)
        finally:
            self.busy.discard(backend)

    @property
    def open(self) -> set[BackendConnection]:
        return {backend for backend in self.backends if not backend.closed}
