"""Policies that change while sessions are open: by a reload, and by the clock. Nothing made before gets around them."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest

from proxy.config_file import load_config
from proxy.gateway import Gateway
from proxy.listeners import bind_listener
from proxy.server import Server
from proxy.snapshots import load_snapshot
from tests.harness.gateway import GatewayProcess
from tests.harness.postgres import PostgresServer
from tests.integration.abac.stage import People, make_database, target_of

DATABASE = "abac_change"
_CLOSED = datetime(2026, 11, 27, 17, 59, 59, tzinfo=UTC).timestamp()
POLICY = """
tenants: {acme: {isolation: shared, target: shop}}
roles: {app: {permissions: ["table:*:write"]}}
tables:
  shop:
    customers: {tenant_column: tenant_id, columns: {card: [pci]}}
    orders: {tenant_column: tenant_id}
    ledger: {tenant_column: tenant_id}
policies:
  hours:
    time_zone: Europe/Berlin
    cedar: |
      forbid (principal, action, resource == Table::"ledger")
      unless { context.hour >= 8 && context.hour < 19 && context.weekday <= 5 };
"""
MASKED = """
  card:
    cedar: permit (principal, action, resource is Column) when { resource.tags.contains("pci") };
    effect: {mask: {partial: {last: 4}}}
"""


class InProcess:
    """A gateway in a thread of this process, whose wall clock the test sets."""

    def __init__(self, files: GatewayProcess) -> None:
        self.files = files
        self.now = _CLOSED
        self.gateway: Gateway | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),))
        self._stop = asyncio.Event()
        self._ready = threading.Event()

    def start(self) -> None:
        self._thread.start()
        assert self._ready.wait(60)

    async def _serve(self) -> None:
        config = load_config(self.files.config_path, {})
        server = Server(config, await load_snapshot(config, 1))
        listener = bind_listener(config.listen)
        self.gateway = server.gateway
        self.gateway.wall_clock = lambda: self.now
        server.start()
        server.accept_from([listener])
        self._ready.set()
        await self._stop.wait()
        listener.close()
        await server.shut_down()

    def set_clock(self, now: float) -> None:
        """What the gateway's own look at the clock does, at once."""

        def take() -> None:
            assert self.gateway is not None
            self.now = now
            self.gateway.follow_clock()
            done.set()

        done = threading.Event()
        self._loop.call_soon_threadsafe(take)
        assert done.wait(60)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(30)
        self._loop.close()


@pytest.fixture(scope="module")
def database(postgres: PostgresServer) -> Iterator[str]:
    make_database(postgres, DATABASE)
    yield DATABASE
    postgres.drop_database(DATABASE)


@pytest.fixture
def clocked(postgres: PostgresServer, database: str) -> Iterator[tuple[InProcess, People]]:
    files = GatewayProcess(targets={"shop": target_of(postgres, database)}, policy=POLICY)
    running = InProcess(files)
    running.start()
    yield running, People(files)
    running.stop()


def test_a_time_window_closes_on_an_open_session(clocked: tuple[InProcess, People]) -> None:
    running, people = clocked
    refused = pytest.raises(psycopg.errors.InsufficientPrivilege, match="policy hours denies select on ledger")
    with people.connect() as session, people.connect(autocommit=False) as other:
        for _ in range(5):  # prepared, shared and on lanes, if there are any
            assert session.execute("SELECT count(*) FROM ledger").fetchone() == (5,)
            assert session.execute("SELECT count(*) FROM ledger WHERE id > %s", (0,), prepare=True).fetchone() == (5,)
        other.execute("PREPARE p AS SELECT count(*) FROM ledger")
        other.execute("DECLARE c CURSOR FOR SELECT id FROM ledger")
        assert len(other.execute("FETCH 1 FROM c").fetchall()) == 1
        assert other.execute("EXECUTE p").fetchone() == (5,)
        running.set_clock(_CLOSED + 1)  # 19:00 in Berlin
        with refused:
            session.execute("SELECT count(*) FROM ledger")
        with refused:
            session.execute("SELECT count(*) FROM ledger WHERE id > %s", (0,), prepare=True)
        assert session.execute("SELECT count(*) FROM orders").fetchone() == (20,)
        other.execute("SAVEPOINT s")
        with pytest.raises(psycopg.Error):
            other.execute("EXECUTE p")
        other.execute("ROLLBACK TO s")
        with pytest.raises(psycopg.Error):
            other.execute("FETCH 1 FROM c")
        other.rollback()
        running.set_clock(_CLOSED + 14 * 3600)  # Saturday, 8:59
        with refused:
            session.execute("SELECT count(*) FROM ledger")
        running.set_clock(_CLOSED + 62 * 3600)  # Monday, 8:59
        assert session.execute("SELECT count(*) FROM ledger").fetchone() == (5,)
        running.set_clock(_CLOSED)


def test_an_answer_is_kept_while_the_facts_are_the_same(clocked: tuple[InProcess, People]) -> None:
    running, people = clocked
    with people.connect() as session:
        session.execute("SELECT count(*) FROM orders")
        gateway = running.gateway
        assert gateway is not None
        misses = gateway.plans.misses
        scopes = len(gateway.plans.scopes())
        for minutes in range(1, 4):  # 18:5x: another minute, the same hour
            running.set_clock(_CLOSED - 60 * minutes)
            session.execute("SELECT count(*) FROM orders")
        assert (gateway.plans.misses, len(gateway.plans.scopes())) == (misses, scopes)
        running.set_clock(_CLOSED)


def test_what_was_prepared_before_a_change_is_judged_by_the_policy_of_now(
    postgres: PostgresServer, database: str
) -> None:
    gateway = GatewayProcess(targets={"shop": target_of(postgres, database)}, policy=POLICY)
    gateway.start()
    try:
        people = People(gateway)
        sql = "SELECT card FROM customers WHERE id = %s"
        with people.connect() as session, people.connect(autocommit=False) as other:
            for _ in range(8):
                assert session.execute(sql, (7,), prepare=True).fetchone() == ("4111-1111-1111-1007",)
                assert session.execute("SELECT card FROM customers WHERE id = 7").fetchone() == ("4111-1111-1111-1007",)
            other.execute("PREPARE p AS SELECT card FROM customers WHERE id = 7")
            other.execute("DECLARE c CURSOR FOR SELECT card FROM customers ORDER BY id")
            other.execute("FETCH 1 FROM c")
            gateway.policy_path.write_text(POLICY + MASKED, encoding="utf-8")
            gateway.reload()
            masked = ("***************1007",)
            _until(lambda: session.execute("SELECT card FROM customers WHERE id = 7").fetchone() == masked)
            assert session.execute(sql, (7,), prepare=True).fetchone() == masked
            other.execute("SAVEPOINT s")
            for stale in ("EXECUTE p", "FETCH 1 FROM c"):
                with pytest.raises(psycopg.Error):
                    other.execute(stale)
                other.execute("ROLLBACK TO s")
    finally:
        gateway.stop()


def _until(condition: Any) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
