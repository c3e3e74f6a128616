"""The key that seals an audit log: Ed25519 (RFC 8032), from a PEM file or an environment variable.

What is signed begins with a line that says what it is, so that no signature can stand for another kind. A key is named
by the first 16 hex digits of the SHA-256 of its 32 public bytes.

A tenant's key in the tenant maps (merkle.py) is the hash of a signature over the tenant's name. Such a
signature is the same each time, only the holder of the private key can make it, and everybody can check it: so a tenant
can be shown that this key is its own, and nobody can find out from a key whose it is by trying names.

Rotation: a new key's file also has a `handover: {…}` line in front of the PEM block, in which the old key vouches for
the new one. The log takes it over as a `handover` line.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from proxy.audit.canonical import Value, canonical, encoded

SEAL: Final = b"tenantgate audit seal 1\n"
TENANT: Final = b"tenantgate audit tenant 1\n"
HANDOVER: Final = b"tenantgate audit handover 1\n"
_HANDOVER_LINE: Final = "handover: "
_RAW: Final = serialization.Encoding.Raw


class UnusableKey(ValueError):
    """This is no key that can seal or check an audit log. The message never holds what was read."""


def statement_bytes(kind: bytes, fields: Mapping[str, Value]) -> bytes:
    """What is signed of a statement of this kind: all of its fields but the signature."""
    return kind + encoded(canonical({name: value for name, value in fields.items() if name != "signature"}))


@dataclass(frozen=True, slots=True)
class Handover:
    """The old key vouches for the new one."""

    old: str
    new: str
    new_public: str
    signature: str

    @property
    def fields(self) -> dict[str, str]:
        return {"old": self.old, "new": self.new, "new_public": self.new_public, "signature": self.signature}

    def holds(self, old: PublicKey) -> bool:
        """Whether `old` signed this, and the new key is the one that is named."""
        try:
            new = PublicKey.from_hex(self.new_public)
        except UnusableKey:
            return False
        return self.old == old.id and new.id == self.new and old.signed(HANDOVER, self.fields)


class PublicKey:
    """Checks what a SigningKey has signed."""

    __slots__ = ("_key", "id", "raw")

    def __init__(self, key: Ed25519PublicKey) -> None:
        self._key = key
        self.raw = key.public_bytes(_RAW, serialization.PublicFormat.Raw)
        self.id = hashlib.sha256(self.raw).hexdigest()[:16]

    @classmethod
    def from_hex(cls, text: str) -> PublicKey:
        """From 64 hex digits. Raises UnusableKey."""
        try:
            return cls(Ed25519PublicKey.from_public_bytes(bytes.fromhex(text)))
        except ValueError:
            raise UnusableKey("not the 64 hex digits of an Ed25519 public key") from None

    @classmethod
    def from_text(cls, text: str) -> PublicKey:
        """From PEM or 64 hex digits. Raises UnusableKey."""
        if "-----BEGIN" not in text:
            return cls.from_hex(text.strip())
        try:
            key = serialization.load_pem_public_key(text[text.index("-----BEGIN") :].encode())
        except (ValueError, UnsupportedAlgorithm):
            raise UnusableKey("not a public key in PEM form") from None
        if not isinstance(key, Ed25519PublicKey):
            raise UnusableKey("not an Ed25519 key")
        return cls(key)

    def signed(self, kind: bytes, fields: Mapping[str, Value]) -> bool:
        """Whether the `signature` among the fields is this key's over the others."""
        try:
            self._key.verify(bytes.fromhex(str(fields.get("signature", ""))), statement_bytes(kind, fields))
        except (InvalidSignature, ValueError):
            return False
        return True

    def tenant_key(self, tenant: str, proof: str) -> bytes | None:
        """The tenant's key in the maps, if `proof` is this key's word for it."""
        try:
            signature = bytes.fromhex(proof)
            self._key.verify(signature, _of_tenant(tenant))
        except (InvalidSignature, ValueError):
            return None
        return hashlib.sha256(signature).digest()

    def pem(self) -> str:
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        return self._key.public_bytes(serialization.Encoding.PEM, form).decode()


class SigningKey:
    """Lifetime: the process. `handovers`: how the keys before it came to be this one, oldest first."""

    __slots__ = ("_key", "handovers", "public")

    def __init__(self, key: Ed25519PrivateKey, handovers: tuple[Handover, ...] = ()) -> None:
        self._key = key
        self.handovers = handovers
        self.public = PublicKey(key.public_key())

    @classmethod
    def generate(cls) -> SigningKey:
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def from_text(cls, text: str) -> SigningKey:
        """From PEM (PKCS#8), with `handover` lines in front of it or none. Raises UnusableKey."""
        start = text.find("-----BEGIN")
        try:
            key = serialization.load_pem_private_key(text[max(start, 0) :].encode(), None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            raise UnusableKey("not an unencrypted private key in PEM form") from None
        if not isinstance(key, Ed25519PrivateKey):
            raise UnusableKey("not an Ed25519 key")
        return cls(key, _read_handovers(text[:start]))

    @property
    def id(self) -> str:
        return self.public.id

    def sign(self, kind: bytes, fields: Mapping[str, Value]) -> str:
        return self._key.sign(statement_bytes(kind, fields)).hex()

    def tenant_proof(self, tenant: str) -> str:
        """What shows everybody the tenant's key in the maps (`PublicKey.tenant_key`)."""
        return self._key.sign(_of_tenant(tenant)).hex()

    def derived_secret(self, purpose: str) -> bytes:
        """32 bytes that every process with this key has and nobody else."""
        private = self._key.private_bytes(_RAW, serialization.PrivateFormat.Raw, serialization.NoEncryption())
        return hashlib.sha256(b"tenantgate " + purpose.encode() + b"\n" + private).digest()

    def hand_over(self) -> SigningKey:
        """A new key, for which this one vouches."""
        new = Ed25519PrivateKey.generate()
        public = PublicKey(new.public_key())
        fields = {"old": self.id, "new": public.id, "new_public": public.raw.hex()}
        handover = Handover(**fields, signature=self.sign(HANDOVER, fields))
        return SigningKey(new, (*self.handovers, handover))

    def pem(self) -> str:
        """The file's text: handovers, then the private key."""
        lines = "".join(f"{_HANDOVER_LINE}{canonical(each.fields)}\n" for each in self.handovers)
        form = serialization.PrivateFormat.PKCS8
        return lines + self._key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()

    def handovers_from(self, key_id: str) -> tuple[Handover, ...] | None:
        """The handovers that lead from this key to ours; None when there is no such way."""
        if key_id == self.id:
            return ()
        for start, each in enumerate(self.handovers):
            if each.old == key_id:
                return self.handovers[start:]
        return None


def read_handover(fields: Mapping[str, object]) -> Handover:
    """Raises KeyError when a field is missing."""
    return Handover(*(str(fields[name]) for name in ("old", "new", "new_public", "signature")))


def _of_tenant(tenant: str) -> bytes:
    return TENANT + encoded(tenant)


def _read_handovers(text: str) -> tuple[Handover, ...]:
    found: list[Handover] = []
    for line in text.splitlines():
        if line.startswith(_HANDOVER_LINE):
            try:
                found.append(read_handover(json.loads(line[len(_HANDOVER_LINE) :])))
            except (ValueError, KeyError, TypeError):
                raise UnusableKey("a handover line that cannot be read") from None
    return tuple(found)
