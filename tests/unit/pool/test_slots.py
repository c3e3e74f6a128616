"""max_backends is the target's: pools of its databases and schemas share it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from proxy.pool.slots import TargetSlots
from tests.unit.pool.fake import FakeTarget, StillLoop
from tests.unit.pool.test_pool import Sessions


@pytest.fixture
def loop() -> Iterator[StillLoop]:
    loop = StillLoop()
    yield loop
    loop.settle()
    loop.close()


class Shared(Sessions):
    """Sessions of one of the pools that share a target."""

    def __init__(self, loop: StillLoop, target: FakeTarget, slots: TargetSlots) -> None:
        self.loop, self.target = loop, target
        self.pool = target.pool(slots=slots)


def two(loop: StillLoop, limit: int) -> tuple[Shared, Shared]:
    slots, target = TargetSlots(limit), FakeTarget(max_backends=limit)
    return Shared(loop, target, slots), Shared(loop, target, slots)


def test_pools_together_stay_within_the_target(loop: StillLoop) -> None:
    first, second = two(loop, 3)
    first.get(), first.get(), second.get()
    (waiting,) = second.ask()
    assert not waiting.done()
    assert first.pool.size + second.pool.size == 3
    waiting.cancel()


def test_an_idle_backend_makes_room_for_another_pool(loop: StillLoop) -> None:
    first, second = two(loop, 1)
    backend = first.get()
    first.put(backend)
    assert second.get() is not backend
    assert backend.closed
    assert (first.pool.size, second.pool.size) == (0, 1)


def test_a_returned_backend_wakes_who_waits_in_another_pool(loop: StillLoop) -> None:
    first, second = two(loop, 1)
    backend = first.get()
    (waiting,) = second.ask()
    assert not waiting.done()
    first.put(backend)
    assert waiting.done()
    assert (first.pool.size, second.pool.size) == (0, 1)


def test_a_dropped_backend_wakes_who_waits_in_another_pool(loop: StillLoop) -> None:
    first, second = two(loop, 1)
    backend = first.get()
    (waiting,) = second.ask()
    first.put(backend, reusable=False)
    assert waiting.done()
    assert first.pool.size == 0
