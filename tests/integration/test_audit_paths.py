"""Every path through the gateway leaves exactly its events in the audit log, the log verifies, and without a log
nothing runs."""

from __future__ import annotations

import resource
import shutil
import struct
import time
import uuid
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from admin.cli.main import main
from admin.demo.people import ALICE, BOB, OLGA
from proxy.postgres.wire import messages, startup
from tests.harness.demo_business import DemoGateway
from tests.harness.wire_client import SYNC, Answer, WireClient, bind, execute, parse

REFUSED = "SELECT pg_read_file('x')"
SLOW = "SELECT pg_sleep(20)"
COPY = "COPY notes (id, body) FROM STDIN"
MARK = "tests/audit paths"


class Trail:
    """One session under a name of its own, and what the audit log says of it."""

    def __init__(self, gateway: DemoGateway, name: str) -> None:
        self.gateway = gateway
        self.name = name
        self.client = WireClient(gateway.port)
        self.client.tls()
        answer = self.client.log_in("alice", "acme", gateway.tokens["alice"], application_name=name)
        assert answer.statuses == "I", answer.errors

    def extended(self, *parts: bytes, until: str = "Z") -> Answer:
        self.client.send(*parts)
        return self.client.receive(until=until)

    def end(self) -> list[dict[str, Any]]:
        """Log out; the events of this session without login and logout, which must be there."""
        self.client.send(messages.TERMINATE)
        self.client.close()
        events = self.wait_for(lambda events: any(event["event"] == "logout" for event in events))
        assert [event["event"] for event in (events[0], events[-1])] == ["login", "logout"]
        for event in events:
            assert (event["tenant"], event["subject"], event["session"]) == ("acme", "alice", events[0]["session"])
        return events[1:-1]

    def wait_for(self, enough: Any) -> list[dict[str, Any]]:
        deadline = time.monotonic() + 5
        while not enough(events := self.gateway.audit_events(self.name)):
            assert time.monotonic() < deadline, events
            time.sleep(0.02)
        return events


def short(events: list[dict[str, Any]]) -> list[str]:
    """`COMMAND decision outcome rows`, and the SQLSTATE of a failure."""
    fields = ("command", "decision", "outcome", "rows", "sqlstate")
    return [" ".join(str(e.get(f, "")) for f in fields if e.get(f, "") != "") for e in events]


@pytest.fixture
def trail(gateway: DemoGateway, request: pytest.FixtureRequest) -> Iterator[Trail]:
    opened = Trail(gateway, request.node.name[:60])
    yield opened
    opened.client.close()
    gateway.server.execute("DELETE FROM notes WHERE id BETWEEN 940000 AND 940999", "shop")


def test_simple_queries(trail: Trail) -> None:
    nothing = "UPDATE notes SET body = body WHERE id < 0"
    for sql in ("SELECT id FROM notes LIMIT 3", "", "SELEC", "SELECT 1/0", REFUSED, nothing):
        trail.client.query(sql)
    events = trail.end()
    assert short(events) == [
        "SELECT rewritten ok 3",
        "allowed ok 0",
        "SELEC refused refused 0 42601",
        "SELECT allowed error 0 22012",
        "SELECT refused refused 0 42501",
        "UPDATE rewritten ok 0",
    ]
    assert events[0]["statement"] == "SELECT id FROM notes LIMIT 3"
    assert "tenant_id" in events[0]["rewritten"]
    assert events[0]["relations"] == ["public.notes"]
    assert events[4]["reason"] == "function pg_read_file is not allowed"
    assert {event["protocol"] for event in events} == {"simple"}
    first = events[0]
    assert (first["action"], first["resource"], first["level"]) == ("read", "table:public.notes", "info")
    assert first["columns"] == ["public.notes.id"]
    assert first["rules"] == ["notes: tenant filter on tenant_id"]
    assert (first["parameters"], first["request"], first["details"]) == ([], 0, {})
    assert [event["level"] for event in events] == ["info", "info", "warning", "notice", "warning", "info"]
    assert uuid.UUID(first["id"]).version == 7
    assert len({event["id"] for event in events}) == len(events)


def test_several_statements_in_one_query(trail: Trail) -> None:
    trail.client.query("SELECT 1; SELECT 2 FROM orders LIMIT 2; INSERT INTO notes (id, body) VALUES (940001, 'x')")
    trail.client.query("SELECT 1; SELECT 1/0; SELECT 3")
    trail.client.query(f"SELECT 1; {REFUSED}; SELECT 2")
    assert short(trail.end()) == [
        "SELECT rewritten ok 1", "SELECT rewritten ok 2", "INSERT rewritten ok 1",
        "SELECT allowed ok 1", "SELECT allowed error 0 22012",
        "SELECT refused refused 0 42501",
    ]  # fmt: skip


def test_the_extended_protocol(trail: Trail) -> None:
    trail.extended(parse("", "SELECT id FROM notes WHERE id > $1 LIMIT 3"), bind("", "", "0"), execute(), SYNC)
    trail.extended(parse("s", "INSERT INTO notes (id, body) VALUES ($1, 'x')"), SYNC)
    for number in (940_001, 940_002):
        trail.extended(bind("", "s", str(number)), execute(), SYNC)
    trail.extended(parse("", REFUSED), bind("", ""), execute(), SYNC)
    trail.extended(bind("", "unknown"), execute(), SYNC)
    trail.extended(parse("", "SELECT 1"), SYNC)
    events = trail.end()
    executed = [event for event in events if event["outcome"] != "skipped" and event.get("sqlstate") != "26000"]
    assert short(executed) == [
        "SELECT rewritten ok 3", "INSERT rewritten ok 1", "INSERT rewritten ok 1", "SELECT refused refused 0 42501",
    ]  # fmt: skip
    assert [event["parameters"] for event in executed] == [["0"], ["940001"], ["940002"], []]
    assert {event["protocol"] for event in events} == {"extended"}


def test_a_pipeline_with_an_error_skips_the_rest(trail: Trail) -> None:
    def statement(sql: str) -> bytes:
        return parse("", sql) + bind("", "") + execute()

    insert = "INSERT INTO notes (id, body) VALUES (940003, 'x')"
    fails = "SELECT id / (id - id) FROM notes LIMIT 1"
    trail.client.send(statement(insert), statement(fails), statement("SELECT 3"), statement("SELECT 4"), SYNC)
    trail.client.send(statement("SELECT 5"), SYNC)
    assert trail.client.receive(ready=2).sqlstates == ["22012"]
    events = trail.end()
    skipped = [event["statement"] for event in events if event["outcome"] == "skipped"]
    assert skipped == ["SELECT 3", "SELECT 4"][: len(skipped)]  # those that came before the error was known
    assert [each for each in short(events) if "skipped" not in each] == [
        "INSERT rewritten ok 1", "SELECT rewritten error 0 22012", "SELECT allowed ok 1",
    ]  # fmt: skip


def test_cursors(trail: Trail) -> None:
    declare = "DECLARE c CURSOR FOR SELECT id FROM notes"
    for sql in ("BEGIN", declare, "FETCH 4 FROM c", "MOVE 2 IN c", "CLOSE c", "COMMIT"):
        trail.client.query(sql)
    events = trail.end()
    assert short(events) == [
        "BEGIN allowed ok 0", "DECLARE CURSOR rewritten ok 0", "FETCH allowed ok 4", "MOVE allowed ok 2",
        "CLOSE CURSOR allowed ok 0", "COMMIT allowed ok 0",
    ]  # fmt: skip
    assert [event["details"] for event in events[2:4]] == [{"cursor": "c", "query": declare}] * 2


def test_a_cursor_of_the_same_name_is_named_with_its_own_query(trail: Trail) -> None:
    for query in ("SELECT id FROM notes", "SELECT id FROM orders"):
        for sql in ("BEGIN", f"DECLARE c CURSOR FOR {query}", "FETCH 1 FROM c", "COMMIT"):
            trail.client.query(sql)
    trail.extended(parse("", "BEGIN"), bind("", ""), execute(), SYNC)
    trail.extended(parse("", "SELECT id FROM notes WHERE id > $1"), bind("c", "", "3"), execute("c", 1), SYNC)
    trail.client.query("FETCH 1 FROM c")
    trail.client.query("COMMIT")
    fetches = [event for event in trail.end() if event["command"] == "FETCH"]
    assert [event["details"]["query"] for event in fetches] == [
        "DECLARE c CURSOR FOR SELECT id FROM notes",
        "DECLARE c CURSOR FOR SELECT id FROM orders",
        "SELECT id FROM notes WHERE id > $1",
    ]


def test_parameters_on_lanes_and_off_them(trail: Trail) -> None:
    """A fast read moves to a lane; whichever way it goes, its event says with which values."""
    trail.extended(parse("q", "SELECT body FROM notes WHERE id = $1"), SYNC)
    for number in range(12):
        trail.extended(bind("", "q", str(number)), execute(), SYNC)
    events = trail.end()
    assert [event["parameters"] for event in events] == [[str(number)] for number in range(12)]
    assert {event["outcome"] for event in events} == {"ok"}


def test_portals_in_pieces(trail: Trail) -> None:
    opened = parse("", "SELECT g FROM generate_series(1, 5) g"), bind("p", "")
    trail.extended(*opened, execute("p", 2), execute("p", 2), execute("p"), SYNC)
    events = trail.end()
    assert [event["outcome"] for event in events] == ["ok", "ok", "ok"]
    assert all(event["bytes"] for event in events)


def test_sql_prepared_statements(trail: Trail) -> None:
    for sql in ("PREPARE a AS SELECT id FROM notes LIMIT 2", "EXECUTE a", "DEALLOCATE a"):
        trail.client.query(sql)
    assert short(trail.end()) == ["PREPARE rewritten ok 0", "EXECUTE allowed ok 2", "DEALLOCATE allowed ok 0"]


def copy_in(trail: Trail, sql: str, *data: bytes, end: bytes = messages.COPY_DONE) -> Answer:
    trail.client.send(messages.encode_query(sql.encode()))
    assert trail.client.receive(until="GE").tags.endswith("G")
    trail.client.send(*map(messages.encode_copy_data, data), end)
    return trail.client.receive()


def test_copy_counts_its_rows(trail: Trail) -> None:
    trail.client.query("COPY (SELECT id FROM notes LIMIT 7) TO STDOUT")
    assert not copy_in(trail, COPY, b"940004\tx\n9400", b"05\ty\n940006\tz\n").errors
    assert copy_in(trail, COPY, b"none\tx\n").sqlstates == ["22P02"]
    assert copy_in(trail, COPY, end=messages.encode_copy_fail("enough")).sqlstates == ["57014"]
    assert copy_in(trail, "COPY notes (tenant_id, id, body) FROM STDIN", b"globex\t1\tx\n").sqlstates == ["42501"]
    events = trail.end()
    assert [f"{e['decision']} {e['outcome']} {e['rows']} {e.get('sqlstate', '')}".strip() for e in events] == [
        "rewritten ok 7", "rewritten ok 3", "rewritten error 0 22P02", "rewritten cancelled 0 57014",
        "refused refused 0 42501",
    ]  # fmt: skip
    assert events[4]["reason"] == "COPY data has a row that does not belong to your tenant"
    assert [event["action"] for event in events] == ["copy_out", "copy_in", "copy_in", "copy_in", "copy_in"]
    assert events[1]["details"] == {"copied_bytes": "27"}
    assert events[1]["columns"] == ["public.notes.body", "public.notes.id"]


def test_a_function_call_is_refused(trail: Trail) -> None:
    body = struct.pack("!IHHH", 1598, 0, 0, 0)  # random()
    assert trail.extended(messages.encode(b"F", body)).sqlstates == ["0A000"]
    (event,) = trail.end()
    assert (event["protocol"], event["outcome"]) == ("function_call", "refused")


def start_slow(trail: Trail) -> None:
    """Return when the target runs it."""
    trail.client.send(messages.encode_query(SLOW.encode()))
    deadline = time.monotonic() + 5
    running = f"SELECT 1 FROM pg_stat_activity WHERE query = '{SLOW}' AND state = 'active'"
    while not trail.gateway.server.execute(running):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_cancelled_statement(trail: Trail) -> None:
    start_slow(trail)
    pid, key = trail.client.key
    with WireClient(trail.gateway.port) as other:
        other.send(struct.pack("!III", 12 + len(key), startup.CANCEL_REQUEST, pid) + key)
        assert other.receive().closed
    assert trail.client.receive().sqlstates == ["57014"]
    cancel, event = trail.end()
    assert (cancel["event"], cancel["reason"]) == ("cancel", "cancel request")
    assert short([event]) == ["SELECT allowed cancelled 0 57014"]
    session = [e["event"] for e in trail.gateway.audit_events() if e.get("session") == event["session"]]
    assert session == ["login", "cancel", "statement", "logout"]


def test_a_statement_lost_with_its_backend(trail: Trail) -> None:
    start_slow(trail)
    trail.gateway.server.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query = '{SLOW}'")
    answer = trail.client.receive()
    assert answer.closed
    assert answer.sqlstates == ["57P01"]
    events = trail.end()
    assert events[-1]["outcome"] in ("lost", "error")
    assert {event["statement"] for event in events} == {SLOW}


def test_a_statement_whose_client_went_away(trail: Trail) -> None:
    start_slow(trail)
    trail.client.close()
    trail.wait_for(lambda events: any(event["event"] == "logout" for event in events))
    assert short(trail.gateway.audit_events(trail.name)[1:-1]) == ["SELECT allowed cancelled 0"]
    running = f"SELECT count(*) FROM pg_stat_activity WHERE query = '{SLOW}' AND state = 'active'"
    deadline = time.monotonic() + 5
    while trail.gateway.server.execute(running) != [(0,)]:
        assert time.monotonic() < deadline, "the target goes on with it"
        time.sleep(0.02)


def test_logins(gateway: DemoGateway) -> None:
    gateway.connect(BOB, application_name="audit-logins").close()
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(gateway.conninfo("bob", "wrong", "globex", application_name="audit-logins"))
    with pytest.raises(psycopg.OperationalError):
        gateway.connect(BOB, "acme", application_name="audit-logins")
    with gateway.connect(OLGA, "tenantgate", autocommit=True, application_name="audit-logins") as console:
        console.pgconn.exec_(b"SHOW VERSION")
    deadline = time.monotonic() + 5
    while len(events := gateway.audit_events("audit-logins")) < 5:
        assert time.monotonic() < deadline, events
        time.sleep(0.02)
    told = [f"{event['event']} {event['subject']} {event['tenant']} {event['outcome']}" for event in events]
    assert told == [
        "login bob globex ok", "logout bob globex ok", "login bob  refused", "login bob  refused", "login olga  ok",
    ]  # fmt: skip
    assert 'database "acme" does not exist' in events[3]["reason"]


def test_the_whole_log_verifies(gateway: DemoGateway, trail: Trail, capsys: pytest.CaptureFixture[str]) -> None:
    trail.client.query("SELECT 1")
    trail.end()
    assert main(["audit", "verify", str(gateway.audit_path)]) == 0, capsys.readouterr()
    changed = gateway.directory / "changed.jsonl"
    changed.write_bytes(gateway.audit_path.read_bytes().replace(b'"outcome":"ok"', b'"outcome":"no"', 1))
    assert main(["audit", "verify", str(changed)]) != 0
    changed.unlink()


# A log that cannot be written


@pytest.fixture
def fragile(gateway: DemoGateway) -> Iterator[DemoGateway]:
    """A gateway of its own, before the same data."""
    password = next(iter(gateway._targets.values()))["password"]
    process = DemoGateway(gateway.server, str(password))
    process.start()
    yield process
    process.stop()


def await_sqlstate(connection: psycopg.Connection[Any], expected: str | None) -> None:
    """Run statements until one ends with that SQLSTATE (None: with success)."""
    deadline = time.monotonic() + 8
    while True:
        try:
            connection.execute("SELECT count(*) FROM notes")
            found = None
        except psycopg.Error as error:
            found = error.sqlstate
        if found == expected:
            return
        assert time.monotonic() < deadline, found
        time.sleep(0.05)


def test_a_full_disk_refuses_statements_and_recovers(fragile: DemoGateway) -> None:
    with fragile.connect(ALICE, autocommit=True) as idle, fragile.connect(ALICE, autocommit=True) as busy:
        number = 0
        while len(fragile.audit_path.read_bytes()) < len(fragile.log) + 8192:  # no other file may meet the limit
            number += 1
            busy.execute(f"SELECT {number} -- {'x' * 1000}".encode())
            assert number < 200
        _, hard = resource.prlimit(fragile.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(fragile.pid, resource.RLIMIT_FSIZE, (fragile.audit_path.stat().st_size, hard))
        run_until_refused(busy)
        await_sqlstate(idle, "58030")
        with pytest.raises(psycopg.OperationalError, match="audit log"):
            fragile.connect(ALICE)
        resource.prlimit(fragile.pid, resource.RLIMIT_FSIZE, (hard, hard))
        await_sqlstate(idle, None)
        fragile.connect(ALICE).close()
    time.sleep(0.1)
    assert main(["audit", "verify", str(fragile.audit_path)]) == 0
    assert any(event["event"] == "gap" for event in fragile.audit_events())


def run_until_refused(connection: psycopg.Connection[Any]) -> None:
    """The statement that meets the failure may still be answered, the next ones may not."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            connection.execute("SELECT 1")
        except psycopg.Error:
            return
        time.sleep(0.02)
    pytest.fail("statements run without an audit log")


def test_a_log_replaced_by_a_directory(fragile: DemoGateway) -> None:
    with fragile.connect(ALICE, autocommit=True) as connection:
        connection.execute("SELECT 1")
        fragile.audit_path.unlink()
        fragile.audit_path.mkdir()
        await_sqlstate_of_new_sessions(fragile, "58030")
        fragile.reload()
        time.sleep(0.3)
        await_sqlstate_of_new_sessions(fragile, "58030")
        shutil.rmtree(fragile.audit_path)
        fragile.reload()
        await_sqlstate_of_new_sessions(fragile, None)


def await_sqlstate_of_new_sessions(gateway: DemoGateway, expected: str | None) -> None:
    """As `await_sqlstate`; a login is refused without a SQLSTATE that psycopg would tell."""
    deadline = time.monotonic() + 8
    while True:
        try:
            with gateway.connect(ALICE, autocommit=True) as connection:
                connection.execute("SELECT 1")
                time.sleep(0.05)
                connection.execute("SELECT 1")
            found = None
        except psycopg.Error as error:
            found = "58030" if "audit log" in str(error) else str(error)
        if found == expected:
            return
        assert time.monotonic() < deadline, found
        time.sleep(0.05)
