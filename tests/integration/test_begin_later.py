"""A BEGIN waits for the request behind it: no backend is held before, and otherwise nothing is different."""

from __future__ import annotations

import struct
import time
from collections.abc import Iterator

import pytest

from admin.demo.people import ALICE, Person
from proxy.postgres.wire.messages import SYNC, encode_query
from tests.fix_postgres import serve_postgres
from tests.harness.demo_business import DemoGateway, demo_gateway
from tests.harness.gateway import lanes_are_off
from tests.harness.wire_client import WireClient, bind, execute, parse

pytestmark = pytest.mark.skipif(lanes_are_off(), reason="lanes are off: a BEGIN goes to a backend at once")


@pytest.fixture(scope="module")
def shop() -> Iterator[DemoGateway]:
    """A gateway with one backend, and short patience."""
    with serve_postgres("embedded") as server:
        process = demo_gateway(server)
        target = next(iter(process._targets.values()))
        assert isinstance(target, dict)
        target |= {"max_backends": 1, "acquire_timeout_s": 1}
        process.write_config({})
        process.start()
        yield process
        process.stop()


def wire(gateway: DemoGateway, person: Person = ALICE, application: str = "later") -> WireClient:
    client = WireClient(gateway.port, timeout_s=60)
    client.tls()
    client.log_in(person.name, person.tenant, gateway.tokens[person.name], 0, application_name=application)
    return client


def transactions(gateway: DemoGateway) -> int:
    """That the target knows of."""
    sql = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'tenantgate' AND state LIKE 'idle in transaction%'"
    return int(gateway.server.execute(sql)[0][0])


@pytest.mark.parametrize("begin", ["BEGIN", "begin;", " Begin Work ", "BEGIN TRANSACTION"])
def test_clients_that_have_begun_and_think_share_the_one_backend(shop: DemoGateway, begin: str) -> None:
    with wire(shop) as one, wire(shop) as other:
        for client in (one, other):
            answer = client.query(begin)
            assert (answer.tags, answer.statuses) == ("CZ", "T")
            assert answer.messages[0][1] == b"C\0\0\0\x0aBEGIN\0"
        assert transactions(shop) == 0
        assert one.query("COMMIT").statuses == "I"
        assert one.query(begin).statuses == "T"
        for client in (one, other):
            assert client.query("UPDATE orders SET region = 'west' WHERE id = 7").statuses == "T"
            assert transactions(shop) == 1
            assert client.query("ROLLBACK").statuses == "I"


@pytest.mark.parametrize(
    "begin", ["BEGIN ISOLATION LEVEL SERIALIZABLE", "START TRANSACTION READ ONLY", "BEGIN; SELECT 1"]
)
def test_what_could_fail_or_does_more_goes_out_at_once(shop: DemoGateway, begin: str) -> None:
    with wire(shop) as client:
        assert client.query(begin).statuses == "T"
        assert transactions(shop) == 1
        assert client.query("COMMIT").statuses == "I"


def test_it_is_a_transaction(shop: DemoGateway) -> None:
    with wire(shop) as client:
        before = client.query("SELECT region FROM orders WHERE id = 7").rows
        client.query("BEGIN")
        client.query("UPDATE orders SET region = 'gone' WHERE id = 7")
        assert client.query("SELECT region FROM orders WHERE id = 7").rows == [["gone"]]
        assert client.query("SAVEPOINT s").statuses == "T"
        again = client.query("BEGIN")
        assert (again.tags, again.statuses) == ("NCZ", "T")  # there is already a transaction in progress
        assert client.query("ROLLBACK").statuses == "I"
        assert client.query("SELECT region FROM orders WHERE id = 7").rows == before
        for end in ("COMMIT", "ROLLBACK", "END"):
            client.query("BEGIN")
            answer = client.query(end)
            assert (answer.tags, answer.statuses) == ("CZ", "I")  # without a warning that there is none
            assert answer.messages[0][1][5:-1] in (b"COMMIT", b"ROLLBACK")


def test_settings_of_before_hold_in_it_and_outlast_its_rollback(shop: DemoGateway) -> None:
    with wire(shop) as client:
        client.query("SET statement_timeout = '55s'")
        with wire(shop) as other:
            other.query("SELECT 1")  # the backend has other settings now
        client.query("BEGIN")
        assert client.query("SHOW statement_timeout").rows == [["55s"]]
        client.query("SET statement_timeout = '44s'")
        client.query("ROLLBACK")
        assert client.query("SHOW statement_timeout").rows == [["55s"]]
        client.query("BEGIN")
        client.query("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE")
        assert client.query("SHOW transaction_isolation").rows == [["serializable"]]
        client.query("COMMIT")


def test_a_refused_statement_fails_it(shop: DemoGateway) -> None:
    for refused in ("SELECT pg_read_file('x')", "SELEC"):
        with wire(shop) as client:
            client.query("BEGIN")
            answer = client.query(refused)
            assert len(answer.errors) == 1
            assert answer.statuses == "E"
            assert client.query("SELECT 1").sqlstates == ["25P02"]
            assert client.query("COMMIT").messages[0][1] == b"C\0\0\0\x0dROLLBACK\0"
            assert client.query("SELECT 1").rows == [["1"]]


@pytest.mark.parametrize("extended", [False, True])
def test_without_a_backend_it_has_failed(shop: DemoGateway, extended: bool) -> None:
    """What comes behind the statement that found none must not be run by itself."""
    insert = "INSERT INTO notes (id, customer_id, body) VALUES (7001, 1, 'half')"
    with wire(shop) as holder, wire(shop) as client:
        client.query("BEGIN")
        holder.query("BEGIN; SELECT 1 FROM orders")
        if extended:
            client.send(parse("", "SELECT id FROM orders"), bind("", ""), execute(), SYNC)
            answer = client.receive()
        else:
            answer = client.query("SELECT id FROM orders")
        assert (answer.sqlstates, answer.statuses) == (["53300"], "E")
        answer = client.query(insert)
        assert (answer.sqlstates, answer.statuses) == (["53300"], "E")
        ended = client.query("COMMIT")
        assert (ended.messages[0][1], ended.statuses) == (b"C\0\0\0\x0dROLLBACK\0", "I")
        client.query("BEGIN")
        assert client.query(insert).statuses == "E"
        holder.query("ROLLBACK")
        answer = client.query(insert)
        assert (answer.sqlstates, answer.statuses) == (["25P02"], "E")
        assert client.query("ROLLBACK").statuses == "I"
        assert client.query("SELECT count(*) FROM notes WHERE id = 7001").rows == [["0"]]


def test_a_statement_that_waits_for_a_backend_can_be_cancelled(shop: DemoGateway) -> None:
    with wire(shop) as holder, wire(shop) as client:
        client.query("BEGIN")
        holder.query("BEGIN; SELECT 1 FROM orders")
        client.send(encode_query(b"SELECT id FROM orders"))
        answer = client.receive(timeout_s=0.1)
        deadline = time.monotonic() + 60
        while not answer.messages and time.monotonic() < deadline:
            with WireClient(shop.port) as cancel:
                pid, key = client.key
                cancel.send(struct.pack("!III", 12 + len(key), 80877102, pid) + key)
                cancel.receive(timeout_s=1)
            answer = client.receive(timeout_s=0.1)
        assert answer.sqlstates in (["57014"], ["53300"])  # 53300: it waited for too long before
        assert answer.statuses == "E"
        holder.query("ROLLBACK")
        assert client.query("SELECT 1").sqlstates == ["25P02"]
        assert client.query("ROLLBACK").statuses == "I"


def test_requests_of_the_extended_protocol_and_a_mere_sync(shop: DemoGateway) -> None:
    with wire(shop) as client:
        client.send(encode_query(b"BEGIN"), SYNC)
        assert client.receive(2).statuses == "TT"
        assert transactions(shop) == 0
        client.send(parse("", "UPDATE orders SET region = 'x' WHERE id = $1"), bind("", "", "7"), execute(), SYNC)
        answer = client.receive()
        assert (answer.tags, answer.statuses) == ("12CZ", "T")
        client.query("ROLLBACK")
        client.query("BEGIN")
        client.send(parse("", "SELEC"), bind("", ""), execute(), SYNC)
        answer = client.receive()
        assert (answer.tags, answer.statuses) == ("EZ", "E")
        client.query("ROLLBACK")


def test_a_pipeline_and_a_copy(shop: DemoGateway) -> None:
    with wire(shop) as client:
        texts = [b"BEGIN", b"UPDATE orders SET total = 5 WHERE id = 12", b"SELECT total FROM orders WHERE id = 12",
                 b"ROLLBACK", b"BEGIN", b"COMMIT"]  # fmt: skip
        client.send(*map(encode_query, texts))
        answer = client.receive(len(texts))
        assert (answer.errors, answer.rows, answer.statuses) == ([], [["5.00"]], "TTTITI")
        client.query("BEGIN")
        client.send(encode_query(b"COPY notes (id, customer_id, body) FROM STDIN"))
        assert client.receive(until="G").tags == "G"
        client.send(b"d\0\0\0\x11" + b"7002\t1\tcopied"[:13], b"c\0\0\0\x04")
        client.receive()
        client.query("ROLLBACK")
        assert client.query("SELECT count(*) FROM notes WHERE id = 7002").rows == [["0"]]


def test_its_audit_event_is_that_of_any_begin(shop: DemoGateway) -> None:
    with wire(shop, application="begun-later") as client:
        for begin in ("BEGIN", "BEGIN /* at once */"):
            client.query(begin)
            client.query("SELECT id FROM orders WHERE id = 7")
            client.query("COMMIT")
    deadline = time.monotonic() + 60
    while len(events := [e for e in shop.audit_events("begun-later") if e.get("statement")]) < 6:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert [e["command"] for e in events] == ["BEGIN", "SELECT", "COMMIT"] * 2
    own = {"id", "time", "seq", "prev", "hash", "mac", "duration_us", "statement", "fingerprint", "session_seq"}
    later, at_once = ({k: v for k, v in e.items() if k not in own} for e in (events[0], events[3]))
    assert later == at_once


def test_who_goes_away_leaves_nothing(shop: DemoGateway) -> None:
    for _ in range(3):
        with wire(shop) as client:
            client.query("BEGIN")
    with wire(shop) as client:
        client.query("BEGIN")
        assert client.query("SELECT 1 FROM orders WHERE id = 7").statuses == "T"
        client.query("COMMIT")
    assert transactions(shop) == 0
