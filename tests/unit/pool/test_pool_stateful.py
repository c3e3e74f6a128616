"""After any sequence of acquire, release, cancel, time-out and failure the pool's books are right."""

from __future__ import annotations

import asyncio

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from policy.errors import TenantGateError
from policy.model import QuotaLimits
from proxy.errors import TargetUnavailable
from proxy.postgres.backend import BackendConnection
from proxy.postgres.backend_errors import TargetFull
from proxy.quotas import TenantUsage
from tests.unit.pool.fake import FakeBackend, FakeTarget, StillLoop

MAX_BACKENDS = 3
LIMITS = {"free": None, "one": 1, "two": 2}  # tenants and how many backends each may have


class PoolMachine(RuleBasedStateMachine):
    """Many sessions on one pool whose target misbehaves at will."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = StillLoop()
        self.begin(0)

    @initialize(min_backends=st.sampled_from([0, 0, 2]))
    def begin(self, min_backends: int) -> None:
        self.target = FakeTarget(
            min_backends=min_backends, max_backends=MAX_BACKENDS, acquire_timeout_s=10.0, idle_timeout_s=60.0
        )
        self.pool = self.target.pool()
        self.tenants = [TenantUsage(name, QuotaLimits(backends=limit)) for name, limit in LIMITS.items()]
        self.asking: list[asyncio.Task[BackendConnection]] = []
        self.leased: list[BackendConnection] = []

    @rule(how_many=st.integers(1, 4), tenant=st.integers(0, len(LIMITS) - 1))
    def acquire(self, how_many: int, tenant: int) -> None:
        for _ in range(how_many):
            self.asking.append(self.loop.create_task(self.pool.acquire(self.tenants[tenant])))

    @rule(limit=st.sampled_from([None, 1, 2, 3]), tenant=st.integers(0, len(LIMITS) - 1))
    def a_limit_is_changed(self, limit: int | None, tenant: int) -> None:
        self.tenants[tenant].set_limits(QuotaLimits(backends=limit), 0.0)
        self.loop.call(self.pool.fill)

    @precondition(lambda self: self.asking)
    @rule(data=st.data(), turns=st.integers(0, 8))
    def session_vanishes_while_it_is_served(self, data: st.DataObject, turns: int) -> None:
        for attempt in self.target.attempts:
            attempt.set_result(None)
        self.loop.turn(turns)
        self.asking[data.draw(st.integers(0, len(self.asking) - 1))].cancel()

    @precondition(lambda self: self.leased)
    @rule(data=st.data(), reusable=st.booleans(), status=st.sampled_from("ITE"))
    def release(self, data: st.DataObject, reusable: bool, status: str) -> None:
        backend = self.leased.pop(data.draw(st.integers(0, len(self.leased) - 1)))
        backend.transaction_status = ord(status)
        self.loop.call(self.pool.release, backend, reusable=reusable)

    @rule(patient=st.booleans())
    def connecting_takes_time(self, patient: bool) -> None:
        self.target.patient = patient

    @rule(outcome=st.sampled_from(["ok", "ok", "ok", "down", "full", "bug"]))
    def connects_end(self, outcome: str) -> None:
        self.target.failure = {
            "ok": None,
            "down": TargetUnavailable("down"),
            "full": TargetFull(self.target.config),
            "bug": RuntimeError("unexpected"),
        }[outcome]
        for attempt in self.target.attempts:
            attempt.set_result(None)
        self.settle()

    @rule(mode=st.sampled_from(["ok", "ok", "dirty", "hang"]))
    def target_behaves(self, mode: str) -> None:
        self.target.mode = mode

    @precondition(lambda self: self.target.open)
    @rule(data=st.data())
    def a_backend_dies(self, data: st.DataObject) -> None:
        self.loop.call(self.draw_open(data).die)

    @precondition(lambda self: self.target.open)
    @rule(data=st.data())
    def a_backend_has_something_to_say(self, data: st.DataObject) -> None:
        self.draw_open(data).chatty = True

    @rule(seconds=st.sampled_from([0.1, 1.1, 3.0, 11.0, 20.0, 100.0, 4000.0]))
    def time_passes(self, seconds: float) -> None:
        self.loop.advance(seconds)

    def draw_open(self, data: st.DataObject) -> FakeBackend:
        usable = sorted(self.target.open, key=lambda backend: backend.pid)
        backend = usable[data.draw(st.integers(0, len(usable) - 1))]
        assert isinstance(backend, FakeBackend)
        return backend

    def settle(self) -> None:
        self.loop.settle()
        for task in [task for task in self.asking if task.done()]:
            self.asking.remove(task)
            if task.cancelled():
                continue
            error = task.exception()
            if error is None:
                assert task.result() not in self.leased, "one backend was lent twice"
                self.leased.append(task.result())
            else:
                assert isinstance(error, TenantGateError)
                assert error.sqlstate in ("53300", "57P03")

    @invariant()
    def the_books_are_right(self) -> None:
        self.settle()
        counts = self.pool.counts
        in_use = {*self.leased, *self.target.busy}
        assert counts.in_use == len(in_use)
        assert counts.idle == len(self.target.open - in_use)
        assert counts.connecting == len(self.target.attempts)
        assert counts.idle + counts.in_use + counts.connecting <= MAX_BACKENDS
        assert sum(tenant.backends for tenant in self.tenants) == counts.in_use
        may_have = [tenant for tenant in self.tenants if tenant.backends < tenant.max_backends]
        wanted = self.pool._waiters.wants_more_than(0)
        assert wanted <= bool(may_have)
        assert not wanted or counts.idle == 0, "somebody waits who may have it while a backend is idle"
        assert counts.waiting <= len(self.asking) <= counts.waiting + len(self.target.busy)
        full = counts.in_use + counts.connecting >= MAX_BACKENDS
        assert not wanted or counts.connecting or full or self.pool.failing, "nobody cares for a waiter"

    def teardown(self) -> None:
        self.settle()
        self.target.mode = "ok"
        self.loop.advance(11.0)
        self.settle()
        assert not self.asking or self.target.busy, "a waiter outlived its deadline"
        self.loop.finish(self.pool.close())
        for backend in self.leased:
            self.loop.call(self.pool.release, backend, reusable=True)
        self.leased.clear()
        self.settle()
        assert not self.asking
        assert not self.target.open, "a backend leaked"
        counts = self.pool.counts
        assert (counts.idle, counts.in_use, counts.connecting, counts.waiting) == (0, 0, 0, 0)
        assert [tenant.backends for tenant in self.tenants] == [0] * len(LIMITS)
        self.loop.close()


TestPool = PoolMachine.TestCase
TestPool.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
