"""A client's own names for statements on backends that others use next: nobody ever runs what another one left.

Each of these once gave a tenant the rows of another.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from proxy.postgres.wire import messages
from tests.harness.demo_business import DemoGateway
from tests.harness.wire_client import SYNC, WireClient, bind, execute, parse

WHOSE = "SELECT DISTINCT tenant_id FROM orders"
Pair = tuple[WireClient, WireClient]


def log_in(gateway: DemoGateway, user: str, tenant: str) -> WireClient:
    client = WireClient(gateway.port)
    client.tls()
    assert client.log_in(user, tenant, gateway.tokens[user]).statuses == "I"
    return client


@pytest.fixture
def pair(gateway: DemoGateway) -> Iterator[Pair]:
    """Sessions of acme and globex, whose requests one backend serves in turn."""
    with log_in(gateway, "alice", "acme") as acme, log_in(gateway, "bob", "globex") as globex:
        yield acme, globex


def prepare(client: WireClient, name: str, sql: str) -> None:
    client.send(parse(name, sql), SYNC)
    assert client.receive().tags == "1Z"


@pytest.mark.parametrize(
    "failing",
    [
        "SELECT 1/0; DEALLOCATE left_behind",
        "SELECT 1/0; DEALLOCATE left_behind; DEALLOCATE ALL",
        "BEGIN; SELECT 1/0; DEALLOCATE left_behind; COMMIT",
    ],
)
def test_execute_runs_the_sessions_own_statement(pair: Pair, failing: str) -> None:
    acme, globex = pair
    prepare(globex, "left_behind", WHOSE)
    assert globex.query(failing).sqlstates == ["22012"]
    globex.query("ROLLBACK")
    prepare(acme, "left_behind", "SELECT 'mine'")
    assert acme.query("EXECUTE left_behind").rows == [["mine"]]


def test_a_deallocate_that_never_ran_leaves_nothing(pair: Pair) -> None:
    acme, globex = pair
    prepare(globex, "unread", WHOSE)
    globex.send(parse("", "DEALLOCATE unread"), bind("", ""), SYNC)
    assert globex.receive().tags == "12Z"
    prepare(acme, "unread", "SELECT 'mine'")
    assert acme.query("EXECUTE unread").rows == [["mine"]]
    assert globex.query("EXECUTE unread").rows == [["globex"]]


def test_names_of_shared_statements_are_not_shown(pair: Pair) -> None:
    """With one, a tenant could have its own statement take it, and EXECUTE what the other one had prepared."""
    acme, _ = pair
    acme.send(parse("own", WHOSE), bind("", "own", "one value too many"), SYNC)
    (error,) = acme.receive().errors
    assert error["C"] == "08P01"
    assert error["M"] == "bind message supplies 1 parameters, but prepared statement requires 0"
    acme.send(parse("own2", "SELECT $1::int"), bind("", "own2"), execute(), SYNC)
    assert '"' not in acme.receive().errors[0]["M"]


def test_deallocate_of_ones_own_name_lets_the_backend_go(pair: Pair) -> None:
    """What drivers do when they have too many: no reason to keep a backend."""
    acme, _ = pair
    prepare(acme, "own3", WHOSE)
    assert acme.query("DEALLOCATE own3").tags == "CZ"
    acme.send(messages.encode_query(b"EXECUTE own3"))
    assert acme.receive().sqlstates == ["26000"]


def test_a_failed_transaction_prepares_nothing(pair: Pair) -> None:
    """Also not a text that the backend has prepared already."""
    acme, globex = pair
    prepare(globex, "known", "SELECT 41 + 1")
    acme.query("BEGIN; SELECT 1/0")
    acme.send(parse("known", "SELECT 41 + 1"), SYNC)
    assert acme.receive().sqlstates == ["25P02"]
    acme.send(parse("end", "ROLLBACK"), bind("", "end"), execute(), SYNC)
    assert acme.receive().tags == "12CZ"
    acme.send(bind("", "known"), SYNC)
    assert acme.receive().sqlstates == ["26000"]
    prepare(acme, "known", "SELECT 41 + 1")
    acme.query("BEGIN; SELECT 1/0")
    acme.send(parse("again", "ROLLBACK"), bind("", "again"), execute(), SYNC)
    assert acme.receive().tags == "12CZ"
    acme.send(bind("", "known"), execute(), SYNC)
    assert acme.receive().rows == [["42"]]


def test_a_name_that_is_taken_is_taken_on_lanes_too(pair: Pair) -> None:
    acme, _ = pair
    text = "SELECT count(*) FROM orders WHERE id < 17"
    for _ in range(8):  # fast reads ride after some runs
        acme.send(parse("", text), bind("", ""), execute(), SYNC)
        assert not acme.receive().errors
    prepare(acme, "taken", text)
    for _ in range(8):
        acme.send(parse("taken", text), bind("", "taken"), execute(), SYNC)
        assert acme.receive().sqlstates == ["42P05"]
        acme.send(bind("", "taken"), execute(), SYNC)
        assert not acme.receive().errors
