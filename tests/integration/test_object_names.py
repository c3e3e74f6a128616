"""Values that name objects, on real servers: a name or an oid of somebody else's object is as one that is not there."""

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
CREATE TABLE public.orders (tenant_id text, id serial PRIMARY KEY, note text, number oid);
CREATE TABLE public.foreign_secrets (id integer PRIMARY KEY);
CREATE SCHEMA t_globex;
CREATE TABLE t_globex.orders (id integer);
INSERT INTO orders (tenant_id, note) SELECT 'acme', n FROM unnest(ARRAY['orders', 'foreign_secrets', 'nowhere']) n;
INSERT INTO orders (tenant_id, note) VALUES ('globex', 'GLOBEX-SECRET');
UPDATE orders SET number = (SELECT oid FROM pg_class WHERE relname = 'foreign_secrets');
"""
SHARED = Access(
    "1", Isolation.SHARED, "main", TableAccess(read=True), {},
    {("public", "orders"): TableRule("public", "orders", TableClass.TENANT, "tenant_id")},
)  # fmt: skip
OWN_SCHEMA = Access("2", Isolation.SCHEMA, "main", TableAccess(read=True), {}, {})

Database = tuple[psycopg.Connection[Any], Catalog]


@pytest.fixture(scope="module", params=["postgres", "postgres_tls"])
def database(request: pytest.FixtureRequest) -> Iterator[Database]:
    server: PostgresServer = request.getfixturevalue(request.param)
    server.create_database("named")
    server.execute(SCHEMA, "named")
    server.execute("CREATE ROLE foreign_role")
    catalog = asyncio.run(load_catalog_from(server.conninfo("named")))
    with psycopg.connect(server.conninfo("named"), autocommit=True) as connection:
        connection.execute("SET search_path = pg_catalog, public")
        yield connection, catalog
    server.drop_database("named")
    server.execute("DROP ROLE foreign_role")


def _row(select: str, database: Database, access: Access = SHARED, schema: str = "") -> tuple[Any, ...]:
    compiled = compile_query(select, access, database[1], schema=schema)
    assert compiled.denial is None, compiled.denial
    shape = shape_of(select) if compiled.by_shape else None
    values = SlotValues("'acme'", f'"{schema}"', "'alice'", {})
    sent = render(compiled.plans[0], values, shape.literals if shape else ()).encode()
    rows: list[tuple[Any, ...]] = database[0].execute(sent).fetchall()
    return rows[0]


@pytest.mark.parametrize(
    ("own", "others"),
    [
        ("'orders'::regclass::text", ["'foreign_secrets'::regclass", "'t_globex.orders'::regclass", "'no'::regclass"]),
        ("CAST('public.orders' AS pg_catalog.regclass)", ["CAST('foreign_secrets' || '' AS regclass)"]),
        ("CASE WHEN true THEN 'orders' END::text::varchar(20)::regclass", ["('foreign_' || 'secrets')::regclass"]),
        ("'orders_pkey'::regclass", ["'foreign_secrets_pkey'::regclass"]),
        ("to_regclass('orders')", ["to_regclass('foreign_secrets')", "to_regclass('t_globex.orders')"]),
        ("'orders'::regtype", ["'foreign_secrets'::regtype", "'t_globex.orders[]'::regtype"]),
        ("to_regtype('numeric(9,2)')", ["to_regtype('foreign_secrets')"]),
        ("'public'::regnamespace", ["'t_globex'::regnamespace", "to_regnamespace('t_globex')"]),
        ("current_user::regrole", ["'foreign_role'::regrole", "to_regrole('foreign_role')"]),
        ("has_table_privilege('orders', 'select')", ["has_table_privilege('foreign_secrets', 'select')"]),
        (
            "has_table_privilege(current_user, 'orders', 'select')",
            ["has_table_privilege('foreign_role', 'orders', 'x')"],
        ),
        ("has_any_column_privilege('orders', 'select')", ["has_any_column_privilege('nowhere', 'select')"]),
        ("has_column_privilege('orders', 'id', 'select')", ["has_column_privilege('foreign_secrets', 'id', 'select')"]),
        ("has_schema_privilege('public', 'usage')", ["has_schema_privilege('t_globex', 'usage')"]),
        ("has_database_privilege('named', 'connect')", ["has_database_privilege('template1', 'connect')"]),
        ("pg_has_role(current_user, 'member')", ["pg_has_role('foreign_role', 'member')"]),
        ("'now'::regproc", ["'public.f'::regproc"]),
        ("format_type('orders'::regtype, NULL)", ["pg_relation_size('foreign_secrets')", "pg_table_size('nowhere')"]),
    ],
)
def test_names_of_others_are_as_names_of_nothing(own: str, others: list[str], database: Database) -> None:
    assert _row(f"SELECT {own}", database) != (None,)
    assert _row("SELECT " + ", ".join(others), database) == (None,) * len(others)


def test_names_in_columns_are_looked_up_as_the_sessions(database: Database) -> None:
    rows = "SELECT array_agg(note::regclass::text ORDER BY id), array_agg(number::regclass) FROM orders"
    assert _row(rows, database) == (["orders", None, None], [None] * 3)


@pytest.mark.parametrize(
    "expression",
    [
        "'orders'::regclass", "note::regclass", "(note || '')::regclass", "CAST(o.note AS pg_catalog.regclass)",
        "lower(note)::regclass", "'orders'::text::regclass", "CASE WHEN true THEN 'orders' END::regclass",
        "CASE WHEN true THEN NULL ELSE note END::regclass", "(SELECT max(note) FROM orders)::regclass",
        "(ARRAY['orders'])[1]::regclass", "current_user::regrole", "coalesce(note, 'x')::regclass",
        "o.tableoid::regclass", "(o).note::regclass", "('' || note)::regclass::oid::regclass",
        "'orders'::regclass::oid", "to_regclass('orders')", "nullif(note, 'x')::regclass", "greatest(note)::regclass",
    ],
)  # fmt: skip
def test_a_column_keeps_its_name(expression: str, database: Database) -> None:
    connection, catalog = database
    select = f"SELECT {expression} FROM orders o WHERE note = 'orders'"
    compiled = compile_query(select, SHARED, catalog)
    assert compiled.denial is None, compiled.denial
    shape = shape_of(select) if compiled.by_shape else None
    values = SlotValues("'acme'", "", "'alice'", {})
    mine = connection.execute(render(compiled.plans[0], values, shape.literals if shape else ()).encode()).description
    theirs = connection.execute(select.encode()).description
    assert mine is not None
    assert theirs is not None
    assert mine[0].name == theirs[0].name


def test_counting_oids_up_shows_no_name(database: Database) -> None:
    found = "SELECT string_agg({}::text, ' ') FROM generate_series(16384, 18000) AS n"
    for call in ("n::oid::regclass", "CAST(n AS regclass)", "n::regtype", "pg_get_userbyid(n::oid)", "n::regrole"):
        shown = _row(found.format(call), database)[0] or ""
        assert "foreign" not in shown
        assert "globex" not in shown


def test_an_own_schema_has_its_own_names(database: Database) -> None:
    own = "SELECT 't_globex.orders'::regclass, 'public.orders'::regclass, 'public'::regnamespace"
    assert _row(own, database, OWN_SCHEMA, "t_globex") == ("t_globex.orders", None, None)


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT '{orders}'::regclass[]",
        'SELECT * FROM json_to_recordset(\'[{"a": "foreign_secrets"}]\') AS x (a regclass)',
        "SELECT * FROM json_table('[{}]', '$[*]' COLUMNS (a regclass PATH '$.a'))",
        "PREPARE p (regclass) AS SELECT $1",
        "SELECT regclass 'orders'",
        "SELECT regclass('orders')",
        "SELECT to_regprocedure('f(foreign_secrets)')",
        "SELECT to_regtypemod('foreign_secrets')",
        "SELECT NULL::foreign_secrets",
        "SELECT NULL::public.foreign_secrets[]",
        "SELECT CAST(NULL AS _foreign_secrets)",
        "SELECT * FROM json_populate_record(NULL::foreign_secrets, '{}')",
    ],
)
def test_what_cannot_be_guarded_is_refused(statement: str, database: Database) -> None:
    denial = compile_query(statement, SHARED, database[1]).denial
    assert denial is not None
    assert denial.sqlstate in ("0A000", "42501", "42883", "42704")


def test_row_types_of_own_tables_may_be_used(database: Database) -> None:
    row = 'SELECT (json_populate_record(NULL::orders, \'{"note": "x"}\')).note, (NULL::orders).id, NULL::name'
    assert _row(row, database) == ("x", None, None)
