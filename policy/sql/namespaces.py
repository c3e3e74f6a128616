"""What all sessions of a database share by name, kept per tenant: notification channels and advisory locks.

A channel `orders` is `tg_<hash>_orders` on the target, where hash is of the tenant's id (80 bits of SHA-256). What
stands before the name is of one length and written by the gateway, so two tenants meet in a channel only if their ids'
hashes are equal, and nobody can write a channel of another. A name that would grow beyond PostgreSQL's 63 bytes becomes
`tg_<hash>~<hash of the name>`. All of it can be computed in SQL: by rules/tenant_names.py, and by triggers of the
database's owner.

The key of an advisory lock is hashed together with a key of the tenant's: `lock_key`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

MAX_NAME_BYTES = 63
_HASH_CHARACTERS = 20
NAMESPACE_CHARACTERS = len("tg_") + _HASH_CHARACTERS
LONGEST_KEPT = MAX_NAME_BYTES - NAMESPACE_CHARACTERS - 1


def namespace_of(tenant_id: str) -> str:
    """What a tenant's channels begin with."""
    return "tg_" + hashlib.sha256(tenant_id.encode()).hexdigest()[:_HASH_CHARACTERS]


def lock_key_of(tenant_id: str, salt: str) -> str:
    """What a tenant's advisory locks are hashed with. salt: of the target's server, known to its gateways only."""
    return hashlib.sha256(f"{salt}\0{tenant_id}".encode()).hexdigest()[:32]


def target_channel(namespace: str, name: str) -> str:
    """The channel on the target that a session of the namespace calls `name` (of 63 bytes at most)."""
    encoded = name.encode()
    if len(encoded) <= LONGEST_KEPT:
        return f"{namespace}_{name}"
    return f"{namespace}~{hashlib.sha256(encoded).hexdigest()[:LONGEST_KEPT]}"


def is_shortened(name: str) -> bool:
    """Whether the target's channel does not tell the name."""
    return len(name.encode()) > LONGEST_KEPT


def client_channel(namespace: str, channel: str, shortened: Mapping[str, str]) -> str | None:
    """The session's name for a channel of the target; None for one that is not its tenant's.

    shortened: names by their channels on the target.
    """
    if channel.startswith(f"{namespace}_"):
        return channel[NAMESPACE_CHARACTERS + 1 :]
    return shortened.get(channel)
