"""Decode what a client sends and encode what is sent to a server (protocol 3, "Message Formats").

Decoders take a whole message (header included) and raise RemoteProtocolError (08P01) on anything that PostgreSQL
would refuse: short or trailing bytes, missing terminators, parameter lengths below -1, bad format codes.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

from proxy.errors import RemoteProtocolError
from proxy.postgres.wire.framing import HEADER_BYTES

pack_length = struct.Struct("!I").pack
_unpack_count = struct.Struct("!H").unpack_from
_unpack_int = struct.Struct("!i").unpack_from

SYNC: Final = b"S\x00\x00\x00\x04"
FLUSH: Final = b"H\x00\x00\x00\x04"
COPY_DONE: Final = b"c\x00\x00\x00\x04"
TERMINATE: Final = b"X\x00\x00\x00\x04"


class Parse(NamedTuple):
    name: bytes
    query: bytes
    types: bytes  # count and OIDs as sent


class Bind(NamedTuple):
    """Names only: parameters are checked for their form, and passed on as they are."""

    portal: bytes
    statement: bytes


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


def encode_close_portal(name: bytes) -> bytes:
    return encode(b"C", b"P" + name + b"\0")


def encode_bind_nothing(statement: bytes, portal: bytes = b"") -> bytes:
    """A Bind of `statement` without parameters: for a name that does not exist it fails as PostgreSQL fails."""
    return encode(b"B", portal + b"\0" + statement + b"\0" + b"\0\0\0\0\0\0")


def with_statement_name(bind: bytes, portal: bytes, name: bytes, new_name: bytes) -> bytes:
    """A Bind of `name` as one of `new_name`."""
    rest = bind[HEADER_BYTES + len(portal) + len(name) + 2 :]
    length = len(portal) + len(new_name) + len(rest) + 6
    return b"B" + pack_length(length) + portal + b"\0" + new_name + b"\0" + rest


def encode_execute(portal: bytes) -> bytes:
    """All rows."""
    return encode(b"E", portal + b"\0\0\0\0\0")


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
    end = len(message)
    stop = message.find(0, HEADER_BYTES)
    name_stop = message.find(0, stop + 1)
    if stop < 0 or name_stop < 0:
        raise _invalid("Bind")
    position = _skip_formats(message, name_stop + 1, end)
    position = _skip_parameters(message, position, end)
    if _skip_formats(message, position, end) != end:
        raise _invalid("Bind")
    return Bind(message[HEADER_BYTES:stop], message[stop + 1 : name_stop])


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


def _skip_parameters(message: bytes, position: int, end: int) -> int:
    """Where the parameter values end; `position` is at their Int16 count."""
    if position + 2 > end:
        raise _invalid("Bind")
    count = _unpack_count(message, position)[0]
    position += 2
    for _ in range(count):
        if position + 4 > end:
            raise _invalid("Bind")
        length: int = _unpack_int(message, position)[0]
        position += 4
        if length > 0:
            position += length
        elif length < -1:
            raise _invalid("Bind")
    if position > end:
        raise _invalid("Bind")
    return position


def _invalid(kind: str) -> RemoteProtocolError:
    return RemoteProtocolError(f"invalid message format in {kind}")
