"""Large policies: read in a process of their own, the same as if they were read here."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from policy.document import parse_policy
from policy.errors import ConfigurationError
from policy.snapshot import Snapshot
from proxy.config import GatewayConfig, TargetConfig
from proxy.snapshots import AT_ONCE_BYTES, load_snapshot

TENANTS = 1_100
REST = """
roles:
  app:
    permissions: ["table:*:write"]
    row_filters: {orders: "region = :attr_region"}
    masks: {customers: {card: "right(card, 4)"}}
tables:
  main: {orders: {tenant_column: tenant_id}, customers: {tenant_column: tenant_id}, countries: {global: true}}
functions:
  main: {total: safe}
"""


def document(last: str = "") -> str:
    lines = [f"  t{n}: {{isolation: shared, target: main, quotas: {{connections: {n + 1}}}}}" for n in range(TENANTS)]
    return "tenants:\n" + "\n".join(lines) + last + REST


def config(tmp_path: Path, text: str) -> GatewayConfig:
    path = tmp_path / "policy.yaml"
    path.write_text(text)
    assert path.stat().st_size > AT_ONCE_BYTES
    return GatewayConfig(path, targets={"main": TargetConfig("main", "127.0.0.1", 5432, "shop", "shop")})


def test_it_is_what_reading_it_here_gives_and_the_loop_goes_on(tmp_path: Path) -> None:
    async def load() -> tuple[Snapshot, int]:
        turns = 0

        async def tick() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        ticking = asyncio.create_task(tick())
        snapshot = await load_snapshot(config(tmp_path, document()), 7)
        ticking.cancel()
        return snapshot, turns

    snapshot, turns = asyncio.run(load())
    assert snapshot == parse_policy(document(), version=7, targets={"main"})
    assert list(snapshot.tenants)[:2] == ["t0", "t1"]
    assert turns > TENANTS // 250


def test_tenants_that_did_not_change_are_the_same_objects(tmp_path: Path) -> None:
    before = parse_policy(document(), version=1, targets={"main"})
    text = document("\n  more: {isolation: shared, target: main}").replace("connections: 8}", "connections: 800}")
    after = asyncio.run(load_snapshot(config(tmp_path, text), 2, before.tenants))
    assert after.tenants["t7"].quotas.connections == 800
    others = set(after.tenants) - {"t7", "more"}
    assert len(others) == TENANTS - 1
    assert all(after.tenants[name] is before.tenants[name] for name in others)


def test_what_is_wrong_is_told_in_the_same_words(tmp_path: Path) -> None:
    text = document("\n  wrong: {isolation: shared, target: nowhere}").replace("table:*:write", "table:*:fly")
    with pytest.raises(ConfigurationError) as here:
        parse_policy(text, version=1, targets={"main"}, source="policy.yaml")
    with pytest.raises(ConfigurationError) as apart:
        asyncio.run(load_snapshot(config(tmp_path, text), 1))
    assert apart.value.problems == here.value.problems
    assert len(here.value.problems) == 2


def test_a_process_that_ends_refuses_the_policy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dies = tmp_path / "python"
    dies.write_text("#!/bin/sh\nexit 1\n")
    dies.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(dies))
    with pytest.raises(ConfigurationError) as caught:
        asyncio.run(load_snapshot(config(tmp_path, document()), 1))
    assert "process" in caught.value.problems[0][1]


def test_a_document_that_is_not_there_is_told(tmp_path: Path) -> None:
    there = config(tmp_path, document())
    there.policy_file.unlink()
    with pytest.raises(ConfigurationError):
        asyncio.run(load_snapshot(there, 1))
