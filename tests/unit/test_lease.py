"""A backend that a cancel request may still hit goes to nobody else, whenever the session ends."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from proxy.config import TargetConfig
from proxy.errors import BackendLost
from proxy.lease import Lease
from proxy.pool.pool import Pool
from proxy.pool.slots import GatewayShare
from proxy.postgres.backend import BackendConnection

TARGET = TargetConfig("main", "127.0.0.1", 5432, "db", "user", "password")


class Released:
    """Stands in the pool's place and remembers how the backend came back."""

    def __init__(self) -> None:
        self.reusable: bool | None = None

    def release(self, _backend: BackendConnection, *, reusable: bool) -> None:
        assert self.reusable is None, "released twice"
        self.reusable = reusable


class Target:
    """Takes cancel requests when the test says so."""

    def __init__(self) -> None:
        self.answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    async def __call__(self, *_: Any) -> bool:
        return await self.answer


def lease_of(target: Target) -> tuple[Lease, Released]:
    pool = Released()
    lease = Lease(cast(Pool, pool), GatewayShare(), lambda: None, target)
    lease.backend = BackendConnection(TARGET, "db")
    return lease, pool


async def test_without_a_cancel_the_backend_is_reused() -> None:
    lease, pool = lease_of(Target())
    lease.end(reusable=True)
    assert pool.reusable is True


async def test_a_request_that_has_not_begun_yet_counts() -> None:
    target = Target()
    lease, pool = lease_of(target)
    task = asyncio.ensure_future(lease.cancel())
    lease.end(reusable=True)
    assert pool.reusable is False
    target.answer.set_result(True)
    await task


@pytest.mark.parametrize("taken", [True, False])
async def test_a_request_that_the_target_took_is_over_one_given_up_is_not(taken: bool) -> None:
    target = Target()
    lease, pool = lease_of(target)
    target.answer.set_result(taken)
    await lease.cancel()
    assert lease.cancels_pending == 0
    lease.end(reusable=True)
    assert pool.reusable is taken


async def test_a_request_that_is_cut_off_is_not_over() -> None:
    lease, pool = lease_of(Target())
    task = asyncio.ensure_future(lease.cancel())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    lease.end(reusable=True)
    assert pool.reusable is False


class Backends:
    """A pool that has a backend whenever it is asked, and remembers which came back."""

    def __init__(self) -> None:
        self.returned: list[BackendConnection] = []

    async def acquire(self, _holder: GatewayShare) -> BackendConnection:
        await asyncio.sleep(0)
        return BackendConnection(TARGET, "db")

    def give_back(self, backend: BackendConnection) -> None:
        self.returned.append(backend)


async def test_of_two_waits_that_are_served_one_backend_goes_back() -> None:
    pool = Backends()
    lease = Lease(cast(Pool, pool), GatewayShare(), lambda: None)
    first, second = await asyncio.gather(lease.take(), lease.take())
    assert first is second is lease.backend
    assert len(pool.returned) == 1
    assert pool.returned[0] is not first


async def test_a_backend_that_comes_after_the_end_goes_back() -> None:
    pool = Backends()
    lease = Lease(cast(Pool, pool), GatewayShare(), lambda: None)
    waiting = asyncio.ensure_future(lease.take())
    await asyncio.sleep(0)
    lease.ended = True
    with pytest.raises(BackendLost):
        await waiting
    assert len(pool.returned) == 1
