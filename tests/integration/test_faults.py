"""Backends that end, and servers: who had one gets one typed error, nobody else notices, and the books balance."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import pytest

from admin.demo.people import ALICE, BOB, CAROL, Person
from proxy.postgres.wire import messages
from tests.harness.balance import assert_balanced, show
from tests.harness.demo_business import DemoGateway
from tests.harness.lanes import until_on_a_lane
from tests.harness.traces import assert_no_traces, leave_traces, session_of
from tests.harness.wire_client import SYNC, WireClient, bind, execute, parse

BACKENDS = 6
ORDERS = {"alice": 1900, "bob": 1500, "carol": 1300}
LOST = {"57P01", "57P02", "08006"}  # ended by an administrator, by a crash, or for reasons unknown


@pytest.fixture(autouse=True)
def _all_is_well_afterwards(faulty: DemoGateway) -> Iterator[None]:
    yield
    assert_balanced(faulty)
    assert_no_traces(faulty, BACKENDS)
    assert_balanced(faulty)


def end_backend(gateway: DemoGateway, pid: int | str | None) -> None:
    assert gateway.server.execute("SELECT pg_terminate_backend(%s::int)", parameters=(pid,)) == [(True,)]


class Traffic:
    """Sessions of three tenants that read on lanes, write in transactions and check what they see, until told to stop.

    failures: SQLSTATEs of the errors of each session. ends: how often it was ended, and connected again. done: how many
    of its requests were answered.
    """

    def __init__(self, gateway: DemoGateway, sessions: int = 6) -> None:
        self._gateway = gateway
        self._stop = threading.Event()
        self.failures: list[list[str]] = [[] for _ in range(sessions)]
        self.ends = [0] * sessions
        self.done = [0] * sessions
        self._threads = ThreadPoolExecutor(sessions)
        people = (ALICE, BOB, CAROL)
        self._jobs = [self._threads.submit(self._work, number, people[number % 3]) for number in range(sessions)]

    def __enter__(self) -> Traffic:
        self.until_all_go_on()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for job in self._jobs:
            job.result(30)
        self._threads.shutdown()

    def until_all_go_on(self, within_s: float = 20.0) -> None:
        """Wait until every session has had answers since now."""
        before, deadline = list(self.done), time.monotonic() + within_s
        while any(now < then + 5 for now, then in zip(self.done, before, strict=True)):
            assert time.monotonic() < deadline, (before, self.done, self.failures)
            for job in self._jobs:
                if job.done():
                    job.result()
            time.sleep(0.02)

    def _work(self, number: int, person: Person) -> None:
        while not self._stop.is_set():
            with WireClient(self._gateway.port) as client:
                login = client.log_in(person.name, person.tenant, self._gateway.tokens[person.name])
                self.failures[number] += login.sqlstates
                alive = not login.closed
                while alive and not self._stop.is_set():
                    alive = self._once(client, number, person)
            time.sleep(0.02)

    def _once(self, client: WireClient, number: int, person: Person) -> bool:
        """A read and a transaction; whether the session goes on."""
        for request in (
            [messages.encode_query(b"SELECT count(*) FROM orders")],
            [parse("", "SELECT count(*) FROM orders"), bind("", ""), execute(), SYNC],
            [messages.encode_query(b"BEGIN")],
            [messages.encode_query(b"UPDATE notes SET body = body WHERE id = %d" % number)],
            [messages.encode_query(b"COMMIT")],
        ):
            client.send(*request)
            answer = client.receive()
            assert answer.closed or answer.statuses, "it hangs"
            assert len(answer.errors) <= 1, "one error is enough"
            assert not answer.rows or answer.rows == [[str(ORDERS[person.name])]]
            self.failures[number] += answer.sqlstates
            if answer.closed:
                assert answer.errors, "it is not said why"
                self.ends[number] += 1
                return False
            self.done[number] += not answer.errors
            if answer.statuses == "E":  # there was no backend for the transaction: the ROLLBACK needs none
                assert client.query("ROLLBACK").statuses == "I"
                break
            time.sleep(0.02 if answer.errors else 0)
        return True


def assert_ended(client: WireClient) -> None:
    """The session ends with one typed error; or in the middle of a row, and then what is there of it is of the row."""
    answer = client.receive()
    assert answer.closed
    assert "Z" not in answer.tags
    if client.unread:
        assert answer.errors == []
        assert set(client.unread[11:]) <= set(b"x")
    else:
        assert len(answer.errors) == 1
        assert set(answer.sqlstates) <= LOST


def test_a_backend_that_ends_in_the_middle_of_a_result(faulty: DemoGateway) -> None:
    with session_of(faulty, ALICE) as client, session_of(faulty, BOB) as other:
        pid = client.query("BEGIN; SELECT pg_backend_pid()").rows[0][0]
        client.send(messages.encode_query(b"SELECT repeat('x', 1000) FROM generate_series(1, 200000)"))
        assert client.receive(until="D").tags[-1] == "D"
        end_backend(faulty, pid)
        assert_ended(client)
        assert other.query("SELECT count(*) FROM orders").rows == [["1500"]]


@pytest.mark.parametrize("idle", [True, False])
def test_a_backend_that_ends_in_a_transaction(faulty: DemoGateway, idle: bool) -> None:
    """What the transaction did is undone, as the error makes the client think."""
    note = "SELECT count(*) FROM notes WHERE body = 'never committed'"
    with session_of(faulty, ALICE) as client, session_of(faulty, ALICE) as other:
        leave_traces(client)
        pid = client.query("BEGIN; SELECT pg_backend_pid()").rows[0][0]
        assert client.query("INSERT INTO notes (customer_id, body) VALUES (1, 'never committed')").errors == []
        if not idle:
            client.send(messages.encode_query(b"SELECT pg_sleep(30)"))
            time.sleep(0.1)
        end_backend(faulty, pid)
        assert_ended(client)
        assert other.query(note).rows == [["0"]]


def test_a_backend_that_ends_in_the_middle_of_a_copy(faulty: DemoGateway) -> None:
    with session_of(faulty, ALICE) as client, session_of(faulty, ALICE) as other:
        pid = client.query("BEGIN; SELECT pg_backend_pid()").rows[0][0]
        client.send(messages.encode_query(b"COPY notes (customer_id, body) FROM STDIN"))
        assert client.receive(until="G").tags == "G"
        client.send(messages.encode(b"d", b"1\tcopied in part\n"))
        end_backend(faulty, pid)
        assert_ended(client)
        assert other.query("SELECT count(*) FROM notes WHERE body = 'copied in part'").rows == [["0"]]


def lane_pids(gateway: DemoGateway) -> list[str]:
    return [row["remote_pid"] for row in show(gateway, "SERVERS")["SERVERS"] if row["state"] == "lane"]


def read_slowly_on_a_lane(gateway: DemoGateway) -> tuple[WireClient, str]:
    """A client that has read the beginning of a large reply of a lane, and the lane's pid."""
    at_work = "SELECT pid::text FROM pg_stat_activity WHERE usename = 'tenantgate' AND query LIKE '%repeat%'"
    for attempt in range(10):  # a busy lane sends the last one elsewhere; each attempt is a statement of its own
        big = f"SELECT repeat('x', {{n}}) AS attempt_{attempt} FROM orders LIMIT 1"
        client, sizes = session_of(gateway, ALICE), count(1)
        assert until_on_a_lane(gateway, lambda: client.query(big.format(n=next(sizes)))).errors == []  # noqa: B023
        client.send(messages.encode_query(big.format(n=20_000_000).encode()))
        assert client.receive(until="T").tags == "T"
        at_it = [pid for (pid,) in gateway.server.execute(at_work + " AND state = 'active'")]
        if set(at_it) & set(lane_pids(gateway)):
            return client, at_it[0]
        client.close()
    pytest.fail("it rode on no lane")


def test_a_lane_that_ends_in_the_middle_of_what_a_client_reads(faulty: DemoGateway) -> None:
    text = "SELECT count(*) FROM orders WHERE id < 10"
    with session_of(faulty, BOB) as other:
        until_on_a_lane(faulty, lambda: other.query(text))
        before = other.query(text).rows
        client, pid = read_slowly_on_a_lane(faulty)
        end_backend(faulty, pid)
        assert_ended(client)
        client.close()
        assert other.query(text).rows == before


def outage(gateway: DemoGateway, act: Callable[[], None]) -> None:
    """Under load: sessions that had a backend end, with one error, once; then all work again, and none hangs."""
    with Traffic(gateway) as traffic:
        act()
        traffic.until_all_go_on()
        traffic.until_all_go_on()
    seen = Counter(state for states in traffic.failures for state in states)
    assert set(seen) <= LOST | {"57P03"}, seen
    assert max(traffic.ends) <= 1
    assert sum(traffic.ends) == sum(seen[state] for state in LOST)


def test_a_target_that_is_restarted_under_load(faulty: DemoGateway) -> None:
    def restart() -> None:
        faulty.server.halt()
        time.sleep(0.3)
        faulty.server.start()

    outage(faulty, restart)


def test_a_backend_that_is_killed_takes_the_server_down_for_a_moment(faulty: DemoGateway) -> None:
    """kill -9: PostgreSQL ends all its backends and recovers."""

    def kill() -> None:
        rows = faulty.server.execute("SELECT pid FROM pg_stat_activity WHERE usename = 'tenantgate' AND state <> 'x'")
        os.kill(rows[0][0], signal.SIGKILL)

    outage(faulty, kill)


def test_pipelined_requests_behind_the_one_that_a_backend_ended_in(faulty: DemoGateway) -> None:
    """All are lost with it: none of them is run elsewhere, since nobody knows what ran."""
    insert = parse("", "INSERT INTO notes (customer_id, body) VALUES (1, 'pipelined')")
    with session_of(faulty, ALICE) as client, session_of(faulty, ALICE) as other:
        pid = client.query("BEGIN; SELECT pg_backend_pid()").rows[0][0]
        client.send(parse("", "SELECT pg_sleep(30)"), bind("", ""), execute(), SYNC)
        client.send(insert, bind("", ""), execute(), SYNC, parse("", "COMMIT"), bind("", ""), execute(), SYNC)
        time.sleep(0.1)
        end_backend(faulty, pid)
        assert_ended(client)
        assert other.query("SELECT count(*) FROM notes WHERE body = 'pipelined'").rows == [["0"]]
