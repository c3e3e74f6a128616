"""How sessions begin, are limited and end: quotas, time-outs, reload, drain, a target that goes away and comes back."""

from __future__ import annotations

import contextlib
import json
import threading
import time
import urllib.request
from collections.abc import Iterator

import psycopg
import pytest

from admin.demo.people import ALICE, BOB, OLGA
from proxy.postgres.wire.startup import encode_startup
from tests.harness.demo_business import DemoGateway, demo_gateway
from tests.harness.postgres import PostgresServer
from tests.harness.wire_client import SSL_REQUEST, WireClient


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    postgres = PostgresServer("embedded")
    postgres.start()
    yield postgres
    postgres.stop()


@pytest.fixture(scope="module")
def loaded(server: PostgresServer) -> DemoGateway:
    """Loads the demo's data once; the gateway itself is made anew for each test."""
    return demo_gateway(server)


@pytest.fixture
def own_gateway(loaded: DemoGateway) -> Iterator[DemoGateway]:
    """A gateway that a test may stop, starve and reload."""
    process = DemoGateway(loaded.server, target_password(loaded))
    process.start()
    yield process
    if process.running:
        process.stop()


@pytest.fixture
def impatient_gateway(loaded: DemoGateway) -> Iterator[DemoGateway]:
    """A gateway with short patience."""
    process = DemoGateway(loaded.server, target_password(loaded))
    process.write_config({"limits": {"stalled_message": "1s"}, "auth": {"login_timeout": "1s"}})
    process.start()
    yield process
    process.stop()


def target_password(gateway: DemoGateway) -> str:
    return str(next(iter(gateway._targets.values()))["password"])


def set_quotas(gateway: DemoGateway, tenant: str, quotas: str) -> None:
    """Replace a tenant's quotas in the policy and let the gateway read it."""
    import yaml

    policy = yaml.safe_load(gateway.policy_path.read_text())
    policy["tenants"][tenant]["quotas"] = yaml.safe_load(quotas)
    gateway.policy_path.write_text(yaml.safe_dump(policy))
    reload(gateway)


def repeat(connection: psycopg.Connection[tuple[object, ...]], *, times: int, pause_s: float) -> None:
    for _ in range(times):
        connection.execute("SELECT 1")
        time.sleep(pause_s)


def reload(gateway: DemoGateway) -> None:
    before = gateway.log.count("reload")
    gateway.reload()
    deadline = time.monotonic() + 5
    while gateway.log.count("reload") == before and time.monotonic() < deadline:
        time.sleep(0.02)
    assert gateway.log.count("reloaded") > 0, gateway.log[-2000:]


def test_too_many_connections(own_gateway: DemoGateway) -> None:
    set_quotas(own_gateway, "acme", "{connections: 1}")
    with own_gateway.connect(ALICE):
        with pytest.raises(psycopg.OperationalError, match="too many connections"):
            own_gateway.connect(ALICE)
        with own_gateway.connect(BOB) as other:
            assert other.execute("SELECT 1").fetchone() == (1,)
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            own_gateway.connect(ALICE).close()
            return
        except psycopg.OperationalError:
            time.sleep(0.05)
    pytest.fail("a closed connection was still counted")


def test_statements_per_second(own_gateway: DemoGateway) -> None:
    set_quotas(own_gateway, "acme", "{statements_per_s: 1, burst: 3}")
    with own_gateway.connect(ALICE, autocommit=True) as connection:
        with pytest.raises(psycopg.errors.ConfigurationLimitExceeded) as caught:
            repeat(connection, times=10, pause_s=0)
        assert caught.value.diag.message_detail is not None
        assert "Retry after" in caught.value.diag.message_detail
        time.sleep(1.1)
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_concurrent_statements(own_gateway: DemoGateway) -> None:
    set_quotas(own_gateway, "acme", "{concurrent_statements: 1}")
    with own_gateway.connect(ALICE, autocommit=True) as busy, own_gateway.connect(ALICE, autocommit=True) as other:
        sleeper = threading.Thread(target=busy.execute, args=("SELECT pg_sleep(1)",))
        sleeper.start()
        time.sleep(0.3)
        with pytest.raises(psycopg.errors.ConfigurationLimitExceeded, match="concurrent"):
            other.execute("SELECT 1")
        sleeper.join()
        assert other.execute("SELECT 1").fetchone() == (1,)


@pytest.mark.parametrize("values", [None, (10,)])  # a Query, and Parse to Sync
def test_statement_timeout(own_gateway: DemoGateway, values: tuple[int] | None) -> None:
    set_quotas(own_gateway, "acme", "{statement_timeout: 500ms}")
    with own_gateway.connect(ALICE, autocommit=True) as connection:
        started = time.monotonic()
        with pytest.raises(psycopg.errors.QueryCanceled):
            connection.execute("SELECT pg_sleep(10)" if values is None else "SELECT pg_sleep(%s)", values)
        assert time.monotonic() - started < 3
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_session_ends_with_its_token(own_gateway: DemoGateway) -> None:
    token = own_gateway.issuer.token("alice", "acme", ["app"], ttl_s=2)
    with (
        psycopg.connect(own_gateway.conninfo("alice", token, "acme"), autocommit=True) as connection,
        pytest.raises(psycopg.OperationalError, match="expired"),
    ):
        repeat(connection, times=50, pause_s=0.1)


def test_a_suspended_tenant_is_out_at_its_next_statement(own_gateway: DemoGateway) -> None:
    import yaml

    with own_gateway.connect(ALICE, autocommit=True) as open_before, own_gateway.connect(BOB, autocommit=True) as other:
        policy = yaml.safe_load(own_gateway.policy_path.read_text())
        policy["tenants"]["acme"]["status"] = "suspended"
        own_gateway.policy_path.write_text(yaml.safe_dump(policy))
        reload(own_gateway)
        with pytest.raises(psycopg.OperationalError, match="suspended"):
            open_before.execute("SELECT 1")
        with pytest.raises(psycopg.OperationalError, match="suspended"):
            own_gateway.connect(ALICE)
        assert other.execute("SELECT 1").fetchone() == (1,)


def test_a_policy_that_takes_a_right_away_reaches_prepared_statements(own_gateway: DemoGateway) -> None:
    import yaml

    with own_gateway.connect(ALICE, autocommit=True) as connection:
        sql = "SELECT count(*) FROM orders WHERE id > %s"
        connection.execute(sql, (0,), prepare=True)
        connection.execute("PREPARE mine AS SELECT count(*) FROM orders")
        policy = yaml.safe_load(own_gateway.policy_path.read_text())
        policy["roles"]["app"]["permissions"] = ["table:notes:read"]
        own_gateway.policy_path.write_text(yaml.safe_dump(policy))
        reload(own_gateway)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(sql, (0,), prepare=True)
        with pytest.raises(psycopg.errors.InvalidSqlStatementName, match="older policy"):
            connection.execute("EXECUTE mine")


def test_audit_events_name_the_policy_version(own_gateway: DemoGateway) -> None:
    with own_gateway.connect(ALICE, autocommit=True, application_name="versions") as connection:
        connection.execute("SELECT 1")
        reload(own_gateway)
        connection.execute("SELECT 2")
    deadline = time.monotonic() + 5
    while not any(event["event"] == "logout" for event in own_gateway.audit_events("versions")):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    statements = [event for event in own_gateway.audit_events("versions") if event["event"] == "statement"]
    assert [event["policy_version"] for event in statements] == [1, 2]


def test_a_broken_policy_changes_nothing(own_gateway: DemoGateway) -> None:
    own_gateway.policy_path.write_text("tenants: [broken")
    own_gateway.reload()
    deadline = time.monotonic() + 5
    while "reload refused" not in own_gateway.log and time.monotonic() < deadline:
        time.sleep(0.02)
    assert "reload refused" in own_gateway.log
    with own_gateway.connect(ALICE) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_large_policy_is_loaded_while_statements_run_and_the_last_one_holds(own_gateway: DemoGateway) -> None:
    import yaml

    policy = yaml.safe_load(own_gateway.policy_path.read_text())
    target = policy["tenants"]["acme"]["target"]

    def load(tenants: int) -> None:
        for number in range(tenants):
            policy["tenants"][f"extra{number}"] = {"isolation": "shared", "target": target}
        own_gateway.policy_path.write_text(yaml.safe_dump(policy))
        own_gateway.reload()

    def served() -> list[int]:
        events = [json.loads(line) for line in own_gateway.log.splitlines() if '"reloaded"' in line]
        return [event["tenants"] for event in events]

    others = len(policy["tenants"])
    with own_gateway.connect(ALICE, autocommit=True) as connection:
        load(700)
        load(701)
        deadline, answered = time.monotonic() + 60, 0
        while others + 701 not in served() and time.monotonic() < deadline:
            connection.execute("SELECT 1")
            answered += 1
            time.sleep(0.01)  # the tenant may run 500 statements a second
        assert served()[-1] == others + 701
        assert answered > 1
        connection.execute("SELECT count(*) FROM notes")


def test_drain_tells_the_idle_and_lets_a_transaction_finish(own_gateway: DemoGateway) -> None:
    idle, busy = own_gateway.connect(ALICE, autocommit=True), own_gateway.connect(BOB)
    busy.execute("SELECT 1")
    stopper = threading.Thread(target=own_gateway.stop)
    stopper.start()
    time.sleep(0.5)
    with pytest.raises(psycopg.errors.AdminShutdown):
        idle.execute("SELECT 1")
    assert busy.execute("SELECT 2").fetchone() == (2,)
    busy.commit()
    idle.close()
    busy.close()
    stopper.join(10)
    assert not stopper.is_alive()


def test_a_target_that_goes_away_and_comes_back(own_gateway: DemoGateway, server: PostgresServer) -> None:
    with own_gateway.connect(ALICE, autocommit=True) as connection:
        connection.execute("SELECT 1")
        server.halt()
        try:
            with pytest.raises(psycopg.OperationalError):
                connection.execute("SELECT 1")
            started = time.monotonic()
            with pytest.raises(psycopg.OperationalError) as caught:
                own_gateway.connect(ALICE)
            assert time.monotonic() - started < 5
            assert "57P03" in str(caught.value.sqlstate or "57P03")
        finally:
            server.start()
    deadline = time.monotonic() + 10
    while True:
        try:
            with own_gateway.connect(ALICE) as again:
                assert again.execute("SELECT 1").fetchone() == (1,)
            return
        except psycopg.OperationalError:
            assert time.monotonic() < deadline
            time.sleep(0.1)


def test_a_backend_that_dies_gives_one_clear_error(own_gateway: DemoGateway, server: PostgresServer) -> None:
    with own_gateway.connect(ALICE, autocommit=True) as connection:
        kill = (
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE query LIKE '%pg_sleep%' AND pid <> pg_backend_pid()"
        )
        killer = threading.Timer(0.3, server.execute, args=(kill,))
        killer.start()
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT pg_sleep(5)")
        killer.join()
    with own_gateway.connect(ALICE) as again:
        assert again.execute("SELECT 1").fetchone() == (1,)


def test_the_admin_database(own_gateway: DemoGateway) -> None:
    with own_gateway.connect(ALICE), pytest.raises(psycopg.OperationalError, match="gateway:\\*:read"):
        own_gateway.connect(ALICE, "tenantgate")
    connection = psycopg.connect(
        own_gateway.conninfo_of(OLGA, "tenantgate"), autocommit=True, cursor_factory=psycopg.ClientCursor
    )
    with connection:
        for command in ("POOLS", "TENANTS", "CLIENTS", "SERVERS", "STATS", "VERSION", "HELP"):
            assert connection.execute(f"SHOW {command}").fetchall() is not None
        tenants = {row[0] for row in connection.execute("SHOW TENANTS").fetchall()}
        assert {"acme", "globex", "initech", "umbrella"} <= tenants


def test_health_and_metrics(own_gateway: DemoGateway) -> None:
    with own_gateway.connect(ALICE, autocommit=True) as connection:
        connection.execute("SELECT 1")
        base = f"http://127.0.0.1:{own_gateway.admin_port}"
        assert urllib.request.urlopen(f"{base}/healthz", timeout=5).status == 200
        assert urllib.request.urlopen(f"{base}/readyz", timeout=5).status == 200
        text = urllib.request.urlopen(f"{base}/metrics", timeout=5).read().decode()
        assert 'tenantgate_statements_total{outcome="ok",tenant="acme"}' in text
        assert "tenantgate_frontends 1.0" in text


@pytest.mark.parametrize("sent", [b"", b"\0\0", b"\0\0\0\x64\0\3\0\0user\0al", SSL_REQUEST])
def test_a_login_that_stalls_is_ended(impatient_gateway: DemoGateway, sent: bytes) -> None:
    with WireClient(impatient_gateway.port) as client:
        started = time.monotonic()
        client.send(sent)
        client.sock.settimeout(8)
        with contextlib.suppress(ConnectionResetError):  # closed with our bytes unread
            while client.sock.recv(64):
                pass
        assert time.monotonic() - started < 8


def test_a_login_that_is_late_is_told_so(impatient_gateway: DemoGateway) -> None:
    with WireClient(impatient_gateway.port) as client:
        client.tls()
        client.send(encode_startup({"user": "alice", "database": "acme"}, 0))
        answer = client.receive(timeout_s=8)
        assert answer.closed
        assert answer.sqlstates == ["57014"]


def test_half_a_message_and_silence_ends_the_session(impatient_gateway: DemoGateway) -> None:
    with WireClient(impatient_gateway.port) as client, impatient_gateway.connect(ALICE, autocommit=True) as other:
        client.tls()
        client.log_in("alice", "acme", impatient_gateway.tokens["alice"])
        client.send(b"Q\0\0\x10\0SELECT")
        answer = client.receive(ready=99, timeout_s=5)
        assert answer.closed
        assert answer.sqlstates == ["08P01"]
        time.sleep(1.5)
        assert other.execute("SELECT 1").fetchone() == (1,), "a session that merely says nothing goes on"


def test_a_new_certificate_is_served_after_a_reload(own_gateway: DemoGateway) -> None:
    def served() -> bytes | None:
        with WireClient(own_gateway.port) as client:
            client.tls()
            return client.sock.getpeercert(binary_form=True)  # type: ignore[attr-defined, no-any-return]

    with own_gateway.connect(ALICE, autocommit=True) as open_before:
        before = served()
        (own_gateway.directory / "server.crt").unlink()
        own_gateway._write_keys()
        reload(own_gateway)
        assert served() != before
        assert open_before.execute("SELECT 1").fetchone() == (1,)
