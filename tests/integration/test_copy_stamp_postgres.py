"""Stamped COPY data on real servers: PostgreSQL's own parser is the oracle for where rows and fields end."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator
from dataclasses import replace

import psycopg
import pytest

from policy.errors import StatementRefused
from policy.sql.plan import CopyStamp
from proxy.postgres.copy_stamp import CopyStamper
from tests.harness.postgres import PostgresServer

Row = tuple[str | None, ...]

TEXT = CopyStamp(format="text", column_count=2, tenant_index=None, tenant_type="text")
CSV = CopyStamp(format="csv", column_count=2, tenant_index=None, tenant_type="text", delimiter=",", null="")
BINARY = CopyStamp(format="binary", column_count=2, tenant_index=None, tenant_type="text")

TRICKY = [
    "plain",
    "tab\there",
    "line\nfeed",
    "cr\rhere",
    "back\\slash",
    "\\.",
    "\\N",
    'quo"te',
    '""',
    "ä€😀",
    "",
    "a,b",
]


class Target:
    """A table with a tenant column and one like it without, filled by COPY."""

    def __init__(self, connection: psycopg.Connection[Row]) -> None:
        self.connection = connection
        connection.execute("CREATE TEMP TABLE plain (a text, b text)")
        connection.execute("CREATE TEMP TABLE stamped (a text, b text, tenant text)")

    def load(self, table: str, options: str, data: bytes) -> list[Row]:
        """COPY data into the table and return what it then holds; the table is emptied again."""
        with self.connection.cursor() as cursor:
            try:
                with cursor.copy(f"COPY {table} FROM STDIN WITH ({options})") as copy:
                    copy.write(data)
                return cursor.execute(f"SELECT * FROM {table}").fetchall()
            finally:
                self.connection.execute(f"TRUNCATE {table}")


@pytest.fixture(params=["postgres", "postgres_tls"])
def target(request: pytest.FixtureRequest) -> Iterator[Target]:
    server: PostgresServer = request.getfixturevalue(request.param)
    with psycopg.connect(server.conninfo(), autocommit=True) as connection:
        yield Target(connection)


def stamp(what: CopyStamp, data: bytes, tenant: str = "acme") -> bytes:
    stamper = CopyStamper(what, tenant)
    return stamper.feed(data) + stamper.finish()


def options(what: CopyStamp) -> str:
    if what.format == "binary":
        return "FORMAT binary"
    text = f"FORMAT {what.format}, DELIMITER {_quoted(what.delimiter)}, NULL {_quoted(what.null)}"
    if what.format == "csv":
        text += f", QUOTE {_quoted(what.quote)}, ESCAPE {_quoted(what.escape)}"
    return text + (", HEADER" if what.header else "")


def _quoted(value: str) -> str:
    return "E'" + value.replace("\\", "\\\\").replace("'", "''") + "'"


def source(target: Target, rows: list[Row], what: CopyStamp) -> bytes:
    """The rows as PostgreSQL itself writes them."""
    with target.connection.cursor() as cursor:
        cursor.executemany("INSERT INTO plain VALUES (%s, %s)", rows)
        with cursor.copy(f"COPY plain TO STDOUT WITH ({options(what)})") as copy:
            data = b"".join(bytes(chunk) for chunk in copy)
        cursor.execute("TRUNCATE plain")
    return data


FORMATS = [
    TEXT,
    replace(TEXT, delimiter="|", null="~"),
    CSV,
    replace(CSV, header=True),
    replace(CSV, escape="\\", delimiter=";", null="NULL"),
    replace(CSV, quote="'", escape="'", delimiter="\t"),
    BINARY,
]


@pytest.mark.parametrize("what", FORMATS, ids=lambda what: f"{what.format}{what.delimiter}{what.escape}{what.header}")
@pytest.mark.parametrize("tenant", ["acme", "a\tc\\m\ne,'\"|;ä"])
def test_every_value_survives_and_every_row_is_stamped(target: Target, what: CopyStamp, tenant: str) -> None:
    rows: list[Row] = [(a, b) for a in [*TRICKY, None] for b in [*TRICKY, None]]
    data = source(target, rows, what)
    assert target.load("stamped", options(what), stamp(what, data, tenant)) == [(*row, tenant) for row in rows]


@pytest.mark.parametrize("what", FORMATS, ids=lambda what: f"{what.format}{what.delimiter}{what.escape}{what.header}")
def test_checked_data_is_loaded_as_it_came(target: Target, what: CopyStamp) -> None:
    rows: list[Row] = [("acme", value) for value in [*TRICKY, None]]
    data = source(target, rows, what)
    stamped = stamp(replace(what, tenant_index=0), data)
    assert target.load("plain", options(what), stamped) == rows


@pytest.mark.parametrize(
    ("what", "alphabet"),
    [
        (
            TEXT,
            [b"\\", b"\t", b"\n", b"\r", b".", b"x", b"4", b"1", b"N", b"\\.", b"\r\n", b"a\tb\n", b"\\\n", b"a\tb\r"],
        ),
        (replace(TEXT, delimiter="|"), [b"\\", b"|", b"\r", b"\n", b"\t", b"\\.", b"x", b"7", b"x|y\r", b"b"]),
        (CSV, [b'"', b",", b"\n", b"\r", b"\\.", b"x", b'""', b"\\.\n", b"x,y\n", b'"a\nb",c\n', b"\r\n"]),
        (
            replace(CSV, escape="\\"),
            [b'"', b",", b"\n", b"\r", b"\\", b"x", b'\\"', b'"\\\\"', b"\\.\n", b"x,y\n", b'"a\\"\nb",c\n'],
        ),
        (replace(CSV, header=True, escape="+"), [b'"', b",", b"\n", b"+", b"x", b'+"', b"x,y\n", b'"+\n"']),
    ],
    ids=["text", "text|", "csv", "csv-escape", "csv-header"],
)
def test_whatever_the_bytes_the_server_sees_our_rows(target: Target, what: CopyStamp, alphabet: list[bytes]) -> None:
    """If we accept a stream, the server must find every row stamped and every other value as without us."""
    dice = random.Random(what.format + what.escape + what.delimiter)
    accepted = 0
    for _ in range(400):
        data = b"".join(dice.choices(alphabet, k=dice.randint(1, 14)))
        try:
            stamped = stamp(what, data)
        except StatementRefused:
            continue
        try:
            rows = target.load("stamped", options(what), stamped)
        except psycopg.Error:
            continue
        accepted += 1
        assert {row[2] for row in rows} <= {"acme"}, data
        try:
            expected = target.load("plain", options(what), data)
        except psycopg.Error:
            assert b"\\." in data, data  # servers differ in what may follow the end marker, and we are lenient
        else:
            assert [row[:2] for row in rows] == expected, data
    assert accepted > 20


@pytest.mark.parametrize("what", [TEXT, CSV, replace(CSV, escape="\\")], ids=["text", "csv", "csv-escape"])
def test_a_checked_stream_loads_no_foreign_row(target: Target, what: CopyStamp) -> None:
    """Escapes, quotes and markers around the tenant's column: what passes holds one tenant only."""
    dice = random.Random(what.format + what.escape)
    delimiter, pieces = what.delimiter.encode(), [b"acme", b"globex", b"\\x61cme", b'"acme"', b'"glo""bex"', b"\\N"]
    pieces += [b"\\141cme", b"a", b"cme", b"", b"\\.", b'"', b"\\", b'"ac\\me"', b'"a"cme']
    accepted = 0
    for _ in range(400):
        first = [dice.choice(pieces) + dice.choice([b"", b"", b"cme"]) for _ in range(dice.randint(1, 2))]
        rows_bytes = [item + delimiter + dice.choice(pieces) + b"\n" for item in first]
        data = b"acme" + delimiter + b"1\n" + b"".join(rows_bytes)
        try:
            stamped = stamp(replace(what, tenant_index=0), data)
            rows = target.load("plain", options(what), stamped)
        except (StatementRefused, psycopg.Error):
            continue
        accepted += 1
        assert {row[0] for row in rows} == {"acme"}, data
    assert accepted > 20


def test_binary_stream_of_the_server_is_checked(target: Target) -> None:
    target.connection.execute("CREATE TEMP TABLE typed (id int, tenant uuid)")
    own, other = "6f1c7c9e-3f5f-4d39-8f1e-111111111111", "6f1c7c9e-3f5f-4d39-8f1e-222222222222"
    what = CopyStamp(format="binary", column_count=2, tenant_index=1, tenant_type="uuid")
    header = b"PGCOPY\n\xff\r\n\0" + bytes(8)

    def row(tenant: str) -> bytes:
        return struct.pack("!hiii", 2, 4, 7, 16) + bytes.fromhex(tenant.replace("-", ""))

    stamped = stamp(what, header + row(own) + b"\xff\xff", own)
    assert [str(r[1]) for r in target.load("typed", "FORMAT binary", stamped)] == [own]
    with pytest.raises(StatementRefused) as refused:
        stamp(what, header + row(own) + row(other) + b"\xff\xff", own)
    assert refused.value.sqlstate == "42501"
