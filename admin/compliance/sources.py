"""What a report is made of: the audit log and its index, the configuration and the policy, and the period."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from admin.audit_search.totals import DAY_S
from policy.snapshot import Snapshot
from proxy.config import GatewayConfig


@dataclass(frozen=True, slots=True)
class ChainState:
    """What verifying one chain of the log gave."""

    chain: str
    files: int
    lines: int
    ok: bool
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Sources:
    """config, snapshot: None where they could not be read; `why_not` says why.

    since, until: days since the epoch (UTC), `until` not included. tenant: the report shows nothing of others.
    chains: None when the log was not verified.
    """

    index: sqlite3.Connection
    log: Path
    since: int
    until: int
    tenant: str | None = None
    config: GatewayConfig | None = None
    snapshot: Snapshot | None = None
    why_not: str = ""
    chains: Sequence[ChainState] | None = None

    @property
    def reason_unread(self) -> str:
        """Why configuration or policy could not be read; a tenant is not told, since others' names may be in it."""
        return "ask your operator" if self.tenant is not None else self.why_not or "no configuration was given"

    @property
    def days(self) -> int:
        return self.until - self.since


def date_of(day: int) -> str:
    """ISO 8601."""
    return datetime.fromtimestamp(day * DAY_S, UTC).date().isoformat()
