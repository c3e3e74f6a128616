"""Functions that describe objects by oid, compiled and run: an oid that is counted up shows nothing of others."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from policy.access import Access, TableAccess
from policy.model import Isolation, TableClass, TableRule
from policy.sql.catalog import Catalog
from policy.sql.compile import compile_query
from policy.sql.plan import SlotValues, render
from policy.sql.shape import shape_of
from tests.harness.postgres import PostgresServer
from tests.harness.simple_query import load_catalog_from

SCHEMA = """
CREATE DOMAIN public.positive AS integer CONSTRAINT own_domain CHECK (VALUE > 0);
CREATE TABLE public.orders (tenant_id text, id integer CHECK (id > 0), n positive, PRIMARY KEY (tenant_id, id));
COMMENT ON TABLE public.orders IS 'own comment';
CREATE TABLE public.foreign_secrets (id integer PRIMARY KEY CONSTRAINT foreign_check CHECK (id <> 4711));
COMMENT ON TABLE public.foreign_secrets IS 'foreign comment';
COMMENT ON COLUMN public.foreign_secrets.id IS 'foreign column';
CREATE TYPE public.pair AS (a foreign_secrets);
CREATE TABLE public.foreign_serial (id serial);
"""
ACCESS = Access(
    "1", Isolation.SHARED, "main", TableAccess(read=True), {},
    {("public", "orders"): TableRule("public", "orders", TableClass.TENANT, "tenant_id")},
)  # fmt: skip
_OIDS = "SELECT oid FROM pg_{} WHERE oid >= 16384"  # of users' objects; the server's own are below
OIDS = " UNION ALL ".join(_OIDS.format(name) for name in ("class", "constraint", "type", "proc", "trigger"))


@pytest.fixture(scope="module")
def database(postgres: PostgresServer) -> Iterator[tuple[psycopg.Connection[Any], Catalog]]:
    postgres.create_database("described")
    postgres.execute(SCHEMA, "described")
    catalog = asyncio.run(load_catalog_from(postgres.conninfo("described")))
    with psycopg.connect(postgres.conninfo("described"), autocommit=True) as connection:
        connection.execute("SET search_path = pg_catalog, public")
        yield connection, catalog
    postgres.drop_database("described")


@pytest.fixture(scope="module")
def every_oid(database: tuple[psycopg.Connection[Any], Catalog]) -> str:
    """A FROM clause with the oid of every object of the database; which these are depends on the tests before."""
    row = database[0].execute(f"SELECT min(oid::bigint), max(oid::bigint) FROM ({OIDS}) AS o").fetchone()
    assert row is not None
    return f"FROM (SELECT o::oid AS oid FROM generate_series({row[0]}, {row[1]}) AS o) AS x"


def _run(text: str, database: tuple[psycopg.Connection[Any], Catalog]) -> list[Any]:
    connection, catalog = database
    compiled = compile_query(text, ACCESS, catalog)
    assert compiled.denial is None, compiled.denial
    shape = shape_of(text) if compiled.by_shape else None
    values = SlotValues("'acme'", '""', "'alice'", {})
    sql = render(compiled.plans[0], values, shape.literals if shape is not None else ())
    return [value for (value,) in connection.execute(sql.encode()).fetchall() if value is not None]


@pytest.mark.parametrize(
    ("call", "own"),
    [
        ("pg_get_indexdef(x.oid)", "orders_pkey"),
        ("pg_catalog.pg_get_constraintdef(x.oid, true)", "CHECK (id > 0)"),
        ("pg_get_constraintdef(x.oid)", "CHECK ((VALUE > 0))"),
        ("obj_description(x.oid, 'pg_class')", "own comment"),
        ("format_type(x.oid, NULL)", "positive"),
        ("col_description ( x.oid , 1 )", None),
        ("pg_get_triggerdef(x.oid)", None),
        ("pg_get_viewdef(x.oid)", None),
        ("pg_get_functiondef(x.oid)", None),
        ("(SELECT string_agg(a::text, ',') FROM pg_partition_ancestors(x.oid) AS a)", None),
    ],
)
def test_only_visible_objects_are_described(
    database: tuple[psycopg.Connection[Any], Catalog], every_oid: str, call: str, own: str | None
) -> None:
    found = "\n".join(_run(f"SELECT {call} {every_oid}", database))
    assert "foreign" not in found
    assert "4711" not in found
    assert own is None or own in found


def test_sizes_of_shared_tables_are_not_known(
    database: tuple[psycopg.Connection[Any], Catalog], every_oid: str
) -> None:
    for call in ("pg_table_size('orders')", "pg_total_relation_size(x.oid)", "pg_relation_size('pg_class'::regclass)"):
        assert _run(f"SELECT {call} {every_oid}", database) == []


def test_sequences_behind_a_named_table_are_not_known(database: tuple[psycopg.Connection[Any], Catalog]) -> None:
    for table in ("orders", "foreign_serial", "nowhere"):
        assert _run(f"SELECT pg_get_serial_sequence('{table}', 'id')", database) == []


def test_the_servers_own_objects_are_described_as_ever(database: tuple[psycopg.Connection[Any], Catalog]) -> None:
    assert _run("SELECT format_type(a.atttypid, a.atttypmod) FROM pg_attribute a WHERE a.attname = 'relname'", database)
    assert _run("SELECT pg_get_indexdef(pg_catalog.pg_index.indexrelid) FROM pg_catalog.pg_index", database)
