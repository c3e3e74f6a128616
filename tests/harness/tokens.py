"""A token issuer for tests: an Ed25519 key, its JWKS, and JWTs signed with it."""

from __future__ import annotations

import base64
import secrets
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

ISSUER = "https://issuer.test"
AUDIENCE = "tenantgate"


class Issuer:
    """One issuer with one EdDSA key. Claims given as None are left out of the token."""

    def __init__(self, issuer: str = ISSUER, audience: str = AUDIENCE, kid: str = "test-1") -> None:
        self.issuer = issuer
        self.audience = audience
        self.kid = kid
        self.key = Ed25519PrivateKey.generate()

    @property
    def public_pem(self) -> bytes:
        return self.key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    @property
    def jwks(self) -> dict[str, Any]:
        raw = self.key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        x = base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
        return {"keys": [{"kty": "OKP", "crv": "Ed25519", "x": x, "kid": self.kid, "alg": "EdDSA", "use": "sig"}]}

    def write_public_key(self, path: Path) -> Path:
        path.write_bytes(self.public_pem)
        return path

    def token(
        self,
        subject: str = "alice",
        tenant: object = "acme",
        roles: Iterable[str] = ("app",),
        *,
        ttl_s: float = 3600.0,
        now: float | None = None,
        headers: Mapping[str, Any] | None = None,
        **claims: object,
    ) -> str:
        """Return a signed JWT; `claims` add to or replace the standard ones (tenant, iss, aud, ...)."""
        issued = time.time() if now is None else now
        payload: dict[str, object] = {
            "iss": self.issuer,
            "aud": self.audience,
            "sub": subject,
            "tenant": tenant,
            "roles": list(roles),
            "iat": int(issued),
            "exp": int(issued + ttl_s),
            "jti": secrets.token_hex(8),
        } | claims
        present = {name: value for name, value in payload.items() if value is not None}
        return jwt.encode(present, self.key, algorithm="EdDSA", headers={"kid": self.kid, **(headers or {})})
