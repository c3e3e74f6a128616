"""Databases with common extensions: everyday statements run, and answer as where only the tenant's rows are.

On both servers with what they ship; Debian's has pgcrypto and uuid-ossp, the embedded one has pgvector.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import psycopg
import pytest

from policy.access import Access, TableAccess
from policy.errors import AccessDenied
from policy.model import Isolation, TableClass, TableRule
from policy.sql.catalog import Catalog
from policy.sql.extensions import REVIEWED
from policy.sql.user_code import user_code_of
from tests.harness.postgres import PostgresServer
from tests.harness.simple_query import load_catalog_from
from tests.unit.sql.shop import rewritten

SCHEMA = """
CREATE TABLE items (
  tenant_id text NOT NULL, id int NOT NULL, name text, tags int[], label citext, info hstore, path ltree,
  PRIMARY KEY (tenant_id, id));
INSERT INTO items VALUES
  ('acme', 1, 'alpha', '{1,2}', 'Red', 'a=>1', 'top.a'), ('acme', 2, 'beta', '{3}', 'green', 'b=>2', 'top.b'),
  ('globex', 3, 'GLOBEX-SECRET', '{4}', 'red', 'a=>GLOBEX-SECRET', 'top.SECRET');
CREATE TYPE pair AS (a int, b text);
CREATE FUNCTION pair_text(pair) RETURNS text LANGUAGE sql AS 'SELECT name FROM items ORDER BY id DESC LIMIT 1';
CREATE CAST (pair AS text) WITH FUNCTION pair_text(pair) AS ASSIGNMENT;
CREATE FUNCTION pair_eq(pair, pair) RETURNS boolean LANGUAGE sql AS 'SELECT count(*) > 0 FROM items';
CREATE OPERATOR = (LEFTARG = pair, RIGHTARG = pair, FUNCTION = pair_eq);
CREATE TABLE pairs (tenant_id text, id int, both_of pair);
CREATE FUNCTION similarity(text, integer) RETURNS real LANGUAGE sql AS 'SELECT 1::real';
CREATE DOMAIN wrapped AS pair;
"""
COMMON = "citext hstore ltree pg_trgm intarray btree_gin btree_gist unaccent fuzzystrmatch cube earthdistance isn seg"
ALL = TableAccess(read=True, write=True, copy=True)
RULES = {("public", name): TableRule("public", name, TableClass.TENANT, "tenant_id") for name in ("items", "pairs")}
ACCESS = Access("x", Isolation.SHARED, "main", ALL, {}, RULES)


@dataclass(slots=True)
class Database:
    connection: psycopg.Connection[Any]
    catalog: Catalog

    def run(self, sql: str) -> list[tuple[Any, ...]]:
        try:
            cursor = self.connection.execute(rewritten(sql, ACCESS, catalog=self.catalog).encode())
            return cursor.fetchall() if cursor.description else []
        finally:
            self.connection.rollback()

    def plain(self, sql: str) -> list[tuple[Any, ...]]:
        """As acme would see it alone."""
        try:
            self.connection.execute("DELETE FROM items WHERE tenant_id <> 'acme'")
            cursor = self.connection.execute(sql.encode())
            return cursor.fetchall() if cursor.description else []
        finally:
            self.connection.rollback()


def _connect(server: PostgresServer, name: str, more: str) -> Iterator[Database]:
    server.create_database(name)
    extensions = "".join(f'CREATE EXTENSION "{each}" CASCADE;' for each in [*COMMON.split(), *more.split()])
    server.execute(extensions + SCHEMA, name)
    catalog = asyncio.run(load_catalog_from(server.conninfo(name)))
    with psycopg.connect(server.conninfo(name)) as connection:
        yield Database(connection, catalog)
        connection.rollback()
    server.drop_database(name)


@pytest.fixture(scope="module")
def embedded(postgres: PostgresServer) -> Iterator[Database]:
    yield from _connect(postgres, "extensions", "vector")


@pytest.fixture(scope="module")
def debian(postgres_tls: PostgresServer) -> Iterator[Database]:
    yield from _connect(postgres_tls, "extensions", "pgcrypto uuid-ossp")


@pytest.fixture(params=["embedded", "debian"])
def database(request: pytest.FixtureRequest) -> Database:
    found: Database = request.getfixturevalue(request.param)
    return found


EVERYDAY = [
    "SELECT id, name FROM items WHERE id = 1 OR name IN ('beta', 'x') ORDER BY id",
    "SELECT count(*), max(label), min(name) FROM items WHERE id <> 7 AND id BETWEEN 1 AND 9",
    "SELECT a.id FROM items a JOIN items b USING (id) WHERE a.name < b.name || 'x' ORDER BY 1",
    "SELECT id FROM items WHERE label = 'RED'",
    "SELECT id FROM items WHERE label IN ('RED', 'x') AND label ~ 'r' AND lower(label) = 'red'",
    "SELECT id FROM items WHERE info -> 'a' = '1' AND info ? 'a' AND exist(info, 'a')",
    "SELECT key, value FROM items, each(info) ORDER BY key",
    "SELECT hstore_to_jsonb(info), to_jsonb(info) FROM items ORDER BY id",
    "SELECT id FROM items WHERE path <@ 'top' AND nlevel(path) = 2 ORDER BY 1",
    "SELECT subpath(path, 1, 1)::text FROM items ORDER BY 1",
    "SELECT id FROM items WHERE name % 'alpha' ORDER BY id",
    "SELECT id, name <-> 'alpha', word_similarity('al', name) FROM items ORDER BY name <-> 'alpha'",
    "SELECT id FROM items WHERE tags @> '{1}' OR tags && '{3}' ORDER BY id",
    "SELECT icount(tags), sort(tags + 5), tags | 7 FROM items ORDER BY id",
    "SELECT levenshtein(name, 'alpha'), soundex(name), metaphone(name, 4) FROM items ORDER BY id",
    "SELECT unaccent('Hôtel'), id <-> 5 FROM items ORDER BY id",
    "SELECT cube_distance(cube(id), cube(5)), earth_distance(ll_to_earth(1, 2), ll_to_earth(1, id)) > 1 FROM items",
    "SELECT isbn13('978-0-393-04002-9'::ean13), '1.5 .. 2'::seg && '2'",
    "SELECT replace(label, 'e', 'E'), strpos(label, 'd') FROM items ORDER BY id",
    "UPDATE items SET label = upper(label), info = info || 'z=>9' WHERE label = 'red' RETURNING label, info",
    "INSERT INTO items (tenant_id, id, label, info) VALUES ('acme', 9, 'x', hstore('k', 'v')) RETURNING label",
    "DELETE FROM items WHERE path ~ 'top.*' RETURNING id",
    "SELECT 'b'::text = ANY (ARRAY['a', 'b']), CASE 1 WHEN 1 THEN 'y' END, nullif(1, 2), 1 IS DISTINCT FROM 2",
]


@pytest.mark.parametrize("sql", EVERYDAY)
def test_everyday_statements(sql: str, database: Database) -> None:
    assert database.run(sql) == database.plain(sql)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT encode(digest('a', 'sha256'), 'hex'), encode(hmac('a', 'k', 'md5'), 'hex')",
        "SELECT encode(public.digest(name, 'sha1'), 'hex') FROM items ORDER BY id",
        "SELECT crypt('a', crypt('a', gen_salt('md5'))) <> '', length(gen_random_bytes(4)), gen_random_uuid() IS NULL",
        "SELECT pgp_sym_decrypt(pgp_sym_encrypt(name, 'k'), 'k') FROM items ORDER BY id",
        "SELECT uuid_generate_v5(uuid_ns_url(), 'x'), uuid_generate_v4() IS NULL",
    ],
)
def test_pgcrypto_and_uuids(sql: str, debian: Database) -> None:
    assert debian.run(sql) == debian.plain(sql)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT '[1,2]'::vector <-> '[3,4]', cosine_distance('[1,2]'::vector, '[3,4]'), vector_dims('[1,2]'::vector)",
        "SELECT avg(array_to_vector(tags, 1, false)), sum(id) FROM items WHERE id = 2",
        "SELECT id, ARRAY[id, 2]::vector <=> '[1,1]' FROM items ORDER BY ARRAY[id, 2]::vector <-> '[1,1]' LIMIT 1",
    ],
)
def test_pgvector(sql: str, embedded: Database) -> None:
    assert str(embedded.run(sql)) == str(embedded.plain(sql))


def test_every_reviewed_name_exists(embedded: Database, debian: Database) -> None:
    """On one of the servers, and there in the extension that the list says."""
    there = {(f.extension, f.name) for catalog in (embedded.catalog, debian.catalog) for f in catalog.functions}
    listed = {(extension, name) for extension, names in REVIEWED.items() for name in names}
    assert not listed - there


def test_no_reviewed_extension_makes_comparisons_of_built_in_values_uncertain(database: Database) -> None:
    assert user_code_of(database.catalog).shadowing.isdisjoint({"=", "<>", "<", "<=", ">", ">="})


REFUSED = [
    "SELECT set_limit(0.1)",
    "SELECT isn_weak(true)",
    "SELECT unaccent('unaccent', 'x')",
    "SELECT similarity('a', 'b')",  # a user function has the same name
    "SELECT pair_text(ROW(1, 'a'))",
    "SELECT ROW(1, 'a')::pair::text",
    "SELECT ROW(1, 'a')::wrapped::text",
    "SELECT both_of::text FROM pairs",
    "SELECT (p).text FROM pairs p, LATERAL (SELECT p.both_of) q(p)",
    "INSERT INTO items (id, name) SELECT 9, both_of FROM pairs",
    "SELECT id FROM pairs WHERE both_of = both_of",
    "SELECT id FROM pairs WHERE id = 1",
    "SELECT 1 WHERE ROW(1, 'a')::pair = ROW(1, 'a')::pair",
    "SELECT 1 WHERE '(1,a)'::wrapped = '(1,a)'",
    "SELECT NULL::pairs = NULL::pairs",
    "SELECT 1 OPERATOR(public.=) 1",
]


@pytest.mark.parametrize("sql", REFUSED)
def test_unreviewed_code_stays_out(sql: str, database: Database) -> None:
    with pytest.raises(AccessDenied):
        database.run(sql)


def test_the_attacks_are_real(database: Database) -> None:
    assert database.connection.execute("SELECT ROW(1, 'a')::pair::text").fetchall() == [("GLOBEX-SECRET",)]


def test_extension_code_meets_no_row_of_others(database: Database) -> None:
    """Its errors tell of values, so it runs for the tenant's rows only."""
    sql = "SELECT id FROM items WHERE text2ltree(replace(name, '-', '!')) <> 'x' ORDER BY id"
    with pytest.raises(psycopg.Error, match="syntax error"):
        database.connection.execute(sql.encode())
    database.connection.rollback()
    assert "COALESCE((text2ltree" in rewritten(sql, ACCESS, catalog=database.catalog)  # behind the tenant test
    assert database.run(sql) == [(1,), (2,)]


def test_an_operator_of_a_users_on_built_in_types(database: Database) -> None:
    info = database.connection.info
    database.connection.execute(
        "CREATE FUNCTION spy(varchar, varchar) RETURNS boolean LANGUAGE sql AS 'SELECT true';"
        "CREATE OPERATOR = (LEFTARG = varchar, RIGHTARG = varchar, FUNCTION = spy)"
    )
    database.connection.commit()
    try:
        catalog = asyncio.run(load_catalog_from(f"{info.dsn} password={info.password}"))
        with pytest.raises(AccessDenied, match="operator ="):
            replace(database, catalog=catalog).run("SELECT id FROM items WHERE id = 1")
    finally:
        database.connection.execute("DROP FUNCTION spy CASCADE")
        database.connection.commit()
