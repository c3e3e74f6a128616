"""Foreign keys with actions on real servers: what is not refused leaves the rows of others as they are."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest

from policy.access import Access, TableAccess
from policy.errors import AccessDenied
from policy.model import Isolation, TableClass, TableRule
from policy.sql.catalog import Catalog
from tests.harness.postgres import PostgresServer
from tests.harness.simple_query import load_catalog_from
from tests.unit.sql.shop import rewritten

SCHEMA = """
CREATE TABLE files (tenant_id text NOT NULL, id int PRIMARY KEY, number int UNIQUE, note text, UNIQUE (tenant_id, id));
CREATE TABLE links (tenant_id text NOT NULL, id int, file int REFERENCES files ON DELETE CASCADE ON UPDATE CASCADE);
CREATE TABLE marks (tenant_id text NOT NULL, id int PRIMARY KEY, file int, UNIQUE (tenant_id, id),
  CONSTRAINT marks_file FOREIGN KEY (tenant_id, file) REFERENCES files (tenant_id, id)
  ON DELETE CASCADE ON UPDATE CASCADE);
CREATE TABLE lists (tenant_id text NOT NULL, id int PRIMARY KEY, UNIQUE (tenant_id, id));
CREATE TABLE items (tenant_id text NOT NULL, id int PRIMARY KEY, list int,
  FOREIGN KEY (tenant_id, list) REFERENCES lists (tenant_id, id) ON DELETE CASCADE ON UPDATE CASCADE);
CREATE TABLE ticks (tenant_id text NOT NULL, id int,
  item int CONSTRAINT ticks_item REFERENCES items ON DELETE SET NULL);
CREATE TABLE days (tenant_id text NOT NULL, id int, at date, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE TABLE days_1 PARTITION OF days FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE TABLE hours (tenant_id text NOT NULL, day int, at date, FOREIGN KEY (day, at) REFERENCES days ON DELETE CASCADE)
  PARTITION BY RANGE (at);
CREATE TABLE hours_1 PARTITION OF hours FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
INSERT INTO files VALUES ('acme', 1, 11), ('globex', 2, 12);
INSERT INTO links VALUES ('acme', 1, 1), ('globex', 2, 1);
INSERT INTO marks VALUES ('acme', 1, 1), ('globex', 2, 2);
INSERT INTO lists VALUES ('acme', 1), ('globex', 2);
INSERT INTO items VALUES ('acme', 1, 1), ('globex', 2, 2);
INSERT INTO ticks VALUES ('acme', 1, 1), ('globex', 2, 1);
INSERT INTO days VALUES ('acme', 1, '2025-02-02');
INSERT INTO hours VALUES ('acme', 1, '2025-02-02'), ('globex', 1, '2025-02-02');
"""
TABLES = ("files", "links", "marks", "lists", "items", "ticks", "days", "hours")
RULES = {("public", name): TableRule("public", name, TableClass.TENANT, "tenant_id") for name in (*TABLES, "days_1")}
ALL = TableAccess(read=True, write=True, copy=True)
ACCESS = Access("x", Isolation.SHARED, "main", ALL, {}, RULES)


@dataclass(slots=True)
class Database:
    connection: psycopg.Connection[Any]
    catalog: Catalog

    def foreign(self) -> list[list[tuple[Any, ...]]]:
        query = "SELECT * FROM {} WHERE tenant_id <> 'acme' ORDER BY 1, 2"
        return [self.connection.execute(query.format(table).encode()).fetchall() for table in TABLES]

    def run(self, sql: str) -> int:
        return self.connection.execute(rewritten(sql, ACCESS, catalog=self.catalog)).rowcount


@pytest.fixture(scope="module", params=["postgres", "postgres_tls"])
def database(request: pytest.FixtureRequest) -> Iterator[Database]:
    server: PostgresServer = request.getfixturevalue(request.param)
    server.create_database("keys")
    server.execute(SCHEMA, "keys")
    catalog = asyncio.run(load_catalog_from(server.conninfo("keys")))
    with psycopg.connect(server.conninfo("keys")) as connection:
        yield Database(connection, catalog)
        connection.rollback()
    server.drop_database("keys")


@pytest.fixture(autouse=True)
def nothing_is_kept(database: Database) -> Iterator[None]:
    yield
    database.connection.rollback()


ATTACKS = [
    ("DELETE FROM files WHERE id = 1", "links_file_fkey"),
    ("UPDATE files SET id = 7 WHERE id = 1", "links_file_fkey"),
    ("INSERT INTO files (id) VALUES (1) ON CONFLICT (tenant_id, id) DO UPDATE SET id = 7", "links_file_fkey"),
    ("DELETE FROM items", "ticks_item"),
    ("DELETE FROM lists", "ticks_item"),
    ("DELETE FROM days", "hours_day_at_fkey"),
    ("DELETE FROM days_1", "hours_day_at_fkey"),
]


@pytest.mark.parametrize(("sql", "constraint"), ATTACKS)
def test_an_action_that_reaches_others_is_refused(sql: str, constraint: str, database: Database) -> None:
    with pytest.raises(AccessDenied) as caught:
        database.run(sql)
    assert constraint in (caught.value.hint or "")


@pytest.mark.parametrize("sql", [sql for sql, _ in ATTACKS if "INSERT" not in sql])
def test_the_attack_is_real(sql: str, database: Database) -> None:
    before = database.foreign()
    keyword = "AND" if "WHERE" in sql else "WHERE"
    database.connection.execute(f"{sql} {keyword} tenant_id = 'acme'".encode())
    assert database.foreign() != before


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE files SET note = 'x', number = 5",
        "UPDATE lists SET id = 9",
        "DELETE FROM links",
        "DELETE FROM marks",
        "UPDATE items SET list = NULL",
        "DELETE FROM hours",
        "UPDATE days SET at = '2025-03-03' WHERE false",
    ],
)
def test_what_stays_within_the_tenant_runs(sql: str, database: Database) -> None:
    before = database.foreign()
    database.run(sql)
    assert database.foreign() == before
