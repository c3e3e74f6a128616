"""COPY: a guarded query out, a stamped stream in, and options that are understood."""

from __future__ import annotations

import pytest

from policy.access import Access, TableAccess
from policy.errors import StatementRefused
from policy.model import Isolation
from policy.sql.compile import compile_query
from policy.sql.plan import CopyStamp, StatementKind
from tests.unit.sql.shop import CATALOG, FULL, plan_of, rewritten, shared_access
from tests.unit.sql.test_insert import OWN_ORDERS, squeezed

OUT = OWN_ORDERS.replace('FROM "public"', 'FROM ONLY "public"')


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("COPY orders TO STDOUT", f'COPY (SELECT "tenant_id", "id", "amount", "status" FROM {OUT}) TO STDOUT'),
        (
            "COPY public.orders (id) TO STDOUT (FORMAT csv, FORCE_QUOTE *)",
            f'COPY (SELECT "id" FROM {OUT}) TO STDOUT (FORMAT csv, FORCE_QUOTE *)',
        ),
        (
            "COPY BINARY orders (id) TO STDOUT",
            f'COPY (SELECT "id" FROM {OUT}) TO STDOUT WITH BINARY',
        ),
        (
            "COPY orders (id) TO STDOUT USING DELIMITERS '|' WITH NULL AS ''",
            f"COPY (SELECT \"id\" FROM {OUT}) TO STDOUT WITH DELIMITER '|' NULL AS ''",
        ),
        ("COPY (SELECT id FROM orders) TO STDOUT", f"COPY (SELECT id FROM {OWN_ORDERS}) TO STDOUT"),
        (
            "COPY orders (id, amount) FROM STDIN (FORMAT csv)",
            'COPY "public"."orders" ("id", "amount", "tenant_id") FROM STDIN (FORMAT csv)',
        ),
        ("COPY cards FROM STDIN", 'COPY "public"."cards" ("tenant_id", "id", "card", "holder") FROM STDIN'),
    ],
)  # fmt: skip
def test_what_is_sent(sql: str, expected: str) -> None:
    assert squeezed(rewritten(sql)) == expected


@pytest.mark.parametrize(
    ("sql", "stamp"),
    [
        ("COPY orders (id, amount) FROM STDIN", CopyStamp("text", 2, None, "text")),
        ("COPY orders (amount, tenant_id) FROM STDIN", CopyStamp("text", 2, 1, "text")),
        ("COPY notes FROM STDIN", CopyStamp("text", 4, 1, "text")),
        ("COPY units (id) FROM STDIN (FORMAT binary)", CopyStamp("binary", 1, None, "uuid")),
        (
            "COPY orders (id) FROM STDIN WITH CSV HEADER QUOTE ''''",
            CopyStamp("csv", 1, None, "text", delimiter=",", null="", quote="'", escape="'", header=True),
        ),
        (
            "COPY orders (id) FROM STDIN DELIMITERS '|' WITH NULL AS 'x'",
            CopyStamp("text", 1, None, "text", delimiter="|", null="x"),
        ),
        (
            "COPY orders (id) FROM STDIN (HEADER off, ENCODING 'utf-8', FORMAT 'csv', ESCAPE '#', DELIMITER ';')",
            CopyStamp("csv", 1, None, "text", delimiter=";", null="", escape="#"),
        ),
    ],
)
def test_how_the_stream_is_stamped(sql: str, stamp: CopyStamp) -> None:
    plan = plan_of(sql)
    assert plan.copy_stamp == stamp
    assert plan.kind is StatementKind.COPY_IN
    assert plan.write


def test_options_pin_the_plan_to_the_text() -> None:
    for sql in ("COPY orders TO STDOUT (DELIMITER '|')", "COPY orders (id) FROM STDIN (NULL 'x')"):
        assert not compile_query(sql, shared_access(), CATALOG).by_shape


REFUSED = [
    ("COPY orders TO '/tmp/x'", "42501"),
    ("COPY orders FROM '/tmp/x'", "42501"),
    ("COPY (SELECT 1) TO PROGRAM 'cat'", "42501"),
    ("COPY orders FROM PROGRAM 'cat'", "42501"),
    ("COPY orders FROM STDIN (HEADER match)", "0A000"),
    ("COPY orders FROM STDIN (FREEZE)", "0A000"),
    ("COPY orders FROM STDIN (FORMAT csv, FORCE_NULL (id))", "0A000"),
    ("COPY orders FROM STDIN (ON_ERROR ignore)", "0A000"),
    ("COPY orders FROM STDIN (DEFAULT 'x')", "0A000"),
    ("COPY orders FROM STDIN (ENCODING 'SJIS')", "0A000"),
    ("COPY orders TO STDOUT (ENCODING 'LATIN1')", "0A000"),
    ("COPY orders TO STDOUT (FORMAT 'json')", "0A000"),
    ("COPY orders FROM STDIN (FORMAT csv, FORMAT text)", "42601"),
    ("COPY orders FROM STDIN WHERE tenant_id = 'acme' OR true", "0A000"),
    ("COPY orders (nope) FROM STDIN", "42703"),
    ("COPY orders (cents) TO STDOUT", "42P10"),
    ("COPY orders (id, id) FROM STDIN", "42701"),
    ("COPY drafts (id) FROM STDIN", "42501"),
    ("COPY countries FROM STDIN", "42501"),
    ("COPY v_orders FROM STDIN", "0A000"),
    ("COPY sales.elsewhere TO STDOUT", "42P01"),
    ("COPY (SELECT * FROM sales.elsewhere) TO STDOUT", "42P01"),
    ("COPY (SELECT pg_read_file('x')) TO STDOUT", "42501"),
    ("COPY pg_catalog.pg_authid TO STDOUT", "42P01"),
]


@pytest.mark.parametrize(("sql", "sqlstate"), REFUSED)
def test_refusals(sql: str, sqlstate: str) -> None:
    with pytest.raises(StatementRefused) as caught:
        rewritten(sql)
    assert caught.value.sqlstate == sqlstate
    assert caught.value.position > 0


@pytest.mark.parametrize(
    "sql", ["COPY orders TO STDOUT", "COPY orders (id) FROM STDIN", "COPY (SELECT id FROM orders) TO STDOUT"]
)
def test_copy_needs_its_own_permission(sql: str) -> None:
    with pytest.raises(StatementRefused) as caught:
        rewritten(sql, shared_access(orders=TableAccess(read=True, write=True)))
    assert caught.value.sqlstate == "42501"
    rewritten(sql)


def test_own_database_copies_without_a_stamp() -> None:
    access = Access("d", Isolation.DATABASE, "main", FULL, {}, {})
    plan = plan_of("COPY notes FROM STDIN", access)
    assert plan.copy_stamp is None
    assert plan.kind is StatementKind.COPY_IN
