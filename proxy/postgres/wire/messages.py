"""Decode what a client sends and encode what is sent to a server (protocol 3, "Message Formats").

Decoders take a whole message (header included) and raise RemoteProtocolError (08P01) on anything that PostgreSQL
would refuse: short or trailing bytes, missing terminators, parameter lengths below -1, bad format codes.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from proxy.errors import RemoteProtocolError
from proxy.postgres.wire.framing import HEADER_BYTES

pack_length = struct.Struct("!I").pack
_unpack_count = struct.Struct("!H").unpack_from
_unpack_int = struct.Struct("!i").unpack_from

SYNC = b"S\x00\x00\x00\x04"
FLUSH = b"H\x00\x00\x00\x04"
COPY_DONE = b"c\x00\x00\x00\x04"
TERMINATE = b"X\x00\x00\x00\x04"


class Parse(NamedTuple):
    name: bytes
    query: bytes
    types: bytes  # count and OIDs as sent


class Bind(NamedTuple):
    """`rest` starts at the parameter format codes; parameters are only decoded on demand."""

    portal: bytes
    statement: bytes
    rest: int  # offset in the message


class Execute(NamedTuple):
    portal: bytes
    max_rows: int


def encode(tag: bytes, body: bytes) -> bytes:
    """A message with its header."""
    return tag + pack_length(len(body) + 4) + body


def encode_query(sql: bytes) -> bytes:
    return b"Q" + pack_length(len(sql) + 5) + sql + b"\0"


def encode_parse(name: bytes, sql: bytes, types: bytes = b"\0\0") -> bytes:
    return b"P" + pack_length(len(name) + len(sql) + len(types) + 6) + name + b"\0" + sql + b"\0" + types


def encode_close_statement(name: bytes) -> bytes:
    return encode(b"C", b"S" + name + b"\0")


def encode_copy_data(payload: bytes) -> bytes:
    return b"d" + pack_length(len(payload) + 4) + payload


def encode_copy_fail(reason: str) -> bytes:
    return encode(b"f", reason.encode() + b"\0")


def encode_bind_nothing(statement: bytes) -> bytes:
    """A Bind of `statement` without parameters: for a name that does not exist it fails as PostgreSQL fails."""
    return encode(b"B", b"\0" + statement + b"\0" + b"\0\0\0\0\0\0")


def decode_query(message: bytes) -> bytes:
    """The text of a Query, without its terminator."""
    if len(message) < HEADER_BYTES + 1 or message.find(0, HEADER_BYTES) != len(message) - 1:
        raise _invalid("Query")
    return message[HEADER_BYTES:-1]


def decode_parse(message: bytes) -> Parse:
    name, position = _string(message, HEADER_BYTES, "Parse")
    query, position = _string(message, position, "Parse")
    types = message[position:]
    if len(types) < 2 or len(types) != 2 + 4 * _unpack_count(types, 0)[0]:
        raise _invalid("Parse")
    return Parse(name, query, types)


def decode_bind(message: bytes) -> Bind:
    """Check the whole structure of a Bind, decode its names."""
    portal, position = _string(message, HEADER_BYTES, "Bind")
    statement, rest = _string(message, position, "Bind")
    end = len(message)
    _, position = _parameter_spans(message, _skip_formats(message, rest, end))
    if _skip_formats(message, position, end) != end:
        raise _invalid("Bind")
    return Bind(portal, statement, rest)


def bind_parameter(message: bytes, rest: int, number: int) -> tuple[int, bytes | None] | None:
    """(format code, value) of 1-based parameter `number`; value None is NULL; None when there is no such one."""
    formats: int = _unpack_count(message, rest)[0]
    position = rest + 2 + 2 * formats
    spans, _ = _parameter_spans(message, position)
    if not 1 <= number <= len(spans):
        return None
    code = 0
    if formats:
        code = _unpack_count(message, rest + 2 + 2 * (number - 1 if formats > 1 else 0))[0]
    start, stop = spans[number - 1]
    return code, (None if start < 0 else message[start:stop])


def decode_execute(message: bytes) -> Execute:
    portal, position = _string(message, HEADER_BYTES, "Execute")
    if len(message) != position + 4:
        raise _invalid("Execute")
    return Execute(portal, _unpack_int(message, position)[0])


def decode_target(message: bytes, kind: str) -> tuple[int, bytes]:
    """(b'S' or b'P' as int, name) of a Describe or Close."""
    if len(message) < HEADER_BYTES + 2 or message[HEADER_BYTES] not in b"SP":
        raise RemoteProtocolError(f"invalid {kind} message subtype")
    name, position = _string(message, HEADER_BYTES + 1, kind)
    if position != len(message):
        raise _invalid(kind)
    return message[HEADER_BYTES], name


def decode_empty(message: bytes, kind: str) -> None:
    if len(message) != HEADER_BYTES:
        raise _invalid(kind)


def decode_copy_fail(message: bytes) -> bytes:
    reason, position = _string(message, HEADER_BYTES, "CopyFail")
    if position != len(message):
        raise _invalid("CopyFail")
    return reason


def _string(message: bytes, position: int, kind: str) -> tuple[bytes, int]:
    stop = message.find(0, position)
    if stop < 0:
        raise _invalid(kind)
    return message[position:stop], stop + 1


def _skip_formats(message: bytes, position: int, end: int) -> int:
    if position + 2 > end:
        raise _invalid("Bind")
    stop: int = position + 2 + 2 * _unpack_count(message, position)[0]
    if stop > end:
        raise _invalid("Bind")
    return stop


def _parameter_spans(message: bytes, position: int) -> tuple[list[tuple[int, int]], int]:
    """(start, stop) of every parameter value, start -1 for NULL, and where they end; `position` is at the count."""
    end = len(message)
    if position + 2 > end:
        raise _invalid("Bind")
    count = _unpack_count(message, position)[0]
    position += 2
    spans: list[tuple[int, int]] = []
    for _ in range(count):
        if position + 4 > end:
            raise _invalid("Bind")
        length = _unpack_int(message, position)[0]
        position += 4
        if length < -1 or position + length > end:
            raise _invalid("Bind")
        spans.append((position, position + length) if length >= 0 else (-1, position))
        position += max(length, 0)
    return spans, position


def _invalid(kind: str) -> RemoteProtocolError:
    return RemoteProtocolError(f"invalid message format in {kind}")
