"""Stamp COPY data in text and csv format, a chunk at a time.

The trick that keeps it fast: a chunk is *masked*, that is, what is escaped or quoted is overwritten with NULs of the
same length, so that every delimiter and line end that is still visible is a real one, and bytes methods can split and
count. Chunks without escapes or quotes are their own mask.

Rules of the server that decide where rows and fields end (CopyReadLineText, CopyReadAttributesText/CSV): the first
line end decides the style of all; a backslash takes the next byte with it in text; a quote toggles anywhere in csv;
`\\.` alone on a line ends the data, and text lets nothing else follow a `\\.`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Protocol

from policy.errors import UnsupportedStatement
from policy.sql.plan import CopyStamp
from proxy.postgres.copy_errors import MAX_ROW_BYTES, foreign_row, malformed, too_large

MARKER = b"\\."

_LINE_END = re.compile(rb"\r\n|\r|\n")
_ESCAPED_PAIR = re.compile(rb"\\[^.]", re.DOTALL)
_TEXT_ESCAPE = re.compile(rb"\\(?:([0-7]{1,3})|x([0-9A-Fa-f]{1,2})|(.))", re.DOTALL)
_TEXT_LETTERS: Mapping[bytes, bytes] = {b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v"}
_TEXT_NAMES: Mapping[bytes, bytes] = {code: letter for letter, code in _TEXT_LETTERS.items()}


class Syntax(Protocol):
    """What text and csv do differently. `mask` is fed the stream in order and keeps its state between chunks."""

    delimiter: bytes
    csv: bool

    def mask(self, data: bytes) -> tuple[bytes, bytes]:
        """(mask of the data that is decided, undecided rest: the start of an escape)."""
        ...

    def decode(self, raw: bytes) -> bytes | None:
        """The value of a field, None for NULL."""
        ...

    def encode(self, value: bytes) -> bytes: ...

    def check_end(self) -> None:
        """Raise when the data ends within something."""
        ...


class TextSyntax:
    __slots__ = ("_null", "csv", "delimiter")

    def __init__(self, stamp: CopyStamp) -> None:
        self.csv = False
        self.delimiter = _single(stamp.delimiter, "delimiter")
        if self.delimiter.isalnum() or self.delimiter in b"\\.":
            # \xA would take a delimiter A for a hexadecimal digit
            raise UnsupportedStatement("COPY delimiter cannot be a letter, a digit, a backslash or a dot")
        self._null = stamp.null.encode()

    def mask(self, data: bytes) -> tuple[bytes, bytes]:
        if b"\\" not in data:
            return data, b""
        masked = _ESCAPED_PAIR.sub(b"\0\0", data)
        if masked.endswith(b"\\"):
            return masked[:-1], b"\\"
        return masked, b""

    def decode(self, raw: bytes) -> bytes | None:
        if raw == self._null:
            return None
        return _TEXT_ESCAPE.sub(_unescape, raw)

    def encode(self, value: bytes) -> bytes:
        special = re.compile(b"[\\\\\b\f\n\r\t\v%b]" % re.escape(self.delimiter))
        encoded = special.sub(lambda match: b"\\" + _TEXT_NAMES.get(match[0], match[0]), value)
        if self._null in (value, encoded):
            raise UnsupportedStatement("COPY's NULL option cannot be the tenant's value")
        return encoded

    def check_end(self) -> None:
        return


class CsvSyntax:
    __slots__ = ("_escape", "_escaped", "_null", "_open", "_quote", "_quoted", "csv", "delimiter")

    def __init__(self, stamp: CopyStamp) -> None:
        self.csv = True
        self.delimiter = _single(stamp.delimiter, "delimiter")
        self._quote = _single(stamp.quote, "quote")
        self._escape = _single(stamp.escape, "escape")
        self._null = stamp.null.encode()
        if b"\\" in (self.delimiter, self._quote) or b"." in (self.delimiter, self._quote):
            raise UnsupportedStatement("COPY delimiter and quote cannot be a backslash or a dot")
        if self.delimiter == self._quote:
            raise UnsupportedStatement("COPY delimiter and quote must be different")
        quote, escape = re.escape(self._quote), re.escape(self._escape)
        inner = rb"[^%b]+|%b%b" % (quote, quote, quote)
        if quote != escape:
            inner = rb"[^%b%b]+|%b." % (quote, escape, escape)
        self._quoted = re.compile(rb"%b(?:%b)*+(?:(%b)|%b?\Z)" % (quote, inner, quote, escape), re.DOTALL)
        self._escaped = re.compile(rb"%b([%b%b])" % (escape, escape, quote))
        self._open = False

    def mask(self, data: bytes) -> tuple[bytes, bytes]:
        if not self._open and self._quote not in data:
            return data, b""
        added = 1 if self._open else 0
        work = self._quote + data if self._open else data
        masked, rest = self._mask_toggling(work) if self._quote == self._escape else self._mask_escaping(work)
        return masked[added:], rest

    def _mask_toggling(self, work: bytes) -> tuple[bytes, bytes]:
        """Quotes are escaped by doubling, so every quote simply toggles."""
        parts = work.split(self._quote)
        self._open = len(parts) % 2 == 0
        parts[1::2] = [bytes(len(part) + 2) for part in parts[1::2]]
        if self._open:
            parts[-1] = parts[-1][1:]
        return b"".join(parts), b""

    def _mask_escaping(self, work: bytes) -> tuple[bytes, bytes]:
        self._open = False
        masked = self._quoted.sub(self._blank, work)
        if self._open and self._ends_in_escape(work):
            return masked[:-1], self._escape
        return masked, b""

    def _blank(self, match: re.Match[bytes]) -> bytes:
        self._open = match[1] is None
        return bytes(len(match[0]))

    def _ends_in_escape(self, work: bytes) -> bool:
        run = len(work) - len(work.rstrip(self._escape))
        return run % 2 == 1

    def decode(self, raw: bytes) -> bytes | None:
        if self._quote not in raw:
            return None if raw == self._null else raw
        return self._quoted.sub(lambda match: self._escaped.sub(rb"\1", match[0][1:-1]), raw)

    def encode(self, value: bytes) -> bytes:
        if value == self._null:
            raise UnsupportedStatement("COPY's NULL option cannot be the tenant's value")
        value = value.replace(self._escape, self._escape * 2)
        if self._quote != self._escape:
            value = value.replace(self._quote, self._escape + self._quote)
        return self._quote + value + self._quote

    def check_end(self) -> None:
        if self._open:
            raise malformed("unterminated CSV quoted field")


class LineStamper:
    """Cuts the stream into rows and stamps whole blocks of them. `_tail` is the incomplete row, `_masked_tail` its
    mask, `_carry` bytes whose meaning the next chunk decides (the start of an escape, a CR that an LF may follow)."""

    __slots__ = (
        "_carry",
        "_columns",
        "_ended",
        "_eol",
        "_header_left",
        "_index",
        "_masked_tail",
        "_row",
        "_suffix",
        "_syntax",
        "_tail",
        "_value",
    )

    def __init__(self, stamp: CopyStamp, syntax: Syntax, value: bytes) -> None:
        self._syntax = syntax
        self._columns = stamp.column_count
        self._index = stamp.tenant_index
        self._value = value
        self._suffix = syntax.delimiter + syntax.encode(value)
        self._header_left = stamp.header
        self._eol = b""  # not known yet
        self._tail = bytearray()
        self._masked_tail = bytearray()
        self._carry = b""
        self._row = 0
        self._ended = False

    def feed(self, data: bytes) -> bytes:
        if self._ended:
            self._after_end(data)
            return b""
        data = self._carry + data
        masked, self._carry = self._syntax.mask(data)
        if not self._carry and self._eol in (b"", b"\r\n") and masked.endswith(b"\r"):
            masked, self._carry = masked[:-1], b"\r"
        return self._take(data[: len(masked)], masked)

    def finish(self) -> bytes:
        if self._ended:
            return b""
        self._syntax.check_end()
        end, self._carry = self._carry, b""
        if end and (end != b"\r" or self._eol not in (b"", b"\r")):
            raise malformed("COPY data ends within a line end or an escape", row=self._row + 1)
        if not end and not self._tail:
            return b""
        self._eol = self._eol or end or b"\n"
        return self._take(self._eol, self._eol)

    def _take(self, data: bytes, masked: bytes) -> bytes:
        """Add decided bytes; stamp the rows that are complete with them."""
        if not self._eol and (found := _LINE_END.search(masked)):
            self._eol = found[0]
        cut = masked.rfind(self._eol) + len(self._eol) if self._eol else 0
        if not self._eol or cut < len(self._eol):
            cut = 0
        block, masked_block = data, masked
        if cut:
            block = bytes(self._tail) + data[:cut] if self._tail else data[:cut]
            masked_block = bytes(self._masked_tail) + masked[:cut] if self._tail else masked[:cut]
            self._tail.clear()
            self._masked_tail.clear()
        self._tail += data[cut:]
        self._masked_tail += masked[cut:]
        if len(self._tail) > MAX_ROW_BYTES:
            raise too_large()
        return self._stamp(block, masked_block) if cut else b""

    def _stamp(self, block: bytes, masked: bytes) -> bytes:
        """Stamp whole rows, of which `block` has at least one."""
        if MARKER in masked:
            block, masked = self._cut_at_marker(block, masked)
        self._check_line_ends(masked)
        header = b""
        if self._header_left and masked:
            cut = masked.index(self._eol) + len(self._eol)
            header, block, masked = block[:cut], block[cut:], masked[cut:]
            self._header_left = False
        masked_rows = masked.split(self._eol)
        masked_rows.pop()
        if not masked_rows:
            return header
        if self._index is None:
            block = self._append(block, masked_rows)
        else:
            self._check(block, masked_rows, self._index)
        self._row += len(masked_rows)
        return header + block

    def _append(self, block: bytes, masked_rows: list[bytes]) -> bytes:
        delimiter, separators = self._syntax.delimiter, self._columns - 1
        counts = [row.count(delimiter) for row in masked_rows]
        if counts.count(separators) != len(counts):
            self._refuse_count(counts)
        rows = self._split(block, masked_rows)
        rows.append(b"")
        return (self._suffix + self._eol).join(rows)

    def _split(self, block: bytes, masked_rows: list[bytes]) -> list[bytes]:
        """The rows of `block` that `masked_rows` are the masks of."""
        if block.count(self._eol) == len(masked_rows):
            rows = block.split(self._eol)
            rows.pop()
            return rows
        rows, position = [], 0
        for masked in masked_rows:
            rows.append(block[position : position + len(masked)])
            position += len(masked) + len(self._eol)
        return rows

    def _check(self, block: bytes, masked_rows: list[bytes], index: int) -> None:
        delimiter, columns, value = self._syntax.delimiter, self._columns, self._value
        for number, (row, masked) in enumerate(zip(self._split(block, masked_rows), masked_rows, strict=True)):
            fields = masked.split(delimiter)
            if len(fields) != columns:
                self._refuse_count([len(fields) - 1], number)
            start = sum(map(len, fields[:index])) + index
            if self._syntax.decode(row[start : start + len(fields[index])]) != value:
                raise foreign_row(self._row + number + 1)

    def _refuse_count(self, separators: list[int], first: int = 0) -> None:
        """Raise for the first row that has not the right number of columns."""
        for number, count in enumerate(separators, self._row + first + 1):
            if count < self._columns - 1:
                raise malformed("missing data for a column", row=number)
            if count > self._columns - 1:
                raise malformed("extra data after last expected column", row=number)

    def _check_line_ends(self, masked: bytes) -> None:
        """All line ends must be like the first: the server cuts rows by the same rule."""
        rows = masked.count(self._eol)
        expected = (rows if b"\r" in self._eol else 0, rows if b"\n" in self._eol else 0)
        if (masked.count(b"\r"), masked.count(b"\n")) != expected:
            raise malformed("line ends of COPY data are not all of one kind", row=self._row + 1)

    def _cut_at_marker(self, block: bytes, masked: bytes) -> tuple[bytes, bytes]:
        """The rows before an end marker, if there is one."""
        at = masked.find(MARKER)
        while at >= 0:
            after = at + len(MARKER)
            if (at == 0 or masked.endswith(self._eol, 0, at)) and masked.startswith(self._eol, after):
                self._ended = True
                self._after_end(block[after + len(self._eol) :] + self._tail + self._carry)
                self._tail.clear()
                self._masked_tail.clear()
                return block[:at], masked[:at]
            if not self._syntax.csv:
                raise malformed("end-of-copy marker is not alone on its line", row=self._row + 1)
            at = masked.find(MARKER, at + 1)
        return block, masked

    def _after_end(self, data: bytes) -> None:
        """Text: the server reads and ignores what follows. Csv: servers before 18 do, later ones take the marker for
        data, so nothing may follow."""
        if data and self._syntax.csv:
            raise malformed("COPY data follows an end-of-copy marker", hint='Quote a value that is \\. : "\\.".')


def _single(option: str, name: str) -> bytes:
    """A one-byte option that can be looked for in a mask."""
    encoded = option.encode("utf-8", "replace")
    if len(encoded) != 1 or encoded in b"\0\r\n":
        raise UnsupportedStatement(f"COPY {name} must be a single one-byte character, not a line end")
    return encoded


def _unescape(match: re.Match[bytes]) -> bytes:
    octal, hexadecimal, other = match.groups()
    if octal is not None:
        return bytes([int(octal, 8) & 0xFF])
    if hexadecimal is not None:
        return bytes([int(hexadecimal, 16)])
    return _TEXT_LETTERS.get(other, other)
