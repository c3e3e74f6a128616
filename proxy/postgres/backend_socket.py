"""Open a socket to a target and agree on TLS; shared by backend connections and cancel requests.

Knows addresses, timeouts and certificates, not what is said afterwards. The answer to SSLRequest is read as exactly
one byte from our own socket, so nothing that came in plaintext can be taken for decrypted data (CVE-2021-23222).
Source: PostgreSQL protocol documentation, "SSL Session Encryption"; libpq, "SSL Support", for the modes.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from ipaddress import ip_address
from pathlib import Path

from proxy.config import TargetConfig
from proxy.errors import TargetUnavailable
from proxy.postgres.wire.startup import SSL_REQUEST

ALPN_PROTOCOL = "postgresql"
KEEPALIVE_IDLE_S = 30
KEEPALIVE_INTERVAL_S = 10
KEEPALIVE_PROBES = 4

TLS_MODES = frozenset({"disable", "prefer", "require", "verify-ca", "verify-full"})
_ENCODED_SSL_REQUEST = struct.pack("!II", 8, SSL_REQUEST)


async def open_socket(target: TargetConfig) -> socket.socket:
    """A connected, non-blocking socket to the target. Raises OSError. A host that begins with / is a directory
    of Unix sockets."""
    loop = asyncio.get_running_loop()
    if target.host.startswith("/"):
        return await _connect(socket.AF_UNIX, f"{target.host}/.s.PGSQL.{target.port}")
    error: OSError = OSError("host name has no address")
    for family, _, _, _, address in await loop.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM):
        try:
            return await _connect(family, address)
        except OSError as failure:
            error = failure
    raise error


async def _connect(family: int, address: object) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        if family != socket.AF_UNIX:
            _tune(sock)
        await asyncio.get_running_loop().sock_connect(sock, address)  # type: ignore[arg-type]
    except BaseException:
        sock.close()
        raise
    return sock


def _tune(sock: socket.socket) -> None:
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (
        ("TCP_KEEPIDLE", KEEPALIVE_IDLE_S),
        ("TCP_KEEPINTVL", KEEPALIVE_INTERVAL_S),
        ("TCP_KEEPCNT", KEEPALIVE_PROBES),
    ):
        if hasattr(socket, option):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)


async def negotiate_tls(sock: socket.socket, target: TargetConfig) -> ssl.SSLContext | None:
    """Send SSLRequest as the target's mode wants it; the context to go on with, or None for plaintext.

    Raises TargetUnavailable when the mode demands TLS and the server has none, or the server breaks the protocol.
    """
    if target.tls not in TLS_MODES:
        raise TargetUnavailable(f'target "{target.name}": unknown tls mode "{target.tls}"')
    if target.tls == "disable" or sock.family == socket.AF_UNIX:
        return None
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(sock, _ENCODED_SSL_REQUEST)
    answer = await loop.sock_recv(sock, 1)
    if answer == b"S":
        _refuse_early_bytes(sock, target)
        return tls_context(target.tls, target.ca_file)
    if answer == b"N" and target.tls == "prefer":
        return None
    if answer == b"N":
        raise TargetUnavailable(f'target "{target.name}" does not offer TLS, which tls = "{target.tls}" demands')
    raise TargetUnavailable(f'target "{target.name}" did not answer SSLRequest as PostgreSQL does')


def _refuse_early_bytes(sock: socket.socket, target: TargetConfig) -> None:
    """A TLS server is silent until ClientHello: bytes that are here already were put in by somebody else."""
    try:
        early = sock.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return
    if early:
        raise TargetUnavailable(f'target "{target.name}" sent unencrypted data after its answer to SSLRequest')


def tls_context(mode: str, ca_file: Path | None) -> ssl.SSLContext:
    """A client context. `require` with a CA file verifies as verify-ca does, like libpq; without one it does not
    verify. Raises OSError when the CA file cannot be read."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols([ALPN_PROTOCOL])
    context.check_hostname = mode == "verify-full"
    if mode.startswith("verify-") or (mode == "require" and ca_file is not None):
        context.verify_mode = ssl.CERT_REQUIRED
        if ca_file is None:
            context.load_default_certs(ssl.Purpose.SERVER_AUTH)
        else:
            context.load_verify_locations(cafile=ca_file)
    else:
        context.verify_mode = ssl.CERT_NONE
    return context


def is_loopback(sock: socket.socket) -> bool:
    """The peer is this machine: nobody can listen in on the way."""
    if sock.family == socket.AF_UNIX:
        return True
    try:
        return ip_address(sock.getpeername()[0]).is_loopback
    except (OSError, ValueError):
        return False
