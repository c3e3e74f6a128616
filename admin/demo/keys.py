"""The demo's own keys, which sign tokens and seal the audit log, and its self-signed TLS certificate. All are kept.

For a demo on loopback only: a real gateway trusts an identity provider's keys and has a certificate from a CA.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

CERTIFICATE_DAYS = 365


def write_private(path: Path, content: bytes) -> None:
    """Write a file that only we may read (0600 from its first byte on), replacing an old one at once."""
    fresh = path.with_name(path.name + ".new")
    with contextlib.suppress(FileNotFoundError):
        fresh.unlink()
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    fresh.replace(path)


def signing_key(private: Path, public: Path) -> Ed25519PrivateKey:
    """Return the key in `private`; make it when there is none. `public` gets its public half."""
    key = _read_signing_key(private)
    if key is None:
        key = Ed25519PrivateKey.generate()
        write_private(private, _pem(key))
    public.write_bytes(
        key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    return key


def certificate(path: Path, key_path: Path) -> None:
    """Make sure that a certificate for localhost with at least a day to live is there."""
    if _still_good(path, key_path):
        return
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "TenantGate demo")])
    now = datetime.now(UTC)
    addresses = [x509.IPAddress(ipaddress.ip_address(text)) for text in ("127.0.0.1", "::1")]
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=CERTIFICATE_DAYS))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost"), *addresses]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    write_private(key_path, _pem(key))
    path.write_bytes(built.public_bytes(serialization.Encoding.PEM))


def _pem(key: Ed25519PrivateKey | ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _read_signing_key(path: Path) -> Ed25519PrivateKey | None:
    with contextlib.suppress(OSError, ValueError):
        key = serialization.load_pem_private_key(path.read_bytes(), None)
        if isinstance(key, Ed25519PrivateKey):
            return key
    return None


def _still_good(path: Path, key_path: Path) -> bool:
    with contextlib.suppress(OSError, ValueError):
        found = x509.load_pem_x509_certificate(path.read_bytes())
        key = serialization.load_pem_private_key(key_path.read_bytes(), None)
        tomorrow = datetime.now(UTC) + timedelta(days=1)
        return found.public_key() == key.public_key() and found.not_valid_after_utc > tomorrow
    return False
