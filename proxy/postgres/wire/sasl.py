"""SASL as PostgreSQL carries it: SASLInitialResponse, the GS2 header, and the server side of OAUTHBEARER.

Sans-io. Source: PostgreSQL protocol documentation, "SASL Authentication"; RFC 5801 section 4 (GS2 header), RFC 7628
(OAUTHBEARER) as libpq 18 speaks it; RFC 6750 section 2.1 (the form of a bearer token). Malformed messages raise
RemoteProtocolError (08P01), as on a PostgreSQL server; a proof that is wrong raises SaslRejected.
"""

from __future__ import annotations

import json
import re
import struct
from dataclasses import dataclass

from proxy.errors import RemoteProtocolError

SCRAM_SHA_256 = "SCRAM-SHA-256"
SCRAM_SHA_256_PLUS = "SCRAM-SHA-256-PLUS"
OAUTHBEARER = "OAUTHBEARER"
MAX_MECHANISM_BYTES = 64

_KEY_VALUE_SEPARATOR = b"\x01"
_CHANNEL_BINDING_NAME = re.compile(rb"p=[A-Za-z0-9.-]{1,64}")
_OAUTH_KEY = re.compile(rb"[A-Za-z]+")
_OAUTH_VALUE = re.compile(rb"[\x21-\x7e \t\r\n]*")
_BEARER = re.compile(rb"Bearer +([A-Za-z0-9._~+/-]+=*)", re.IGNORECASE)
_unpack_length = struct.Struct("!i").unpack_from


class SaslRejected(Exception):
    """The exchange was well-formed and the proof is wrong. The text is for the log."""


@dataclass(frozen=True, slots=True)
class Gs2Header:
    """`binding`: None for `n` and `y`, else the channel binding's name. `raw` is the header as sent."""

    flag: str
    binding: str | None
    raw: bytes


def malformed(detail: str) -> RemoteProtocolError:
    """The error for a SASL message that breaks its grammar."""
    return RemoteProtocolError("malformed SASL message", detail=detail)


def decode_sasl_initial_response(body: bytes) -> tuple[str, bytes | None]:
    """Body of SASLInitialResponse: mechanism, then Int32 length (-1: none) and that many bytes."""
    end = body.find(b"\0", 0, MAX_MECHANISM_BYTES + 1)
    if end <= 0 or len(body) < end + 5:
        raise RemoteProtocolError("invalid SASLInitialResponse message")
    length = _unpack_length(body, end + 1)[0]
    data = body[end + 5 :]
    if length == -1 and not data:
        initial: bytes | None = None
    elif length == len(data):
        initial = data
    else:
        raise RemoteProtocolError("invalid length in SASLInitialResponse message")
    return body[:end].decode("ascii", "replace"), initial


def split_gs2_header(message: bytes) -> tuple[Gs2Header, bytes]:
    """Take `n,,`, `y,,` or `p=<name>,,` off a client's first message. An authorization identity is refused."""
    flag, comma, rest = message.partition(b",")
    if not comma or not (flag in (b"n", b"y") or _CHANNEL_BINDING_NAME.fullmatch(flag)):
        raise malformed("The channel binding flag is not n, y or p=name.")
    identity, comma, rest = rest.partition(b",")
    if identity.startswith(b"a="):
        raise RemoteProtocolError("authorization identities are not supported in SASL", sqlstate="0A000")
    if not comma or identity:
        raise malformed("The GS2 header does not end in a comma.")
    binding = flag[2:].decode("ascii") if flag.startswith(b"p") else None
    return Gs2Header(chr(flag[0]), binding, message[: len(message) - len(rest)]), rest


def decode_oauth_initial(message: bytes) -> str | None:
    """The bearer token of an OAUTHBEARER initial response; None: the client asks where to get one.

    `n,,^Aauth=Bearer <token>^A^A` (RFC 7628 section 3.1); libpq asks with an empty value of auth.
    """
    header, rest = split_gs2_header(message)
    if header.flag != "n" and header.flag != "y":
        raise malformed("OAUTHBEARER has no channel binding.")
    if not rest.startswith(_KEY_VALUE_SEPARATOR) or not rest.endswith(_KEY_VALUE_SEPARATOR * 2):
        raise malformed("The key/value pairs are not separated and ended by ^A.")
    values = [_oauth_pair(pair) for pair in rest[1:-2].split(_KEY_VALUE_SEPARATOR)]
    found = [value for key, value in values if key == b"auth"]
    if len(found) != 1:
        raise malformed("The message has not exactly one auth value.")
    return _bearer_token(found[0])


def encode_oauth_error(openid_configuration: str | None, scope: str) -> bytes:
    """The server's answer to a missing or refused token (RFC 7628 section 3.2.2)."""
    answer = {"status": "invalid_token"}
    if openid_configuration is not None:
        answer["openid-configuration"] = openid_configuration
    return json.dumps(answer | {"scope": scope}).encode()


def check_oauth_dummy(message: bytes) -> None:
    """After the error the client sends one ^A, and the exchange has failed (RFC 7628 section 3.2.3)."""
    if message != _KEY_VALUE_SEPARATOR:
        raise malformed("The answer to an OAUTHBEARER error is not ^A.")


def _oauth_pair(pair: bytes) -> tuple[bytes, bytes]:
    key, equals, value = pair.partition(b"=")
    if not equals or not _OAUTH_KEY.fullmatch(key) or not _OAUTH_VALUE.fullmatch(value):
        raise malformed("A key/value pair is not key=value.")
    return key, value


def _bearer_token(value: bytes) -> str | None:
    if value.rstrip(b" ").lower() in (b"", b"bearer"):
        return None
    match = _BEARER.fullmatch(value)
    if match is None:
        raise malformed("The auth value is not a bearer token.")
    return match[1].decode("ascii")
