"""Fast reads of many sessions on shared backends: nobody sees a difference, and nobody meets anybody else."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any

import psycopg
import pytest

from admin.demo.people import ALICE, ANA, BOB, CAROL, DAVE, Person
from tests.fix_postgres import serve_postgres
from tests.harness.demo_business import DemoGateway, demo_gateway
from tests.harness.gateway import lanes_are_off
from tests.harness.lanes import lane_requests, until_on_a_lane
from tests.harness.wire_client import SYNC, WireClient, bind, describe, execute, parse

Connection = psycopg.Connection[tuple[Any, ...]]
WARM = 6  # runs after which a fast statement is on a lane


@pytest.fixture(scope="module")
def laned() -> Iterator[DemoGateway]:
    with serve_postgres("embedded") as server:
        process = demo_gateway(server)
        process.start()
        yield process
        process.stop()


def one(connection: Connection, statement: str, *values: Any, prepare: bool | None = None) -> Any:
    row = connection.execute(statement.encode(), values or None, prepare=prepare).fetchone()
    assert row is not None
    return row[0]


def warm(
    gateway: DemoGateway, connection: Connection, statement: str, *values: Any, prepare: bool | None = None
) -> Any:
    """Run it until it rides, and give what it answered then."""
    return until_on_a_lane(gateway, lambda: one(connection, statement, *values, prepare=prepare))


def wire(gateway: DemoGateway, person: Person, **parameters: str) -> WireClient:
    client = WireClient(gateway.port)
    client.tls()
    client.log_in(person.name, person.tenant, gateway.tokens[person.name], 0, **parameters)
    return client


@pytest.mark.parametrize(
    ("statement", "values", "prepare"),
    [
        ("SELECT count(*) FROM orders WHERE id < 100", (), None),
        ("SELECT count(*) FROM orders WHERE id < %s", (100,), False),
        ("SELECT count(*) FROM orders WHERE id < %s", (100,), True),
    ],
)
def test_fast_reads_ride(laned: DemoGateway, statement: str, values: tuple[int, ...], prepare: bool | None) -> None:
    with laned.connect(ALICE, autocommit=True) as session:
        warm(laned, session, statement, *values, prepare=prepare)
        before = lane_requests(laned)
        for _ in range(20):
            one(session, statement, *values, prepare=prepare)
        assert lane_requests(laned) - before > 10  # a busy machine may keep a lane waiting


def test_tenants_on_the_same_lanes_get_their_own_rows(laned: DemoGateway) -> None:
    def work(person: Person, expected: int) -> None:
        with laned.connect(person, autocommit=True) as session:
            for number in range(150):
                time.sleep(0.02)  # a tenant may run 500 statements a second
                assert one(session, "SELECT count(*) FROM orders") == expected
                assert one(session, f"SELECT {number} + count(*) FROM orders WHERE id = -1") == number
                assert one(session, "SELECT %s::int + 1 FROM orders LIMIT 1", number, prepare=True) == number + 1

    before = lane_requests(laned)
    who = ((ALICE, 1900), (BOB, 1500), (CAROL, 1300), (DAVE, 1200)) * 2
    with ThreadPoolExecutor(len(who)) as threads:
        for job in [threads.submit(work, *each) for each in who]:
            job.result(90)
    assert (lane_requests(laned) - before > 2000) is not lanes_are_off()


def test_a_shared_statement_takes_its_tenant_as_a_parameter(laned: DemoGateway) -> None:
    """Of the simple protocol: one statement for all tenants on the target."""
    with laned.connect(ALICE, autocommit=True) as alice, laned.connect(BOB, autocommit=True) as bob:
        for number in range(2 * WARM):
            for session, client in ((alice, "acme"), (bob, "globex")):
                row = session.execute(f"SELECT min(tenant_id), max(tenant_id), {number} FROM orders").fetchone()
                assert row == (client, client, number)
    with laned.connect(ANA, autocommit=True) as ana:
        assert all("*" in str(warm(laned, ana, "SELECT max(email) FROM customers")) for _ in range(3))


@pytest.mark.parametrize(
    ("statement", "sqlstate", "position"),
    [
        ("SELECT 10 / (count(*) - {n})::int FROM orders WHERE id = 1", "22012", None),
        ("SELECT id FROM orders WHERE id = '{n}x'", "22P02", None),
    ],
)
def test_errors_are_those_of_the_clients_own_text(
    laned: DemoGateway, statement: str, sqlstate: str, position: int | None
) -> None:
    with wire(laned, ALICE) as client:
        good = statement.replace("x'", "'")
        for number in range(2, 2 + WARM):
            assert client.query(good.format(n=number)).errors == []
            time.sleep(0.02)
        answer = client.query(statement.format(n=1))
        assert answer.sqlstates == [sqlstate]
        assert answer.tags in ("EZ", "TEZ")
        assert client.query(good.format(n=2)).errors == []
    with wire(laned, ALICE) as other:  # that never was on a lane
        direct = other.query(statement.format(n=1))
        assert direct.errors == answer.errors


def test_a_statement_after_ddl_is_prepared_anew(laned: DemoGateway) -> None:
    """`cached plan must not change result type` is healed, not shown."""
    server = laned.server
    with laned.connect(DAVE, autocommit=True) as session:
        server.execute("CREATE TABLE changing (id int)", "umbrella")
        server.execute("GRANT SELECT ON changing TO tenantgate", "umbrella")
        server.execute("INSERT INTO changing VALUES (1)", "umbrella")
        try:
            with pytest.raises(psycopg.errors.UndefinedTable):  # so that the catalog is read again
                session.execute("SELECT * FROM nowhere")
            session.prepare_threshold = None  # a client's own prepared statement may not change its result
            for _ in range(WARM):
                assert session.execute("SELECT * FROM changing").fetchall() == [(1,)]
                time.sleep(0.02)
            server.execute("ALTER TABLE changing ADD COLUMN more text DEFAULT 'x'", "umbrella")
            for _ in range(WARM):
                assert session.execute("SELECT * FROM changing").fetchall() == [(1, "x")]
        finally:
            server.execute("DROP TABLE changing", "umbrella")


def test_a_slow_statement_holds_nobody_up(laned: DemoGateway) -> None:
    """One that was fast becomes slow: those behind it run elsewhere, and it leaves the lanes."""
    slow = "SELECT count(*) FROM generate_series(1, {n}) a"
    with laned.connect(ALICE, autocommit=True) as dragging, laned.connect(BOB, autocommit=True) as quick:
        warm(laned, dragging, slow.format(n=1))
        warm(laned, quick, "SELECT count(*) FROM notes WHERE id = 1")
        thread = threading.Thread(target=dragging.execute, args=(slow.format(n=6_000_000),))
        thread.start()
        time.sleep(0.05)
        worst = 0.0
        while thread.is_alive():
            began = time.monotonic()
            one(quick, "SELECT count(*) FROM notes WHERE id = 1")
            worst = max(worst, time.monotonic() - began)
        thread.join()
        assert worst < 1.0


def test_a_statement_on_a_lane_can_be_cancelled_and_hurts_no_neighbour(laned: DemoGateway) -> None:
    slow = "SELECT count(*) FROM generate_series(1, {n}) a"
    stop = threading.Event()

    def neighbour() -> int:
        done = 0
        with laned.connect(BOB, autocommit=True) as session:
            while not stop.is_set():
                assert one(session, "SELECT count(*) FROM orders WHERE id < 10") is not None
                done += 1
        return done

    with ThreadPoolExecutor(3) as threads, laned.connect(ALICE, autocommit=True) as session:
        jobs = [threads.submit(neighbour) for _ in range(3)]
        try:
            for _ in range(4):
                warm(laned, session, slow.format(n=1))
                threading.Timer(0.3, session.cancel).start()
                with pytest.raises(psycopg.errors.QueryCanceled):
                    session.execute(slow.format(n=100_000_000).encode())
                assert one(session, "SELECT 1") == 1
        finally:
            stop.set()
        assert all(job.result(20) > 10 for job in jobs)
    assert not [e for e in laned.audit_events() if e.get("tenant") == "globex" and e.get("outcome") == "cancelled"]


def test_lanes_that_lose_their_backend_lose_no_read(laned: DemoGateway) -> None:
    """Reads whose replies have not begun are run again: nobody notices that their backend was ended."""
    stop, failures = threading.Event(), []

    def read() -> None:
        with laned.connect(ALICE, autocommit=True) as session:
            while not stop.is_set():
                try:
                    assert one(session, "SELECT count(*) FROM orders WHERE id < 50") is not None
                    time.sleep(0.01)  # the tenant may run 500 statements a second
                except psycopg.Error as error:  # pragma: no cover - what must not happen
                    failures.append(str(error))
                    return

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    time.sleep(0.6)
    lanes = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'tenantgate' AND query LIKE '%$%'"
    for _ in range(3):
        laned.server.execute(lanes)
        time.sleep(0.3)
    stop.set()
    for thread in threads:
        thread.join(10)
    assert failures == []


def test_a_client_that_does_not_read_holds_nobody_up(laned: DemoGateway) -> None:
    big = "SELECT repeat('x', {n}) FROM orders LIMIT 1"
    with wire(laned, ALICE) as sleepy, laned.connect(BOB, autocommit=True) as quick:
        sizes = count(1)
        assert until_on_a_lane(laned, lambda: sleepy.query(big.format(n=next(sizes)))).errors == []
        warm(laned, quick, "SELECT count(*) FROM notes WHERE id = 1")
        sleepy.send(b"Q" + (len(text := big.format(n=4_000_000).encode()) + 5).to_bytes(4, "big") + text + b"\0")
        deadline, worst = time.monotonic() + 1.5, 0.0
        while time.monotonic() < deadline:
            began = time.monotonic()
            one(quick, "SELECT count(*) FROM notes WHERE id = 1")
            worst = max(worst, time.monotonic() - began)
        assert worst < 1.0
        answer = sleepy.receive(timeout_s=20)
        assert answer.tags == "TDCZ"
        assert len(answer.messages[1][1]) > 4_000_000


def test_sessions_with_other_settings_have_other_lanes(laned: DemoGateway) -> None:
    with laned.connect(ALICE, autocommit=True) as session, laned.connect(ALICE, autocommit=True) as german:
        german.execute("SET DateStyle TO 'German'")
        statement = "SELECT max(ordered_at)::date::text FROM orders WHERE id < 20"
        for _ in range(2):
            assert re.fullmatch(r"\d{4}-\d\d-\d\d", warm(laned, session, statement))
            assert re.fullmatch(r"\d\d\.\d\d\.\d{4}", warm(laned, german, statement))


def test_within_a_transaction_nothing_rides(laned: DemoGateway) -> None:
    with laned.connect(ALICE) as session:
        session.execute("INSERT INTO notes (customer_id, body) VALUES (1, 'not committed')")
        for _ in range(WARM):
            assert one(session, "SELECT count(*) FROM notes WHERE body = 'not committed'") == 1
        session.rollback()
        assert one(session, "SELECT count(*) FROM notes WHERE body = 'not committed'") == 0


def test_a_session_sees_what_it_has_written(laned: DemoGateway) -> None:
    with laned.connect(ALICE, autocommit=True) as session:
        statement = "SELECT count(*) FROM notes WHERE body = 'written a moment ago'"
        warm(laned, session, statement)
        for number in range(1, 8):
            session.execute("INSERT INTO notes (customer_id, body) VALUES (1, 'written a moment ago')")
            assert one(session, statement) == number
        session.execute("DELETE FROM notes WHERE body = 'written a moment ago'")
        assert one(session, statement) == 0


def test_parse_bind_and_describe_are_answered_as_asked(laned: DemoGateway) -> None:
    text = "SELECT id FROM orders WHERE id = $1"
    with wire(laned, ALICE) as client, wire(laned, BOB) as other:
        for who in (client, other):
            for _ in range(WARM):
                who.send(parse("", text), bind("", "", "1"), describe("P"), execute(), SYNC)
                assert who.receive().tags in ("12TDCZ", "12TCZ")
                time.sleep(0.02)
            who.send(parse("", text), bind("", "", "1"), execute(), SYNC)
            assert who.receive().tags in ("12DCZ", "12CZ")
            who.send(parse("named", text), SYNC)
            assert who.receive().tags == "1Z"
            for _ in range(WARM):
                who.send(bind("", "named", "1"), execute(), SYNC)
                assert who.receive().tags in ("2DCZ", "2CZ")
            who.send(bind("", "", "1"), describe("P"), execute(), SYNC)  # the unnamed statement is still there
            assert who.receive().tags in ("2TDCZ", "2TCZ")


def test_every_ride_has_its_audit_event(laned: DemoGateway) -> None:
    with laned.connect(ALICE, autocommit=True, application_name="rides") as session:
        for number in range(30):
            one(session, f"SELECT count(*) FROM orders WHERE id = {number}")
    deadline = time.monotonic() + 5
    while True:
        events = [e for e in laned.audit_events("rides") if e["event"] == "statement" and "orders" in e["statement"]]
        if len(events) == 30 or time.monotonic() > deadline:
            break
        time.sleep(0.05)
    assert [e["statement"][-2:].strip() for e in events] == [str(n) for n in range(30)]
    assert {e["outcome"] for e in events} == {"ok"}
    assert all("tenant_id" in e["rewritten"] and e["relations"] == ["public.orders"] for e in events)


def test_lanes_off_changes_no_result(laned: DemoGateway) -> None:
    target = next(iter(laned._targets.values()))
    assert isinstance(target, dict)
    target["lanes"] = False
    laned.write_config({})
    laned.reload()
    try:
        time.sleep(1)
        with laned.connect(ALICE, autocommit=True) as session:
            before = lane_requests(laned)
            for _ in range(WARM):
                assert one(session, "SELECT count(*) FROM orders") == 1900
            assert lane_requests(laned) == before
    finally:
        del target["lanes"]
        laned.write_config({})
        laned.reload()
        time.sleep(0.5)
