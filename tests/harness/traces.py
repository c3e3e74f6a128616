"""What a session can leave on a backend, and that strangers find none of it."""

from __future__ import annotations

from contextlib import ExitStack

from admin.demo.people import BOB, Person
from admin.demo.schema import GATEWAY_ROLE, SHOP
from tests.harness.demo_business import DemoGateway
from tests.harness.wire_client import SYNC, WireClient, bind, parse

_LEAVE = (
    "SET TimeZone TO 'Asia/Tokyo'",
    "SET extra_float_digits TO 0",
    "CREATE TEMP TABLE trace_table (whose text)",
    "INSERT INTO trace_table VALUES ('acme')",
    "PREPARE trace_sql AS SELECT 'acme'",
    "LISTEN trace",
    "SELECT pg_advisory_lock(4711)",
)
_LOOK = (  # and the answer to who has left nothing: an error's SQLSTATE, or a value
    ("SELECT whose FROM trace_table", "42P01"),
    ("EXECUTE trace_sql", "26000"),
    ("SELECT pg_try_advisory_xact_lock(4711)", "t"),
    ("SELECT count(*) FROM orders", "1500"),
)
_SETTINGS = ("TimeZone", "extra_float_digits", "search_path")
_LEFT = (
    "SELECT (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'),"
    " (SELECT count(*) FROM pg_class WHERE relpersistence = 't'),"
    f" (SELECT count(*) FROM pg_stat_activity WHERE usename = '{GATEWAY_ROLE}' AND state <> 'idle')"
)


def session_of(gateway: DemoGateway, person: Person, **parameters: str) -> WireClient:
    """A session over the bare protocol."""
    client = WireClient(gateway.port)
    client.tls()
    client.log_in(person.name, person.tenant, gateway.tokens[person.name], 0, **parameters)
    return client


def leave_traces(client: WireClient) -> None:
    """Settings, a temporary table, prepared statements, a channel, a lock: they tie the session to its backend."""
    for statement in _LEAVE:
        assert client.query(statement).errors == [], statement
    client.send(parse("trace_wire", "SELECT 'acme'"), SYNC)
    assert client.receive().errors == []


def assert_no_traces(gateway: DemoGateway, backends: int) -> None:
    """A session of another tenant on each of the gateway's backends, all at once, finds nothing."""
    assert gateway.server.execute(_LEFT, SHOP) == [(0, 0, 0)]
    with ExitStack() as stack:
        clients = [stack.enter_context(session_of(gateway, BOB)) for _ in range(backends)]
        for client in clients:
            assert client.query("BEGIN").errors == []
        pids = {client.query("SELECT pg_backend_pid()").rows[0][0] for client in clients}
        assert len(pids) == backends
        settings = {tuple(client.query(f"SHOW {name}").rows[0][0] for name in _SETTINGS) for client in clients}
        assert len(settings) == 1
        assert "Asia/Tokyo" not in str(settings)
        for client in clients:
            _look(client)


def _look(client: WireClient) -> None:
    for statement, expected in _LOOK:
        client.query("SAVEPOINT before")
        answer = client.query(statement)
        assert [*answer.sqlstates, *(row[0] for row in answer.rows)] == [expected], statement
        client.query("ROLLBACK TO before")
    client.send(bind("", "trace_wire"), SYNC)
    assert client.receive().sqlstates == ["26000"]
    client.query("ROLLBACK")
