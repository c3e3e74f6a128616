"""Encode what a server says (protocol 3, "Message Formats"), and decode errors that a server said.

Sans-io; everything returns whole messages with headers.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Final

from proxy.postgres.wire.framing import HEADER_BYTES
from proxy.postgres.wire.messages import encode

READY_IDLE: Final = b"Z\x00\x00\x00\x05I"
PARSE_COMPLETE: Final = b"1\x00\x00\x00\x04"
BIND_COMPLETE: Final = b"2\x00\x00\x00\x04"
CLOSE_COMPLETE: Final = b"3\x00\x00\x00\x04"
EMPTY_QUERY: Final = b"I\x00\x00\x00\x04"
NO_DATA: Final = b"n\x00\x00\x00\x04"

_TEXT_OID: Final = 25
_column: Final = struct.Struct("!IhIhiH")  # table, its column, type, size, type modifier, format


def ready(status: int) -> bytes:
    """ReadyForQuery with this transaction status, a letter's code."""
    return READY_IDLE[:-1] + bytes((status,))


def error_response(
    severity: str,
    sqlstate: str,
    message: str,
    detail: str | None = None,
    hint: str | None = None,
    position: int = 0,
    routine: str = "",
) -> bytes:
    """An ErrorResponse. `position` is 1-based in characters of the query, 0: none. routine: of the server's source."""
    fields = _fields(severity, sqlstate, message, detail, hint, position)
    if routine:
        fields = fields[:-1] + b"R" + routine.encode() + b"\0\0"
    return encode(b"E", fields)


def notice(message: str, hint: str) -> bytes:
    """A NoticeResponse that tells of no error."""
    return encode(b"N", _fields("NOTICE", "00000", message, None, hint, 0))


def _fields(severity: str, sqlstate: str, message: str, detail: str | None, hint: str | None, position: int) -> bytes:
    fields = [("S", severity), ("V", severity), ("C", sqlstate), ("M", message)]
    if detail:
        fields.append(("D", detail))
    if hint:
        fields.append(("H", hint))
    if position > 0:
        fields.append(("P", str(position)))
    return b"".join((code + value.replace("\0", "")).encode() + b"\0" for code, value in fields) + b"\0"


def encode_error_fields(tag: bytes, fields: dict[str, bytes]) -> bytes:
    """An ErrorResponse (b'E') or NoticeResponse (b'N') from decoded fields."""
    return encode(tag, b"".join(code.encode() + value + b"\0" for code, value in fields.items()) + b"\0")


def decode_error_fields(message: bytes) -> dict[str, bytes]:
    """Fields of an ErrorResponse or NoticeResponse by code; unreadable ones are left out."""
    fields: dict[str, bytes] = {}
    for item in message[HEADER_BYTES:].split(b"\0"):
        if item:
            fields[chr(item[0])] = item[1:]
    return fields


def ready_for_query(status: bytes) -> bytes:
    """`status`: b'I' idle, b'T' in a transaction, b'E' in a failed one."""
    return b"Z\x00\x00\x00\x05" + status


def parameter_status(name: str, value: str) -> bytes:
    return encode(b"S", f"{name}\0{value}\0".encode())


def decode_parameter_status(message: bytes) -> tuple[str, str]:
    name, value, _ = message[HEADER_BYTES:].split(b"\0", 2)
    return name.decode("utf-8", "replace"), value.decode("utf-8", "replace")


def row_description(columns: Sequence[tuple[str, int]]) -> bytes:
    """Columns as (name, type OID), text format."""
    body = struct.pack("!H", len(columns))
    for name, oid in columns:
        body += name.encode() + b"\0" + struct.pack("!IHIhiH", 0, 0, oid, -1, -1, 0)
    return encode(b"T", body)


def same_results(told: bytes, now: bytes | None) -> bool:
    """Whether a RowDescription or NoData says of names and types what another one (None: NoData) says now."""
    if told[:1] == b"n" or now is None:
        return told[:1] == b"n" and now is None
    return told == now or _columns_of(told) == _columns_of(now)


def _columns_of(message: bytes) -> list[tuple[bytes, int, int]]:
    """Name, type, modifier of each."""
    columns: list[tuple[bytes, int, int]] = []
    position = HEADER_BYTES + 2
    while position < len(message):
        end = message.index(b"\0", position)
        _table, _number, type_oid, _size, modifier, _format = _column.unpack_from(message, end + 1)
        columns.append((message[position:end], type_oid, modifier))
        position = end + 1 + _column.size
    return columns


def text_row_description(names: Sequence[str]) -> bytes:
    """All columns of type text."""
    return row_description([(name, _TEXT_OID) for name in names])


def data_row(values: Sequence[bytes | None]) -> bytes:
    body = struct.pack("!H", len(values))
    for value in values:
        body += b"\xff\xff\xff\xff" if value is None else struct.pack("!I", len(value)) + value
    return encode(b"D", body)


def command_complete(tag: str) -> bytes:
    return encode(b"C", tag.encode() + b"\0")


def authentication_ok() -> bytes:
    return encode(b"R", struct.pack("!I", 0))


def authentication_cleartext() -> bytes:
    return encode(b"R", struct.pack("!I", 3))


def authentication_sasl(mechanisms: Sequence[str]) -> bytes:
    return encode(b"R", struct.pack("!I", 10) + b"".join(m.encode() + b"\0" for m in mechanisms) + b"\0")


def authentication_sasl_continue(data: bytes) -> bytes:
    return encode(b"R", struct.pack("!I", 11) + data)


def authentication_sasl_final(data: bytes) -> bytes:
    return encode(b"R", struct.pack("!I", 12) + data)


def backend_key_data(pid: int, key: bytes) -> bytes:
    return encode(b"K", struct.pack("!I", pid) + key)


def negotiate_protocol_version(minor: int, unknown: Sequence[str]) -> bytes:
    """Newest minor version of protocol 3 that we speak, and the `_pq_.` options we do not know."""
    body = struct.pack("!II", (3 << 16) | minor, len(unknown))
    return encode(b"v", body + b"".join(name.encode() + b"\0" for name in unknown))


def copy_in_columns(message: bytes) -> int:
    """Number of columns in a CopyInResponse."""
    return int(struct.unpack_from("!H", message, HEADER_BYTES + 1)[0])


def copy_in_without_last_column(message: bytes) -> bytes:
    """The same CopyInResponse with one column less: the client does not know of the stamped one."""
    columns = copy_in_columns(message)
    body = message[HEADER_BYTES : HEADER_BYTES + 1] + struct.pack("!H", columns - 1)
    return encode(b"G", body + message[HEADER_BYTES + 3 : HEADER_BYTES + 3 + 2 * (columns - 1)])
