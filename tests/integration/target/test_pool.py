"""The pool on a real server: what a reset removes, what must not be reused, outages and a full server."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from proxy.config import TargetConfig
from proxy.errors import BackendLost, TargetUnavailable
from proxy.pool.pool import Pool, PoolCounts
from proxy.pool.reset import reset
from proxy.postgres.backend import BackendConnection
from proxy.postgres.wire.messages import encode_parse, encode_query
from tests.harness.postgres import PostgresServer
from tests.integration.target.test_backend import Receiver


@pytest.fixture
def own_server() -> Iterator[PostgresServer]:
    """A server that a test may stop and crash; three of its eight connections are reserved for superusers."""
    server = PostgresServer(settings={"max_connections": "8", "superuser_reserved_connections": "3"})
    server.start()
    server.execute(f"CREATE ROLE app LOGIN PASSWORD '{server.password}'")
    yield server
    server.stop()


def config(server: PostgresServer, user: str = "postgres", **settings: Any) -> TargetConfig:
    return TargetConfig("main", server.host, server.port, "postgres", user, server.password, tls="disable", **settings)


@asynccontextmanager
async def pool_of(server: PostgresServer, user: str = "postgres", **settings: Any) -> AsyncIterator[Pool]:
    pool = Pool(config(server, user, **settings), "postgres", protocol_options={"search_path": "pg_catalog, public"})
    try:
        yield pool
    finally:
        await pool.close()
        for backend in list(pool._in_use):  # of a test that failed
            backend.abort()
        await asyncio.sleep(0.02)  # until the transports are gone


async def until(condition: Callable[[], object], timeout_s: float = 10.0) -> None:
    async with asyncio.timeout(timeout_s):
        while not condition():
            await asyncio.sleep(0.005)


async def run(backend: BackendConnection, sql: str) -> None:
    """As a session would: through a receiver."""
    receiver = Receiver()
    backend.attach(receiver)
    backend.write(encode_query(sql.encode()))
    await receiver.until(lambda: receiver.received[-6:-1] == b"Z\0\0\0\x05")
    assert b"E\0\0" not in receiver.received[:3], receiver.received
    backend.transaction_status = receiver.received[-1]
    backend.detach()


async def give_and_take(pool: Pool, backend: BackendConnection) -> BackendConnection:
    pool.release(backend, reusable=True)
    await until(lambda: pool.counts.in_use == 0)
    return await pool.acquire()


DIRT = {
    "role": ("SET ROLE pg_monitor", "SELECT current_user", "postgres"),
    "authorization": ("SET SESSION AUTHORIZATION pg_monitor", "SELECT session_user", "postgres"),
    "temp table": ("CREATE TEMP TABLE leaked ()", "SELECT to_regclass('pg_temp.leaked')", None),
    "setting": ("SET search_path = evil", "SELECT current_setting('search_path')", "pg_catalog, public"),
    "custom setting": ("SET app.tenant = 'acme'", "SELECT coalesce(current_setting('app.tenant', true), '')", ""),
    "prepared": ("PREPARE p AS SELECT 1", "SELECT count(*) FROM pg_prepared_statements", "0"),
    "cursor": ("BEGIN; DECLARE c CURSOR WITH HOLD FOR SELECT 1; COMMIT", "SELECT count(*) FROM pg_cursors", "0"),
    "listen": ("LISTEN gossip", "SELECT count(*) FROM pg_listening_channels()", "0"),
    "lock": ("SELECT pg_advisory_lock(42)", "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'", "0"),
    "open transaction": ("BEGIN; SET LOCAL ROLE pg_monitor", "SELECT current_user", "postgres"),
    "failed transaction": ("BEGIN; CREATE TEMP TABLE leaked ()", "SELECT to_regclass('pg_temp.leaked')", None),
    "read only": ("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY", "SHOW transaction_read_only", "off"),
    "sequence": (
        "CREATE TEMP SEQUENCE s; SELECT nextval('s')",
        "SELECT count(*) FROM pg_class WHERE relname = 's'",
        "0",
    ),
}  # fmt: skip


@pytest.mark.parametrize("dirt", DIRT, ids=str)
async def test_a_reset_backend_keeps_nothing(postgres: PostgresServer, dirt: str) -> None:
    soil, question, clean = DIRT[dirt]
    async with pool_of(postgres, max_backends=1) as pool:
        backend = await pool.acquire()
        await run(backend, soil)
        again = await give_and_take(pool, backend)
        assert again is backend, "the backend was thrown away instead of being reset"
        assert await again.query(question) == [[clean]]
        pool.release(again, reusable=True)


async def test_an_unread_reply_is_never_the_next_sessions(postgres: PostgresServer) -> None:
    """A session asked twice and read once; the second reply looks like the reset's own, and is not taken for it."""
    async with pool_of(postgres, max_backends=1) as pool:
        backend = await pool.acquire()
        receiver = Receiver()
        backend.attach(receiver)
        backend.write(encode_query(b"SELECT pg_sleep(0.1)") + encode_query(b"DISCARD ALL"))
        backend.detach()
        again = await give_and_take(pool, backend)
        assert again is not backend
        assert backend.closed
        pool.release(again, reusable=True)


async def test_a_request_without_sync_cannot_be_reset(postgres: PostgresServer) -> None:
    """After an error in an extended query the server skips everything until Sync, the reset's queries too."""
    async with pool_of(postgres, max_backends=1) as pool:
        backend = await pool.acquire()
        receiver = Receiver()
        backend.attach(receiver)
        backend.write(encode_parse(b"", b"nonsense") + b"H\0\0\0\x04")
        await receiver.until(lambda: receiver.received.startswith(b"E"))
        backend.detach()
        assert not await reset(backend, timeout_s=0.2)
        assert backend.closed
        pool.release(backend, reusable=False)


async def test_a_client_that_vanished_in_a_result_costs_one_backend(postgres: PostgresServer) -> None:
    async with pool_of(postgres, max_backends=1) as pool:
        backend = await pool.acquire()
        receiver = Receiver()
        backend.attach(receiver)
        backend.write(encode_query(b"SELECT 'vanished', pg_sleep(30) FROM generate_series(1, 3)"))
        await asyncio.sleep(0.05)
        pool.release(backend, reusable=False)
        again = await pool.acquire()
        assert again is not backend
        running = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%vani' || 'shed%' AND state = 'active'"
        await until_query(again, running, "0")
        pool.release(again, reusable=True)
        assert receiver.received == b""


async def until_query(backend: BackendConnection, sql: str, expected: str) -> None:
    async with asyncio.timeout(10):
        while await backend.query(sql) != [[expected]]:
            await asyncio.sleep(0.01)


async def test_a_restarted_target_is_noticed(own_server: PostgresServer) -> None:
    async with pool_of(own_server, max_backends=2) as pool:
        backends = [await pool.acquire(), await pool.acquire()]
        for backend in backends:
            pool.release(backend, reusable=True)
        await until(lambda: pool.counts.idle == 2)
        own_server.halt()  # blocks the loop: the pool has not heard of it when it is asked
        started = time.monotonic()
        with pytest.raises(TargetUnavailable):
            await pool.acquire()
        with pytest.raises(TargetUnavailable):
            await pool.acquire()
        assert time.monotonic() - started < 2.0
        own_server.start()  # not in a thread: the server dies with the thread that started it
        await until_available(pool)
        assert pool.counts.in_use == 0


async def until_available(pool: Pool) -> None:
    async with asyncio.timeout(10):
        while True:
            try:
                backend = await pool.acquire()
            except TargetUnavailable:
                await asyncio.sleep(0.05)
                continue
            try:
                assert await backend.query("SELECT 1") == [["1"]]
            except BackendLost:  # a crash takes the others with it a moment later
                pool.release(backend, reusable=False)
                continue
            pool.release(backend, reusable=True)
            await until(lambda: pool.counts.in_use == 0)
            return


def crash(pid: int) -> None:
    assert Path(f"/proc/{pid}/comm").read_text().startswith("postgres")
    os.kill(pid, signal.SIGKILL)


async def test_a_crashed_backend_is_told_to_its_session_and_replaced(own_server: PostgresServer) -> None:
    """kill -9 of one server process makes PostgreSQL restart all of them."""
    async with pool_of(own_server, max_backends=2) as pool:
        await until_available(pool)
        backend, idle = await pool.acquire(), await pool.acquire()
        pool.release(idle, reusable=True)
        receiver = Receiver()
        backend.attach(receiver)
        crash(backend.pid)
        await receiver.until(lambda: bool(receiver.lost))
        pool.release(backend, reusable=False)
        await until(lambda: idle.closed)  # PostgreSQL ends the others a moment later
        await until_available(pool)


async def test_a_full_server_is_shared_and_told_apart(own_server: PostgresServer) -> None:
    """max_backends allows more than the server has: the sixth session waits for one of the five."""
    async with pool_of(own_server, "app", max_backends=20, acquire_timeout_s=5.0) as pool:
        await until_available(pool)
        backends = [await pool.acquire() for _ in range(5)]
        sixth = asyncio.create_task(pool.acquire())
        await until(lambda: pool.failing)
        assert not sixth.done()
        pool.release(backends[0], reusable=True)
        assert await sixth is backends[0]
        other = Pool(config(own_server, "app"), "postgres")
        with pytest.raises(TargetUnavailable, match="no connection left"):
            await other.acquire()
        await other.close()
        for backend in backends:
            pool.release(backend, reusable=True)
        await until(lambda: pool.counts == PoolCounts(idle=5, in_use=0, connecting=0, waiting=0))


async def test_many_clients_of_a_dead_target_fail_fast() -> None:
    target = TargetConfig("main", "127.0.0.1", 1, "postgres", "postgres", tls="disable", acquire_timeout_s=600)
    pool = Pool(target, "postgres")
    async with asyncio.timeout(60):  # a tenth of what one that waits its time would take
        results = await asyncio.gather(*(pool.acquire() for _ in range(5000)), return_exceptions=True)
    assert all(isinstance(result, TargetUnavailable) for result in results)
    await pool.close()


async def test_many_sessions_share_few_backends(postgres: PostgresServer) -> None:
    async with pool_of(postgres, max_backends=4, acquire_timeout_s=30.0) as pool:

        async def session(number: int) -> str | None:
            backend = await pool.acquire()
            try:
                assert await backend.query("SELECT current_setting('app.who', true)") in ([[None]], [[""]])
                await backend.query(f"SET app.who = 'session {number}'")
                return (await backend.query("SELECT current_setting('app.who')"))[0][0]
            finally:
                pool.release(backend, reusable=True)

        assert await asyncio.gather(*map(session, range(60))) == [f"session {number}" for number in range(60)]
        await until(lambda: pool.counts == PoolCounts(idle=4, in_use=0, connecting=0, waiting=0))
