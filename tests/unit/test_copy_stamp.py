"""COPY stamping without a server: chunks, limits, attacks, and what is refused. See also
tests/integration/test_copy_stamp_postgres.py, where real servers read the result."""

from __future__ import annotations

import struct
import time
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policy.errors import StatementRefused, UnsupportedStatement
from policy.sql.plan import CopyStamp
from proxy.postgres import copy_binary, copy_lines
from proxy.postgres.copy_stamp import CopyStamper

TEXT = CopyStamp(format="text", column_count=2, tenant_index=None, tenant_type="text")
CSV = CopyStamp(format="csv", column_count=2, tenant_index=None, tenant_type="text", delimiter=",", null="")
BINARY = CopyStamp(format="binary", column_count=2, tenant_index=None, tenant_type="text")
DOCUMENTS = replace(TEXT, column_count=4, tenant_index=0)  # the corpus' table: tenant_id, id, content, x

HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
TRAILER = b"\xff\xff"


def feed(what: CopyStamp, *chunks: bytes, tenant: str = "acme") -> bytes:
    stamper = CopyStamper(what, tenant)
    return b"".join([stamper.feed(chunk) for chunk in chunks]) + stamper.finish()


def refusal(what: CopyStamp, *chunks: bytes) -> str:
    with pytest.raises(StatementRefused) as refused:
        feed(what, *chunks)
    return refused.value.sqlstate


def tuple_of(*fields: bytes | None) -> bytes:
    body = b"".join(struct.pack("!i", -1) if f is None else struct.pack("!i", len(f)) + f for f in fields)
    return struct.pack("!h", len(fields)) + body


def outcome(what: CopyStamp, chunks: list[bytes]) -> bytes | None:
    try:
        return feed(what, *chunks)
    except StatementRefused:
        return None


# --- chunks: any cut gives the same

PIECES = st.sampled_from(
    [
        b"\\",
        b"\t",
        b"\n",
        b"\r",
        b"\r\n",
        b".",
        b"\\.",
        b"x",
        b'"',
        b'""',
        b",",
        b"acme",
        b"a\tb\n",
        b"a,b\n",
        b'"a\n",b\n',
    ]
)


@pytest.mark.parametrize(
    "what",
    [
        TEXT,
        CSV,
        replace(CSV, escape="\\", header=True),
        replace(TEXT, tenant_index=0),
        replace(CSV, tenant_index=1),
        replace(CSV, escape="x"),
    ],
    ids=["text", "csv", "csv-escape-header", "text-check", "csv-check", "csv-escape-letter"],
)
@given(data=st.lists(PIECES, max_size=25).map(b"".join), cuts=st.lists(st.integers(0, 60), max_size=4))
@settings(max_examples=150, deadline=None)
def test_lines_cut_anywhere_give_the_same(what: CopyStamp, data: bytes, cuts: list[int]) -> None:
    whole = outcome(what, [data])
    bounds = [0, *sorted(cuts), len(data)]
    assert outcome(what, [data[a:b] for a, b in pairwise(bounds)]) == whole
    assert outcome(what, [data[i : i + 1] for i in range(len(data))]) == whole


@given(
    rows=st.lists(st.tuples(*[st.one_of(st.none(), st.binary(max_size=5))] * 2), max_size=4),
    damage=st.one_of(st.none(), st.tuples(st.integers(0, 80), st.integers(0, 255))),
    trailer=st.sampled_from([TRAILER, b"", TRAILER + b"x"]),
)
@settings(max_examples=150, deadline=None)
def test_binary_cut_anywhere_gives_the_same(
    rows: list[tuple[bytes | None, bytes | None]], damage: tuple[int, int] | None, trailer: bytes
) -> None:
    data = bytearray(HEADER + b"".join(tuple_of(*row) for row in rows) + trailer)
    if damage is not None and damage[0] < len(data):
        data[damage[0]] = damage[1]
    whole = outcome(BINARY, [bytes(data)])
    assert outcome(BINARY, [bytes(data[i : i + 1]) for i in range(len(data))]) == whole
    if damage is None and trailer != TRAILER + b"x":
        assert whole == HEADER + b"".join(tuple_of(*row, b"acme") for row in rows) + trailer


# --- appended


@pytest.mark.parametrize(
    ("what", "data", "expected"),
    [
        (TEXT, b"1\tx\n2\ty\n", b"1\tx\tacme\n2\ty\tacme\n"),
        (TEXT, b"1\tx", b"1\tx\tacme\n"),
        (TEXT, b"1\tx\r\n2\ty\r\n", b"1\tx\tacme\r\n2\ty\tacme\r\n"),
        (TEXT, b"1\tx\r2\ty\r", b"1\tx\tacme\r2\ty\tacme\r"),
        (TEXT, b"1\tx\\\ny\n", b"1\tx\\\ny\tacme\n"),
        (TEXT, b"1\tx\\\ty\n", b"1\tx\\\ty\tacme\n"),
        (TEXT, b"1\tx\n\\.\nignored", b"1\tx\tacme\n"),
        (TEXT, b"", b""),
        (CSV, b'1,"x,""\n"\n', b'1,"x,""\n","acme"\n'),
        (CSV, b'1,x\n\\.\n', b'1,x,"acme"\n'),
        (replace(CSV, header=True), b'id,"na\nme"\n1,x\n', b'id,"na\nme"\n1,x,"acme"\n'),
        (replace(CSV, column_count=1), b"\nx\n", b',"acme"\nx,"acme"\n'),
    ],
)  # fmt: skip
def test_the_tenant_becomes_the_last_column(what: CopyStamp, data: bytes, expected: bytes) -> None:
    assert feed(what, data) == expected


def test_the_tenants_value_is_escaped() -> None:
    assert feed(TEXT, b"1\tx\n", tenant="a\tb\\c\nd") == b"1\tx\ta\\tb\\\\c\\nd\n"
    assert feed(replace(TEXT, delimiter="|"), b"1|x\n", tenant="a|b") == b"1|x|a\\|b\n"
    assert feed(CSV, b"1,x\n", tenant='a"b') == b'1,x,"a""b"\n'
    assert feed(replace(CSV, escape="\\"), b"1,x\n", tenant='a"b\\') == b'1,x,"a\\"b\\\\"\n'


@pytest.mark.parametrize(
    ("what", "data"),
    [
        (TEXT, b"1\n"),  # the tenant would become column 2
        (TEXT, b"1\tx\tglobex\n"),
        (TEXT, b"1\tx\\"),  # would escape our delimiter
        (TEXT, b"1\tx\\."),
        (TEXT, b"1\tx\r\n2\ty\n"),
        (TEXT, b"1\tx\n2\ty\r3\tz\n"),
        (CSV, b"1\n"),
        (CSV, b'1,x,"globex"\n'),
        (CSV, b'1,"x\n'),  # would quote our value
        (CSV, b'\\.\n1,x\n'),  # end of data for old servers, a row for new ones
        (BINARY, HEADER + tuple_of(b"1") + TRAILER),
        (BINARY, HEADER + tuple_of(b"1", b"x", b"globex") + TRAILER),
        (BINARY, HEADER + tuple_of(b"1", b"x")[:-1]),
        (BINARY, HEADER + tuple_of(b"1", b"x") + TRAILER + tuple_of(b"1", b"x")),
        (BINARY, HEADER + struct.pack("!hi", 2, -2)),
        (BINARY, b"PGCOPY\n\xff\r\n\0" + struct.pack("!Ii", 1 << 16, 0) + TRAILER),
        (BINARY, b"PGCOPY\n\xff\r\n\0" + struct.pack("!Ii", 0, -1) + TRAILER),
        (BINARY, b"1\tx\n"),
        (BINARY, b""),
    ],
)  # fmt: skip
def test_malformed_data_is_refused(what: CopyStamp, data: bytes) -> None:
    assert refusal(what, data) == "22P04"


# --- checked: the corpus' attacks and their relatives


@pytest.mark.parametrize(
    "chunks",
    [
        [b"globex\t50\tplanted\tx\nacme\t51\tok\tx\n"],  # COPY-008
        [b"\\147lob\\x65x\t61\tplanted\tx\n"],  # COPY-011
        [b"acme\t62\ta\tb\nglobex\t63\tplanted\tx\n\\.\n"],  # COPY-012
        [b"acme\t65\tx\ty\nglo", b"bex\t66\tplan", b"ted\tz\n"],  # COPY-014
        [b"\\N\t1\tx\ty\n"],
        [b"\t1\tx\ty\n"],
        [b"acme \t1\tx\ty\n"],
        [b"ACME\t1\tx\ty\n"],
        [b"acme\\\tx\t1\tx\ty\n"],
    ],
)  # fmt: skip
def test_a_foreign_row_is_denied(chunks: list[bytes]) -> None:
    assert refusal(DOCUMENTS, *chunks) == "42501"


def test_a_foreign_row_in_csv_and_binary_is_denied() -> None:
    csv, binary = replace(CSV, tenant_index=0), replace(BINARY, tenant_index=0)
    for value in (b"globex", b'"globex"', b"", b'""', b"NULL", b'"ac""me"', b" acme"):
        assert refusal(csv, value + b",x\n") == "42501"
    for field in (b"globex", None, b"", b"acme\0"):
        assert refusal(binary, HEADER + tuple_of(field, b"x") + TRAILER) == "42501"


@pytest.mark.parametrize(
    ("what", "data"),
    [
        (replace(TEXT, tenant_index=0), b"acme\tx\n\\x61cme\ty\n\\141\\143me\t\\N\n"),
        (replace(TEXT, tenant_index=1), b"a\\\tb\tacme\n\ta\\cme\n"),
        (replace(CSV, tenant_index=0), b'acme,x\n"acme","y,z"\nac"me",\n'),
        (replace(CSV, tenant_index=1), b'"a,\n""b",acme\n,"acme"\n'),
        (replace(BINARY, tenant_index=1), HEADER + tuple_of(None, b"acme") + TRAILER),
    ],
)
def test_own_rows_pass_unchanged(what: CopyStamp, data: bytes) -> None:
    assert feed(what, data) == data


def test_binary_values_have_the_columns_type() -> None:
    integer = replace(BINARY, tenant_type="integer", tenant_index=0)
    own = HEADER + tuple_of(struct.pack("!i", 42), b"x") + TRAILER
    assert feed(integer, own, tenant="42") == own
    with pytest.raises(UnsupportedStatement):
        CopyStamper(replace(BINARY, tenant_type="jsonb"), "acme")
    with pytest.raises(UnsupportedStatement):
        CopyStamper(replace(BINARY, tenant_type="integer"), "acme")


@pytest.mark.parametrize(
    "what",
    [
        replace(TEXT, delimiter="A"),  # \xA: a digit to the server, a delimiter to us
        replace(TEXT, delimiter="||"),
        replace(TEXT, delimiter="ä"),
        replace(TEXT, null="acme"),  # our own value would be NULL
        replace(CSV, null="acme"),
        replace(CSV, quote="\\"),
        replace(CSV, quote="\n"),
        replace(CSV, quote=","),
        replace(TEXT, column_count=0),
        replace(TEXT, format="parquet"),
    ],
)
def test_options_that_cannot_be_stamped_are_refused(what: CopyStamp) -> None:
    with pytest.raises(UnsupportedStatement):
        CopyStamper(what, "acme")


# --- bounds


@pytest.mark.parametrize(
    ("what", "start", "more"),
    [
        (TEXT, b"1\t", b"x" * 100),
        (CSV, b'1,"', b"x\n" * 50),
        (BINARY, HEADER + struct.pack("!hi", 2, 999), b"x" * 100),
        (BINARY, HEADER + struct.pack("!hi", 2, 2**31 - 1), b""),
    ],
)  # fmt: skip
def test_an_endless_row_is_refused(what: CopyStamp, start: bytes, more: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copy_lines, "MAX_ROW_BYTES", 1000)
    monkeypatch.setattr(copy_binary, "MAX_ROW_BYTES", 1000)
    assert refusal(what, start, *[more] * 20) == "54000"


@pytest.mark.parametrize(
    ("what", "row"),
    [
        (TEXT, b"1\t" + b"\\\n" * 500_000),
        (CSV, b'1,"' + b'""\n' * 350_000),
        (replace(CSV, escape="\\"), b'1,"' + b'\\"\n' * 350_000),
    ],
)  # fmt: skip
def test_time_is_linear_in_a_long_row_of_small_chunks(what: CopyStamp, row: bytes) -> None:
    started = time.process_time()
    feed(what, *[row[i : i + 100] for i in range(0, len(row), 100)], b"" if what is TEXT else b'"\n')
    assert time.process_time() - started < 2.0  # quadratic work would take minutes
