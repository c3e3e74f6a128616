"""The ledger of what was done to the audit log itself: files removed after their time, legal holds, keys shredded.

A log of its own beside the audit log (`retention.jsonl`), in the same form: chained, sealed where the log is, and
checked by `tenantgate audit verify`. Which holds are in force is what it says.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, replace
from pathlib import Path

from proxy.audit.emitter import AuditEmitter
from proxy.config import AuditConfig

Fields = dict[str, str | int | float]


@dataclass(frozen=True, slots=True)
class Hold:
    """Nothing of a tenant, or of one of its users, may be removed or erased. name: what it is released by."""

    name: str
    tenant: str
    subject: str
    reason: str
    by: str
    since: float

    def covers(self, tenant: str, subject: str | None) -> bool:
        """Whether it forbids to erase this; subject None: all of the tenant."""
        return self.tenant in ("", tenant) and (subject is None or self.subject in ("", subject))


def ledger_path(config: AuditConfig) -> Path:
    return config.path.parent / "retention.jsonl"


def record(config: AuditConfig, *entries: Fields) -> None:
    """Write entries, on the disk when this returns. Raises AuditUnavailable."""
    asyncio.run(
        _record(replace(config, path=ledger_path(config), fsync=True, on_failure="deny", conceal="off"), entries)
    )


async def _record(config: AuditConfig, entries: tuple[Fields, ...]) -> None:
    emitter = AuditEmitter(config)
    emitter.start()
    try:
        for entry in entries:
            emitter.note(dict(entry))
    finally:
        await emitter.close()


def holds_in_force(config: AuditConfig) -> list[Hold]:
    """The holds that were not released. Raises OSError, and ValueError for a ledger that cannot be read."""
    try:
        lines = ledger_path(config).read_bytes().splitlines()
    except FileNotFoundError:
        return []
    held: dict[str, Hold] = {}
    for line in lines:
        entry = json.loads(line)
        if entry["event"] == "hold":
            held[entry["name"]] = Hold(*(entry[n] for n in ("name", "tenant", "subject", "reason", "by", "time")))
        elif entry["event"] == "release":
            held.pop(entry["name"], None)
    return list(held.values())
