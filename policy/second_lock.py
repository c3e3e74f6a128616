"""The second lock: native row-level security on the target, keyed on a setting that the gateway sets.

The setting's value is a claim, `tenant=acme` (a value of the tenant column) or `schema=initech` (a schema of its own),
behind its HMAC when the target has a key: then it proves itself, and who can run `SET` on a connection, or has stolen
the gateway's password, can still be no other tenant. `admin/provision` makes the database's side, the engine sets it.
A tenant with a database of its own has none: nothing stands beside its rows.
"""

from __future__ import annotations

import hashlib
import hmac

from policy.model import Isolation, Tenant

SCHEMA = "tenantgate"  # on the target: the function, the key, what provisioning made
SETTING = "tenantgate.tenant"
FUNCTION = f"{SCHEMA}.proven"
TENANT_POLICY = "tenantgate_tenant"  # restrictive: no other policy can widen it
ROWS_POLICY = "tenantgate_rows"  # permissive: rows are there at all
DIRECT_POLICY = "tenantgate_direct"  # for those who used the table before, past the gateway
PROOF_CHARACTERS = 64
MIN_KEY_BYTES = 32
_BLOCK_BYTES = 64  # of SHA-256


def claim_of(tenant: Tenant) -> str:
    """What the setting says of a tenant; "" for one with a database of its own."""
    if tenant.isolation is Isolation.SHARED:
        return f"tenant={tenant.value}"
    if tenant.isolation is Isolation.SCHEMA:
        return f"schema={tenant.schema or ''}"
    return ""


def setting_value(claim: str, key: bytes | None) -> str:
    """The setting's value: with a key, 64 hexadecimal digits of HMAC-SHA-256 and the claim; else the claim alone."""
    if key is None or not claim:
        return claim
    return hmac.new(_inner_key(key), claim.encode(), hashlib.sha256).hexdigest() + claim


def key_pads(key: bytes) -> tuple[bytes, bytes]:
    """The blocks that RFC 2104 calls K XOR ipad and K XOR opad: with them the database needs no more than sha256()."""
    block = _inner_key(key).ljust(_BLOCK_BYTES, b"\0")
    return bytes(b ^ 0x36 for b in block), bytes(b ^ 0x5C for b in block)


def _inner_key(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()
