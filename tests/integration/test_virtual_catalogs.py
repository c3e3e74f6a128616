"""Guarded system catalogs on real servers: what a tenant sees of them, in each strategy."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest

from policy.access import NO_ACCESS, Access, TableAccess
from policy.errors import AccessDenied
from policy.model import Isolation, TableClass, TableRule
from policy.sql.catalog import Catalog
from policy.sql.plan import Plan, SlotValues, StatementKind, quote_identifier, quote_literal, render
from policy.sql.rules.catalogs import guard_system_catalog
from tests.harness.postgres import PostgresServer
from tests.harness.simple_query import load_catalog_from

SCHEMA = """
CREATE TYPE public.colour AS ENUM ('red', 'green');
CREATE TYPE public.secrets_kind AS ENUM ('dark');
CREATE DOMAIN public.palette AS public.colour[];
CREATE TYPE public.look AS (paints public.palette);
CREATE TABLE public.orders (tenant_id text, id serial, total integer DEFAULT 7 CHECK (total > 0), looks public.look[],
  PRIMARY KEY (tenant_id, id));
CREATE TABLE public.secrets (tenant_id text PRIMARY KEY, note text CHECK (note <> 'seen'), kind public.secrets_kind);
CREATE SCHEMA "it's mine";
CREATE TABLE "it's mine".invoices (id integer PRIMARY KEY, amount integer);
CREATE TABLE "it's mine".payroll (id integer PRIMARY KEY);
CREATE VIEW "it's mine".totals AS SELECT amount FROM "it's mine".invoices;
CREATE SCHEMA t_globex;
CREATE TABLE t_globex.globex_plans (id integer PRIMARY KEY);
CREATE TYPE t_globex.globex_kind AS ENUM ('x');
COMMENT ON TABLE public.orders IS 'ours';
COMMENT ON TABLE t_globex.globex_plans IS 'globex plans';
INSERT INTO public.orders SELECT 'globex', i, 1 FROM generate_series(1, 500) i;
ANALYZE;
"""
OWN_SCHEMA = "it's mine"
FULL = TableAccess(read=True, write=True)
FOREIGN_NAMES = ("secrets", "globex", "payroll")


@dataclass(frozen=True, slots=True)
class View:
    """A tenant's view of one database."""

    connection: psycopg.Connection[Any]
    catalog: Catalog
    access: Access

    def guard(self, relation: str) -> str:
        schema, _, name = relation.partition(".")
        pieces = guard_system_catalog(schema, name, self.access, self.catalog)
        values = SlotValues("'acme'", quote_identifier(OWN_SCHEMA), quote_literal("alice"), {})
        return render(Plan(StatementKind.READ, "SELECT", pieces, ""), values)

    def rows(self, relation: str, columns: str = "*", where: str = "true") -> list[tuple[Any, ...]]:
        sql = f"SELECT {columns} FROM {self.guard(relation)} AS seen WHERE {where}"
        return self.connection.execute(sql).fetchall()

    def names(self, relation: str, column: str, where: str = "true") -> set[str]:
        return {str(name) for (name,) in self.rows(relation, column, where)}


ACCESS = {
    Isolation.SHARED: Access(
        "1", Isolation.SHARED, "main", FULL, {},
        {("public", "orders"): TableRule("public", "orders", TableClass.TENANT, "tenant_id")},
    ),
    Isolation.SCHEMA: Access("2", Isolation.SCHEMA, "main", FULL, {("", "payroll"): NO_ACCESS}, {}),
    Isolation.DATABASE: Access("3", Isolation.DATABASE, "main", FULL, {}, {}),
}  # fmt: skip


@pytest.fixture(scope="module", params=["postgres", "postgres_tls"])
def database(request: pytest.FixtureRequest) -> Iterator[tuple[psycopg.Connection[Any], Catalog]]:
    server: PostgresServer = request.getfixturevalue(request.param)
    server.create_database("virtual")
    server.execute(SCHEMA, "virtual")
    catalog = asyncio.run(load_catalog_from(server.conninfo("virtual")))
    with psycopg.connect(server.conninfo("virtual"), autocommit=True) as connection:
        connection.execute("SET jit = off")
        yield connection, catalog
    server.drop_database("virtual")


@pytest.fixture
def shared(database: tuple[psycopg.Connection[Any], Catalog]) -> View:
    return View(*database, ACCESS[Isolation.SHARED])


@pytest.fixture
def own_schema(database: tuple[psycopg.Connection[Any], Catalog]) -> View:
    return View(*database, ACCESS[Isolation.SCHEMA])


@pytest.fixture
def own_database(database: tuple[psycopg.Connection[Any], Catalog]) -> View:
    return View(*database, ACCESS[Isolation.DATABASE])


def _open_catalogs(view: View) -> list[str]:
    found = []
    for relation in view.catalog.system_columns:
        try:
            view.guard(relation)
        except AccessDenied:
            continue
        found.append(relation)
    return found


@pytest.mark.parametrize("isolation", Isolation)
def test_every_open_catalog_keeps_its_columns(
    database: tuple[psycopg.Connection[Any], Catalog], isolation: Isolation
) -> None:
    view = View(*database, ACCESS[isolation])
    opened = _open_catalogs(view)
    assert len(opened) > 100
    for relation in opened:
        real = view.connection.execute(f"SELECT * FROM {relation} LIMIT 0").description
        guarded = view.connection.execute(f"SELECT * FROM {view.guard(relation)} AS seen LIMIT 0").description
        assert real is not None
        assert guarded is not None
        assert [(c.name, c.type_code) for c in guarded] == [(c.name, c.type_code) for c in real], relation


@pytest.mark.parametrize("isolation", [Isolation.SHARED, Isolation.SCHEMA])
def test_no_catalog_names_what_is_not_the_tenants(
    database: tuple[psycopg.Connection[Any], Catalog], isolation: Isolation
) -> None:
    view = View(*database, ACCESS[isolation])
    slow = {"information_schema.element_types", "pg_catalog.pg_timezone_names"}
    for relation in sorted(set(_open_catalogs(view)) - slow):
        for row in view.rows(relation, "seen::text"):
            assert not [name for name in FOREIGN_NAMES if name in row[0]], relation


def test_shared_tables_that_may_be_read_are_described_whole(shared: View) -> None:
    own = "relnamespace <> 'pg_catalog'::regnamespace AND oid >= 16384"
    assert shared.names("pg_catalog.pg_class", "relname", own) == {"orders", "orders_pkey", "orders_id_seq", "look"}
    assert shared.names("pg_catalog.pg_tables", "tablename", "schemaname = 'public'") == {"orders"}
    assert shared.names("information_schema.tables", "table_name", "table_schema = 'public'") == {"orders"}
    assert shared.names("information_schema.sequences", "sequence_name") == {"orders_id_seq"}
    columns = shared.names("pg_catalog.pg_attribute", "attname", "attrelid = 'public.orders'::regclass AND attnum > 0")
    assert columns == {"tenant_id", "id", "total", "looks"}
    assert len(shared.rows("pg_catalog.pg_attrdef")) == 2
    assert {"orders_pkey", "orders_total_check"} <= shared.names("pg_catalog.pg_constraint", "conname")
    assert shared.names("pg_catalog.pg_description", "description", "objoid >= 16384 AND classoid = 1259") == {"ours"}
    assert shared.names("pg_catalog.pg_enum", "enumlabel") == {"red", "green"}
    assert shared.names("pg_catalog.pg_type", "typname", "oid >= 16384 AND typtype IN ('e', 'd')") == {
        "colour",
        "palette",
    }
    assert shared.names("information_schema.domains", "domain_name", "domain_schema = 'public'") == {"palette"}
    assert shared.names("information_schema.user_defined_types", "user_defined_type_name") == {"look"}


def test_namespaces_are_the_tenants_and_the_systems(shared: View, own_schema: View) -> None:
    assert shared.names("pg_catalog.pg_namespace", "nspname") == {
        "public",
        "pg_catalog",
        "information_schema",
        "pg_toast",
    }
    expected = {OWN_SCHEMA, "pg_catalog", "information_schema", "pg_toast"}
    assert own_schema.names("pg_catalog.pg_namespace", "nspname") == expected
    assert own_schema.names("information_schema.schemata", "schema_name") == expected


def test_a_schema_of_its_own_shows_that_schema_only(own_schema: View) -> None:
    own = "oid >= 16384"
    assert own_schema.names("pg_catalog.pg_class", "relname", own) == {"invoices", "invoices_pkey", "totals"}
    assert own_schema.names("information_schema.views", "table_name", "table_schema !~ '^(pg_|inf)'") == {"totals"}


def test_a_schema_of_its_own_without_general_access_shows_what_roles_name(
    database: tuple[psycopg.Connection[Any], Catalog],
) -> None:
    access = Access("4", Isolation.SCHEMA, "main", NO_ACCESS, {("", "invoices"): FULL}, {})
    view = View(*database, access)
    assert view.names("pg_catalog.pg_class", "relname", "oid >= 16384") == {"invoices", "invoices_pkey"}


def test_statistics_are_constant(shared: View) -> None:
    real = shared.connection.execute("SELECT max(reltuples) FROM pg_class WHERE relname = 'orders'").fetchone()
    assert real == (500.0,)
    assert set(shared.rows("pg_catalog.pg_class", "relpages, reltuples, relallvisible")) == {(0, -1.0, 0)}
    assert shared.rows("pg_catalog.pg_sequences", "last_value") == [(None,)]


def test_only_the_current_database_and_role_are_shown(shared: View, own_schema: View, own_database: View) -> None:
    for view in (shared, own_schema, own_database):
        assert view.names("pg_catalog.pg_database", "datname") == {"virtual"}
        assert view.names("pg_catalog.pg_roles", "rolname") == {"postgres"}


@pytest.mark.parametrize(
    "name",
    ["pg_authid", "pg_shadow", "pg_statistic", "pg_stats", "pg_stat_database", "pg_locks",
     "pg_largeobject", "pg_hba_file_rules", "pg_prepared_statements", "pg_no_such_thing"],
)  # fmt: skip
def test_what_tells_of_others_is_refused(shared: View, own_schema: View, name: str) -> None:
    for view in (shared, own_schema):
        with pytest.raises(AccessDenied) as refused:
            view.guard(f"pg_catalog.{name}")
        assert refused.value.sqlstate == "42501"
        assert refused.value.hint


@pytest.mark.parametrize("name", ["pg_stat_user_tables", "pg_stat_all_indexes", "pg_statio_sys_tables"])
def test_how_busy_tables_are_is_not_told(shared: View, own_schema: View, name: str) -> None:
    """Metabase joins it to find tables, and does without."""
    for view in (shared, own_schema):
        assert view.rows(f"pg_catalog.{name}", "relid") == []


def test_activity_is_the_sessions_own_and_without_its_text(shared: View, own_schema: View) -> None:
    for view in (shared, own_schema):
        with psycopg.connect(view.connection.info.dsn, password=view.connection.info.password) as other:
            other.execute("SELECT 'secret of another session'")
            seen = view.rows("pg_catalog.pg_stat_activity", "pid, query, client_addr")
        assert seen == [(view.connection.info.backend_pid, None, None)]


@pytest.mark.parametrize("name", ["pg_authid", "pg_shadow", "pg_stats", "pg_hba_file_rules", "pg_stat_replication"])
def test_a_database_of_its_own_still_hides_the_cluster(own_database: View, name: str) -> None:
    with pytest.raises(AccessDenied):
        own_database.guard(f"pg_catalog.{name}")


def test_a_database_of_its_own_sees_its_own_statistics_and_activity(own_database: View) -> None:
    assert own_database.names("pg_catalog.pg_stat_activity", "datname") == {"virtual"}
    assert {"orders", "secrets"} <= own_database.names("pg_catalog.pg_stat_user_tables", "relname")
    assert own_database.rows("pg_catalog.pg_class", "reltuples", "relname = 'orders'") == [(500.0,)]


def test_a_predicate_that_shows_its_argument_meets_visible_rows_only(shared: View) -> None:
    with pytest.raises(psycopg.errors.InvalidTextRepresentation) as error:
        shared.rows("pg_catalog.pg_class", "oid", "oid >= 16384 AND relname::text::integer = 1")
    assert not [name for name in FOREIGN_NAMES if name in str(error.value)]
