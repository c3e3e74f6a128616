"""The beginning: a follower for the configured store, and all of a store's policy read once."""

from __future__ import annotations

from collections.abc import Callable

from policy.changes import EMPTY
from policy.snapshot import Snapshot
from proxy.config import GatewayConfig
from proxy.policy_feed.follower import Follower, snapshot_of
from proxy.policy_feed.source import open_source


async def read_store(config: GatewayConfig) -> Snapshot:
    """The newest snapshot. Raises StoreAway or ConfigurationError."""
    source = open_source(config.policy)
    try:
        return await snapshot_of(await source.read(0), EMPTY, databases_of(config))
    finally:
        await source.close()


def follow(config: GatewayConfig, now: Callable[[], GatewayConfig]) -> Follower | None:
    """A follower of the configured store, not yet begun; None: policy is in a document. now: the configuration as it is
    after reloads. Raises StoreAway when what it takes is not installed."""
    if config.policy.store is None:
        return None
    return Follower(open_source(config.policy), lambda: databases_of(now()))


def databases_of(config: GatewayConfig) -> dict[str, str]:
    """Each target and its own database."""
    return {name: target.database for name, target in config.targets.items()}
