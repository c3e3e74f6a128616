"""Who is next: tenants of a pool in turn, within what each may have; pools of a target in turn, each its share."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from policy.errors import QuotaExceeded
from policy.model import QuotaLimits
from proxy.pool.slots import TargetSlots
from proxy.postgres.backend import BackendConnection
from proxy.quotas import TenantUsage
from tests.unit.pool.fake import FakeBackend, FakeTarget, StillLoop
from tests.unit.pool.test_pool import Sessions
from tests.unit.pool.test_slots import Shared

Waiting = asyncio.Task[BackendConnection]


@pytest.fixture
def loop() -> Iterator[StillLoop]:
    loop = StillLoop()
    yield loop
    for task in asyncio.all_tasks(loop):
        task.cancel()
    loop.settle()
    loop.close()


def tenant(name: str, backends: int | None = None) -> TenantUsage:
    return TenantUsage(name, QuotaLimits(backends=backends))


def ask(sessions: Sessions, holder: TenantUsage, count: int) -> list[Waiting]:
    tasks = [sessions.loop.create_task(sessions.pool.acquire(holder)) for _ in range(count)]
    sessions.loop.settle()
    return tasks


def served(waiting: list[Waiting]) -> list[bool]:
    return [task.done() for task in waiting]


def test_a_tenant_with_many_waiting_sessions_does_not_starve_another_s_one(loop: StillLoop) -> None:
    sessions = Sessions(loop, FakeTarget(max_backends=1))
    many, one = tenant("many"), tenant("one")
    backend = ask(sessions, many, 1)[0].result()
    crowd = ask(sessions, many, 500)
    (single,) = ask(sessions, one, 1)
    turns = 0
    while not single.done():
        turns += 1
        sessions.put(backend)
    assert turns <= 2
    assert (many.backends, one.backends) == (0, 1)
    sessions.put(backend)
    assert served(crowd).count(True) == turns
    assert served(crowd[:turns]) == [True] * turns, "within a tenant the first that came is the first that is served"


def test_three_tenants_are_served_in_turn(loop: StillLoop) -> None:
    sessions = Sessions(loop, FakeTarget(max_backends=1))
    backend = sessions.get()
    lines = [ask(sessions, tenant(name), 4) for name in "abc"]
    for turn in range(1, 5):
        for _ in lines:
            sessions.put(backend)
        assert [served(line).count(True) for line in lines] == [turn] * 3


def test_a_tenant_has_no_more_backends_than_it_may(loop: StillLoop) -> None:
    sessions = Sessions(loop, FakeTarget(max_backends=5))
    narrow, other = tenant("narrow", 2), tenant("other")
    first, second, third = ask(sessions, narrow, 3)
    assert [first.done(), second.done(), third.done()] == [True, True, False]
    assert sessions.pool.counts.connecting == 0, "a backend was made that nobody may have"
    assert sessions.pool.acquire_nowait(narrow) is None
    assert ask(sessions, other, 1)[0].done(), "others are not held up"
    sessions.put(first.result())
    assert third.result() is first.result()
    assert narrow.backends == 2


def test_an_idle_backend_is_another_tenant_s_while_one_has_all_it_may_have(loop: StillLoop) -> None:
    sessions = Sessions(loop, FakeTarget(max_backends=5))
    narrow, other = tenant("narrow", 1), tenant("other")
    spare = sessions.get()
    held = ask(sessions, narrow, 1)[0].result()
    sessions.put(spare)
    (waiting,) = ask(sessions, narrow, 1)
    assert not waiting.done()
    taken: list[BackendConnection | None] = []
    loop.call(lambda: taken.append(sessions.pool.acquire_nowait(other)))
    assert taken == [spare]
    assert other.backends == 1
    sessions.put(spare)
    sessions.put(held, reusable=False)
    assert waiting.result() is spare, "the one that was idle all the time"


@pytest.mark.parametrize("reusable", [True, False])
def test_what_a_session_had_counts_until_it_is_clean_or_closed(loop: StillLoop, reusable: bool) -> None:
    sessions = Sessions(loop, FakeTarget(max_backends=5))
    narrow = tenant("narrow", 1)
    backend = ask(sessions, narrow, 1)[0].result()
    (waiting,) = ask(sessions, narrow, 1)
    sessions.target.mode = "hang"
    sessions.put(backend, reusable=reusable)
    assert not waiting.done()
    loop.advance(6)
    assert waiting.done()
    assert narrow.backends == 1


def test_who_waits_for_its_own_tenant_in_vain_is_told_so(loop: StillLoop) -> None:
    sessions = Sessions(loop, FakeTarget(max_backends=5, acquire_timeout_s=10.0))
    narrow = tenant("narrow", 1)
    ask(sessions, narrow, 1)
    (waiting,) = ask(sessions, narrow, 1)
    loop.advance(10.1)
    error = waiting.exception()
    assert isinstance(error, QuotaExceeded)
    assert (error.sqlstate, error.quota) == ("53300", "backends")
    assert "narrow" in error.message


def test_a_raised_limit_holds_for_those_who_wait(loop: StillLoop) -> None:
    sessions = Sessions(loop, FakeTarget(max_backends=5))
    narrow = tenant("narrow", 1)
    waiting = ask(sessions, narrow, 4)
    assert served(waiting) == [True, False, False, False]
    narrow.set_limits(QuotaLimits(backends=3), 0.0)
    loop.call(sessions.pool.fill)
    loop.settle()
    assert served(waiting) == [True, True, True, False]


def test_a_session_that_vanishes_leaves_the_line(loop: StillLoop) -> None:
    sessions = Sessions(loop, FakeTarget(max_backends=1))
    busy = tenant("busy")
    backend = ask(sessions, busy, 1)[0].result()
    crowd, (last,) = ask(sessions, busy, 20), ask(sessions, busy, 1)
    loop.advance(3)
    ask(sessions, tenant("later"), 1)[0].cancel()
    assert sessions.pool.longest_wait_s(loop.now) == 3.0
    for task in crowd:
        task.cancel()
    loop.settle()
    assert sessions.pool.counts.waiting == 1
    sessions.put(backend)
    assert last.done()
    assert busy.backends == 1


class Pools:
    """Pools of one target, each with sessions that always want more."""

    def __init__(self, loop: StillLoop, limit: int, count: int) -> None:
        slots, target = TargetSlots(limit), FakeTarget(max_backends=limit)
        self.pools = [Shared(loop, target, slots) for _ in range(count)]
        self.waiting: list[list[Waiting]] = [[] for _ in self.pools]
        self.held: list[tuple[int, FakeBackend]] = []
        self.served = [0] * count

    def come(self, number: int, count: int) -> None:
        self.waiting[number] += self.pools[number].ask(count)

    def turn(self) -> None:
        """Who is served takes it; who has had a backend for longest gives it back."""
        for number, waiting in enumerate(self.waiting):
            for task in [task for task in waiting if task.done()]:
                waiting.remove(task)
                backend = task.result()
                assert isinstance(backend, FakeBackend)
                self.held.append((number, backend))
                self.served[number] += 1
        number, backend = self.held.pop(0)
        self.pools[number].put(backend)


@pytest.mark.parametrize(("limit", "count"), [(1, 2), (2, 3), (4, 2), (6, 3)])
def test_pools_of_a_target_come_to_equal_shares(loop: StillLoop, limit: int, count: int) -> None:
    """The first one was there before the others and has all backends; its own sessions wait, too."""
    pools = Pools(loop, limit, count)
    for number in range(count):
        pools.come(number, 150)
    for _ in range(40):
        pools.turn()
    middle = list(pools.served)
    made = pools.pools[0].target.connects
    for _ in range(60):
        pools.turn()
    gained = [after - before for after, before in zip(pools.served, middle, strict=True)]
    assert max(gained) <= min(gained) + count, gained
    assert sum(pool.pool.size for pool in pools.pools) <= limit
    if limit >= 2 * count:
        assert pools.pools[0].target.connects == made, "backends are made anew though everybody has a share"


def test_a_pool_that_cannot_connect_does_not_hold_up_others(loop: StillLoop) -> None:
    slots = TargetSlots(1)
    broken, well = Shared(loop, FakeTarget(patient=True, max_backends=1), slots), Shared(loop, FakeTarget(), slots)
    (lost,) = broken.ask()
    (waiting,) = well.ask()
    assert not waiting.done()
    broken.connects_end(RuntimeError("no such database"))
    assert lost.exception()
    assert waiting.done()
