"""Columns that the policy tags: no value of theirs is in the log, however a statement brings it."""

from __future__ import annotations

import hmac
from collections.abc import Iterator
from uuid import uuid4

import pytest

from admin.demo.people import ALICE, CAROL
from tests.harness.demo_business import DemoGateway
from tests.integration.test_audit_levels import events_of

KEY = "key of the hashes"
SECRET = "4000 9999 8888 7777"
STATEMENTS = (
    f"SELECT name FROM customers WHERE card = '{SECRET}'",
    f"SELECT name FROM customers WHERE card IN ('x', '{SECRET}') OR id = -5",
    f"SELECT name FROM customers /* of whom */ WHERE card = '{SECRET}'",
    f"SELECT id FROM customers c WHERE c = ROW('{SECRET}')",
    f"UPDATE customers SET card = '{SECRET}' WHERE id = -1",
    f"INSERT INTO customers (id, name, card) VALUES (-1, 'n', '{SECRET}')",
    f"INSERT INTO customers VALUES (-1, 'n', 'e', 'p', '{SECRET}')",
    f"DELETE FROM customers WHERE card = '{SECRET}'",
    f"WITH found AS (SELECT card FROM customers) SELECT count(*) FROM found WHERE card = '{SECRET}'",
    f"SELECT 1; SELECT name FROM customers WHERE card = '{SECRET}'",
    f"SELECT pg_read_file(card) FROM customers WHERE card = '{SECRET}'",
    f"SELEC name FROM customers WHERE card = '{SECRET}'",
    "PREPARE by_card AS SELECT name FROM customers WHERE card = $1",
    f"EXECUTE by_card('{SECRET}')",
    "BEGIN",
    f"DECLARE found CURSOR FOR SELECT name FROM customers WHERE card = '{SECRET}'",
    "FETCH 1 FROM found",
    "ROLLBACK",
)


@pytest.fixture(scope="module")
def tagging(gateway: DemoGateway) -> Iterator[DemoGateway]:
    """A gateway of its own, before the same data, whose policy tags customers.card."""
    password = next(iter(gateway._targets.values()))["password"]
    process = DemoGateway(gateway.server, str(password))
    policy = process.policy_path.read_text()
    tagged = policy.replace(
        "customers: {tenant_column: tenant_id}", "customers: {tenant_column: tenant_id, columns: {card: [pii]}}"
    )
    assert tagged != policy
    process.policy_path.write_text(tagged)
    process.write_config({"audit": {"level": "request+response", "hashed_tags": ["pii"], "parameter_key": KEY}})
    process.start()
    yield process
    process.stop()


@pytest.mark.parametrize("person", [ALICE, CAROL], ids=["shared tables", "a schema of its own"])
def test_no_value_of_a_tagged_column_is_in_the_log(tagging: DemoGateway, person: object) -> None:
    name = f"private {uuid4()}"
    with tagging.connect(person, autocommit=True, application_name=name) as connection:  # type: ignore[arg-type]
        for text in STATEMENTS:
            connection.pgconn.exec_(text.encode())
        connection.execute("SELECT name FROM customers WHERE card = %s", (SECRET,))
        connection.execute("SELECT id FROM customers WHERE name = %s", ("Rosa",))
        connection.pgconn.exec_(b"SELECT id FROM customers WHERE name = 'Anders'")
    events = [event for event in events_of(tagging, name) if event["event"] == "statement"]
    assert len(events) == len(STATEMENTS) + 4
    assert events[0]["statement"] == "SELECT name FROM customers WHERE card = '***'"
    assert events[1]["statement"] == "SELECT name FROM customers WHERE card IN ('***', '***') OR id = -0"
    assert events[2]["statement"].startswith("(not kept: ")
    assert events[-3]["parameters"] == [{"hmac": hmac.digest(KEY.encode(), SECRET.encode(), "sha256").hex()}]
    assert events[-2]["parameters"] == ["Rosa"]
    assert "'Anders'" in events[-1]["statement"]
    assert [line for line in tagging.audit_path.read_bytes().splitlines() if SECRET.encode() in line] == []


def test_tags_count_from_the_policy_that_is_in_force(tagging: DemoGateway) -> None:
    policy = tagging.policy_path.read_text()
    try:
        tagging.policy_path.write_text(policy.replace("{card: [pii]}", "{card: [pii], name: [pii]}"))
        tagging.reload()
        with tagging.connect(ALICE, autocommit=True, application_name="tagged since") as connection:
            connection.execute("SELECT id FROM customers WHERE name = %s", ("Marta",))
    finally:
        tagging.policy_path.write_text(policy)
        tagging.reload()
    (event,) = [event for event in events_of(tagging, "tagged since") if event["event"] == "statement"]
    assert event["parameters"] == [{"hmac": hmac.digest(KEY.encode(), b"Marta", "sha256").hex()}]
