"""Tenant columns of every type that is not plain text, with tenants of which one's value begins the other's.

A cast that cuts the value would make `acme` read and write the rows of `a`. Everything is checked on real servers with
the catalog as the gateway loads it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from policy.access import Access, TableAccess
from policy.errors import AccessDenied, StatementRefused
from policy.model import Isolation, TableClass, TableRule
from policy.sql.catalog import Catalog
from policy.sql.compile import compile_query
from policy.sql.plan import SlotValues, quote_literal, render
from policy.sql.shape import shape_of
from tests.harness.postgres import PostgresServer
from tests.harness.simple_query import load_catalog_from

TYPES = """
CREATE SCHEMA "Odd schema";
CREATE DOMAIN code AS text CHECK (length(VALUE) < 9);
CREATE DOMAIN one_letter AS char(1);
CREATE DOMAIN inner_letters AS character(4);
CREATE DOMAIN outer_letters AS inner_letters NOT NULL;
CREATE DOMAIN short_text AS varchar(1);
CREATE TYPE "Odd schema"."Odd ""type" AS ENUM ('acme', 'a', 'ac');
CREATE TYPE "character" AS ENUM ('a', 'acme');
"""
TEXTS = {
    "char_1": "character(1)",
    "char_4": "character(4)",
    "bpchar": "bpchar",
    "varchar_1": "varchar(1)",
    "varchars": "varchar(9)",
    "domain": "code",
    "domain_char_1": "one_letter",
    "domain_of_domain": "outer_letters",
    "domain_varchar": "short_text",
    "enum": '"Odd schema"."Odd ""type"',
    "enum_like_char": 'public."character"',
}
LOSSY = {
    "one_byte": '"char"',
    "names": "name",
    "day": "date",
    "moment": "timestamp without time zone",
    "instants": "timestamptz[]",
    "reals": "real",
    "floats": "double precision",
    "spans": "interval",
}
OTHERS = {  # type, tenant, another tenant
    "bit_1": ("bit", "1", "0"),
    "bits": ("bit(4)", "1010", "1000"),
    "varbits": ("varbit", "10", "1"),
    "chars": ("char(4)[]", "{acme}", "{a}"),
    "one_chars": ("char[]", "{acme}", "{a}"),
    "bit_arrays": ("bit(2)[]", "{10}", "{11}"),
    "texts": ("text[]", "{acme}", "{a}"),
    "numerics": ("numeric(6,2)", "10.5", "10"),
    "uuids": ("uuid", "00000000-0000-0000-0000-00000000acfe", "00000000-0000-0000-0000-00000000acff"),
    "integers": ("int", "12", "1"),
    "bytes": ("bytea", "acme", "a"),
}
COLUMNS = TEXTS | LOSSY | {name: type_ for name, (type_, _, _) in OTHERS.items()}
ALL = TableAccess(read=True, write=True, copy=True)
RULES = {("public", name): TableRule("public", name, TableClass.TENANT, "owner") for name in COLUMNS}
MASKED = TableAccess(read=True, masks={"owner": "NULL"})


class Shop:
    """A connection that runs statements as a tenant; nothing is kept."""

    def __init__(self, connection: psycopg.Connection[Any], catalog: Catalog) -> None:
        self.connection = connection
        self.catalog = catalog

    def run(self, sql: str, tenant: str, access: TableAccess = ALL) -> list[tuple[Any, ...]]:
        compiled = compile_query(sql, Access("x", Isolation.SHARED, "main", access, {}, RULES), self.catalog)
        (plan,) = compiled.plans
        if plan.denial is not None:
            raise plan.denial
        shape = shape_of(sql) if compiled.by_shape else None
        values = SlotValues(quote_literal(tenant), '"s"', "'ann'", {})
        cursor = self.connection.execute(render(plan, values, shape.literals if shape is not None else ()))
        return cursor.fetchall() if cursor.description else []

    def __enter__(self) -> Shop:
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.rollback()


@pytest.fixture(scope="module", params=["postgres", "postgres_tls"])
def shop(request: pytest.FixtureRequest) -> Iterator[Shop]:
    server: PostgresServer = request.getfixturevalue(request.param)
    server.create_database("types")
    tables = ";".join(f"CREATE TABLE {name} (owner {type_}, id int)" for name, type_ in COLUMNS.items())
    server.execute(TYPES + tables, "types")
    conninfo = server.conninfo("types")
    catalog = asyncio.run(load_catalog_from(conninfo))
    with psycopg.connect(conninfo) as connection:
        connection.execute("SET search_path = public")
        connection.commit()
        yield Shop(connection, catalog)
        connection.rollback()
    server.drop_database("types")


def test_a_cast_to_the_usual_name_would_have_cut(shop: Shop) -> None:
    """The attack is real."""
    with shop:
        assert shop.connection.execute("SELECT 'acme'::character, 'acme'::one_letter, '10'::bit::text").fetchall() == [
            ("a", "a", "1")
        ]


@pytest.mark.parametrize("table", TEXTS)
def test_a_tenant_whose_value_begins_with_anothers_meets_none_of_its_rows(shop: Shop, table: str) -> None:
    with shop:
        shop.connection.execute(f"INSERT INTO {table} VALUES ('a', 1)")
        assert shop.run(f"SELECT id FROM {table}", "a") == [(1,)]
        assert shop.run(f"SELECT id FROM {table}", "acme") == []
        assert shop.run(f"UPDATE {table} SET id = 2 RETURNING id", "acme") == []
        assert shop.run(f"DELETE FROM {table} RETURNING id", "acme") == []


@pytest.mark.parametrize("table", TEXTS)
@pytest.mark.parametrize(
    "insert",
    [
        "INSERT INTO {0} (id) VALUES (7)",
        "INSERT INTO {0} (id) SELECT 7",
        "INSERT INTO {0} (owner, id) VALUES ('acme', 7)",
        "INSERT INTO {0} VALUES (DEFAULT, 7)",
        "INSERT INTO {0} (owner, id) SELECT * FROM (SELECT 'acme', 7) s",
        "INSERT INTO {0} DEFAULT VALUES",
    ],
)
def test_what_a_tenant_inserts_is_its_own_or_fails(shop: Shop, table: str, insert: str) -> None:
    with shop:
        try:
            shop.run(insert.format(table), "acme")
        except psycopg.errors.StringDataRightTruncation:
            assert "1" in TEXTS[table] or "one" in TEXTS[table] or "short" in TEXTS[table]
            return
        assert shop.connection.execute(f"SELECT owner::text FROM {table}").fetchall() == [("acme",)]
        assert shop.run(f"SELECT count(*) FROM {table}", "acme") == [(1,)]
        assert shop.run(f"SELECT count(*) FROM {table}", "a") == [(0,)]


@pytest.mark.parametrize("table", TEXTS)
def test_a_value_that_only_begins_like_the_tenants_is_foreign(shop: Shop, table: str) -> None:
    with shop, pytest.raises(psycopg.errors.UndefinedObject, match="tenantgate_foreign_tenant"):
        shop.run(f"INSERT INTO {table} (owner, id) VALUES ('a', 7)", "acme")
    with shop, pytest.raises(psycopg.errors.UndefinedObject, match="tenantgate_foreign_tenant"):
        shop.run(f"INSERT INTO {table} (owner, id) VALUES ('acme', 7)", "a")


@pytest.mark.parametrize("table", OTHERS)
def test_values_of_other_types_are_kept_apart(shop: Shop, table: str) -> None:
    _, tenant, other = OTHERS[table]
    with shop:
        if table != "one_chars":
            shop.run(f"INSERT INTO {table} (id) VALUES (1)", tenant)
            shop.run(f"INSERT INTO {table} (owner, id) VALUES ('{tenant}', 2)", tenant)
        shop.run(f"INSERT INTO {table} (id) VALUES (3)", other)
        own = [] if table == "one_chars" else [(1,), (2,)]
        assert shop.run(f"SELECT id FROM {table} ORDER BY id", tenant) == own
        assert shop.run(f"UPDATE {table} SET owner = '{other}' RETURNING id", other) == [(3,)]
        assert shop.run(f"DELETE FROM {table} RETURNING id", tenant) == own


@pytest.mark.parametrize("table", LOSSY)
@pytest.mark.parametrize("sql", ["SELECT id FROM {0}", "INSERT INTO {0} (id) VALUES (1)", "DELETE FROM {0}"])
def test_types_that_cut_or_depend_on_settings_are_refused(shop: Shop, table: str, sql: str) -> None:
    with pytest.raises(AccessDenied, match="permission denied") as caught:
        shop.run(sql.format(table), "acme")
    refusal: StatementRefused = caught.value
    assert refusal.sqlstate == "42501"
    assert "owner to text" in (refusal.hint or "")


@pytest.mark.parametrize("table", ["char_4", "domain_of_domain", "bits", "enum", "chars", "varchars"])
def test_a_masked_column_keeps_its_type(shop: Shop, table: str) -> None:
    tenant = OTHERS[table][1] if table in OTHERS else "acme"
    with shop:
        shop.run(f"INSERT INTO {table} (id) VALUES (1)", tenant)
        assert shop.run(f"SELECT owner, id FROM {table}", tenant, MASKED) == [(None, 1)]
        compared = "ARRAY[owner]" if table == "chars" else "owner"
        assert shop.run(f"SELECT id FROM {table} WHERE {compared} IS NULL OR id = 1", tenant, MASKED) == [(1,)]


def test_a_tenant_column_whose_collation_folds_is_refused(postgres_tls: PostgresServer) -> None:
    """`acme` would read and write the rows of `ACME`: the guard's comparison goes by the column's collation."""
    postgres_tls.create_database("folding")
    postgres_tls.execute(
        "CREATE COLLATION any_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false);"
        "CREATE TABLE code (owner text COLLATE any_case, id int);"
        "CREATE DOMAIN folded AS text COLLATE any_case; CREATE TABLE domain (owner folded, id int);"
        "CREATE TABLE varchar_9 (owner text, id int)",
        "folding",
    )
    conninfo = postgres_tls.conninfo("folding")
    catalog = asyncio.run(load_catalog_from(conninfo))
    rules = {("public", t): TableRule("public", t, TableClass.TENANT, "owner") for t in ("code", "domain", "varchar_9")}
    access = Access("x", Isolation.SHARED, "main", ALL, {}, rules)
    with psycopg.connect(conninfo) as connection:
        connection.execute("INSERT INTO code VALUES ('ACME', 1)")
        assert connection.execute("SELECT id FROM code WHERE owner = 'acme'").fetchall() == [(1,)]  # the attack is real
    for table in ("code", "domain"):
        for sql in (f"SELECT * FROM {table}", f"DELETE FROM {table}", f"INSERT INTO {table} (id) VALUES (1)"):
            denial = compile_query(sql, access, catalog).denial
            assert isinstance(denial, AccessDenied), sql
    assert compile_query("SELECT * FROM varchar_9", access, catalog).denial is None
    postgres_tls.drop_database("folding")
