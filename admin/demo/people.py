"""Who uses the demo: one person for each thing it shows, and the tokens that they log in with."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

ISSUER = "tenantgate-demo"
AUDIENCE = "tenantgate"
TOKEN_HOURS = 12


@dataclass(frozen=True, slots=True)
class Person:
    """A user of one tenant. `claims` are further token claims that row filters may name."""

    name: str
    tenant: str
    roles: tuple[str, ...]
    about: str
    claims: Mapping[str, str] = field(default_factory=dict)


ALICE = Person("alice", "acme", ("app",), "acme, in tables shared with globex")
BOB = Person("bob", "globex", ("app",), "globex, in the same tables")
CAROL = Person("carol", "initech", ("app",), "initech, in a schema of its own")
DAVE = Person("dave", "umbrella", ("app",), "umbrella, in a database of its own")
ANA = Person("ana", "acme", ("analyst",), "acme's analyst: reads, with e-mail and card masked")
RITA = Person("rita", "acme", ("sales",), "acme's sales for EMEA: that region's orders only", {"region": "EMEA"})
OLGA = Person("olga", "acme", ("operator",), "watches the gateway: SHOW POOLS, no tables")

OTTO = Person("otto", "acme", (), "runs the platform: every tenant, through the admin API")
AMY = Person("amy", "acme", (), "administers acme, through the admin API")
ADMINS = (OTTO, AMY)  # what they may do is assigned to them in the policy, their tokens name no role

PEOPLE = (ALICE, BOB, CAROL, DAVE, ANA, RITA, OLGA)


def mint(person: Person, key: Ed25519PrivateKey, *, now: float | None = None) -> str:
    """Return a JWT for one person, good for twelve hours."""
    issued = int(time.time() if now is None else now)
    claims: dict[str, object] = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": person.name,
        "tenant": person.tenant,
        "roles": list(person.roles),
        "iat": issued,
        "exp": issued + TOKEN_HOURS * 3600,
        **person.claims,
    }
    return jwt.encode(claims, key, algorithm="EdDSA", headers={"kid": "demo"})
