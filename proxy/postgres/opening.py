"""Before a connection speaks protocol 3: SSLRequest, direct TLS, GSSENCRequest, CancelRequest, on the bare socket.

Only the bytes of these packets are taken from the kernel. What follows is read by TLS or by the frontend, so bytes that
an attacker puts behind an SSLRequest meet the TLS handshake and break it (CVE-2021-23214).
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from dataclasses import dataclass

from proxy.errors import RemoteProtocolError
from proxy.postgres.wire.startup import (
    CANCEL_REQUEST,
    GSSENC_REQUEST,
    SSL_REQUEST,
    CancelRequest,
    check_packet_length,
    decode_cancel,
    unpack_int,
)

_TLS_HANDSHAKE = 0x16
_TERMINATE = b"X\0\0\0\4"
_POLL_S = 0.02
_MAX_REQUESTS = 3  # SSLRequest and GSSENCRequest, either first


@dataclass(frozen=True, slots=True)
class Opened:
    """The connection goes on with a startup packet, under TLS when `tls` is set. direct: without SSLRequest."""

    tls: ssl.SSLContext | None
    direct: bool


async def negotiate(sock: socket.socket, tls: ssl.SSLContext | None) -> Opened | CancelRequest | None:
    """Answer encryption requests until something else comes; None when the peer went away.

    The caller bounds the time. Raises RemoteProtocolError on a malformed packet.
    """
    loop = asyncio.get_running_loop()
    for _ in range(_MAX_REQUESTS):
        head = await _peek(sock)
        if head is None:
            return None
        if head[0] == _TLS_HANDSHAKE:
            if tls is None:
                raise RemoteProtocolError("TLS is not served here")
            return Opened(tls, direct=True)
        length, code = check_packet_length(unpack_int(head, 0)[0]), unpack_int(head, 4)[0]
        if code == CANCEL_REQUEST:
            return decode_cancel((await _read_exactly(sock, length))[4:])
        if code not in (SSL_REQUEST, GSSENC_REQUEST):
            return Opened(None, direct=False)
        if length != 8:
            raise RemoteProtocolError("invalid length of startup packet")
        await _read_exactly(sock, length)
        accepted = code == SSL_REQUEST and tls is not None
        await loop.sock_sendall(sock, b"S" if accepted else b"N")
        if accepted:
            return Opened(tls, direct=False)
    raise RemoteProtocolError("too many encryption requests")


async def _peek(sock: socket.socket) -> bytes | None:
    """The first 8 bytes, left in the kernel (1 is enough to tell TLS). Raises RemoteProtocolError on a bad length."""
    while True:
        await _readable(sock)
        try:
            head = sock.recv(8, socket.MSG_PEEK)
        except BlockingIOError:
            continue
        except OSError:
            return None
        if not head:
            return None
        if head[:5] == _TERMINATE:  # it has thought better of it: PostgreSQL says nothing either
            sock.recv(8)  # what is left unread would reset the connection
            return None
        if len(head) == 8 or head[0] == _TLS_HANDSHAKE:
            return head
        if len(head) >= 4:
            check_packet_length(unpack_int(head, 0)[0])  # one that is too short never comes to eight bytes
        await asyncio.sleep(_POLL_S)  # a peer that trickles: readiness would not block


async def _read_exactly(sock: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        await _readable(sock)
        chunk = sock.recv(size - len(data))
        if not chunk:
            raise RemoteProtocolError("connection closed within a startup packet")
        data += chunk
    return data


async def _readable(sock: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    loop.add_reader(sock, _wake, ready)
    try:
        await ready
    finally:
        loop.remove_reader(sock)


def _wake(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)
