"""Lines of the admin audit log, in the form of the data plane's (docs/audit.md): canonical JSON, each with the hash of
the one before, so that `tenantgate audit verify` checks an export as it checks a gateway's log. Pure.

before and after are texts of JSON within JSON: a body may hold any key, and a line has exactly one `hash`.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from admin.services.actor import Actor
from policy.canonical import canonical_json

FORMAT = 1
NO_HASH = "0" * 64


@dataclass(frozen=True, slots=True)
class Recorded:
    """What was done to which entity; before and after: its bodies, None where it was not there."""

    action: str
    kind: str
    entity: str
    tenant: str | None = None
    before: Mapping[str, Any] | None = None
    after: Mapping[str, Any] | None = None
    reason: str = ""


def first_line(now: float) -> tuple[str, str]:
    """The header of a new chain, and its hash."""
    fields = {"event": "header", "format": FORMAT, "version": "admin", "chain": secrets.token_hex(16), "time": now}
    return _seal(fields, 1, NO_HASH)


def chain_line(recorded: Recorded, actor: Actor, version: int, now: float, seq: int, prev: str) -> tuple[str, str]:
    """The line of a change as number `seq` after the one with hash `prev`, and its own hash."""
    fields = {
        "event": "admin",
        "time": now,
        "subject": actor.subject,
        "client": actor.client,
        "via": actor.via,
        "action": recorded.action,
        "kind": recorded.kind,
        "entity": recorded.entity,
        "tenant": recorded.tenant or "",
        "policy_version": version,
        "before": "" if recorded.before is None else canonical_json(recorded.before),
        "after": "" if recorded.after is None else canonical_json(recorded.after),
        "reason": recorded.reason,
    }
    return _seal(fields, seq, prev)


def is_whole(line: str, prev: str) -> str | None:
    """The line's hash if it follows the line with hash `prev` and was not changed, else None."""
    left, found, right = line.partition(',"hash":"')
    digest, body = right[:64], left + right[65:]
    if not found or hashlib.sha256((prev + body).encode()).hexdigest() != digest:
        return None
    return digest if f',"prev":"{prev}"' in body else None


def _seal(fields: Mapping[str, object], seq: int, prev: str) -> tuple[str, str]:
    left, right = canonical_json({**fields, "seq": seq, "prev": prev, "hash": ""}).split(',"hash":""', 1)
    digest = hashlib.sha256((prev + left + right).encode()).hexdigest()
    return f'{left},"hash":"{digest}"{right}', digest
