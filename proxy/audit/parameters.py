"""The parameter values of a Bind message as canonical JSON, for the audit log.

A value is one of: text, also for a number, truth value, text or UUID in binary format whose type the client declared
in its Parse; null; `{"binary":"hex"}` for others in binary format; `{"hmac":"hex"}` where values may not be kept:
HMAC-SHA256 over the text or the bytes, so that equal values can be found with the key and not without;
`{"bytes":n,"sha256":"hex","text":"…"}` (or `binary`) for one that is too long, cut.
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

    __slots__ = ("encoded", "key", "message", "types")

    def __init__(self, message: bytes, types: bytes, key: bytes | None) -> None:
        """types: as the Parse declared them. key: of the hashes that stand for values; None: values are kept."""
        self.key = key
        self.types = types
        self.message = message
        self.encoded = ""
        if len(message) > _KEPT_BYTES:
            self.encoded = encode_parameters(message, types, key)
            self.message = b""

    @property
    def size(self) -> int:
        return len(self.message) + len(self.encoded)

    def as_json(self) -> str:
        return self.encoded or encode_parameters(self.message, self.types, self.key)


def encode_parameters(message: bytes, types: bytes, key: bytes | None) -> str:
    """A JSON array. Never raises: what is no Bind gives `["malformed"]`, and the target says what it thinks of it."""
    try:
        return _encode(message, types, key)
    except (struct.error, IndexError, ValueError):
        return '["malformed"]'


def _encode(message: bytes, types: bytes, key: bytes | None) -> str:
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
        text = _value(value, binary, _declared(types, number) if binary else 0, key)
        chars += len(text)
        parts.append(text)
    return "[" + ",".join(parts) + "]"


def _declared(types: bytes, number: int) -> int:
    """The OID that a Parse has for a parameter, 0 for none."""
    at = 2 + 4 * number
    return int.from_bytes(types[at : at + 4], "big")


def _value(value: bytes, binary: bool, oid: int, key: bytes | None) -> str:
    if binary:
        shown = _as_text(value, oid)
        if shown is not None:
            value, binary = shown.encode("utf-8", "replace"), False
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


_INTEGERS: Final = {20: 8, 21: 2, 23: 4, 26: 4}
_TEXTS: Final = (18, 19, 25, 1042, 1043)


def _as_text(value: bytes, oid: int) -> str | None:
    """A value in binary format as its type's text; None for one that we do not know."""
    if oid in _INTEGERS:
        return str(int.from_bytes(value, "big", signed=oid != 26)) if len(value) == _INTEGERS[oid] else None
    if oid in _TEXTS:
        return value.decode("utf-8", "replace")
    if oid == 16 and len(value) == 1:
        return "f" if value == b"\0" else "t"
    if oid == 2950 and len(value) == 16:
        digits = value.hex()
        return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
    return None
