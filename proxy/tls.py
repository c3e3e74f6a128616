"""TLS contexts for frontends: certificates from files, ALPN `postgresql`, optional client certificates, SNI.

Certificates are read when a context is built; a reload builds new contexts, open connections keep theirs.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from typing import cast

from policy.errors import ConfigurationError
from proxy.config import TlsConfig
from proxy.postgres.wire.scram import tls_server_end_point

ALPN_PROTOCOL = "postgresql"


@dataclass(frozen=True, slots=True)
class PeerIdentity:
    """What the TLS handshake told of a client."""

    sni: str | None
    certificate_cn: str | None
    alpn: str | None


def server_context(tls: TlsConfig, alpn: str = ALPN_PROTOCOL) -> ssl.SSLContext | None:
    """The context for accepted connections, None when TLS is off. Raises ConfigurationError."""
    if tls.mode == "off":
        return None
    if tls.certificate is None or tls.key is None:
        raise ConfigurationError((("tls.certificate", "no certificate", "set tls.certificate and tls.key"),))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    try:
        context.load_cert_chain(tls.certificate, tls.key)
        if tls.client_ca is not None:
            context.load_verify_locations(tls.client_ca)
            context.verify_mode = ssl.CERT_OPTIONAL
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError((("tls", f"cannot load certificates: {error}", "check the files"),)) from None
    context.set_alpn_protocols([alpn])
    context.sni_callback = _remember_sni
    return context


def _remember_sni(connection: ssl.SSLObject, name: str | None, _context: ssl.SSLContext) -> None:
    connection.tenantgate_sni = name  # type: ignore[attr-defined]


def server_end_point(tls: TlsConfig) -> bytes | None:
    """`tls-server-end-point` of our certificate (RFC 5929), None when it has none (Ed25519) or TLS is off."""
    if tls.mode == "off" or tls.certificate is None:
        return None
    der = ssl.PEM_cert_to_DER_cert(_first_certificate(tls.certificate.read_text("ascii")))
    try:
        return tls_server_end_point(der)
    except ValueError:
        return None


def _first_certificate(chain: str) -> str:
    end = "-----END CERTIFICATE-----"
    return chain[chain.index("-----BEGIN CERTIFICATE-----") : chain.index(end) + len(end)]


def peer_identity(connection: ssl.SSLObject) -> PeerIdentity:
    """SNI, common name of a verified client certificate, and ALPN of a finished handshake."""
    certificate = connection.getpeercert() or {}
    subject = cast("tuple[tuple[tuple[str, str], ...], ...]", certificate.get("subject", ()))
    names = [value for rdn in subject for key, value in rdn if key == "commonName"]
    return PeerIdentity(
        sni=getattr(connection, "tenantgate_sni", None),
        certificate_cn=names[0] if len(names) == 1 else None,
        alpn=connection.selected_alpn_protocol(),
    )
