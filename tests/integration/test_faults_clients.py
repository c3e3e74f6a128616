"""Clients that vanish, do not read, or cancel without end: nobody else notices, and the books balance."""

from __future__ import annotations

import os
import random
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from admin.demo.people import ALICE, BOB
from proxy.postgres.wire import messages, startup
from tests.harness.balance import assert_balanced, show
from tests.harness.demo_business import DemoGateway
from tests.harness.traces import assert_no_traces, leave_traces, session_of
from tests.harness.wire_client import FLUSH, SYNC, WireClient, bind, execute, parse

BACKENDS = 6
_BEGUN_S = 0.3  # a statement that has not begun when it is cancelled runs to its end, as on a server without a gateway
STORM = 6000 if "TENANTGATE_FAULTS_FULL" in os.environ else 240  # cancel requests
RST = struct.pack("ii", 1, 0)  # SO_LINGER: the connection is reset, what is unsent is dropped
INSERT = "INSERT INTO notes (customer_id, body) VALUES (1, 'of one who vanished')"
MUCH = b"SELECT repeat('x', 1000) FROM generate_series(1, 100000)"


@pytest.fixture(autouse=True)
def _all_is_well_afterwards(faulty: DemoGateway) -> Iterator[None]:
    yield
    assert_balanced(faulty)
    assert_no_traces(faulty, BACKENDS)
    assert_balanced(faulty)
    kept = "SELECT count(*) FROM notes WHERE body = 'of one who vanished'"
    assert faulty.server.execute(kept, "shop") == [(0,)]


def query(text: bytes) -> bytes:
    return messages.encode_query(text)


# What a client was at when it went; each has logged in.


def in_a_transaction(client: WireClient) -> None:
    leave_traces(client)
    assert client.query(f"BEGIN; {INSERT}").errors == []


def in_a_transaction_that_failed(client: WireClient) -> None:
    assert client.query(f"BEGIN; {INSERT}").errors == []
    assert client.query("SELECT 1/0").sqlstates == ["22012"]


def in_a_statement(client: WireClient) -> None:
    client.send(query(b"SELECT pg_sleep(60)"))
    time.sleep(_BEGUN_S)


def behind_pipelined_writes(client: WireClient) -> None:
    wait = parse("", "SELECT pg_sleep(60)"), bind("", ""), execute()
    client.send(*wait, parse("", INSERT), bind("", ""), execute(), SYNC)
    time.sleep(_BEGUN_S)


def without_a_sync(client: WireClient) -> None:
    client.send(parse("", INSERT), bind("", ""), execute(), FLUSH)
    assert client.receive(until="C").tags == "12C"


def in_a_copy_in(client: WireClient) -> None:
    client.send(query(b"COPY notes (customer_id, body) FROM STDIN"))
    assert client.receive(until="G").tags == "G"
    client.send(messages.encode(b"d", b"1\tof one who vanished\n1\tof one"))


def in_a_copy_out(client: WireClient) -> None:
    client.send(query(b"COPY (" + MUCH + b") TO STDOUT"))
    assert client.receive(until="d").tags[-1] == "d"


def in_a_result(client: WireClient) -> None:
    client.send(query(MUCH))
    assert client.receive(until="D").tags[-1] == "D"


def on_a_lane(client: WireClient) -> None:
    for _ in range(6):
        assert client.query("SELECT count(*) FROM orders WHERE id < 10").errors == []
    client.send(query(b"SELECT count(*) FROM orders WHERE id < 10"))


def in_a_message(client: WireClient) -> None:
    client.send(query(b"SELECT 1")[:-3])


def in_a_message_within_a_transaction(client: WireClient) -> None:
    assert client.query(f"BEGIN; {INSERT}").errors == []
    client.send(parse("", "SELECT 1")[:7])


VANISHING: tuple[Callable[[WireClient], None], ...] = (
    in_a_transaction, in_a_transaction_that_failed, in_a_statement, behind_pipelined_writes, without_a_sync,
    in_a_copy_in, in_a_copy_out, in_a_result, on_a_lane, in_a_message, in_a_message_within_a_transaction,
)  # fmt: skip


@pytest.mark.parametrize("reset", [False, True])
def test_clients_that_vanish_leave_nothing_and_take_nothing(faulty: DemoGateway, reset: bool) -> None:
    for begin in VANISHING:
        for _ in range(3):
            client = session_of(faulty, ALICE)
            begin(client)
            if reset:
                client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RST)
            client.close()


def test_clients_that_vanish_while_they_wait_for_a_backend(faulty: DemoGateway) -> None:
    """They leave the queue at once: those behind them are served first, and no backend is made for them."""
    with ExitStack() as stack:
        holders = [stack.enter_context(session_of(faulty, ALICE)) for _ in range(BACKENDS)]
        for holder in holders:
            assert holder.query("BEGIN; SELECT 1").errors == []
        vanishing = [session_of(faulty, ALICE) for _ in range(20)]
        for client in vanishing:
            client.send(query(INSERT.encode()))
        waiting = stack.enter_context(session_of(faulty, BOB))
        waiting.send(query(b"SELECT count(*) FROM orders"))
        until_waiting(faulty, 21)
        for client in vanishing:
            client.close()
        until_waiting(faulty, 1)
        assert holders[0].query("COMMIT").errors == []
        assert waiting.receive().rows == [["1500"]]
        for holder in holders[1:]:
            holder.query("COMMIT")


def until_waiting(gateway: DemoGateway, count: int) -> None:
    deadline = time.monotonic() + 5
    while (waiting := sum(int(pool["cl_waiting"]) for pool in show(gateway, "POOLS")["POOLS"])) != count:
        assert time.monotonic() < deadline, f"{waiting} wait, not {count}"
        time.sleep(0.02)


def test_clients_that_vanish_while_they_log_in(faulty: DemoGateway) -> None:
    hello = startup.encode_startup({"user": "alice", "database": "acme"}, 0)
    password = messages.encode(b"p", faulty.tokens["alice"].encode() + b"\0")
    for sent in (b"", hello[:4], hello[:-2], hello, hello + password[:20], hello + password, hello + password + SYNC):
        for _ in range(5):
            client = WireClient(faulty.port)
            client.send(sent)
            client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RST)
            client.close()


def test_clients_that_do_not_read_and_then_vanish(faulty: DemoGateway) -> None:
    """As many as may have a backend less one; what another asks is answered all the while."""
    with session_of(faulty, BOB) as other, ExitStack() as stack:
        for _ in range(BACKENDS - 1):
            client = stack.enter_context(session_of(faulty, ALICE))
            client.send(query(MUCH))
            assert client.receive(until="T").tags == "T"
        for number in range(30):
            assert other.query(f"SELECT count(*) + {number} FROM orders").rows == [[str(1500 + number)]]


# Cancelling


def cancel(gateway: DemoGateway, pid: int, key: bytes) -> None:
    """Send a CancelRequest and wait until the gateway has taken it."""
    with socket.create_connection((gateway.host, gateway.port), timeout=10) as sock:
        sock.sendall(struct.pack("!III", 12 + len(key), startup.CANCEL_REQUEST, pid) + key)
        assert sock.recv(1) == b""


def test_a_storm_of_cancel_requests_reaches_those_whose_key_it_has(faulty: DemoGateway) -> None:
    """Right keys of sessions that run something, that are between two statements, on lanes; wrong and made-up ones."""
    stop = threading.Event()
    short = b"SELECT count(*) FROM orders WHERE id < 10"
    with ExitStack() as stack:
        sleepers = [stack.enter_context(session_of(faulty, ALICE)) for _ in range(2)]
        busy = [stack.enter_context(session_of(faulty, ALICE)) for _ in range(2)]
        neighbours = [stack.enter_context(session_of(faulty, BOB)) for _ in range(4)]

        def work(client: WireClient, text: bytes) -> Counter[str]:
            seen: Counter[str] = Counter()
            while not stop.is_set():
                client.send(query(text))
                answer = client.receive()
                assert answer.statuses == "I"
                seen.update(answer.sqlstates or ["ok"])
            return seen

        def storm(seed: int) -> None:
            draw = random.Random(seed)
            targets = [client.key for client in (*sleepers, *busy)]
            others = [client.key for client in neighbours]
            for _ in range(STORM // 12):
                pid, key = draw.choice(targets)
                cancel(faulty, pid, key)
                cancel(faulty, pid, draw.randbytes(len(key)))
                cancel(faulty, draw.choice(others)[0], key)
                cancel(faulty, draw.randrange(2**31), draw.randbytes(draw.choice((4, 32))))

        with ThreadPoolExecutor(12) as threads:
            slept = [threads.submit(work, client, b"SELECT pg_sleep(60)") for client in sleepers]
            hit = [threads.submit(work, client, short) for client in busy]
            spared = [threads.submit(work, client, short) for client in neighbours]
            storms = [threads.submit(storm, seed) for seed in range(3)]
            for job in storms:
                job.result(60)
            stop.set()
            while not all(job.done() for job in slept):
                for client in sleepers:
                    cancel(faulty, *client.key)
            assert set().union(*(job.result() for job in slept)) == {"57014"}
            assert set().union(*(job.result(20) for job in hit)) <= {"ok", "57014"}
            assert set().union(*(job.result(20) for job in spared)) == {"ok"}


def test_cancel_requests_of_those_who_wait(faulty: DemoGateway) -> None:
    """Each is answered at once, again and again; none is left in the queue."""
    with ExitStack() as stack:
        holders = [stack.enter_context(session_of(faulty, BOB)) for _ in range(BACKENDS)]
        for holder in holders:
            assert holder.query("BEGIN; SELECT 1").errors == []
        waiting = [stack.enter_context(session_of(faulty, ALICE)) for _ in range(10)]
        for _ in range(3):
            for client in waiting:
                client.send(query(INSERT.encode()))
            until_waiting(faulty, len(waiting))
            for client in waiting:
                cancel(faulty, *client.key)
            assert {client.receive().sqlstates[0] for client in waiting} == {"57014"}
        until_waiting(faulty, 0)
        for holder in holders:
            holder.query("COMMIT")
