"""What the plan cache holds on to, walked object by object: nothing of a tenant or a session that used it."""

from __future__ import annotations

import asyncio
import gc
import types
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.engine_cpu import make_engine
from policy.sql.plan import CompiledQuery
from proxy.audit.emitter import AuditEmitter
from proxy.config import AuditConfig
from proxy.plans.cache import PlanScope
from proxy.postgres import expected
from proxy.postgres.engine import Engine
from proxy.postgres.wire import messages, replies
from proxy.quotas import LoopShare
from tests.harness.wire_client import SYNC, parse

ANSWER = replies.command_complete("SELECT 0") + replies.READY_IDLE
RUN = (
    "SELECT abalance FROM pgbench_accounts WHERE aid = 271828",
    "SELECT abalance FROM pgbench_accounts WHERE aid = 31415926 AND 'private' <> 'other'",
    "INSERT INTO pgbench_accounts (aid, abalance) VALUES (271828, 2)",
    "UPDATE pgbench_accounts SET abalance = 271828 WHERE aid = 1",
    "SELECT pg_advisory_xact_lock(1)",
    "NOTIFY something",
)
REFUSED = ("TRUNCATE pgbench_accounts", "SELECT pg_read_file('x')", "DROP TABLE pgbench_accounts", "SELEC")
SECRETS = ("acme", "alice", "127.0.0.1:5000", "271828", "31415926", "private")


@pytest.fixture(autouse=True)
def loop_to_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """However slow the machine is, everything is compiled at once."""
    monkeypatch.setattr(LoopShare, "BURST_S", 1e9)


def used(work: Callable[[Engine], None], directory: Path) -> tuple[PlanScope, Engine]:
    """A scope after a session has done `work` with it."""

    async def around() -> Engine:
        audit = AuditEmitter(AuditConfig(path=directory / "audit.jsonl"))
        audit.start()
        engine = await make_engine(audit)
        try:
            work(engine)
        finally:
            await audit.close()
            engine.lease.end(reusable=False)
            await engine.lease.pool.close()
        return engine

    engine = asyncio.run(around())
    assert engine.session.scope is not None
    return engine.session.scope, engine


def run_and_be_refused(engine: Engine) -> None:
    for text in RUN:
        for _ in range(3):  # the second time it gets a form, too
            engine.client_data(messages.encode_query(text.encode()))
            while engine.queue:  # what goes before a statement has no answer of its own
                engine.backend_data(ANSWER if engine.queue[0].kind == expected.QUERY else replies.READY_IDLE)
    for text in REFUSED:
        for _ in range(3):
            engine.client_data(messages.encode_query(text.encode()))
            engine.client_data(parse("", text) + SYNC)


def reachable(root: object) -> list[object]:
    """Everything that `root` keeps alive, but for code and classes."""
    seen: dict[int, object] = {}
    waiting = [root]
    while waiting:
        item = waiting.pop()
        if id(item) in seen or isinstance(item, type | types.ModuleType | types.FunctionType):
            continue
        seen[id(item)] = item
        waiting += gc.get_referents(item)
    return list(seen.values())


def test_the_cache_holds_nothing_of_who_used_it(tmp_path: Path) -> None:
    scope, engine = used(run_and_be_refused, tmp_path)
    assert len(scope) == len(RUN) + len(REFUSED)
    held = reachable(scope)
    assert sum(isinstance(item, CompiledQuery) for item in held) == len(scope)
    assert not any(item is engine or item is engine.session for item in held)
    assert not any(isinstance(item, types.FrameType | types.TracebackType) for item in held)
    texts = {item for item in held if isinstance(item, str)} | {str(item) for item in held if isinstance(item, int)}
    assert [secret for secret in SECRETS if any(secret in text for text in texts)] == []


def test_the_walk_would_find_them(tmp_path: Path) -> None:
    scope, engine = used(run_and_be_refused, tmp_path)
    found = reachable(engine.session)
    assert any(item is scope for item in found)
    texts = [item for item in found if isinstance(item, str)]
    assert all(any(secret in text for text in texts) for secret in ("acme", "alice"))


@pytest.mark.parametrize("text", REFUSED)
def test_a_refusal_that_is_repeated_does_not_grow(text: str, tmp_path: Path) -> None:
    scope, _ = used(run_and_be_refused, tmp_path)
    compiled = scope.find(text)
    assert compiled is not None
    assert compiled.denial is not None
    assert compiled.denial.__traceback__ is None
    assert compiled.denial.__context__ is None
