"""The `[tls]` section, and whether its certificates can be used: found at reading, not at the first login."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization

from proxy.config import TlsConfig
from proxy.config_values import Table, warn_if_public

_EXPIRY_WARNING = timedelta(days=14)


def read_tls(table: Table) -> TlsConfig:
    """The section; certificates that do not load or do not belong together are problems."""
    default = TlsConfig()
    mode = table.choice("mode", default.mode, ("require", "allow", "off"))
    tls = TlsConfig(
        mode=mode,
        certificate=table.existing_file("certificate"),
        key=table.existing_file("key"),
        client_ca=table.existing_file("client_ca"),
        sni_suffix=_sni_suffix(table),
    )
    for key in ("certificate", "key"):
        if mode != "off" and not table.has(key):
            table.problem(key, f"is missing, but mode is {mode}", 'Set it, or mode = "off" on a trusted network.')
    if tls.key is not None:
        warn_if_public(table, "key", tls.key)
    if tls.certificate is not None and tls.key is not None:
        _check_pair(table, tls.certificate, tls.key)
    if tls.client_ca is not None:
        check_authorities(table, "client_ca", tls.client_ca)
    table.finish()
    return tls


def check_authorities(table: Table, key: str, path: Path) -> None:
    """A file of CA certificates must hold at least one."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except (OSError, ssl.SSLError):
        table.problem(key, "holds no CA certificate", f"{path} must hold PEM certificates.")


def _sni_suffix(table: Table) -> str | None:
    suffix = table.optional_text("sni_suffix")
    if suffix is not None and not (suffix.startswith(".") and suffix == suffix.lower() and len(suffix) > 1):
        table.problem(
            "sni_suffix", f"{suffix!r} is not a suffix", 'Begin with a dot, in lower case: ".db.example.com".'
        )
    return suffix


def _check_pair(table: Table, certificate_path: Path, key_path: Path) -> None:
    certificate = _load_certificate(table, certificate_path)
    public_key = _load_public_half(table, key_path)
    if certificate is None or public_key is None:
        return
    if _encode(certificate.public_key()) != public_key:
        hint = "Give the key that the certificate was made for; the server's own certificate stands first in the file."
        table.problem("key", "does not belong to tls.certificate", hint)
        return
    _check_dates(table, certificate)
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate_path, key_path, password=lambda: b"")
    except (OSError, ssl.SSLError) as error:
        table.problem("certificate", f"OpenSSL refuses it: {error}", "Make a new one, for example with EC P-256.")


def _load_certificate(table: Table, path: Path) -> x509.Certificate | None:
    try:
        return x509.load_pem_x509_certificates(path.read_bytes())[0]
    except (OSError, ValueError, IndexError):
        table.problem("certificate", "holds no certificate that can be read", f"{path} must be PEM.")
        return None


def _load_public_half(table: Table, path: Path) -> bytes | None:
    try:
        return _encode(serialization.load_pem_private_key(path.read_bytes(), None).public_key())
    except TypeError:
        table.problem("key", "is protected by a passphrase", "Store it without one, mode 0600.")
    except (OSError, ValueError, UnsupportedAlgorithm):
        table.problem("key", "holds no private key that can be read", f"{path} must be PEM.")
    return None


def _encode(key: object) -> bytes:
    encoded: bytes = key.public_bytes(  # type: ignore[attr-defined]
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return encoded


def _check_dates(table: Table, certificate: x509.Certificate) -> None:
    left = certificate.not_valid_after_utc - datetime.now(UTC)
    if left < timedelta(0):
        table.warn("certificate", f"expired on {certificate.not_valid_after_utc:%Y-%m-%d}", "Clients will refuse it.")
    elif left < _EXPIRY_WARNING:
        table.warn("certificate", f"expires in {left.days} days", "Renew it and send the gateway a SIGHUP.")
    if certificate.not_valid_before_utc > datetime.now(UTC):
        table.warn("certificate", f"begins on {certificate.not_valid_before_utc:%Y-%m-%d}", "Check the clock.")
