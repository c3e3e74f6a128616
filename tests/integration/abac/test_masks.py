"""Every mask of the library on servers of two versions: what it shows, that its type stays, and what it refuses."""

from __future__ import annotations

import re
from typing import Any

import psycopg
import pytest

from policy.abac.masks import KEY_SETTING, mask_sql, written
from policy.abac.model import Mask
from policy.errors import UnsupportedStatement
from policy.sql.catalog import Column
from tests.harness.postgres import PostgresServer

_TEXTS = ("text", "varchar(12)", "char(8)")
_TYPES = (
    *_TEXTS, "smallint", "integer", "bigint", "numeric(10,2)", "double precision", "real", "uuid", "bytea", "date",
    "timestamp", "timestamptz", "boolean", "jsonb", "int[]",
)  # fmt: skip
_NAMES = {
    "varchar(12)": "character varying", "char(8)": "character", "numeric(10,2)": "numeric", "int[]": "integer[]",
    "timestamp": "timestamp without time zone", "timestamptz": "timestamp with time zone",
}  # fmt: skip
_VALUES = {
    "text": "Ab-12 ü", "varchar(12)": "ann@x.org", "char(8)": "x1", "smallint": "-77", "integer": "4711",
    "bigint": "9000000000", "numeric(10,2)": "123.45", "double precision": "-0.5", "real": "2.5",
    "uuid": "00000000-0000-0000-0000-000000000007", "bytea": "\\x0102", "date": "2024-05-17",
    "timestamp": "2024-05-17 10:20:30", "timestamptz": "2024-05-17 10:20:30+00", "boolean": "t", "jsonb": '{"a": 1}',
    "int[]": "{1,2}",
}  # fmt: skip
_MASKS = (
    Mask("null"), Mask("hash"), Mask("token"), Mask("email"), Mask("partial", last=4), Mask("partial", first=1, last=1),
    Mask("range", text="10"), Mask("range", text="0.5"), Mask("range", text="month"),
)  # fmt: skip


def _expression(mask: Mask, type_name: str, under: str = "") -> str | None:
    column = Column("v", 0, _NAMES.get(type_name, type_name), declared_type=type_name)
    try:
        return mask_sql(written(mask, under), column).replace(":tenant", "'acme'")
    except UnsupportedStatement:
        return None


@pytest.fixture(scope="module", params=["postgres", "postgres_tls"])
def server(request: pytest.FixtureRequest) -> Any:
    found: PostgresServer = request.getfixturevalue(request.param)
    with psycopg.connect(found.conninfo(), autocommit=True) as connection:
        connection.execute(f"SET {KEY_SETTING} = '0123456789abcdef0123456789abcdef'")
        yield connection


def _shown(server: psycopg.Connection[tuple[Any, ...]], expression: str, type_name: str, value: object) -> Any:
    sql = f"SELECT ({expression})::text, pg_typeof(({expression})) FROM (SELECT %s::{type_name} AS v) t"
    sql = sql.replace("%", "%%").replace("%%s::", "%s::")
    row = server.execute(sql, (value,)).fetchone()
    assert row is not None
    assert row[1] == _NAMES.get(type_name, type_name), expression
    return row[0]


def test_a_mask_has_its_columns_type_or_is_refused(server: psycopg.Connection[tuple[Any, ...]]) -> None:
    made = set()
    for type_name in _TYPES:
        for mask in _MASKS:
            expression = _expression(mask, type_name)
            if expression is None:
                continue
            made.add((mask.kind, mask.text, type_name))
            shown = _shown(server, expression, type_name, _VALUES[type_name])
            assert shown != _VALUES[type_name] or mask.kind == "range", (mask, type_name)
            assert shown == _shown(server, expression, type_name, _VALUES[type_name])
            assert _shown(server, expression, type_name, None) is None or mask.kind == "constant", (mask, type_name)
    for type_name in _TEXTS:
        assert {("hash", "", type_name), ("token", "", type_name), ("email", "", type_name)} <= made
    assert ("range", "month", "date") in made
    assert ("range", "10", "numeric(10,2)") in made
    assert ("token", "", "integer") not in made
    assert {type_name for kind, _, type_name in made if kind == "null"} == set(_TYPES)


@pytest.mark.parametrize(
    ("mask", "value", "shown"),
    [
        (Mask("partial", last=4), "4111-1111-1111-1007", "*" * 15 + "1007"),
        (Mask("partial", first=2, last=2, fill="#"), "abcdef", "ab##ef"),
        (Mask("partial", first=2, last=2), "abcd", "****"),  # shorter than what would be shown: nothing is
        (Mask("partial", first=2, last=2), "", ""),
        (Mask("email"), "ann@example.org", "a***@example.org"),
        (Mask("email"), "no address", "***"),
        (Mask("email"), "@x", "***"),
        (Mask("constant", text="it's"), "x", "it's"),
    ],
)
def test_texts(server: psycopg.Connection[tuple[Any, ...]], mask: Mask, value: str, shown: str) -> None:
    expression = _expression(mask, "text")
    assert expression is not None
    assert _shown(server, expression, "text", value) == shown


def test_ranges(server: psycopg.Connection[tuple[Any, ...]]) -> None:
    for mask, type_name, value, shown in (
        (Mask("range", text="10"), "integer", "47", "40"),
        (Mask("range", text="10"), "integer", "-1", "-10"),
        (Mask("range", text="10"), "smallint", "-32768", "-32768"),
        (Mask("range", text="0.5"), "numeric(10,2)", "1.74", "1.50"),
        (Mask("range", text="month"), "date", "2024-05-17", "2024-05-01"),
        (Mask("range", text="hour"), "timestamp", "2024-05-17 10:20:30", "2024-05-17 10:00:00"),
    ):
        expression = _expression(mask, type_name)
        assert expression is not None
        assert _shown(server, expression, type_name, value) == shown


def test_tokens_keep_the_form_and_hang_on_key_and_tenant(server: psycopg.Connection[tuple[Any, ...]]) -> None:
    expression = _expression(Mask("token"), "text")
    assert expression is not None
    value = "DE89 3704 0044 0532 0130 00 / Ann-Söphie " + "x" * 60
    token = _shown(server, expression, "text", value)
    form = re.sub("[a-zö]", "a", re.sub("[A-Z]", "A", re.sub("[0-9]", "0", value)))
    assert re.sub("[a-z]", "a", re.sub("[A-Z]", "A", re.sub("[0-9]", "0", token))) == form
    others = {
        _shown(server, expression, "text", value + "y")[: len(value)],
        _shown(server, expression.replace("'acme'", "'globex'"), "text", value),
    }
    server.execute(f"SET {KEY_SETTING} = 'another key of 32 characters, ok'")
    others.add(_shown(server, expression, "text", value))
    server.execute(f"SET {KEY_SETTING} = '0123456789abcdef0123456789abcdef'")
    assert len(others | {token}) == 4
    assert _shown(server, expression, "text", "") == ""


def test_a_mask_is_laid_over_that_of_a_role(server: psycopg.Connection[tuple[Any, ...]]) -> None:
    expression = _expression(Mask("partial", last=2), "text", under="upper(v)")
    assert expression is not None
    assert _shown(server, expression, "text", "abcd") == "**CD"
    custom = _expression(Mask("sql", text="left(v, 1)"), "text", under="upper(v)")
    assert custom == "NULL::text"  # nobody knows which of the two shows less
    assert _expression(Mask("sql", text="left(v, 1)"), "text") == "left(v, 1)"
