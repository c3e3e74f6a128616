"""Who waits for a backend: whose turn it is, how long, what the operator sees of it, and what a reload changes."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any

import psycopg
import pytest

from admin.demo.people import ALICE, ANA, BOB, CAROL, DAVE, Person
from tests.harness.balance import assert_balanced, show
from tests.harness.demo_business import DemoGateway
from tests.integration.strategy import Policy

Connection = psycopg.Connection[tuple[Any, ...]]


@pytest.fixture(autouse=True)
def _balanced(narrow: DemoGateway) -> Iterator[None]:
    yield
    assert_balanced(narrow)


@pytest.fixture
def policy(narrow: DemoGateway) -> Iterator[Policy]:
    policy = Policy(narrow)
    yield policy
    policy.restore()


@contextmanager
def both_backends(gateway: DemoGateway, *people: Person) -> Iterator[list[Connection]]:
    """Transactions that hold the two backends of the gateway."""
    with ExitStack() as stack:
        held = [stack.enter_context(gateway.connect(person)) for person in people or (ALICE, ALICE)]
        for session in held:
            session.execute("SELECT 1")
        yield held
        for session in held:
            if session.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
                session.rollback()


def waiting(gateway: DemoGateway) -> int:
    return sum(int(pool["cl_waiting"]) for pool in show(gateway, "POOLS")["POOLS"])


def until_waiting(gateway: DemoGateway, count: int) -> None:
    deadline = time.monotonic() + 5
    while waiting(gateway) != count:
        assert time.monotonic() < deadline, f"{waiting(gateway)} sessions wait, not {count}"
        time.sleep(0.02)


def test_a_crowd_of_one_tenant_does_not_hold_up_another_s_one_session(narrow: DemoGateway) -> None:
    """While the crowd takes both backends again and again, the other's statements each wait for few of the crowd's."""
    crowd_ran, stop = [0] * 20, threading.Event()

    def crowd(number: int) -> None:
        with narrow.connect(ALICE, autocommit=True) as session:
            while not stop.is_set():
                session.execute("SELECT pg_sleep(0.01)")
                crowd_ran[number] += 1

    with ThreadPoolExecutor(len(crowd_ran)) as threads, narrow.connect(BOB, autocommit=True) as other:
        other.execute("SELECT count(*) FROM orders")
        jobs = [threads.submit(crowd, number) for number in range(len(crowd_ran))]
        try:
            until = time.monotonic() + 10
            while not all(crowd_ran):
                assert time.monotonic() < until
                time.sleep(0.01)
            before = sum(crowd_ran)
            for _ in range(10):
                assert other.execute("SELECT count(*) FROM orders").fetchone() == (1500,)
            meanwhile = sum(crowd_ran) - before
        finally:
            stop.set()
        for job in jobs:
            job.result(30)
    assert meanwhile < 10 * len(crowd_ran) / 2, "it stood behind the whole crowd each time"


def test_pools_of_one_target_take_turns(narrow: DemoGateway) -> None:
    """Other isolation means another pool; two backends are all there are, and one pool's sessions never stop asking."""
    stop = threading.Event()

    def crowd() -> None:
        with narrow.connect(ALICE, autocommit=True) as session:
            while not stop.is_set():
                session.execute("SELECT pg_sleep(0.01)")

    with ThreadPoolExecutor(8) as threads:
        jobs = [threads.submit(crowd) for _ in range(8)]
        try:
            with narrow.connect(CAROL, autocommit=True) as schema, narrow.connect(DAVE, autocommit=True) as database:
                for _ in range(3):
                    assert schema.execute("SELECT count(*) FROM orders").fetchone() == (1300,)
                    assert database.execute("SELECT count(*) FROM orders").fetchone() == (1200,)
        finally:
            stop.set()
        for job in jobs:
            job.result(30)


def test_a_tenant_may_have_so_many_backends_and_no_more(narrow: DemoGateway, policy: Policy) -> None:
    policy.document["tenants"]["acme"]["quotas"]["backends"] = 1
    policy.apply()
    with (
        narrow.connect(ALICE) as holder,
        narrow.connect(ANA, autocommit=True) as colleague,
        narrow.connect(BOB, autocommit=True) as other,
    ):
        holder.execute("SELECT 1")
        with pytest.raises(psycopg.errors.TooManyConnections, match='too many backends for tenant "acme"') as caught:
            colleague.execute("SELECT count(*) FROM orders")
        assert "quota" in (caught.value.diag.message_hint or "")
        assert other.execute("SELECT count(*) FROM orders").fetchone() == (1500,)
        rows = {row["tenant"]: row for row in show(narrow, "TENANTS")["TENANTS"]}
        assert (rows["acme"]["sv_active"], rows["acme"]["max_backends"]) == ("1", "1")
        assert (rows["globex"]["sv_active"], rows["globex"]["max_backends"]) == ("0", "")
        with ThreadPoolExecutor(1) as thread:
            job = thread.submit(colleague.execute, "SELECT count(*) FROM orders")
            until_waiting(narrow, 1)
            del policy.document["tenants"]["acme"]["quotas"]["backends"]
            policy.apply()
            assert job.result(10).fetchone() == (1900,)
        holder.rollback()


def test_the_operator_sees_who_waits_and_how_long(narrow: DemoGateway) -> None:
    with (
        both_backends(narrow) as (first, _),
        narrow.connect(BOB, autocommit=True) as third,
        ThreadPoolExecutor(1) as thread,
    ):
        job = thread.submit(third.execute, "SELECT 1")
        until_waiting(narrow, 1)
        time.sleep(0.05)
        seen = show(narrow, "POOLS", "CLIENTS", "SERVERS")
        first.rollback()
        job.result(10)
    (waits,) = [row for row in seen["CLIENTS"] if row["state"] == "waiting"]
    assert waits["user"] == "bob"
    assert int(waits["wait"]) * 10**6 + int(waits["wait_us"]) >= 50_000
    assert max(int(pool["maxwait"]) * 10**6 + int(pool["maxwait_us"]) for pool in seen["POOLS"]) >= 50_000
    now = time.strftime("%Y-%m-%d", time.gmtime())
    assert [row["connect_time"][:10] for row in seen["SERVERS"]] == [now] * 2


def configure_anew(gateway: DemoGateway, **keys: object) -> None:
    target = next(iter(gateway._targets.values()))
    assert isinstance(target, dict)
    target |= keys
    gateway.write_config({})
    before = gateway.log.count('"reloaded"')
    gateway.reload()
    deadline = time.monotonic() + 5
    while gateway.log.count('"reloaded"') == before:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_who_waits_when_the_target_is_configured_anew_waits_on(narrow: DemoGateway) -> None:
    """A statement, and a login that the target has to be asked for."""
    with (
        both_backends(narrow) as (first, second),
        narrow.connect(BOB, autocommit=True) as third,
        ThreadPoolExecutor(2) as threads,
    ):
        job = threads.submit(third.execute, "SELECT count(*) FROM orders")
        login: Future[Connection] = threads.submit(narrow.connect, ALICE, options="-c extra_float_digits=2")
        until_waiting(narrow, 2)
        configure_anew(narrow, idle_timeout_s=150)
        time.sleep(0.1)
        assert not job.done()
        assert not login.done()
        first.rollback()
        assert job.result(10).fetchone() == (1500,)
        second.rollback()
        with login.result(10) as late:
            assert late.execute("SHOW extra_float_digits").fetchone() == ("2",)
