"""The untagged packets that open a connection: startup, SSLRequest, GSSENCRequest, CancelRequest.

Sans-io. Source: PostgreSQL protocol documentation, "Start-up" and "Message Formats"; limits as in the server.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from proxy.errors import RemoteProtocolError

MAX_STARTUP_BYTES = 10_000
SSL_REQUEST = 80877103
GSSENC_REQUEST = 80877104
CANCEL_REQUEST = 80877102
MAX_CANCEL_KEY_BYTES = 256

unpack_int = struct.Struct("!I").unpack_from


@dataclass(frozen=True, slots=True)
class StartupMessage:
    """`parameters` as sent, in order, without `_pq_.` options; `duplicates` are names that came twice."""

    protocol: tuple[int, int]
    parameters: dict[str, str]
    protocol_options: tuple[str, ...] = ()
    duplicates: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CancelRequest:
    pid: int
    key: bytes = field(repr=False)


def check_packet_length(length: int) -> int:
    """The length field of a startup packet, or RemoteProtocolError."""
    if length < 8 or length > MAX_STARTUP_BYTES:
        raise RemoteProtocolError("invalid length of startup packet")
    return length


def is_cancel_request(body: bytes) -> bool:
    """`body` follows the length."""
    return bool(unpack_int(body, 0)[0] == CANCEL_REQUEST)


def decode_startup(body: bytes) -> StartupMessage:
    """`body` follows the length: Int32 version, then name/value pairs, then a zero byte."""
    version = unpack_int(body, 0)[0]
    if version >> 16 != 3:
        raise RemoteProtocolError(
            f"unsupported frontend protocol {version >> 16}.{version & 0xFFFF}: server supports 3.0 to 3.2",
            sqlstate="0A000",
        )
    if len(body) < 5 or body[-1] != 0:
        raise RemoteProtocolError("invalid startup packet layout: expected terminator as last byte")
    fields = body[4:-1].split(b"\0")
    if fields and fields[-1] == b"":
        fields.pop()
    if len(fields) % 2 or any(name == b"" for name in fields[::2]):
        raise RemoteProtocolError("invalid startup packet layout")
    return _collect(version, fields)


def _collect(version: int, fields: list[bytes]) -> StartupMessage:
    parameters: dict[str, str] = {}
    options: list[str] = []
    duplicates: list[str] = []
    try:
        texts = [item.decode("utf-8") for item in fields]
    except UnicodeDecodeError:
        raise RemoteProtocolError("startup packet is not UTF-8", sqlstate="22021") from None
    for name, value in zip(texts[::2], texts[1::2], strict=True):
        if name.startswith("_pq_."):
            options.append(name)
        elif name in parameters:
            duplicates.append(name)
        else:
            parameters[name] = value
    return StartupMessage((version >> 16, version & 0xFFFF), parameters, tuple(options), tuple(duplicates))


def decode_cancel(body: bytes) -> CancelRequest:
    """`body` follows the length: Int32 request code, Int32 process id, key of 4 to 256 bytes (protocol 3.2)."""
    if not 12 <= len(body) <= 8 + MAX_CANCEL_KEY_BYTES:
        raise RemoteProtocolError("invalid length of cancel request")
    return CancelRequest(unpack_int(body, 4)[0], body[8:])


def encode_startup(parameters: dict[str, str], minor: int = 0) -> bytes:
    """A StartupMessage for a server."""
    body = struct.pack("!I", 3 << 16 | minor)
    body += b"".join(f"{name}\0{value}\0".encode() for name, value in parameters.items()) + b"\0"
    return struct.pack("!I", len(body) + 4) + body
