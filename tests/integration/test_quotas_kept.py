"""Quotas that several workers count together, that outlive a restart, and what is measured on the target."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
import yaml

from admin.demo.people import OLGA
from admin.demo.schema import GATEWAY_ROLE, SHOP
from proxy.cancel import seat_of
from tests.harness.demo_business import DemoGateway
from tests.harness.metered import MeteredGateway

ROWS = "SELECT generate_series(1, {})"
QUOTAS: dict[str, dict[str, Any]] = {
    **{name: {"rows": {"limit": 1000, "per": "month"}} for name in ("rows", "kept", "dies")},
    "users": {"users": 2},
    "measured": {"storage": "100GB", "tables": 2},
    "umbrella": {"storage": "100GB", "tables": 1000},
    "acme": {"storage": "100GB"},
    "full": {"storage": 1, "soft": ["storage"]},
}


@pytest.fixture(scope="module")
def pair(gateway: DemoGateway) -> Iterator[MeteredGateway]:
    """Two workers. Tenant `measured` has a schema of its own, whose owner is the gateway's role."""
    process = MeteredGateway(gateway, QUOTAS, {"": {"workers": 2}, "quotas": {"storage_interval_s": 0.2}})
    policy = yaml.safe_load(process.policy_path.read_text())
    policy["tenants"]["measured"] |= {"isolation": "schema", "schema": "measured"}
    policy["roles"]["app"]["permissions"] += ["database:*", "schema:*:ddl"]
    process.policy_path.write_text(yaml.safe_dump(policy))
    with psycopg.connect(gateway.server.conninfo(SHOP), autocommit=True) as direct:
        direct.execute(f"CREATE SCHEMA measured AUTHORIZATION {GATEWAY_ROLE}")
        direct.execute("CREATE TABLE measured.there AS SELECT generate_series(1, 1000) AS n")
        direct.execute(f"ALTER TABLE measured.there OWNER TO {GATEWAY_ROLE}")
        process.start()
        yield process
        process.stop()
        direct.execute("DROP SCHEMA measured CASCADE")


def eventually(condition: Callable[[], Any], what: str) -> Any:
    deadline = time.monotonic() + 60
    while not (found := condition()):
        assert time.monotonic() < deadline, what
        time.sleep(0.05)
    return found


@contextlib.contextmanager
def both_workers(pair: MeteredGateway, tenant: str) -> Iterator[list[psycopg.Connection[Any]]]:
    """A session on each worker; which one a connection gets is chance."""
    found: dict[int, psycopg.Connection[Any]] = {}
    with contextlib.ExitStack() as stack:

        def is_on_both() -> bool:
            session = pair.session(tenant)
            if found.setdefault(seat_of(session.info.backend_pid), session) is session:
                stack.callback(session.close)
            else:
                session.close()
            return len(found) == 2

        eventually(is_on_both, "one worker takes no connection")
        yield list(found.values())


def shown(session: psycopg.Connection[Any], quota: str) -> float | None:
    (found,) = [row for row in session.execute("SHOW QUOTA").fetchall() if row[0] == quota]
    return None if found[2] is None else float(found[2])


def test_workers_count_together_and_the_admin_database_shows_it_once(pair: MeteredGateway) -> None:
    with both_workers(pair, "rows") as (one, other):
        for session in (one, other) * 3:
            session.execute(ROWS.format(100))
        assert shown(one, "rows per month") == shown(other, "rows per month") == 600
        one.execute(ROWS.format(390))
        with pytest.raises(psycopg.errors.ConfigurationLimitExceeded):
            other.execute(ROWS.format(11))
        with pytest.raises(psycopg.errors.ConfigurationLimitExceeded):
            one.execute("SELECT 1")
        with pair.connect(OLGA, "tenantgate", autocommit=True) as console:
            result = console.pgconn.exec_(b"SHOW QUOTAS")
            rows = [[result.get_value(row, column) for column in range(6)] for row in range(result.ntuples)]
        assert [row[3] for row in rows if row[0] == b"rows"] == [b"1000"]
        events = eventually(lambda: _events(pair, "rows"), "no audit event")
        assert sorted(event["reason"].split("(")[1].split(")")[0] for event in events) == ["100 %", "99 %"]


def _events(pair: MeteredGateway, tenant: str) -> list[dict[str, Any]]:
    """Of both workers' logs, when there are two."""
    found = []
    for path in pair.directory.glob("audit-*.jsonl"):
        lines = [line for line in path.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")]
        found += [e for e in map(json.loads, lines) if e.get("event") == "quota" and e["tenant"] == tenant]
    return found if len(found) >= 2 else []


def test_what_a_worker_counted_outlives_it_but_not_its_users(pair: MeteredGateway) -> None:
    with contextlib.ExitStack() as stack:
        one = stack.enter_context(pair.session("dies"))
        one.execute(ROWS.format(250))
        for name in ("ann", "ben"):
            user = pair.session("users", name)
            stack.callback(user.close)
        with pytest.raises(psycopg.OperationalError, match="too many users"):
            pair.session("users", "cleo")
        for pid in {_worker_of(pair, seat_of(s.info.backend_pid)) for s in (one, user)}:
            os.kill(pid, signal.SIGKILL)

        def both_again() -> bool:
            with contextlib.suppress(psycopg.OperationalError), pair.session("dies") as again:
                return shown(again, "rows per month") == 250
            return False

        eventually(both_again, "the workers do not come back, or have forgotten")

        def a_third_may_enter() -> bool:
            with contextlib.suppress(psycopg.OperationalError), pair.session("users", "cleo"):
                return True
            return False

        eventually(a_third_may_enter, "dead sessions still count")


def _worker_of(pair: MeteredGateway, seat: int) -> int:
    """The process id of the worker that has this seat now."""
    found = [
        e for e in pair.audit_events() if e["event"] == "worker" and e["worker"] == seat and e["outcome"] != "ended"
    ]
    return int(found[-1]["pid"])


def test_a_restart_forgets_nothing_of_what_was_used(pair: MeteredGateway) -> None:
    with pair.session("kept") as session:
        session.execute(ROWS.format(321))
    pair._child.stop()
    assert (pair.directory / "quotas.json").stat().st_mode & 0o777 == 0o600
    pair._child.start()
    with pair.session("kept") as session:
        assert shown(session, "rows per month") == 321


def test_tables_of_an_own_schema_are_counted_as_they_are_made(pair: MeteredGateway) -> None:
    with pair.session("measured", "owner") as session:
        eventually(lambda: shown(session, "tables") == 1, "that of another test is still counted")
        session.execute("BEGIN")
        session.execute("CREATE TABLE one_more AS SELECT 1 AS n")
        with pytest.raises(psycopg.errors.ConfigurationLimitExceeded, match="too many tables"):
            session.execute("SELECT 1 AS n INTO two_more")
        session.execute("ROLLBACK")
        session.execute("CREATE TABLE one_more (n int)")
        assert shown(session, "tables") == 2
        session.execute("CREATE TEMP TABLE passing (n int)")
        with pytest.raises(psycopg.errors.ConfigurationLimitExceeded, match="too many tables"):
            session.execute("CREATE TABLE two_more (n int)")
        session.execute("DROP TABLE one_more")
        assert shown(session, "tables") == 1
        failed = session.pgconn.exec_(b"CREATE TABLE one_more (n int); CREATE TABLE two_more (n int)")
        assert failed.error_field(psycopg.pq.DiagnosticField.SQLSTATE) == b"53400"
        assert shown(session, "tables") == 1


@pytest.mark.parametrize(("tenant", "least"), [("measured", 7_000), ("umbrella", 5_000_000), ("acme", 50_000)])
def test_storage_is_measured(pair: MeteredGateway, tenant: str, least: int) -> None:
    with pair.session(tenant) as session:
        assert least < eventually(lambda: shown(session, "storage"), "not measured") < 100_000_000


def test_who_stores_too_much_may_read_and_delete(pair: MeteredGateway) -> None:
    """Initech's limit is put below what it has, and above it again."""
    policy = pair.policy_path.read_text()
    with pair.session("measured", "owner") as session:
        session.execute("CREATE TABLE one_more (n int)")
        eventually(lambda: shown(session, "storage"), "not measured")
        pair.policy_path.write_text(policy.replace("storage: 100GB\n      tables: 2", "storage: 8kB\n      tables: 20"))
        assert pair.policy_path.read_text() != policy
        pair.reload()

        def is_refused() -> bool:
            answer = session.pgconn.exec_(b"INSERT INTO one_more VALUES (1)")
            return answer.error_field(psycopg.pq.DiagnosticField.SQLSTATE) == b"53100"

        eventually(is_refused, "the new limit does not hold")
        refused = [
            "UPDATE one_more SET n = 2",
            "CREATE TABLE another (n int)",
            "SELECT 1 AS n INTO another",
            "WITH added AS (INSERT INTO one_more VALUES (1) RETURNING n) DELETE FROM one_more",
            "EXPLAIN ANALYZE INSERT INTO one_more VALUES (1)",
        ]
        for text in refused:
            with pytest.raises(psycopg.errors.DiskFull):
                session.execute(text)
        with pytest.raises(psycopg.errors.DiskFull), session.cursor().copy("COPY one_more FROM STDIN"):
            pass
        session.execute("SELECT count(*) FROM one_more")
        session.execute("DELETE FROM one_more")
        session.execute("TRUNCATE one_more")
        session.execute("DROP TABLE one_more")
        pair.policy_path.write_text(policy)
        pair.reload()

        def is_admitted() -> bool:
            with contextlib.suppress(psycopg.errors.DiskFull):
                session.execute("CREATE TABLE one_more (n int)")
                return True
            return False

        eventually(is_admitted, "the old limit does not hold again")
        session.execute("DROP TABLE one_more")
