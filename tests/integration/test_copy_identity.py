"""COPY data are judged by the COPY that asks for them, whatever statement the client makes the target run it under.

Each of these once let a tenant write another tenant's rows: the data went through unstamped.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from proxy.postgres.wire import messages
from tests.harness.demo_business import DemoGateway
from tests.harness.wire_client import SYNC, Answer, WireClient, bind, execute, parse

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


def test_a_copy_that_is_executed_as_what_it_is(gateway: DemoGateway, client: WireClient) -> None:
    """The same rows without the foreign column are taken, and become the session's tenant's."""
    client.send(parse("copy", COPY), bind("p", "copy"), execute("p"), SYNC)
    assert client.receive(until="GZ").tags.endswith("G")
    client.send(messages.encode_copy_data(f"920002\t{MARK}\n".encode()), messages.COPY_DONE, SYNC)
    assert client.receive().tags == "CZ"
    assert gateway.server.execute(f"SELECT tenant_id FROM notes WHERE body = '{MARK}'", "shop") == [("acme",)]
