"""What each worker is told: shares that make the whole, and what a reload does not change."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.document import load_policy
from policy.errors import ConfigurationError
from proxy.config import AuditConfig, GatewayConfig, ListenConfig, TargetConfig
from proxy.workers.orders import (
    decode_orders,
    encode_orders,
    keep_fixed,
    refuse_small_shares,
    share_of,
    share_of_number,
    share_of_policy,
)

CONFIG = GatewayConfig(
    policy_file=Path("policy.yaml"),
    workers=3,
    targets={"main": TargetConfig("main", "db", 5432, "shop", "gateway", password="secret", max_backends=10)},
    audit=AuditConfig(path=Path("/log/audit.jsonl")),
)


@given(st.integers(1, 60).flatmap(lambda count: st.tuples(st.integers(count, 10_000), st.just(count))))
def test_shares_make_the_whole_and_nobody_has_none(case: tuple[int, int]) -> None:
    whole, count = case
    shares = [share_of_number(whole, index, count) for index in range(count)]
    assert sum(shares) == whole
    assert min(shares) >= 1
    assert max(shares) - min(shares) <= 1


def test_a_worker_has_its_share_of_backends_and_a_log_of_its_own() -> None:
    shares = [share_of(CONFIG, seat=seat, index=seat - 4, count=3) for seat in (4, 5, 6)]
    assert [share.targets["main"].max_backends for share in shares] == [4, 3, 3]
    assert [share.audit.path.name for share in shares] == ["audit-4.jsonl", "audit-5.jsonl", "audit-6.jsonl"]


def test_configuration_and_policy_arrive_as_they_were(tmp_path: Path) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text("tenants: {acme: {target: main, isolation: database, database: a}}\n")
    snapshot = load_policy(policy, version=7, targets=frozenset({"main"}))
    assert decode_orders(encode_orders(CONFIG, snapshot)) == (CONFIG, snapshot)


def test_a_tenants_backends_are_shared_out_and_too_few_are_refused(tmp_path: Path) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text(
        "tenants:\n"
        "  acme: {target: main, isolation: database, database: a, quotas: {backends: 4}}\n"
        "  globex: {target: main, isolation: database, database: b, quotas: {connections: 1}}\n"
    )
    config = replace(CONFIG, policy_file=policy)
    snapshot = load_policy(policy, version=1, targets=frozenset({"main"}))
    shares = [share_of_policy(snapshot, index=index, count=3) for index in range(3)]
    assert [share.tenants["acme"].quotas.backends for share in shares] == [2, 1, 1]
    assert {share.tenants["globex"].quotas.connections for share in shares} == {1}
    with pytest.raises(ConfigurationError, match="less than the 5 workers"):
        refuse_small_shares(replace(config, workers=5), snapshot)


def test_a_reload_moves_no_listener_no_log_and_no_number_of_workers() -> None:
    new = replace(CONFIG, workers=5, listen=ListenConfig(port=1), audit=AuditConfig(path=Path("x")), targets={})
    kept = keep_fixed(new, CONFIG)
    assert (kept.workers, kept.listen, kept.audit, kept.targets) == (3, CONFIG.listen, CONFIG.audit, {})
