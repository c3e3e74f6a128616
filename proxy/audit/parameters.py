"""The parameter values of a Bind message as canonical JSON, for the audit log.

A value is one of: text; null; `{"binary":"hex"}` for one in binary format, whose type only the target knows;
`{"hmac":"hex"}` where values may not be kept: HMAC-SHA256 over its bytes, so that equal values can be found with the
key and not without; `{"bytes":n,"sha256":"hex","text":"…"}` (or `binary`) for one that is too long, cut.
Message "Bind": PostgreSQL documentation, chapter 55.7.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from json.encoder import encode_basestring as _quote
from typing import Final

MAX_PARAMETERS: Final = 200
MAX_VALUE_BYTES: Final = 1024
MAX_CHARS: Final = 64 * 1024  # of all of them together
_KEPT_BYTES: Final = 4096  # a longer message is not kept until its event is written
_unpack_count = struct.Struct("!H").unpack_from
_unpack_length = struct.Struct("!i").unpack_from
_HEADER_BYTES: Final = 5


class Bound:
    """What a portal was bound to. Either `message`, the Bind as it came, or `encoded`, its parameters as JSON."""

    __slots__ = ("encoded", "key", "message")

    def __init__(self, message: bytes, key: bytes | None) -> None:
        """key: of the hashes that stand for values; None: values are kept."""
        self.key = key
        self.message = message
        self.encoded = ""
        if len(message) > _KEPT_BYTES:
            self.encoded = encode_parameters(message, key)
            self.message = b""

    @property
    def size(self) -> int:
        return len(self.message) + len(self.encoded)

    def as_json(self) -> str:
        return self.encoded or encode_parameters(self.message, self.key)


def encode_parameters(message: bytes, key: bytes | None) -> str:
    """A JSON array. Never raises: what is no Bind gives `["malformed"]`, and the target says what it thinks of it."""
    try:
        return _encode(message, key)
    except (struct.error, IndexError, ValueError):
        return '["malformed"]'


def _encode(message: bytes, key: bytes | None) -> str:
    at = message.index(b"\0", _HEADER_BYTES) + 1
    at = message.index(b"\0", at) + 1
    formats = int(_unpack_count(message, at)[0])
    first_format = at + 2
    at = first_format + 2 * formats
    count = int(_unpack_count(message, at)[0])
    at += 2
    if not count:
        return "[]"
    parts: list[str] = []
    chars = 0
    for number in range(count):
        if number >= MAX_PARAMETERS or chars > MAX_CHARS:
            parts.append(f'{{"more":{count - number}}}')
            break
        length = int(_unpack_length(message, at)[0])
        at += 4
        if length < 0:
            parts.append("null")
            continue
        value = message[at : at + length]
        if len(value) < length:
            raise ValueError("the message ends within a value")
        at += length
        which = number if formats > 1 else 0
        binary = formats > 0 and message[first_format + 2 * which + 1] == 1
        text = _value(value, binary, key)
        chars += len(text)
        parts.append(text)
    return "[" + ",".join(parts) + "]"


def _value(value: bytes, binary: bool, key: bytes | None) -> str:
    if key is not None:
        return f'{{"hmac":"{hmac.digest(key, value, "sha256").hex()}"}}'
    if len(value) > MAX_VALUE_BYTES:
        whole = f'"bytes":{len(value)},"sha256":"{hashlib.sha256(value).hexdigest()}"'
        kept = value[:MAX_VALUE_BYTES]
        if binary:
            return f'{{"binary":"{kept.hex()}",{whole}}}'
        return f'{{{whole},"text":{_quote(kept.decode("utf-8", "replace"))}}}'
    if binary:
        return f'{{"binary":"{value.hex()}"}}'
    return _quote(value.decode("utf-8", "replace"))
