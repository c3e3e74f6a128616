"""COPY data are judged by the COPY that asks for them, whatever statement the client makes the target run it under.

Each of these once let a tenant write another tenant's rows: the data went through unstamped.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from proxy.postgres.wire import messages
from tests.harness.demo_business import DemoGateway
from tests.harness.wire_client import FLUSH, SYNC, Answer, WireClient, bind, execute, parse

COPY = "COPY notes (id, body) FROM STDIN"
MARK = "tests/copy identity"
STOLEN = messages.encode_copy_data(f"920001\t{MARK}\tglobex\n".encode())


@pytest.fixture
def client(gateway: DemoGateway) -> Iterator[WireClient]:
    with WireClient(gateway.port) as connected:
        connected.tls()
        assert connected.log_in("alice", "acme", gateway.tokens["alice"]).statuses == "I"
        yield connected
    gateway.server.execute(f"DELETE FROM notes WHERE body = '{MARK}'", "shop")


def offer(gateway: DemoGateway, client: WireClient, answer: Answer) -> None:
    """If the client is asked for data it sends globex's row; none must arrive."""
    if "G" in answer.tags:
        client.send(STOLEN, messages.COPY_DONE, SYNC)
        client.receive(timeout_s=2)
    assert gateway.server.execute(f"SELECT tenant_id FROM notes WHERE body = '{MARK}'", "shop") == []


def test_sql_execute_of_a_copy_prepared_by_protocol(gateway: DemoGateway, client: WireClient) -> None:
    client.send(parse("s", COPY), SYNC)
    assert not client.receive().errors
    client.send(messages.encode_query(b"EXECUTE s"))
    offer(gateway, client, client.receive(until="GZ", timeout_s=2))


def test_protocol_execute_of_sql_execute_of_a_copy(gateway: DemoGateway, client: WireClient) -> None:
    client.send(parse("s", COPY), SYNC)
    client.receive()
    client.send(parse("", "EXECUTE s"), bind("", ""), execute(), SYNC)
    offer(gateway, client, client.receive(until="GZ", timeout_s=2))


def test_a_portal_whose_name_a_failed_bind_took(gateway: DemoGateway, client: WireClient) -> None:
    client.query("BEGIN")
    client.send(parse("copy", COPY), parse("plain", "SELECT 1"), bind("p", "copy"), SYNC)
    client.receive()
    client.query("SAVEPOINT s")
    client.send(bind("p", "plain"), SYNC)
    assert client.receive().sqlstates == ["42P03"]
    client.query("ROLLBACK TO s")
    client.send(execute("p"), SYNC)
    answer = client.receive(until="GZ", timeout_s=2)
    if "G" in answer.tags:
        client.send(STOLEN, messages.COPY_DONE, SYNC)
        client.receive(timeout_s=2)
        client.query("COMMIT")
    offer(gateway, client, Answer())


# Two COPY statements whose rows have as many columns: what the one appends, the other takes for the client's.
APPENDED = "COPY products (sku, name, category, price) FROM STDIN"
CHECKED = "COPY products (tenant_id, sku, name, price, category) FROM STDIN"


def offer_product(gateway: DemoGateway, client: WireClient, sku: str, answer: Answer) -> None:
    """If the client is asked for data it sends what is fine for CHECKED and globex's for APPENDED."""
    category = f"{MARK} {sku}"
    if "G" in answer.tags:
        row = f"acme\t{sku}\t{category}\t1\tglobex\n"
        client.send(messages.encode_copy_data(row.encode()), messages.COPY_DONE, SYNC)
        client.receive(timeout_s=2)
        client.query("COMMIT")
    query = f"WITH gone AS (DELETE FROM products WHERE category = '{category}' RETURNING tenant_id) TABLE gone"
    assert gateway.server.execute(query, "shop") == []


def test_a_name_that_an_earlier_request_failed_to_take(gateway: DemoGateway, client: WireClient) -> None:
    client.send(parse("s", APPENDED), SYNC)
    client.receive()
    client.send(parse("s", CHECKED), SYNC, bind("", "s"), execute(), SYNC)
    assert client.receive().sqlstates == ["42P05"]
    offer_product(gateway, client, "identity-1", client.receive(until="GZ", timeout_s=2))


def test_a_portal_that_an_earlier_request_failed_to_take(gateway: DemoGateway, client: WireClient) -> None:
    client.query("BEGIN")
    client.send(parse("a", APPENDED), parse("b", CHECKED), bind("p", "a"), SYNC)
    client.receive()
    client.query("SAVEPOINT s")
    client.send(bind("p", "b"), SYNC, messages.encode_query(b"ROLLBACK TO s"), execute("p"), SYNC)
    client.receive(ready=2)
    offer_product(gateway, client, "identity-2", client.receive(until="GZ", timeout_s=2))


def test_a_name_whose_announcement_an_earlier_request_took_back(gateway: DemoGateway, client: WireClient) -> None:
    client.send(parse("", CHECKED), SYNC)
    client.receive()
    skipped = (parse("x", "SELECT nonsense FROM notes"), parse("", APPENDED), SYNC)
    client.send(*skipped, parse("", APPENDED))  # the same Parse again, in the next request, not yet answered
    assert client.receive().sqlstates == ["42703"]
    client.send(bind("", ""), execute(), SYNC)
    offer_product(gateway, client, "identity-3", client.receive(until="GZ", timeout_s=2))


@pytest.mark.parametrize("stray", [messages.encode_query(b"SELECT 1"), parse("", "SELECT 1"), execute()])
def test_a_message_that_has_no_place_in_a_copy_ends_the_session(
    gateway: DemoGateway, client: WireClient, stray: bytes
) -> None:
    client.send(messages.encode_query(COPY.encode()))
    assert client.receive(until="G").tags == "G"
    client.send(messages.encode_copy_data(f"920003\t{MARK}\n".encode()), stray, messages.encode_query(b"SELECT 2"))
    answer = client.receive(timeout_s=3)
    assert answer.sqlstates == ["08P01"]
    assert answer.closed
    assert not answer.rows
    assert gateway.server.execute(f"SELECT 1 FROM notes WHERE body = '{MARK}'", "shop") == []


def statements_of(gateway: DemoGateway, application: str) -> list[str]:
    deadline = time.monotonic() + 2
    while True:
        events = gateway.audit_events(application)
        if any(event["event"] == "logout" for event in events):
            return [event["statement"] for event in events if event["event"] == "statement"]
        assert time.monotonic() < deadline
        time.sleep(0.02)


def log_in(gateway: DemoGateway, application: str) -> WireClient:
    connected = WireClient(gateway.port)
    connected.tls()
    answer = connected.log_in("alice", "acme", gateway.tokens["alice"], application_name=application)
    assert answer.statuses == "I"
    return connected


def test_the_audit_names_what_ran_not_what_failed_to_take_its_name(gateway: DemoGateway) -> None:
    with log_in(gateway, "identity-audit-1") as client:
        client.send(parse("s", "SELECT card FROM customers LIMIT 1"), SYNC)
        client.receive()
        client.send(parse("s", "SELECT 'harmless'"), SYNC, bind("", "s"), execute(), SYNC)
        client.receive(ready=2)
    assert statements_of(gateway, "identity-audit-1")[-1] == "SELECT card FROM customers LIMIT 1"


def test_the_audit_names_what_ran_under_a_portal_of_the_next_request(gateway: DemoGateway) -> None:
    with log_in(gateway, "identity-audit-2") as client:
        first = (parse("", "SELECT 1"), bind("", ""), execute(), SYNC)
        client.send(*first, parse("", "SELECT card FROM customers LIMIT 1"), bind("", ""), FLUSH)
        client.receive(until="Z")
        client.receive(until="2")
        client.send(execute(), SYNC)
        client.receive()
    assert statements_of(gateway, "identity-audit-2")[-1] == "SELECT card FROM customers LIMIT 1"


def test_a_copy_that_is_executed_as_what_it_is(gateway: DemoGateway, client: WireClient) -> None:
    """The same rows without the foreign column are taken, and become the session's tenant's."""
    client.send(parse("copy", COPY), bind("p", "copy"), execute("p"), SYNC)
    assert client.receive(until="GZ").tags.endswith("G")
    client.send(messages.encode_copy_data(f"920002\t{MARK}\n".encode()), messages.COPY_DONE, SYNC)
    assert client.receive().tags == "CZ"
    assert gateway.server.execute(f"SELECT tenant_id FROM notes WHERE body = '{MARK}'", "shop") == [("acme",)]


def test_the_audit_names_what_ran_after_a_bind_of_an_earlier_request_failed(gateway: DemoGateway) -> None:
    with log_in(gateway, "identity-audit-3") as client:
        client.send(parse("one", "SELECT $1::int"), parse("cards", "SELECT card FROM customers LIMIT 1"), SYNC)
        client.receive()
        client.send(bind("", "one", "no number"), SYNC, bind("", "cards"))
        client.receive()
        client.send(execute(), SYNC)
        client.receive()
    assert statements_of(gateway, "identity-audit-3")[-1] == "SELECT card FROM customers LIMIT 1"
