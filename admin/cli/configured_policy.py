"""The policy that a configuration names, a document's or a store's, for commands that look at it once."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from policy.snapshot import Snapshot
    from proxy.config import GatewayConfig


def configured_policy(config: GatewayConfig, databases: Mapping[str, str], path: Path | None = None) -> Snapshot:
    """databases: each target's own. path: another document in its place. Raises ConfigurationError, and TenantGateError
    when a store cannot be read."""
    if path is None and config.policy.store is not None:
        from proxy.policy_feed.first import read_store

        return asyncio.run(read_store(config))
    from policy.document import load_policy

    return load_policy(path or config.policy_file, version=1, targets=config.targets.keys(), databases=databases)
