"""Idle sessions: what they let go of comes back, and thousands of them are looked at some at a time."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from benchmarks.engine_cpu import make_engine
from proxy import gateway as gateway_module
from proxy.audit.emitter import AuditEmitter
from proxy.config import AuditConfig
from proxy.gateway import Gateway
from proxy.postgres.frontend import Frontend
from proxy.postgres.wire import messages, replies

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


class SweptGateway(Gateway):
    """Only what `sweep` needs; it notes whom it looks at."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.frontends = cast(set[Frontend], {f"session {number}" for number in range(25)})
        self._unswept = []
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
