"""Where the feed comes from: SQLite or PostgreSQL, read through two tables and nothing else."""

from __future__ import annotations

from typing import Protocol

from policy.entries import Batch
from policy.errors import TenantGateError
from proxy.config import PolicyConfig

POLL_S = 0.2  # SQLite tells nobody of changes
LISTENING_POLL_S = 0.5  # PostgreSQL does; this is for a notice that was lost, and to know that the store is there


class StoreAway(TenantGateError):
    """The store cannot be read now."""

    kind = "policy_store"
    default_sqlstate = "57P03"
    retryable = True


class Source(Protocol):
    """Lifetime: the process's. After StoreAway it may be asked again."""

    async def read(self, base: int) -> Batch:
        """What is new since version `base`, in one piece. Raises StoreAway."""

    async def wait(self) -> None:
        """Until something may have changed, at most the time between polls."""

    async def close(self) -> None: ...


def open_source(config: PolicyConfig) -> Source:
    """The source for the configured store. Raises StoreAway when what it takes is not installed."""
    assert config.store is not None
    if "://" not in config.store:
        from proxy.policy_feed.sqlite_source import SqliteSource

        return SqliteSource(config.store)
    from proxy.policy_feed.postgres_source import PostgresSource

    return PostgresSource(config.store)
