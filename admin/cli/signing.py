"""Private keys of the command line: making a pair, reading one, signing a token with it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from proxy.config import IssuerConfig
from proxy.identity.keys import KeySet, KeyUnusable, read_jwks, read_key_file

_PEM = serialization.Encoding.PEM
_PUBLIC = serialization.PublicFormat.SubjectPublicKeyInfo
_CURVES = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}


class SigningError(ValueError):
    """A key cannot be read, written or used; the text says why."""


@dataclass(frozen=True, slots=True)
class Signer:
    """A key with the algorithm it signs with."""

    key: Any = field(repr=False)
    algorithm: str

    def sign(self, claims: Mapping[str, object], kid: str | None) -> str:
        """The claims as a compact JWT."""
        headers = None if kid is None else {"kid": kid}
        return jwt.encode(dict(claims), self.key, algorithm=self.algorithm, headers=headers)

    def is_trusted_by(self, issuer: IssuerConfig) -> bool:
        """Whether the issuer's configured keys have this one's public half; keys behind a URL are taken on trust."""
        if issuer.hs256_secret is not None:
            return bool(self.key == issuer.hs256_secret)
        keys = _keys_of(issuer)
        if keys is None:
            return True
        return not isinstance(self.key, bytes) and any(
            not isinstance(known.key, bytes) and _encode(known.key) == _encode(self.key.public_key())
            for known in keys.keys
        )


def write_key_pair(private: Path) -> Path:
    """Make an Ed25519 key; returns the path of its public half. Raises SigningError rather than overwrite."""
    public = private.with_suffix(".pub.pem")
    key = Ed25519PrivateKey.generate()
    secret = key.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    if public.exists():
        raise SigningError(f"{public} exists and is not overwritten: name another file")
    _write_new(private, secret, 0o600)
    try:
        _write_new(public, key.public_key().public_bytes(_PEM, _PUBLIC), 0o644)
    except SigningError:
        with contextlib.suppress(OSError):
            private.unlink()
        raise
    return public


def load_signer(path: Path) -> Signer:
    """A PEM private key without a passphrase. Raises SigningError."""
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), None)
    except OSError as error:
        raise SigningError(f"{path} cannot be read: {error.strerror}") from None
    except TypeError:
        raise SigningError(f"{path} is protected by a passphrase: give a key without one") from None
    except (ValueError, UnsupportedAlgorithm):
        raise SigningError(f"{path} is not a PEM private key") from None
    if isinstance(key, Ed25519PrivateKey):
        return Signer(key, "EdDSA")
    if isinstance(key, rsa.RSAPrivateKey):
        return Signer(key, "RS256")
    if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name in _CURVES:
        return Signer(key, _CURVES[key.curve.name])
    raise SigningError(f"{path} is of a kind that tokens are not signed with: use Ed25519, EC P-256 or RSA")


def secret_signer(secret: bytes) -> Signer:
    return Signer(secret, "HS256")


def _keys_of(issuer: IssuerConfig) -> KeySet | None:
    try:
        if issuer.key_file is not None:
            return read_key_file(issuer.key_file.read_bytes())
        return None if issuer.jwks is None else read_jwks(issuer.jwks)
    except (KeyUnusable, OSError) as error:
        raise SigningError(f"the issuer's keys cannot be read: {error}") from None


def _encode(public_key: Any) -> bytes:
    encoded: bytes = public_key.public_bytes(serialization.Encoding.DER, _PUBLIC)
    return encoded


def _write_new(path: Path, data: bytes, mode: int) -> None:
    """Write a file that must not be there yet; it has its mode from the first byte on."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except FileExistsError:
        raise SigningError(f"{path} exists and is not overwritten: name another file") from None
    except OSError as error:
        raise SigningError(f"{path} cannot be written: {error.strerror}") from None
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
