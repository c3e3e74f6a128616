"""Requests recorded as they begin, and parameters that are hashed, by a real gateway that is configured so."""

from __future__ import annotations

import hmac
import time
from collections.abc import Iterator
from typing import Any

import pytest

from admin.demo.people import ALICE
from tests.harness.demo_business import DemoGateway

KEY = "key of the hashes"


@pytest.fixture(scope="module")
def recording(gateway: DemoGateway) -> Iterator[DemoGateway]:
    """A gateway of its own, before the same data."""
    password = next(iter(gateway._targets.values()))["password"]
    process = DemoGateway(gateway.server, str(password))
    hashed = {"hashed_columns": ["customers.card"], "parameter_key": KEY}
    process.write_config({"audit": {"level": "request+response", **hashed}})
    process.start()
    yield process
    process.stop()


def events_of(gateway: DemoGateway, name: str) -> list[dict[str, Any]]:
    deadline = time.monotonic() + 20
    events = gateway.audit_events(name)
    while not any(event["event"] == "logout" for event in events):
        assert time.monotonic() < deadline, events
        time.sleep(0.02)
        events = gateway.audit_events(name)
    return [event for event in events if event["event"] in ("request", "statement")]


def test_a_request_is_recorded_when_it_begins_and_each_of_its_statements_when_it_ends(recording: DemoGateway) -> None:
    with recording.connect(ALICE, autocommit=True, application_name="begins") as connection:
        for _ in range(6):  # some of them on a lane
            connection.execute("SELECT count(*) FROM notes")
        connection.execute("SELECT id FROM notes WHERE id = %s", ("7",))
        connection.pgconn.exec_(b"SELECT 1; SELECT 2")
        connection.pgconn.exec_(b"SELECT pg_read_file('x')")
    events = events_of(recording, "begins")
    begun = {event["request"]: event for event in events if event["event"] == "request"}
    assert [event["request"] for event in events if event["event"] == "request"] == list(range(1, 9))
    assert {event["outcome"] for event in begun.values()} == {"begun"}
    ended = [event for event in events if event["event"] == "statement"]
    assert [event["request"] for event in ended] == [1, 2, 3, 4, 5, 6, 7, 8, 8, 0]
    assert ended[-1]["outcome"] == "refused"  # nothing was sent, so nothing began
    for event in ended[:-1]:
        first = begun[event["request"]]
        assert first["statement"] == event["statement"]
        assert first["parameters"] == event["parameters"]
        assert (first["session"], first["seq"] < event["seq"], first["time"] <= event["time"]) == (
            event["session"], True, True,
        )  # fmt: skip
    assert ended[6]["parameters"] == ["7"]


def test_parameters_of_statements_that_reach_a_tagged_column_are_hashed(recording: DemoGateway) -> None:
    card = "4000 1234 5678 9010"
    with recording.connect(ALICE, autocommit=True, application_name="hashed") as connection:
        connection.execute("SELECT name FROM customers WHERE card = %s", (card,))
        connection.execute("SELECT * FROM customers WHERE name = %s", ("Rosa",))
        connection.execute("SELECT id FROM customers WHERE name = %s", ("Rosa",))
    by_card, by_star, other = (e["parameters"] for e in events_of(recording, "hashed") if e["event"] == "statement")
    assert by_card == [{"hmac": hmac.digest(KEY.encode(), card.encode(), "sha256").hex()}]
    assert by_star == [{"hmac": hmac.digest(KEY.encode(), b"Rosa", "sha256").hex()}]
    assert other == ["Rosa"]
    assert card.encode() not in recording.audit_path.read_bytes()
