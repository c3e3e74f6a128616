"""Configuration and policy as the supervisor hands them to its workers: read once, the same for all, or for none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from policy.entries import Batch
from policy.errors import ConfigurationError
from policy.problems import Problem
from policy.snapshot import Snapshot
from proxy.config import GatewayConfig
from proxy.plans.transport import decode, encode_body


def encode_orders(config: GatewayConfig, snapshot: Snapshot) -> bytes:
    return encode_body((config, snapshot))


def decode_orders(payload: bytes) -> tuple[GatewayConfig, Snapshot]:
    """What our own supervisor has encoded."""
    config, snapshot = decode(payload)
    return config, snapshot


def encode_batch(batch: Batch) -> bytes:
    """What is new in the policy's store, for workers that have the snapshot before."""
    return encode_body(batch)


def decode_batch(payload: bytes) -> Batch:
    """What our own supervisor has encoded."""
    batch: Batch = decode(payload)
    return batch


def keep_fixed(new: GatewayConfig, old: GatewayConfig) -> GatewayConfig:
    """`new` with what a reload does not change: listeners, the number of workers, where the audit log is."""
    return replace(new, listen=old.listen, workers=old.workers, audit=old.audit)


def share_of(config: GatewayConfig, *, seat: int, index: int, count: int) -> GatewayConfig:
    """The configuration of one worker of `count`: its part of each target's backends, an audit log of its own."""
    targets = {
        name: replace(target, max_backends=share_of_number(target.max_backends, index, count))
        for name, target in config.targets.items()
    }
    return replace(config, targets=targets, audit=replace(config.audit, path=worker_log(config.audit.path, seat)))


def share_problems(workers: int, snapshot: Snapshot) -> list[Problem]:
    """Quotas that are shared out among the workers, and leave one of them nothing."""
    return [
        (
            f"tenants.{tenant.id}.quotas.backends",
            f"is {tenant.quotas.backends}, less than the {workers} workers that share it",
            "Raise it, or have fewer workers.",
        )
        for tenant in snapshot.tenants.values()
        if tenant.quotas.backends is not None and tenant.quotas.backends < workers
    ]


def refuse_small_shares(config: GatewayConfig, snapshot: Snapshot) -> None:
    """Raises ConfigurationError."""
    if problems := share_problems(config.workers, snapshot):
        raise ConfigurationError(tuple(problems))


def share_of_policy(
    snapshot: Snapshot, *, index: int, count: int, before: tuple[Snapshot, Snapshot] | None = None
) -> Snapshot:
    """The same for a tenant's quota of backends. before: a snapshot and its share; tenants that are the same there keep
    theirs."""
    whole, shared = (before[0].tenants, before[1].tenants) if before is not None else ({}, {})
    tenants = {
        name: shared[name]
        if whole.get(name) is tenant
        else tenant
        if tenant.quotas.backends is None
        else replace(
            tenant, quotas=replace(tenant.quotas, backends=share_of_number(tenant.quotas.backends, index, count))
        )
        for name, tenant in snapshot.tenants.items()
    }
    return replace(snapshot, tenants=tenants)


def share_of_number(whole: int, index: int, count: int) -> int:
    """The shares of all indexes make the whole, if that has one for each."""
    return max(1, whole // count + (index < whole % count))


def worker_log(path: Path, seat: int) -> Path:
    """Where the worker of a seat writes its audit log: audit-1.jsonl beside audit.jsonl."""
    return path.with_name(f"{path.stem}-{seat}{path.suffix}")
