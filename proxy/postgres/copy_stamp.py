"""Stamp a COPY … FROM STDIN stream with its tenant: append the tenant's column to every row, or check it.

Sans-io: the payloads of CopyData in, what goes to the target out, whatever the chunks. The target parses what is
given out, so every rule here is the server's own (src/backend/commands/copyfromparse.c) or stricter; what the
server and we could read differently is refused. The text formats are in `copy_lines`, binary in `copy_binary`.
"""

from __future__ import annotations

from typing import Protocol

from policy.errors import InvalidStatement, UnsupportedStatement
from policy.sql.plan import CopyStamp
from proxy.postgres.copy_binary import BinaryStamper
from proxy.postgres.copy_lines import CsvSyntax, LineStamper, TextSyntax


class _Stamper(Protocol):
    def feed(self, data: bytes) -> bytes: ...
    def finish(self) -> bytes: ...


class CopyStamper:
    """One COPY. Feed every payload, then `finish`; after an error the COPY must be failed and this thrown away.

    Memory: one incomplete row (64 MiB at most) and one chunk. Raises on construction UnsupportedStatement for
    options that cannot be stamped safely; later AccessDenied (42501) for a row of another tenant, InvalidStatement
    22P04 for malformed data and 54000 for a row that is too large.
    """

    __slots__ = ("_stamper",)

    def __init__(self, stamp: CopyStamp, tenant_value: str) -> None:
        _check_columns(stamp)
        value = _encode(tenant_value)
        self._stamper: _Stamper
        if stamp.format == "text":
            self._stamper = LineStamper(stamp, TextSyntax(stamp), value)
        elif stamp.format == "csv":
            self._stamper = LineStamper(stamp, CsvSyntax(stamp), value)
        elif stamp.format == "binary":
            self._stamper = BinaryStamper(stamp, tenant_value)
        else:
            raise UnsupportedStatement(f'COPY format "{stamp.format}" is not supported')

    def feed(self, data: bytes) -> bytes:
        """Take a payload; return the stamped bytes of all rows that are complete with it."""
        return self._stamper.feed(data)

    def finish(self) -> bytes:
        """The client sent CopyDone: return what is left, a last row without a line end for example."""
        return self._stamper.finish()


def _check_columns(stamp: CopyStamp) -> None:
    if stamp.column_count < 1:
        raise UnsupportedStatement("COPY into a tenant table needs at least one column")
    if stamp.tenant_index is not None and not 0 <= stamp.tenant_index < stamp.column_count:
        raise InvalidStatement("the tenant column is not among the columns of COPY", sqlstate="22023")


def _encode(value: str) -> bytes:
    try:
        encoded = value.encode("utf-8")
    except UnicodeEncodeError:
        encoded = b""
    if not encoded or b"\0" in encoded:
        raise UnsupportedStatement("the tenant's value cannot be written into COPY data")
    return encoded
