"""Several workers behind one address: clients cannot tell, whatever happens to one of them."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import struct
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import psycopg
import pytest
import yaml

from admin.demo.people import ALICE, BOB, OLGA
from proxy.audit.worker_logs import verify_with_workers
from proxy.cancel import seat_of
from tests.harness.demo_business import DemoGateway, demo_gateway
from tests.harness.postgres import PostgresServer

Connection = psycopg.Connection[tuple[Any, ...]]
CANCEL_REQUEST = 80877102
WITH_TWO: dict[str, dict[str, object]] = {"": {"workers": 2}, "limits": {"drain_s": 30}}


@pytest.fixture(scope="module")
def loaded() -> Iterator[DemoGateway]:
    server = PostgresServer("embedded")
    server.start()
    yield demo_gateway(server)
    server.stop()


@contextlib.contextmanager
def two_workers(loaded: DemoGateway) -> Iterator[DemoGateway]:
    process = DemoGateway(loaded.server, str(next(iter(loaded._targets.values()))["password"]))
    process.write_config(WITH_TWO)
    process.start()
    try:
        yield process
    finally:
        if process.running:
            process.stop()


@pytest.fixture(scope="module")
def pair(loaded: DemoGateway) -> Iterator[DemoGateway]:
    """A gateway with two workers that tests leave as they found it."""
    with two_workers(loaded) as process:
        yield process


@pytest.fixture(scope="module")
def rough(loaded: DemoGateway) -> Iterator[DemoGateway]:
    """One whose workers tests kill and replace; they leave two."""
    with two_workers(loaded) as process:
        yield process


@pytest.fixture
def own_pair(loaded: DemoGateway) -> Iterator[DemoGateway]:
    """One that a test may end."""
    with two_workers(loaded) as process:
        yield process


def eventually(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def seat(connection: Connection) -> int:
    return seat_of(connection.info.backend_pid)


def one_on_each(gateway: DemoGateway, stack: ExitStack, count: int = 1) -> list[Connection]:
    """`count` sessions of alice on each of two workers."""
    found: dict[int, list[Connection]] = {}
    for _ in range(200):
        connection = gateway.connect(ALICE, autocommit=True)
        group = found.setdefault(seat(connection), [])
        if len(group) < count:
            group.append(stack.enter_context(connection))
        else:
            connection.close()
        if len(found) == 2 and all(len(group) == count for group in found.values()):
            return [connection for group in found.values() for connection in group]
    raise AssertionError(f"all connections went to the same worker: {found}")


def change_quotas(gateway: DemoGateway, tenant: str, quotas: dict[str, object]) -> None:
    policy = yaml.safe_load(gateway.policy_path.read_text())
    policy["tenants"][tenant]["quotas"] = quotas
    gateway.policy_path.write_text(yaml.safe_dump(policy))
    reload(gateway)


def reload(gateway: DemoGateway) -> None:
    before = gateway.log.count('"reloaded"')
    gateway.reload()
    eventually(lambda: gateway.log.count('"reloaded"') > before, "not reloaded")


def metrics(gateway: DemoGateway) -> dict[str, float]:
    text = urllib.request.urlopen(f"http://127.0.0.1:{gateway.admin_port}/metrics", timeout=5).read().decode()
    return {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line[0] != "#"}


def worker_pids(gateway: DemoGateway) -> dict[int, int]:
    """Process ids by seat, of workers that serve."""
    found: dict[int, int] = {}
    for event in gateway.audit_events():
        if event["event"] == "worker":
            if event["outcome"] in ("started", "serving"):
                found[event["worker"]] = event["pid"]
            elif found.get(event["worker"]) == event["pid"]:
                del found[event["worker"]]
    return found


def test_connections_go_to_both(pair: DemoGateway) -> None:
    with ExitStack() as stack:
        both = one_on_each(pair, stack)
        assert {seat(connection) for connection in both} == set(worker_pids(pair))
        assert [c.execute("SELECT count(*) FROM orders").fetchone() for c in both] == [(1900,), (1900,)]


def test_a_cancel_request_reaches_its_statement_through_any_worker(pair: DemoGateway) -> None:
    """Ten requests: that all came to the right worker at once is one in a thousand."""
    with ExitStack() as stack:
        sleepers = one_on_each(pair, stack, count=5)
        outcomes: dict[int, str] = {}

        def sleep(number: int) -> None:
            try:
                sleepers[number].execute("SELECT pg_sleep(20)")
                outcomes[number] = "slept"
            except psycopg.errors.QueryCanceled:
                outcomes[number] = "cancelled"

        threads = [threading.Thread(target=sleep, args=(number,)) for number in range(len(sleepers))]
        for thread in threads:
            thread.start()
        eventually(lambda: active_statements(pair, "acme") == 10, "not all statements run")
        for number, sleeper in enumerate(sleepers):
            sleeper.cancel_safe(timeout=10)
            threads[number].join(10)
            assert set(outcomes) == set(range(number + 1)), "another session's statement was hit, or none"
        assert set(outcomes.values()) == {"cancelled"}
        assert [c.execute("SELECT 1").fetchone() for c in sleepers] == [(1,)] * 10


def test_a_cancel_request_with_a_wrong_key_does_nothing_anywhere(pair: DemoGateway) -> None:
    with ExitStack() as stack:
        both = one_on_each(pair, stack)
        busy = threading.Thread(target=both[0].execute, args=("SELECT pg_sleep(1)",))
        busy.start()
        eventually(lambda: active_statements(pair, "acme") == 1, "the statement does not run")
        for _ in range(8):
            for pid in (both[0].info.backend_pid, both[0].info.backend_pid ^ 64, 0, -1):
                with socket.create_connection((pair.host, pair.port)) as sock:
                    sock.sendall(struct.pack("!IIiI", 16, CANCEL_REQUEST, pid, 0xDEADBEEF))
                    assert sock.recv(1) == b""
        busy.join()
        assert both[0].execute("SELECT 1").fetchone() == (1,)


def active_statements(gateway: DemoGateway, tenant: str) -> int:
    return int({row[0]: row[9] for row in console(gateway, "TENANTS")}[tenant])


def console(gateway: DemoGateway, view: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(
        gateway.conninfo_of(OLGA, "tenantgate"), autocommit=True, cursor_factory=psycopg.ClientCursor
    ) as connection:
        return connection.execute(f"SHOW {view}").fetchall()


def test_the_console_shows_the_sessions_of_all_workers(pair: DemoGateway) -> None:
    with ExitStack() as stack:
        both = one_on_each(pair, stack, count=2)
        for connection in both:
            connection.execute("SELECT 1")
        eventually(lambda: [row[1] for row in console(pair, "CLIENTS")].count("alice") == 4, "not four sessions")
        tenants = {row[0]: row for row in console(pair, "TENANTS")}
        assert tenants["acme"][7] == 4
        (pool,) = [row for row in console(pair, "POOLS") if row[1] == "shop" and row[2].startswith("public")]
        assert pool[11] == 100, "the workers' shares make the whole"
        assert len(console(pair, "STATS")) == len({row[0] for row in console(pair, "STATS")})


def test_a_command_behind_another_waits_for_its_turn(pair: DemoGateway) -> None:
    """Two queries in one packet: the second one's reply comes second, though the first asks all workers."""
    with psycopg.connect(
        pair.conninfo_of(OLGA, "tenantgate"), autocommit=True, cursor_factory=psycopg.ClientCursor
    ) as connection:
        pgconn = connection.pgconn
        pgconn.send_query(b"SHOW TENANTS")
        pgconn.flush()
        rows = []
        while (result := pgconn.get_result()) is not None:
            rows.append(result.ntuples)
        assert rows == [4]
        assert connection.execute("SHOW VERSION").fetchone()


def test_metrics_are_the_sum_of_all_workers(pair: DemoGateway) -> None:
    ok = 'tenantgate_statements_total{outcome="ok",tenant="globex"}'
    before = metrics(pair)
    sessions: Counter[int] = Counter()
    with ExitStack() as stack:
        while len(sessions) < 2:
            connection = stack.enter_context(pair.connect(BOB, autocommit=True))
            sessions[seat(connection)] += 1
            for _ in range(3):
                connection.execute("SELECT 1")
        after = metrics(pair)
    statements = 3 * sessions.total()
    assert after[ok] - before.get(ok, 0) == statements
    seconds = "tenantgate_statement_seconds_count"
    assert after[seconds] - before[seconds] == statements
    assert after['tenantgate_workers{state="ready"}'] == 2
    assert after["tenantgate_policy_version"] == before["tenantgate_policy_version"], "one version, not a sum"
    processes = [name for name in after if name.startswith("process_resident_memory_bytes")]
    assert len(processes) == 3


class TestQuotas:
    def test_connections(self, pair: DemoGateway) -> None:
        change_quotas(pair, "acme", {"connections": 7})
        try:
            for _ in range(2):
                with ExitStack() as stack:
                    admitted = []
                    for _ in range(30):
                        with contextlib.suppress(psycopg.OperationalError):
                            admitted.append(stack.enter_context(pair.connect(ALICE, autocommit=True)))
                    assert len(admitted) == 7
                eventually(lambda: tenant_connections(pair) == 0, "connections were not given back")
        finally:
            change_quotas(pair, "acme", {})

    def test_statements_per_second(self, pair: DemoGateway) -> None:
        """A rate of next to nothing: what is admitted is the burst, once for all workers."""
        with ExitStack() as stack:
            both = one_on_each(pair, stack, count=4)
            change_quotas(pair, "acme", {"statements_per_s": 0.001, "burst": 25})
            try:
                admitted: Counter[int] = Counter()
                threads = [threading.Thread(target=run_until_refused, args=(c, admitted)) for c in both]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()
                assert admitted.total() == 25
                assert len(admitted) == 2, "both workers had a part"
                change_quotas(pair, "acme", {"statements_per_s": 0.001, "burst": 30})
                for connection in both:
                    run_until_refused(connection, admitted)
                assert admitted.total() == 30, "a reload gives no token back"
            finally:
                change_quotas(pair, "acme", {})

    def test_concurrent_statements(self, pair: DemoGateway) -> None:
        with ExitStack() as stack:
            here, there = one_on_each(pair, stack)
            change_quotas(pair, "acme", {"concurrent_statements": 1})
            try:
                sleeper = threading.Thread(target=here.execute, args=("SELECT pg_sleep(1)",))
                sleeper.start()
                eventually(lambda: active_statements(pair, "acme") == 1, "the statement does not run")
                with pytest.raises(psycopg.errors.ConfigurationLimitExceeded, match="concurrent"):
                    there.execute("SELECT 1")
                sleeper.join()
                assert there.execute("SELECT 1").fetchone() == (1,)
            finally:
                change_quotas(pair, "acme", {})

    def test_connections_of_the_gateway(self, pair: DemoGateway) -> None:
        pair.write_config({**WITH_TWO, "limits": {"max_connections": 9}})
        reload(pair)
        try:
            with ExitStack() as stack:
                admitted = []
                for _ in range(30):
                    with contextlib.suppress(psycopg.OperationalError):
                        admitted.append(stack.enter_context(pair.connect(ALICE, autocommit=True)))
                assert len(admitted) == 9
        finally:
            pair.write_config(WITH_TWO)
            reload(pair)


def tenant_connections(gateway: DemoGateway, tenant: str = "acme") -> int:
    return int({row[0]: row[7] for row in console(gateway, "TENANTS")}[tenant])


def run_until_refused(connection: Connection, admitted: Counter[int]) -> None:
    with contextlib.suppress(psycopg.errors.ConfigurationLimitExceeded):
        while True:
            connection.execute("SELECT 1")
            admitted[seat(connection)] += 1


def test_a_reload_reaches_all(pair: DemoGateway) -> None:
    with ExitStack() as stack:
        both = one_on_each(pair, stack)
        policy = yaml.safe_load(pair.policy_path.read_text())
        before = pair.policy_path.read_text()
        policy["roles"]["app"]["permissions"] = ["table:notes:read"]
        pair.policy_path.write_text(yaml.safe_dump(policy))
        reload(pair)
        for connection in both:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute("SELECT count(*) FROM orders")
        pair.policy_path.write_text("tenants: [broken")
        pair.reload()
        eventually(lambda: "reload refused" in pair.log, "a broken policy was not refused")
        for connection in both:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute("SELECT count(*) FROM orders")
        pair.policy_path.write_text(before)
        reload(pair)
        for connection in both:
            assert connection.execute("SELECT count(*) FROM orders").fetchone() == (1900,)


def test_a_second_gateway_cannot_take_a_part_of_the_connections(pair: DemoGateway) -> None:
    """SO_REUSEPORT would let it."""
    other = DemoGateway(pair.server, "irrelevant")
    other.port = pair.port
    other.write_config(WITH_TWO)
    with pytest.raises(Exception, match="Address already in use"):
        other.start()


def assert_chains_hold(gateway: DemoGateway) -> None:
    """`audit verify` of the supervisor's log finds and checks those of all workers."""
    result, workers = verify_with_workers([gateway.audit_path], expect_last=None, expect=None)
    logs = {path.name for path, _ in workers}
    assert logs >= {f"audit-{seat}.jsonl" for seat in worker_pids(gateway)}
    assert [(path.name, found.first_problem) for path, found in workers if not found.ok] == []
    assert result.ok, result.first_problem


class Talker:
    """A client that goes on asking; what went wrong is kept."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.seat = seat(connection)
        self.done = 0
        self.errors: list[Exception] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                assert self.connection.execute("SELECT count(*) FROM orders").fetchone() == (1900,)
                self.done += 1
            except Exception as error:
                self.errors.append(error)
                return

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()


def test_a_worker_that_is_killed_under_load(rough: DemoGateway) -> None:
    change_quotas(rough, "acme", {"connections": 12})
    with ExitStack() as stack:
        stack.callback(change_quotas, rough, "acme", {})
        talkers = [Talker(connection) for connection in one_on_each(rough, stack, count=3)]
        eventually(lambda: all(talker.done > 3 for talker in talkers), "no load")
        counted = metrics(rough)
        victim, pid = next(iter(worker_pids(rough).items()))
        os.kill(pid, signal.SIGKILL)
        storm: list[Connection] = []
        for _ in range(9):  # those of the victim's queue wait for its successor, and none is refused
            storm.append(stack.enter_context(rough.connect(ALICE, autocommit=True)))
        with pytest.raises(psycopg.OperationalError, match="too many connections"):  # 3 survived, 9 are new
            rough.connect(ALICE)
        for talker in talkers:
            talker.stop()
            assert bool(talker.errors) == (talker.seat == victim)
        assert [c.execute("SELECT 1").fetchone() for c in storm] == [(1,)] * 9
        assert pid not in worker_pids(rough).values()
        now = metrics(rough)
        restarts = "tenantgate_worker_restarts_total"
        assert now[restarts] == counted[restarts] + 1
        ok = 'tenantgate_statements_total{outcome="ok",tenant="acme"}'
        assert now[ok] >= counted[ok], "what a dead worker had counted is not forgotten"
    assert "starting another" in rough.log
    lost = [e for e in rough.audit_events() if e["event"] == "worker" and e["outcome"] == "lost"]
    assert (victim, pid, "signal 9") in [(e["worker"], e["pid"], e["reason"]) for e in lost]
    assert_chains_hold(rough)
    log = rough.directory / f"audit-{victim}.jsonl"
    assert any(json.loads(line)["event"] == "recovered" for line in log.read_text().splitlines())


def test_a_worker_that_is_told_to_stop_leaves_its_listener_to_the_others(rough: DemoGateway) -> None:
    with ExitStack() as stack:
        here, there = one_on_each(rough, stack)
        here.execute("BEGIN")
        pid, drains = worker_pids(rough)[seat(here)], rough.log.count('"draining"')
        os.kill(pid, signal.SIGTERM)
        eventually(lambda: rough.log.count('"draining"') > drains, "it does not drain")
        late = [stack.enter_context(rough.connect(ALICE, autocommit=True)) for _ in range(8)]
        assert {seat(connection) for connection in late} == {seat(there)}
        here.execute("COMMIT")
        here.close()  # over TLS its worker would give it ten seconds to say goodbye
        eventually(lambda: len(set(worker_pids(rough).values()) - {pid}) == 2, "not started again")
        assert there.execute("SELECT 1").fetchone() == (1,)


def test_drain_lets_transactions_of_all_workers_finish(own_pair: DemoGateway) -> None:
    with ExitStack() as stack:
        both = one_on_each(own_pair, stack)
        idle = stack.enter_context(own_pair.connect(BOB, autocommit=True))
        for connection in both:
            connection.execute("BEGIN")
            connection.execute("SELECT 1")
        stopper = threading.Thread(target=own_pair.stop)
        stopper.start()
        with pytest.raises(psycopg.errors.AdminShutdown):
            ask_for_ever(idle)
        for connection in both:
            assert connection.execute("SELECT count(*) FROM orders").fetchone() == (1900,)
            connection.execute("COMMIT")
            connection.close()
        stopper.join(20)
        assert not stopper.is_alive()


class Storm:
    """Clients that connect, ask and go, all the time; what went wrong is kept."""

    def __init__(self, gateway: DemoGateway, clients: int = 3) -> None:
        self.done = 0
        self.errors: list[Exception] = []
        self._gateway = gateway
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(clients)]
        for thread in self._threads:
            thread.start()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                with self._gateway.connect(BOB, autocommit=True) as connection:
                    assert connection.execute("SELECT 1").fetchone() == (1,)
                self.done += 1
            except Exception as error:
                self.errors.append(error)
            time.sleep(0.02)

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()


def restart(gateway: DemoGateway) -> dict[int, int]:
    """SIGUSR2; the new workers."""
    before, restarts = worker_pids(gateway), gateway.log.count('"restarted"')
    os.kill(gateway.pid, signal.SIGUSR2)
    eventually(lambda: gateway.log.count('"restarted"') > restarts, f"not restarted:\n{gateway.log[-3000:]}")
    return {seat: pid for seat, pid in worker_pids(gateway).items() if pid not in before.values()}


class TestRestart:
    def test_no_connection_is_refused_and_no_session_is_cut_short(self, rough: DemoGateway) -> None:
        """More workers, then fewer: the third one's listener stays."""
        supervisor, counted = rough.pid, metrics(rough)
        storm = Storm(rough)
        try:
            for workers in (3, 2):
                rough.write_config({**WITH_TWO, "": {"workers": workers}})
                before = worker_pids(rough)
                with ExitStack() as stack:
                    both = one_on_each(rough, stack)
                    for connection in both:
                        connection.execute("BEGIN")
                    after = restart(rough)
                    assert len(after) == workers
                    for connection in both:
                        assert connection.execute("SELECT count(*) FROM orders").fetchone() == (1900,)
                        connection.execute("COMMIT")
                eventually(lambda old=before: not any(map(is_running, old.values())), "the old workers do not end")  # type: ignore[misc]
                made = storm.done
                eventually(lambda made=made: storm.done > made + 10, "nobody connects any more")  # type: ignore[misc]
        finally:
            storm.stop()
        assert storm.errors == []
        assert rough.pid == supervisor
        assert rough.running
        assert worker_pids(rough) == after
        assert_chains_hold(rough)
        logins = 'tenantgate_logins_total{outcome="ok"}'
        assert metrics(rough)[logins] >= counted[logins] + storm.done, "counts go on"

    def test_what_cannot_serve_does_not_replace_what_serves(self, rough: DemoGateway) -> None:
        before, good = worker_pids(rough), rough.config_path.read_text()
        seat_to_come = next(seat for seat in range(1, 9) if seat not in before)
        with rough.connect(ALICE, autocommit=True) as session:
            rough.config_path.write_text(good + "\n[nonsense]\n")
            os.kill(rough.pid, signal.SIGUSR2)
            eventually(lambda: "restart refused, nothing changed" in rough.log, "not refused")
            # a configuration that looks well, and a worker that fails
            (rough.directory / f"other-{seat_to_come}.jsonl").mkdir()
            rough.write_config({**WITH_TWO, "audit": {"path": str(rough.directory / "other.jsonl")}})
            os.kill(rough.pid, signal.SIGUSR2)
            eventually(lambda: "the old workers go on" in rough.log, "not given up")
            rough.config_path.write_text(good)
            eventually(lambda: len(worker_pids(rough)) == 2, "new workers are left")
            assert worker_pids(rough) == before
            assert session.execute("SELECT 1").fetchone() == (1,)
            reload(rough)
            seat_hit, pid = next((s, p) for s, p in before.items() if s != seat(session))
            os.kill(pid, signal.SIGKILL)
            eventually(lambda: worker_pids(rough).get(seat_hit, pid) != pid, "not started again")
            assert_chains_hold(rough)
            assert session.execute("SELECT 1").fetchone() == (1,)


def test_workers_end_with_their_supervisor(own_pair: DemoGateway) -> None:
    pids = worker_pids(own_pair).values()
    os.kill(own_pair.pid, signal.SIGKILL)
    own_pair._child.process.wait()  # type: ignore[union-attr]
    eventually(lambda: not any(map(is_running, pids)), "a worker outlived its supervisor")


def ask_for_ever(connection: Connection) -> None:
    while True:
        connection.execute("SELECT 1")


def is_running(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return re.search(r"\) [ZX] ", file.read()) is None
    except FileNotFoundError:
        return False
