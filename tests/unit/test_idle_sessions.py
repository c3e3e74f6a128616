"""Idle sessions: what they let go of comes back, and thousands of them are looked at some at a time."""

from __future__ import annotations

import asyncio
import gc
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import cast
from unittest.mock import Mock

import pytest

from benchmarks.engine_cpu import make_engine
from proxy import gateway as gateway_module
from proxy.audit.emitter import AuditEmitter
from proxy.config import AuditConfig
from proxy.gateway import Gateway
from proxy.lease import Lease
from proxy.postgres.engine import Engine
from proxy.postgres.frontend import Frontend
from proxy.postgres.wire import messages, replies
from proxy.session import Session

ANSWER = replies.command_complete("SELECT 0") + replies.READY_IDLE


def test_a_session_that_has_rested_goes_on_as_before(tmp_path: Path) -> None:
    async def work() -> list[str]:
        audit = AuditEmitter(AuditConfig(path=tmp_path / "audit.jsonl"))
        audit.start()
        engine = await make_engine(audit)
        sent = []
        try:
            for number in (1, 22, 333, 4444):
                text = f"SELECT abalance FROM pgbench_accounts WHERE aid = {number}"
                engine.client_data(messages.encode_query(text.encode()))
                sent.append(engine.queue[0].rewritten)  # type: ignore[attr-defined]
                engine.backend_data(ANSWER)
                assert engine.session._templates
                engine.rest()
                assert not engine.session._templates
        finally:
            await audit.close()
            engine.lease.end(reusable=False)
            await engine.lease.pool.close()
        return sent

    first, *others = asyncio.run(work())
    assert "acme" in first
    assert [text.replace(n, "1") for text, n in zip(others, ("22", "333", "4444"), strict=True)] == [first] * 3


class Owner:
    """Of one frontend; does what a gateway does when its client has gone."""

    draining = False
    gate = None

    def frontend_lost(self, frontend: Frontend) -> None:
        assert frontend.lease is not None
        frontend.lease.end(reusable=False)
        frontend.lease = None

    def backend_done(self, frontend: Frontend) -> None: ...


async def _no_login(frontend: Frontend) -> None: ...


def _how_many() -> Counter[type]:
    return Counter(type(each) for each in gc.get_objects() if isinstance(each, Frontend | Engine | Session | Lease))


def test_the_memory_of_a_session_is_free_when_it_ends(tmp_path: Path) -> None:
    """At once, without the garbage collector, which seldom looks at what has lived for long."""

    async def work() -> None:
        audit = AuditEmitter(AuditConfig(path=tmp_path / "audit.jsonl"))
        audit.start()
        frontend = Frontend(Owner(), _no_login, direct_tls=False, write_high_bytes=1)
        frontend.connection_made(Mock(spec=asyncio.Transport))
        engine = await make_engine(audit, frontend)
        pool, frontend.lease = engine.lease.pool, engine.lease
        frontend.begin(engine)
        frontend.data_received(messages.encode_query(b"SELECT abalance FROM pgbench_accounts WHERE aid = 1"))
        frontend.backend_data(ANSWER)
        assert _how_many() - before == {Frontend: 1, Engine: 1, Session: 1, Lease: 1}
        frontend.connection_lost(None)
        await audit.close()
        await pool.close()

    before = _how_many()
    gc.disable()
    try:
        asyncio.run(work())
        assert _how_many() == before
    finally:
        gc.enable()


class SweptGateway(Gateway):
    """Only what `sweep` needs; it notes whom it looks at."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.frontends = cast(set[Frontend], {f"session {number}" for number in range(25)})
        self._unswept = []
        self._decider = self.standing = self._due = None
        self.clock = lambda: 0.0
        self.loop = asyncio.new_event_loop()
        self.config = SimpleNamespace(limits=SimpleNamespace(stalled_message_s=60.0))  # type: ignore[assignment]

    def _look_at(self, frontend: Frontend, now: float, wall: float, stalled: float) -> None:
        self.seen.append(cast(str, frontend))


def test_many_sessions_are_swept_in_turn_and_none_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway_module, "_SWEPT_AT_ONCE", 10)
    gateway = SweptGateway()
    try:
        counts = []
        for _ in range(6):
            gateway.sweep()
            counts.append(len(gateway.seen))
        assert counts == [10, 20, 25, 35, 45, 50]
        assert sorted(gateway.seen[:25]) == sorted(gateway.seen[25:]) == sorted(map(str, gateway.frontends))
    finally:
        gateway.loop.close()
