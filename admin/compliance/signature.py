"""Detached signatures of reports: Ed25519 over the file's bytes, with a key of the same form as those that seal logs.

`report.html.sig` is a JSON object: `file`, `sha256`, `key` (the first 16 hex digits of the SHA-256 of the public key),
`public` and `signature` (hex). What is signed is the line below followed by the file's bytes, so that no such signature
stands for anything else. `public` is there for comparison: trust comes from a key that you got elsewhere.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from policy.errors import TenantGateError

REPORT: Final = b"tenantgate compliance report 1\n"
_RAW: Final = serialization.Encoding.Raw


class UnusableReportKey(TenantGateError):
    """The key cannot be read; the message never holds what was read."""

    kind = "compliance"


@dataclass(frozen=True, slots=True)
class Checked:
    """What checking a signature gave. key: the id of the key that it says it is by."""

    ok: bool
    key: str
    reason: str = ""


def read_private_key(text: str) -> Ed25519PrivateKey:
    """From PEM (PKCS#8); `handover` lines in front of it are for the log. Raises UnusableReportKey."""
    try:
        key = serialization.load_pem_private_key(text[max(text.find("-----BEGIN"), 0) :].encode(), None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise UnusableReportKey("this is no unencrypted private key in PEM form") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise UnusableReportKey("this is no Ed25519 key", hint="Make one: openssl genpkey -algorithm ed25519")
    return key


def read_public_key(text: str) -> Ed25519PublicKey:
    """From PEM or 64 hex digits. Raises UnusableReportKey."""
    try:
        if "-----BEGIN" not in text:
            return Ed25519PublicKey.from_public_bytes(bytes.fromhex(text.strip()))
        key = serialization.load_pem_public_key(text[text.index("-----BEGIN") :].encode())
    except (ValueError, UnsupportedAlgorithm):
        raise UnusableReportKey("this is no public key in PEM form or in 64 hex digits") from None
    if not isinstance(key, Ed25519PublicKey):
        raise UnusableReportKey("this is no Ed25519 key")
    return key


def sign_report(data: bytes, name: str, key: Ed25519PrivateKey) -> bytes:
    """The content of the signature's file."""
    public = key.public_key().public_bytes(_RAW, serialization.PublicFormat.Raw)
    fields = {
        "format": 1,
        "file": name,
        "sha256": hashlib.sha256(data).hexdigest(),
        "key": _id_of(public),
        "public": public.hex(),
        "signature": key.sign(REPORT + data).hex(),
    }
    return json.dumps(fields, indent=1).encode() + b"\n"


def check_report(path: Path, public: Ed25519PublicKey) -> Checked:
    """Whether the signature beside a report is this key's over the report. Raises OSError."""
    data = path.read_bytes()
    try:
        fields = json.loads(signature_path(path).read_bytes())
        key, signature = str(fields["key"]), bytes.fromhex(fields["signature"])
    except (ValueError, KeyError, TypeError):
        return Checked(False, "", "the signature's file cannot be understood")
    try:
        public.verify(signature, REPORT + data)
    except InvalidSignature:
        expected = _id_of(public.public_bytes(_RAW, serialization.PublicFormat.Raw))
        reason = "the report was changed, or the signature" if key == expected else f"it is by another key, {key}"
        return Checked(False, key, reason)
    return Checked(True, key)


def signature_path(report: Path) -> Path:
    return report.with_name(report.name + ".sig")


def _id_of(public: bytes) -> str:
    return hashlib.sha256(public).hexdigest()[:16]
