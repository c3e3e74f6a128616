"""Keys that verify tokens: read from PEM, from a JWKS document, or a shared secret; chosen by kid and algorithm.

A key is bound to its algorithms when it is read, so that a token's `alg` can only choose among what the key is for
(RFC 8725 section 3.1). Keys for encryption, private parts and unknown kinds in a JWKS are left out; symmetric keys
never come from a document. Source: RFC 7517, RFC 7518, RFC 8037.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.x509 import load_pem_x509_certificate
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from policy.errors import AuthenticationError

MIN_RSA_BITS = 2048
MIN_SECRET_BYTES = 32  # RFC 7518 section 3.2
MAX_KEYS = 200
MAX_KID_CHARACTERS = 256

_RSA_ALGORITHMS = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"})
_CURVE_ALGORITHMS = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}
_READERS: dict[str, type[RSAAlgorithm] | type[ECAlgorithm] | type[OKPAlgorithm]] = {
    "RSA": RSAAlgorithm,
    "EC": ECAlgorithm,
    "OKP": OKPAlgorithm,
}
_PUBLIC_MEMBERS = {"RSA": ("n", "e"), "EC": ("crv", "x", "y"), "OKP": ("crv", "x")}

PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | ed448.Ed448PublicKey


class KeyUnusable(ValueError):
    """A key, or a document of keys, cannot be used; the text says why."""


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """One key, the algorithms that it is for, and its id (None: a key from a file or a secret)."""

    kid: str | None
    algorithms: frozenset[str]
    key: PublicKey | bytes = field(repr=False)


class UnknownKey(AuthenticationError):
    """No key with that id: the issuer may have rotated its keys."""


@dataclass(frozen=True, slots=True)
class KeySet:
    """All keys of one issuer. Never shared between issuers: each may only sign for itself."""

    keys: tuple[VerificationKey, ...]

    def select(self, kid: str | None, algorithm: str) -> VerificationKey:
        """The one key for a token's header.

        Raises UnknownKey when no key has that id, AuthenticationError when the choice is not clear or the algorithm
        is not the key's.
        """
        if kid is None:
            named = self.keys
            if len(named) > 1:
                raise AuthenticationError("the token names no key and the issuer has several")
        else:
            named = tuple(key for key in self.keys if key.kid == kid) or self._only_anonymous()
        if not named:
            raise UnknownKey("the issuer has no key with the token's kid")
        fitting = [key for key in named if algorithm in key.algorithms]
        if len(fitting) != 1:
            raise AuthenticationError(f"the key is not one for algorithm {algorithm}")
        return fitting[0]

    def _only_anonymous(self) -> tuple[VerificationKey, ...]:
        """A sole key without an id (from a file) answers for every kid."""
        return self.keys if len(self.keys) == 1 and self.keys[0].kid is None else ()


def secret_keys(secret: bytes) -> KeySet:
    """A shared secret for HS256, of at least 32 bytes."""
    if len(secret) < MIN_SECRET_BYTES:
        raise KeyUnusable(f"a secret for HS256 needs at least {MIN_SECRET_BYTES} bytes")
    return KeySet((VerificationKey(None, frozenset({"HS256"}), secret),))


def read_key_file(data: bytes) -> KeySet:
    """A PEM public key or certificate, or a JWKS document."""
    if not data.lstrip().startswith(b"-----BEGIN"):
        try:
            return read_jwks(json.loads(data))
        except (ValueError, RecursionError) as error:
            if isinstance(error, KeyUnusable):
                raise
            raise KeyUnusable("neither PEM nor a JSON document") from None
    if b"PRIVATE KEY" in data:
        raise KeyUnusable("holds a private key: give the gateway the public one only")
    try:
        if b"BEGIN CERTIFICATE" in data:
            loaded: object = load_pem_x509_certificate(data).public_key()
        else:
            loaded = serialization.load_pem_public_key(data)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise KeyUnusable(f"not a PEM public key: {error}") from None
    key = _public_key(loaded)
    return KeySet((VerificationKey(None, algorithms_of(key), key),))


def read_jwks(document: object) -> KeySet:
    """The signature keys of a JWKS document (RFC 7517 section 5). Raises KeyUnusable when there is none."""
    listed = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(listed, list) or len(listed) > MAX_KEYS:
        raise KeyUnusable(f"not a JWKS document with a list of at most {MAX_KEYS} keys")
    keys = tuple(_usable_keys(listed))
    if not keys:
        raise KeyUnusable("the JWKS document has no usable signature key")
    return KeySet(keys)


def algorithms_of(key: PublicKey) -> frozenset[str]:
    """Every algorithm that such a key can be for."""
    if isinstance(key, rsa.RSAPublicKey):
        return _RSA_ALGORITHMS
    if isinstance(key, ec.EllipticCurvePublicKey):
        return frozenset({_CURVE_ALGORITHMS[key.curve.name]})
    return frozenset({"EdDSA"})


def _usable_keys(listed: Iterable[object]) -> Iterable[VerificationKey]:
    """RFC 7517 section 5: keys of unknown kinds are ignored, so is one that is broken."""
    for item in listed:
        if isinstance(item, dict) and _is_for_signatures(item):
            try:
                yield _read_jwk(item)
            except (KeyUnusable, ValueError, TypeError, jwt.PyJWTError, UnsupportedAlgorithm):
                continue


def _is_for_signatures(item: Mapping[str, Any]) -> bool:
    operations = item.get("key_ops", ["verify"])
    return item.get("use", "sig") == "sig" and isinstance(operations, list) and "verify" in operations


def _read_jwk(item: Mapping[str, Any]) -> VerificationKey:
    kind = item.get("kty")
    if not isinstance(kind, str) or kind not in _PUBLIC_MEMBERS:
        raise KeyUnusable("unknown kty")
    public = {name: item[name] for name in _PUBLIC_MEMBERS[kind] if name in item} | {"kty": kind}
    key = _public_key(_READERS[kind].from_jwk(public))
    algorithms = algorithms_of(key)
    if "alg" in item:
        algorithms &= {item["alg"]}
    kid = item.get("kid")
    if not algorithms or not isinstance(kid, str | None):
        raise KeyUnusable("alg or kid does not fit")
    return VerificationKey(kid, algorithms, key)


def _public_key(key: object) -> PublicKey:
    if isinstance(key, rsa.RSAPublicKey):
        if key.key_size < MIN_RSA_BITS:
            raise KeyUnusable(f"an RSA key needs at least {MIN_RSA_BITS} bits")
        return key
    if isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name in _CURVE_ALGORITHMS:
        return key
    if isinstance(key, ed25519.Ed25519PublicKey | ed448.Ed448PublicKey):
        return key
    raise KeyUnusable("a kind of key that no supported algorithm uses")
