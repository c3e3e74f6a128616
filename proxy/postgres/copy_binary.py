"""Stamp COPY data in binary format.

Source: PostgreSQL manual, COPY, "Binary Format": a header, then tuples of an Int16 field count and fields of an Int32
length (-1: NULL) and bytes, then a count of -1. The tenant's value is written as the column type's receive function
reads it.
"""

from __future__ import annotations

import struct
import uuid
from collections.abc import Callable, Mapping

from policy.errors import UnsupportedStatement
from policy.sql.plan import CopyStamp
from proxy.postgres.copy_errors import MAX_ROW_BYTES, foreign_row, malformed, too_large

SIGNATURE = b"PGCOPY\n\xff\r\n\0"
HEADER_BYTES = len(SIGNATURE) + 8
CRITICAL_FLAGS = 0xFFFF0000  # bit 16 is WITH OIDS, gone since PostgreSQL 12; the others are not defined

_int16 = struct.Struct("!h")
_int32 = struct.Struct("!i")
_header_tail = struct.Struct("!Ii")

_ENCODERS: Mapping[str, Callable[[str], bytes]] = {
    "text": str.encode,
    "character varying": str.encode,
    "varchar": str.encode,
    "character": str.encode,
    "name": str.encode,
    "citext": str.encode,
    "smallint": lambda value: struct.pack("!h", int(value)),
    "integer": lambda value: struct.pack("!i", int(value)),
    "bigint": lambda value: struct.pack("!q", int(value)),
    "uuid": lambda value: uuid.UUID(value).bytes,
}


class BinaryStamper:
    """The state is where the scan of the buffered bytes stands, so no byte is looked at twice."""

    __slots__ = (
        "_buffer",
        "_columns",
        "_ended",
        "_header_done",
        "_left",
        "_new_count",
        "_position",
        "_row",
        "_suffix",
        "_tenant_index",
        "_value",
    )

    def __init__(self, stamp: CopyStamp, tenant_value: str) -> None:
        self._value = encode_value(stamp.tenant_type, tenant_value)
        self._suffix = _int32.pack(len(self._value)) + self._value
        self._new_count = _int16.pack(stamp.column_count + 1)
        self._columns = stamp.column_count
        self._tenant_index = stamp.tenant_index
        self._buffer = bytearray()
        self._position = 0  # in the buffer, whose start is the start of a tuple
        self._left = 0  # fields of the current tuple still to come; 0: at the start of a tuple
        self._row = 0
        self._header_done = False
        self._ended = False

    def feed(self, data: bytes) -> bytes:
        if self._ended and data:
            raise malformed("received copy data after EOF marker")
        self._buffer += data
        out: list[bytes] = []
        if not self._header_done:
            self._take_header(out)
        if self._header_done:
            self._take_tuples(out)
        if len(self._buffer) > MAX_ROW_BYTES:
            raise too_large()
        return b"".join(out)

    def finish(self) -> bytes:
        if self._buffer or not self._header_done:
            raise malformed("unexpected EOF in COPY data", row=self._row)
        return b""

    def _take_header(self, out: list[bytes]) -> None:
        if not SIGNATURE.startswith(self._buffer[: len(SIGNATURE)]):
            raise malformed("COPY file signature not recognized")
        if len(self._buffer) < HEADER_BYTES:
            return
        flags, extension = _header_tail.unpack_from(self._buffer, len(SIGNATURE))
        if flags & CRITICAL_FLAGS:
            raise malformed("unrecognized critical flags in COPY file header")
        if extension < 0:
            raise malformed("invalid COPY file header (wrong length)")
        if extension > MAX_ROW_BYTES - HEADER_BYTES:
            raise too_large()
        end = HEADER_BYTES + extension
        if len(self._buffer) >= end:
            out.append(bytes(self._buffer[:end]))
            del self._buffer[:end]
            self._header_done = True

    def _take_tuples(self, out: list[bytes]) -> None:
        buffer, end = self._buffer, len(self._buffer)
        start = 0
        while not self._ended:
            if self._left == 0:
                if end - self._position < 2:
                    break
                self._begin_tuple(out)
            elif not self._take_field(end):
                break
            elif self._left == 0:
                out.append(self._stamped(start))
                start = self._position
        if self._ended:
            if self._position < end:
                raise malformed("received copy data after EOF marker")
            start = end
        del buffer[:start]
        self._position -= start

    def _begin_tuple(self, out: list[bytes]) -> None:
        count: int = _int16.unpack_from(self._buffer, self._position)[0]
        self._position += 2
        if count == -1:
            self._ended = True
            out.append(b"\xff\xff")
            return
        self._row += 1
        if count != self._columns:
            raise malformed(f"row field count is {count}, expected {self._columns}", row=self._row)
        self._left = count

    def _take_field(self, end: int) -> bool:
        """Go over the next field; False when it is not all there."""
        if end - self._position < 4:
            return False
        length: int = _int32.unpack_from(self._buffer, self._position)[0]
        if length < -1:
            raise malformed("invalid field size", row=self._row)
        if length > MAX_ROW_BYTES:
            raise too_large()
        stop = self._position + 4 + max(length, 0)
        if stop > end:
            return False
        if self._columns - self._left == self._tenant_index and (
            length != len(self._value) or self._buffer[self._position + 4 : stop] != self._value
        ):
            raise foreign_row(self._row)
        self._position = stop
        self._left -= 1
        return True

    def _stamped(self, start: int) -> bytes:
        if self._tenant_index is not None:
            return bytes(self._buffer[start : self._position])
        return self._new_count + bytes(self._buffer[start + 2 : self._position]) + self._suffix


def encode_value(type_name: str, value: str) -> bytes:
    """`value` in the binary format of the type. Raises UnsupportedStatement for a type that we do not know."""
    encoder = _ENCODERS.get(type_name)
    if encoder is None:
        raise UnsupportedStatement(
            f'COPY in binary format is not supported for a tenant column of type "{type_name}"',
            hint="Use the text or csv format.",
        )
    try:
        return encoder(value)
    except (ValueError, struct.error):
        raise UnsupportedStatement(f'the tenant\'s value is not of type "{type_name}"') from None
