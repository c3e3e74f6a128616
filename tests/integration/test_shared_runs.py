"""Statements of the simple protocol that run as shared prepared statements: the client sees no difference."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from admin.demo.people import ALICE, BOB, DAVE, Person
from proxy.postgres.wire.messages import encode_query
from tests.fix_postgres import serve_postgres
from tests.harness.demo_business import DemoGateway, demo_gateway
from tests.harness.gateway import lanes_are_off
from tests.harness.wire_client import Answer, WireClient

WARM = 6  # transactions after which a fast statement is prepared


@pytest.fixture(scope="module")
def shop() -> Iterator[DemoGateway]:
    with serve_postgres("embedded") as server:
        process = demo_gateway(server)
        process.start()
        yield process
        process.stop()


def wire(gateway: DemoGateway, person: Person = ALICE, application: str = "shared") -> WireClient:
    client = WireClient(gateway.port)
    client.tls()
    client.log_in(person.name, person.tenant, gateway.tokens[person.name], 0, application_name=application)
    return client


def in_transaction(client: WireClient, statement: str, end: str = "ROLLBACK") -> Answer:
    client.query("BEGIN")
    answer = client.query(statement)
    assert client.query(end).statuses == "I"
    return answer


def warm(client: WireClient, statement: str) -> Answer:
    for _ in range(WARM):
        answer = in_transaction(client, statement)
        assert answer.errors == []
    return answer


def ran_last(gateway: DemoGateway) -> str:
    """What the target was last sent by a session in a transaction."""
    found = gateway.server.execute(
        "SELECT query FROM pg_stat_activity WHERE state = 'idle in transaction' AND usename = 'tenantgate'"
    )
    assert len(found) == 1
    return str(found[0][0])


@pytest.mark.parametrize(
    ("statement", "tag", "rows"),
    [
        ("UPDATE orders SET total = total + 1.5 WHERE id = {n}", "UPDATE 1", []),
        ("UPDATE orders SET status = 'late{n}' WHERE id = 7 RETURNING status", "UPDATE 1", [["late{n}"]]),
        ("DELETE FROM notes WHERE id = -{n}", "DELETE 0", []),
        ("INSERT INTO notes (id, customer_id, body) VALUES (90{n}, 1, 'it''s {n}')", "INSERT 0 1", []),
        ("SELECT id + {n} FROM orders WHERE id = 7", "SELECT 1", [["{m}"]]),
        ("SELECT id FROM orders WHERE id = 7 AND {n} > 0 FOR UPDATE", "SELECT 1", [["7"]]),
        ("SELECT id FROM orders WHERE id = -{n}", "SELECT 0", []),
    ],
)
def test_it_answers_as_its_text_does(shop: DemoGateway, statement: str, tag: str, rows: list[list[str]]) -> None:
    with wire(shop) as client:
        first = in_transaction(client, statement.format(n=1))
        warm(client, statement.format(n=2))
        client.query("BEGIN")
        answer = client.query(statement.format(n=3))
        assert ("$1" in ran_last(shop)) is not lanes_are_off()  # where lanes are off no text is prepared
        client.query("ROLLBACK")
    assert first.tags == answer.tags
    assert answer.statuses == "T"
    assert answer.rows == [[value.format(n=3, m=10) for value in row] for row in rows]
    assert [message[5:-1].decode() for kind, message in answer.messages if kind == "C"] == [tag]
    described = [message for kind, message in answer.messages if kind == "T"]
    assert described == [message for kind, message in first.messages if kind == "T"]


def test_outside_a_transaction_what_answers_no_rows_is_prepared_and_keeps_its_effect(shop: DemoGateway) -> None:
    with wire(shop) as client, wire(shop, BOB) as other:
        before = client.query("SELECT stock FROM products WHERE id = 5").rows[0][0]
        theirs = other.query("SELECT stock FROM products WHERE id = 5").rows
        for _ in range(3 * WARM):
            assert client.query("UPDATE products SET stock = stock + 1 WHERE id = 5").statuses == "I"
        last = shop.server.execute("SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'UPDATE%stock + %$1%'")
        assert (last[0][0] > 0) is not lanes_are_off()
        seen = client.query("SELECT stock FROM products WHERE id = 5").rows[0][0]
        assert int(seen or 0) == int(before or 0) + 3 * WARM
        assert other.query("SELECT stock FROM products WHERE id = 5").rows == theirs


@pytest.mark.parametrize(
    ("good", "bad", "sqlstate"),
    [
        ("UPDATE orders SET total = 10 / 2 WHERE id = 7", "UPDATE orders SET total = 10 / 0 WHERE id = 7", "22012"),
        ("SELECT id FROM orders WHERE id = '7'", "SELECT id FROM orders WHERE id = '7x'", "22P02"),
        (
            "UPDATE orders SET ordered_at = '2024-01-01', region = 'x' WHERE id = 7",
            "UPDATE orders SET ordered_at = 'no day',     region = 'x' WHERE id = 7",
            "22007",
        ),
        (
            "INSERT INTO products (id, sku, name, category, price) VALUES (9000, 'new-1', 'a', 'b', 3)",
            "INSERT INTO products (id, sku, name, category, price) VALUES (1, 'new-1', 'a', 'b', 3)",
            "23505",
        ),
    ],
)
def test_errors_are_those_of_the_clients_own_text(shop: DemoGateway, good: str, bad: str, sqlstate: str) -> None:
    with wire(shop) as client:
        as_text = in_transaction(client, bad.replace("  ", " \t"))  # another shape, so it never is prepared
        warm(client, good)
        client.query("BEGIN")
        answer = client.query(bad)
        assert client.query("SELECT 1").sqlstates == ["25P02"]
        client.query("ROLLBACK")
        assert answer.sqlstates == [sqlstate]
        assert answer.statuses == "E"
        assert answer.errors == as_text.errors
        assert client.query(good.replace("INSERT", "EXPLAIN INSERT")).errors == []


def test_what_a_target_does_not_take_as_prepared_goes_on_as_text(shop: DemoGateway) -> None:
    """`GROUP BY total + 1` is not the expression of the select list when both constants are parameters."""
    with wire(shop) as client:
        statement = "SELECT total + {n}, count(*) FROM orders WHERE id < 3 GROUP BY total + {n} FOR NO KEY UPDATE"
        assert in_transaction(client, statement.format(n=1)).sqlstates == ["0A000"]
        for number in range(3 * WARM):
            text = f"UPDATE orders SET total = x.t FROM (SELECT total + {number} AS t, count(*) FROM orders \
WHERE id = 3 GROUP BY total + {number}) x WHERE id = 3"
            client.query("BEGIN")
            answer = client.query(text)
            assert answer.errors == []
            assert "$" not in ran_last(shop)
            client.query("ROLLBACK")


def test_a_table_altered_by_others_is_a_serialization_failure(shop: DemoGateway) -> None:
    """Its prepared statement would have to answer other columns, within a transaction that cannot be run again here."""
    server = shop.server
    server.execute("CREATE TABLE changing (id int)", "umbrella")
    server.execute("GRANT SELECT ON changing TO tenantgate", "umbrella")
    try:
        with wire(shop, DAVE) as client:
            client.query("SELECT * FROM nowhere")  # so that the catalog is read again
            warm(client, "SELECT * FROM changing")
            client.query("BEGIN")
            server.execute("ALTER TABLE changing ADD COLUMN more text", "umbrella")
            assert client.query("SELECT * FROM changing").sqlstates in (["40001"], [])
            client.query("ROLLBACK")
            for _ in range(WARM):
                answer = in_transaction(client, "SELECT * FROM changing")
                assert answer.errors == []
    finally:
        server.execute("DROP TABLE changing", "umbrella")


def test_each_run_has_its_audit_event_as_a_simple_query(shop: DemoGateway) -> None:
    with wire(shop, application="audited-runs") as client:
        for number in range(WARM + 4):
            in_transaction(client, f"UPDATE orders SET total = {number} WHERE id = 11")
    deadline = time.monotonic() + 5
    while True:
        events = [e for e in shop.audit_events("audited-runs") if e.get("command") == "UPDATE"]
        if len(events) == WARM + 4 or time.monotonic() > deadline:
            break
        time.sleep(0.05)
    assert [e["statement"] for e in events] == [f"UPDATE orders SET total = {n} WHERE id = 11" for n in range(WARM + 4)]
    assert {e["protocol"] for e in events} == {"simple"}
    assert all(e["rows"] == 1 and e["outcome"] == "ok" for e in events)


def test_a_pipeline_of_queries_is_answered_in_order(shop: DemoGateway) -> None:
    with wire(shop) as client:
        warm(client, "UPDATE orders SET total = 1 WHERE id = 12")
        texts = ["BEGIN", *(f"UPDATE orders SET total = {n} WHERE id = 12" for n in range(20)),
                 "SELECT total FROM orders WHERE id = 12", "ROLLBACK"]  # fmt: skip
        client.send(*(encode_query(text.encode()) for text in texts))
        answer = client.receive(len(texts))
        assert answer.errors == []
        assert answer.rows == [["19.00"]]
        assert answer.statuses == "T" * 22 + "I"
