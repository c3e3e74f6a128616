"""What the gateway's own code costs per transaction, without sockets: microseconds in engine, relay, audit and metrics.

python -m benchmarks.engine_cpu [--profile MODE]
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import pstats
import socket
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from policy.access import Access, TableAccess
from policy.model import Isolation, Principal, QuotaLimits, TableClass, TableRule, Tenant
from policy.snapshot import Snapshot
from policy.sql.catalog import Catalog, Column, Relation
from proxy.audit.emitter import AuditEmitter
from proxy.config import AuditConfig, TargetConfig
from proxy.lease import Lease
from proxy.observe.metrics import Metrics
from proxy.plans.ahead import CompileAhead
from proxy.plans.cache import PlanScope
from proxy.plans.room import PlanRoom
from proxy.pool.pool import Pool
from proxy.postgres import expected
from proxy.postgres.backend import BackendConnection
from proxy.postgres.conversation import Equipment
from proxy.postgres.engine import Engine
from proxy.postgres.frontend import Frontend
from proxy.postgres.judge import Judge
from proxy.postgres.lanes.group import Lanes
from proxy.postgres.lanes.lane import Lane
from proxy.postgres.recorder import Recorder
from proxy.postgres.settings import SessionSettings
from proxy.postgres.statements import StatementBook
from proxy.postgres.wire import messages, replies
from proxy.postgres.wire.framing import MessageReader
from proxy.quotas import TenantUsage
from proxy.session import Session, TenantTotals
from tests.harness.wire_client import SYNC, bind, describe, execute, parse

SQL = "SELECT abalance FROM pgbench_accounts WHERE aid = {};"
ROW = replies.row_description([("abalance", 23)]), replies.data_row([b"0"]), replies.command_complete("SELECT 1")
ROUNDS = 20_000


TARGET = TargetConfig("bench", "127.0.0.1", 5432, "bench", "bench", max_backends=1)


class Sink(asyncio.Transport):
    """Drops what is written. Its socket is one end of a pair, so that one can ask whether it is well."""

    def __init__(self) -> None:
        super().__init__()
        self._pair = socket.socketpair()

    def write(self, data: bytes | bytearray | memoryview) -> None: ...

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None: ...

    def get_write_buffer_size(self) -> int:
        return 0

    def get_extra_info(self, name: str, default: object = None) -> object:
        return self._pair[0] if name == "socket" else default

    def close(self) -> None:
        for each in self._pair:
            each.close()

    abort = close


async def make_backend() -> BackendConnection:
    """A backend that is connected to nobody."""
    backend = BackendConnection(TARGET, "bench")
    backend.connection_made(Sink())
    return backend


async def make_pool() -> Pool:
    """A pool with one idle backend, and no room for lanes."""
    pool = Pool(TARGET, "bench", connect=make_backend)
    pool.give_back(await pool.acquire())
    return pool


async def make_engine(audit: AuditEmitter, frontend: Frontend | None = None) -> Engine:
    """An engine of a shared tenant with its policy, catalog, quotas, audit and metrics; of a client, or of none."""
    columns = (Column("aid", 23, "integer", True), Column("abalance", 23, "integer"), Column("tenant_id", 25, "text"))
    relation = Relation(
        20000, "public", "pgbench_accounts", "r", columns, ("aid",), (("aid",),), ("pgbench_accounts_pkey",)
    )
    key = ("public", "pgbench_accounts")
    access = Access(
        "bench", Isolation.SHARED, "main", TableAccess(), {key: TableAccess(read=True, write=True)},
        {key: TableRule("public", "pgbench_accounts", TableClass.TENANT, "tenant_id")},
    )  # fmt: skip
    catalog = Catalog(1, "bench", 180000, {key: relation}, leakproof_functions=frozenset({"int4eq", "texteq"}))
    limits = QuotaLimits(connections=100, concurrent_statements=100, statements_per_s=1e9, burst=10**9)
    tenant = Tenant("acme", Isolation.SHARED, "main", "acme", quotas=limits)
    metrics = Metrics()
    session = Session(
        Principal("alice", frozenset({"acme"}), frozenset({"app"}), "jwt"), tenant, TenantUsage("acme", limits),
        metrics.statement_counts("acme"), TenantTotals(), "127.0.0.1:5000", "bench",
    )  # fmt: skip
    session.enter(PlanScope(access, catalog, "", PlanRoom(1 << 20)), tenant, 1, 1)
    book = StatementBook()
    pool = await make_pool()
    lanes = Lanes(pool, book, {}, time.monotonic, lambda work: None)
    equipment = Equipment(
        client_write=frontend.write if frontend else lambda data: None,
        pause_client=frontend.pause_client if frontend else lambda paused: None,
        fail=frontend.fatal if frontend else lambda error: None,
        settled=frontend.settled if frontend else lambda: None,
        spawn=lambda work: None,
        book=book,
        lanes_for=lambda settings: lanes,
        judge=Judge(session, lambda session: None, lambda: 1, CompileAhead(), 1 << 20),
        recorder=Recorder(audit, metrics, time.monotonic, lambda: 1, Snapshot(1, {}, {}, {})),
        clock=time.monotonic,
        reader=MessageReader(1 << 20),
        max_prepared=1000,
        verbatim_errors=False,
    )
    lease = Lease(pool, session.usage, lambda: None)
    engine = Engine(session, lease, SessionSettings({}), equipment)
    lease.receiver = frontend or Receiver()
    return engine


class Receiver:
    """Stands where a frontend does; the answers are given to the engine by hand."""

    def backend_data(self, data: bytes) -> None: ...
    def backend_lost(self, error: Exception | None) -> None: ...
    def backend_pause_writing(self) -> None: ...
    def backend_resume_writing(self) -> None: ...


def simple(engine: Engine) -> Callable[[int], None]:
    answer = b"".join(ROW) + replies.READY_IDLE

    def once(number: int) -> None:
        engine.client_data(messages.encode_query(SQL.format(number).encode()))
        engine.backend_data(answer)

    return once


def extended(engine: Engine) -> Callable[[int], None]:
    answer = replies.BIND_COMPLETE + b"".join(ROW) + replies.READY_IDLE
    request = parse("", SQL.format("$1")) + bind("", "", "17") + describe("P") + execute() + SYNC

    def once(_: int) -> None:
        engine.client_data(request)
        parsed = engine.queue[0].kind == expected.PARSE  # later it is a statement that the backend has
        engine.backend_data(replies.PARSE_COMPLETE + answer if parsed else answer)

    return once


def prepared(engine: Engine) -> Callable[[int], None]:
    engine.client_data(parse("p", SQL.format("$1")) + SYNC)
    engine.backend_data(replies.PARSE_COMPLETE + replies.READY_IDLE)
    answer = replies.BIND_COMPLETE + b"".join(ROW) + replies.READY_IDLE
    request = bind("", "p", "17") + describe("P") + execute() + SYNC

    def once(_: int) -> None:
        engine.client_data(request)
        engine.backend_data(answer)

    return once


def lane_simple(engine: Engine) -> Callable[[int], None]:
    """The same text on a lane: a shared prepared statement, the literal a parameter."""
    leased = simple(engine)
    for number in range(4):
        leased(number)
    lane = with_lane(engine)
    described = replies.PARSE_COMPLETE + replies.BIND_COMPLETE + b"".join(ROW) + replies.READY_IDLE
    answer = replies.BIND_COMPLETE + b"".join(ROW[1:]) + replies.READY_IDLE

    def once(number: int) -> None:
        engine.client_data(messages.encode_query(SQL.format(number).encode()))
        lane.backend_data(described if lane.queue[0].describes else answer)

    return once


def lane_prepared(engine: Engine) -> Callable[[int], None]:
    leased = prepared(engine)
    for number in range(4):
        leased(number)
    lane = with_lane(engine)
    rows = replies.BIND_COMPLETE + b"".join(ROW) + replies.READY_IDLE
    request = bind("", "p", "17") + describe("P") + execute() + SYNC

    def once(_: int) -> None:
        engine.client_data(request)
        lane.backend_data(replies.PARSE_COMPLETE + rows if lane.queue[0].parsing else rows)

    return once


def with_lane(engine: Engine) -> Lane:
    """One lane, which is always there."""
    lanes = engine.lanes_for({})
    assert lanes is not None
    lane = Lane(BackendConnection(TARGET, "bench"), time.monotonic, lambda call: call(), lambda lost, again: None)
    lanes.use(lane)
    return lane


MODES = {
    "simple": simple, "extended": extended, "prepared": prepared,
    "lane simple": lane_simple, "lane prepared": lane_prepared,
}  # fmt: skip


async def measure(mode: str, profile: bool) -> float:
    """Microseconds per transaction; the audit log's batches included."""
    with tempfile.TemporaryDirectory() as directory:
        audit = AuditEmitter(AuditConfig(path=Path(directory) / "audit.jsonl"))
        audit.start()
        engine = await make_engine(audit)
        once = MODES[mode](engine)
        for number in range(1000):
            once(number)
        profiler = cProfile.Profile() if profile else None
        if profiler is not None:
            profiler.enable()
        begin = time.process_time()
        for number in range(ROUNDS):
            once(number)
        used = time.process_time() - begin
        if profiler is not None:
            profiler.disable()
            pstats.Stats(profiler).sort_stats("tottime").print_stats(28)
        await audit.close()
        await engine.lease.pool.close()
    return used / ROUNDS * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profile", choices=sorted(MODES))
    chosen = parser.parse_args().profile
    for mode in [chosen] if chosen else MODES:
        runs = [asyncio.run(measure(mode, bool(chosen))) for _ in range(1 if chosen else 3)]
        print(f"{mode:9} {sorted(runs)[len(runs) // 2]:6.1f} us per transaction")


if __name__ == "__main__":
    main()
