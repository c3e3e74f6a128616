"""The pool's promises one by one, against a target that obeys the test and a clock that stands still."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from proxy.errors import LocalProtocolError, PoolError, ShuttingDown, TargetUnavailable
from proxy.pool.pool import Pool, PoolCounts
from proxy.postgres.backend import BackendConnection
from proxy.postgres.backend_errors import TargetFull
from tests.unit.pool.fake import FakeBackend, FakeTarget, StillLoop

Lease = asyncio.Task[BackendConnection]


@pytest.fixture
def loop() -> Iterator[StillLoop]:
    loop = StillLoop()
    yield loop
    for task in asyncio.all_tasks(loop):
        task.cancel()
    loop.settle()
    loop.close()


class Sessions:
    """Sessions on one pool."""

    def __init__(self, loop: StillLoop, target: FakeTarget, **options: int) -> None:
        self.loop, self.target = loop, target
        self.pool: Pool = target.pool(**options)

    def ask(self, count: int = 1) -> list[Lease]:
        tasks = [self.loop.create_task(self.pool.acquire()) for _ in range(count)]
        self.loop.settle()
        return tasks

    def get(self) -> FakeBackend:
        backend = self.ask()[0].result()
        assert isinstance(backend, FakeBackend)
        return backend

    def put(self, backend: BackendConnection, *, reusable: bool = True) -> None:
        self.loop.call(self.pool.release, backend, reusable=reusable)
        self.loop.settle()

    def connects_end(self, error: Exception | None = None) -> None:
        self.target.failure = error
        for attempt in self.target.attempts:
            attempt.set_result(None)
        self.loop.settle()


def test_the_last_returned_is_the_next_lent(loop: StillLoop) -> None:
    sessions = Sessions(loop, FakeTarget())
    first, second = sessions.get(), sessions.get()
    sessions.put(first)
    sessions.put(second)
    assert sessions.get() is second
    assert sessions.get() is first


def test_waiters_are_served_in_order(loop: StillLoop) -> None:
    sessions = Sessions(loop, FakeTarget(max_backends=1))
    backend = sessions.get()
    first, second = sessions.ask(2)
    sessions.put(backend)
    assert first.done()
    assert not second.done()
    sessions.put(first.result())
    assert second.result() is backend


def test_a_waiter_gives_up_at_its_deadline_with_a_hint(loop: StillLoop) -> None:
    sessions = Sessions(loop, FakeTarget(max_backends=1, acquire_timeout_s=10.0))
    sessions.get()
    [waiter] = sessions.ask()
    loop.advance(9.9)
    assert not waiter.done()
    loop.advance(0.2)
    error = waiter.exception()
    assert isinstance(error, PoolError)
    assert error.sqlstate == "53300"
    assert "max_backends = 1" in (error.hint or "")
    assert sessions.pool.counts == PoolCounts(idle=0, in_use=1, connecting=0, waiting=0)


def test_the_queue_is_bounded(loop: StillLoop) -> None:
    sessions = Sessions(loop, FakeTarget(max_backends=1), max_waiters=2)
    sessions.get()
    waiters = sessions.ask(3)
    assert [waiter.done() for waiter in waiters] == [False, False, True]
    assert isinstance(waiters[2].exception(), PoolError)
    loop.advance(60)
    assert all(waiter.exception() for waiter in waiters)


@pytest.mark.parametrize("turns", range(8))
def test_a_waiter_that_vanishes_when_served_loses_nothing(loop: StillLoop, turns: int) -> None:
    sessions = Sessions(loop, FakeTarget(max_backends=1))
    backend = sessions.get()
    vanishing, staying = sessions.ask(2)
    loop.call(sessions.pool.release, backend, reusable=True)
    loop.turn(turns)
    vanishing.cancel()
    loop.settle()
    if not vanishing.cancelled():  # it was quicker
        sessions.put(vanishing.result())
    assert staying.result() is backend


def test_a_dead_idle_backend_is_forgotten(loop: StillLoop) -> None:
    sessions = Sessions(loop, FakeTarget())
    backend = sessions.get()
    sessions.put(backend)
    loop.call(backend.die)
    assert sessions.pool.counts == PoolCounts(0, 0, 0, 0)
    assert sessions.get() is not backend


def test_a_long_idle_backend_is_asked_before_it_is_lent(loop: StillLoop) -> None:
    sessions = Sessions(loop, FakeTarget())
    backend = sessions.get()
    sessions.put(backend)
    loop.advance(20)
    backend.queries.clear()
    assert sessions.get() is backend
    assert backend.queries == [""]


@pytest.mark.parametrize("chatty", [False, True])
def test_a_network_that_went_away_costs_one_check(loop: StillLoop, chatty: bool) -> None:
    """The first one that does not answer condemns the others that would need the same check."""
    sessions = Sessions(loop, FakeTarget())
    old = [sessions.get() for _ in range(3)]
    for backend in old:
        sessions.put(backend)
    for backend in old:
        backend.chatty = chatty
    loop.advance(1 if chatty else 20)
    sessions.target.mode = "hang"
    [waiter] = sessions.ask()
    loop.advance(2)
    sessions.target.mode = "ok"
    assert waiter.result() not in old
    assert all(backend.closed for backend in old)
    assert sessions.pool.counts == PoolCounts(idle=0, in_use=1, connecting=0, waiting=0)


def test_a_session_that_vanishes_during_the_check_leaves_no_trace(loop: StillLoop) -> None:
    sessions = Sessions(loop, FakeTarget())
    backend = sessions.get()
    sessions.put(backend)
    loop.advance(20)
    sessions.target.mode = "hang"
    [waiter] = sessions.ask()
    waiter.cancel()
    loop.settle()
    assert sessions.pool.counts == PoolCounts(0, 0, 0, 0)
    assert backend.closed


def test_a_dirty_backend_is_closed_and_the_waiter_gets_a_new_one(loop: StillLoop) -> None:
    sessions = Sessions(loop, FakeTarget(max_backends=1))
    backend = sessions.get()
    [waiter] = sessions.ask()
    sessions.target.mode = "dirty"
    sessions.put(backend)
    assert backend.closed
    assert waiter.result() is not backend


def test_a_transaction_is_rolled_back_before_the_reset(loop: StillLoop) -> None:
    sessions = Sessions(loop, FakeTarget())
    backend = sessions.get()
    backend.transaction_status = ord("E")
    sessions.put(backend)
    assert backend.queries[:2] == ["ROLLBACK", "DISCARD ALL"]
    assert sessions.pool.counts.idle == 1


def test_a_reset_that_hangs_is_given_up(loop: StillLoop) -> None:
    sessions = Sessions(loop, FakeTarget())
    backend = sessions.get()
    sessions.target.mode = "hang"
    sessions.put(backend)
    assert sessions.pool.counts.in_use == 1
    loop.advance(5)
    assert backend.closed
    assert sessions.pool.counts == PoolCounts(0, 0, 0, 0)


def test_what_runs_on_an_unfinished_backend_is_cancelled_and_it_counts_until_then(loop: StillLoop) -> None:
    sessions = Sessions(loop, FakeTarget(max_backends=1))
    backend = sessions.get()
    [waiter] = sessions.ask()
    sessions.target.mode = "hang"
    sessions.put(backend, reusable=False)
    assert sessions.target.cancelled == [backend]
    assert not waiter.done()
    loop.advance(5)
    assert backend.closed
    assert waiter.result() is not backend


def test_a_backend_is_released_once(loop: StillLoop) -> None:
    sessions = Sessions(loop, FakeTarget())
    backend = sessions.get()
    sessions.put(backend)
    with pytest.raises(LocalProtocolError):
        sessions.put(backend)


def test_idle_time_and_lifetime_end(loop: StillLoop) -> None:
    sessions = Sessions(loop, FakeTarget(idle_timeout_s=60, max_lifetime_s=1000))
    quiet, busy = sessions.get(), sessions.get()
    sessions.put(quiet)
    loop.advance(71)
    assert quiet.closed
    loop.advance(930)
    sessions.put(busy)  # its life ended while it was in use
    assert busy.closed


def test_a_quiet_pool_keeps_its_minimum(loop: StillLoop) -> None:
    sessions = Sessions(loop, FakeTarget(min_backends=2, max_backends=4, idle_timeout_s=60, max_lifetime_s=1000))
    assert sessions.pool.size == 0  # nobody has used it
    sessions.put(sessions.get())
    assert sessions.pool.counts.idle == 2
    backends = [sessions.get() for _ in range(4)]
    for backend in backends:
        sessions.put(backend)
    loop.advance(71)
    assert [backend.closed for backend in backends] == [True, True, False, False]
    loop.advance(200)
    again = sessions.get()
    assert again is backends[3]
    sessions.put(again)
    backends[2].die()
    loop.advance(11)
    assert sessions.pool.counts.idle == 2
    loop.advance(1000)
    assert backends[3].closed  # its life has ended; another takes its place
    assert sessions.pool.counts.idle == 2


def test_a_minimum_takes_no_room_from_who_wants_it(loop: StillLoop) -> None:
    sessions = Sessions(loop, FakeTarget(min_backends=3, max_backends=3))
    held = [sessions.get() for _ in range(3)]
    assert sessions.pool.size == 3
    waiter = sessions.ask()[0]
    sessions.put(held[0])
    assert waiter.result() is held[0]


# --- a target that is down


def test_one_failure_wakes_everybody(loop: StillLoop) -> None:
    sessions = Sessions(loop, FakeTarget(patient=True, max_backends=2))
    waiters = sessions.ask(5)
    sessions.connects_end(TargetUnavailable("target is down"))
    errors = [waiter.exception() for waiter in waiters]
    assert all(isinstance(error, TargetUnavailable) and error.sqlstate == "57P03" for error in errors)
    assert len({id(error) for error in errors}) == 5


def test_while_it_is_down_all_fail_at_once_and_one_probe_asks(loop: StillLoop) -> None:
    sessions = Sessions(loop, FakeTarget(patient=True))
    sessions.ask()
    sessions.connects_end(TargetUnavailable("down"))
    late = sessions.ask(50)
    assert all(isinstance(waiter.exception(), TargetUnavailable) for waiter in late)
    assert sessions.target.connects == 1
    loop.advance(1.1)
    assert sessions.target.connects == 2
    assert isinstance(sessions.ask()[0].exception(), TargetUnavailable)


def test_it_recovers_by_itself(loop: StillLoop) -> None:
    sessions = Sessions(loop, FakeTarget())
    sessions.target.failure = TargetUnavailable("down")
    assert sessions.ask(2)[1].exception()
    sessions.target.failure = None
    loop.advance(1.1)
    assert not sessions.pool.failing
    assert [waiter.exception() for waiter in sessions.ask(3)] == [None] * 3


def test_a_target_that_nobody_wants_is_not_probed_forever(loop: StillLoop) -> None:
    sessions = Sessions(loop, FakeTarget())
    sessions.target.failure = TargetUnavailable("down")
    sessions.ask()
    for _ in range(5):
        loop.advance(1.1)
    assert sessions.target.connects == 1


def test_a_connection_that_takes_too_long_does_not_fail_those_who_can_have_another(loop: StillLoop) -> None:
    """The target, or the gateway, may only have been busy."""
    target = FakeTarget(acquire_timeout_s=10.0)
    sessions = Sessions(loop, target)
    backend = sessions.get()
    slow = TargetUnavailable("did not answer")
    slow.__cause__ = TimeoutError()
    target.failure = slow
    (waiting,) = sessions.ask()
    assert not waiting.done()
    assert sessions.pool.is_well
    sessions.put(backend)
    assert waiting.result() is backend


def test_a_full_target_lets_sessions_wait_for_each_other(loop: StillLoop) -> None:
    """max_connections of the server is below our max_backends: what is there is shared."""
    target = FakeTarget(acquire_timeout_s=10.0)
    sessions = Sessions(loop, target)
    backend = sessions.get()
    target.failure = TargetFull(target.config)
    first, second = sessions.ask(2)
    assert not first.done()
    sessions.put(backend)
    assert first.result() is backend
    target.failure = None
    loop.advance(1.1)  # the server has room again
    assert second.result() is not backend


def test_after_a_full_target_has_room_every_waiter_gets_a_backend(loop: StillLoop) -> None:
    target = FakeTarget(acquire_timeout_s=10.0)
    sessions = Sessions(loop, target)
    sessions.get()
    target.failure = TargetFull(target.config)
    waiters = sessions.ask(5)
    target.failure = None
    loop.advance(1.1)
    assert [waiter.exception() for waiter in waiters] == [None] * 5


def test_a_full_target_with_nothing_of_ours_fails_fast(loop: StillLoop) -> None:
    target = FakeTarget()
    target.failure = TargetFull(target.config)
    [waiter] = Sessions(loop, target).ask()
    assert isinstance(waiter.exception(), TargetUnavailable)


def test_a_bug_in_connecting_does_not_hang_the_waiters(loop: StillLoop, caplog: pytest.LogCaptureFixture) -> None:
    sessions = Sessions(loop, FakeTarget())
    sessions.target.failure = RuntimeError("bug")
    [waiter] = sessions.ask()
    assert isinstance(waiter.exception(), TargetUnavailable)
    assert "unexpected error" in caplog.text


def test_close_ends_everything(loop: StillLoop) -> None:
    sessions = Sessions(loop, FakeTarget(patient=True, max_backends=2))
    [first] = sessions.ask()
    sessions.connects_end()
    idle = first.result()
    sessions.put(idle)
    leased = sessions.get()
    waiters = sessions.ask(2)
    loop.finish(sessions.pool.close())
    loop.settle()
    assert all(isinstance(waiter.exception(), ShuttingDown) for waiter in waiters)
    assert isinstance(sessions.ask()[0].exception(), ShuttingDown)
    sessions.put(leased)
    assert leased.closed
    assert sessions.pool.counts == PoolCounts(0, 0, 0, 0)


def test_close_counts_a_reset_that_never_began(loop: StillLoop) -> None:
    sessions = Sessions(loop, FakeTarget())
    backend = sessions.get()

    async def release_and_close() -> None:
        sessions.pool.release(backend, reusable=True)
        await sessions.pool.close()

    loop.finish(release_and_close())
    assert backend.closed
    assert sessions.pool.counts == PoolCounts(0, 0, 0, 0)
