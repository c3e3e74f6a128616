"""Masks, filters and denied columns of several roles together, in every clause of a query and every strategy.

The oracle is a table with what docs/policy.md ("Several roles") says the roles together show, cell by cell. A query
answers as over that table, so nothing of what is hidden can be probed.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest

from tests.harness.gateway import GatewayProcess
from tests.harness.postgres import PostgresServer

Row = tuple[int, str, str | None, str]  # id, region, card, email
ROWS: list[Row] = [
    (n, ("eu", "asia", "us")[n % 3], f"{4000 + 37 * n % 11:04}-{n:02}", f"p{n}@x.example") for n in range(1, 25)
]
TABLE = "CREATE TABLE {0}cards ({1}id int NOT NULL, region text NOT NULL, card text, email text)"
POLICY = """
tenants:
  rows: {isolation: shared, target: main}
  own_schema: {isolation: schema, target: main, schema: own_schema}
  own_database: {isolation: database, target: main, database: masks_own}
roles:
  masked: {permissions: ["table:cards:read"], masks: {cards: {card: "'**' || right(card, 2)"}}}
  other: {permissions: ["table:cards:read"], masks: {cards: {card: "'--'"}}}
  nulled: {permissions: ["table:cards:read"], masks: {cards: {card: "NULL"}}}
  eu: {permissions: ["table:cards:read"], row_filters: {cards: "region = 'eu'"}}
  asia: {permissions: ["table:cards:read"], row_filters: {cards: "region = 'asia'"}}
  clerk: {denied_columns: {cards: [email]}}
  nobody: {masks: {cards: {card: "'nothing'"}}, row_filters: {cards: "false"}}
tables: {main: {cards: {tenant_column: tenant_id}}}
"""


def _masked(row: Row) -> Row:
    return row[0], row[1], f"**{(row[2] or '')[-2:]}", row[3]


def _nulled(row: Row) -> Row:
    return row[0], row[1], None, row[3]


def _same(row: Row) -> Row:
    return row


Shown = Callable[[Row], Row | None]
TOGETHER: dict[tuple[str, ...], Shown] = {
    ("masked",): _masked,
    ("masked", "nulled"): _masked,  # NULL gives way
    ("other", "masked"): _masked,  # the first by its text
    ("nulled", "eu"): lambda row: row if row[1] == "eu" else _nulled(row),
    ("masked", "eu", "asia"): lambda row: _masked(row) if row[1] == "us" else row,
    ("eu",): lambda row: row if row[1] == "eu" else None,
    ("eu", "asia"): lambda row: None if row[1] == "us" else row,
    ("masked", "clerk"): _masked,
    ("eu", "nobody"): lambda row: row if row[1] == "eu" else None,  # a mask without a permission limits nothing
}
QUERIES = [
    "SELECT id, region, card FROM cards ORDER BY id",
    "SELECT id FROM cards WHERE card LIKE '40%' ORDER BY id",
    "SELECT id FROM cards WHERE card = '4004-04' OR card > '4005' ORDER BY id",
    "SELECT id FROM cards WHERE card IS NULL ORDER BY id",
    "SELECT card, count(*) FROM cards GROUP BY card ORDER BY card",
    "SELECT region, min(card), count(DISTINCT card) FROM cards GROUP BY region HAVING max(card) > '4' ORDER BY 1",
    "SELECT id FROM cards ORDER BY card, id",
    "SELECT id FROM cards ORDER BY substr(card, 6) DESC NULLS LAST, id",
    "SELECT DISTINCT ON (card) card, id FROM cards ORDER BY card, id",
    "SELECT DISTINCT card FROM cards ORDER BY 1",
    "SELECT a.id, b.id FROM cards a JOIN cards b ON a.card = b.card AND a.id < b.id ORDER BY 1, 2",
    "SELECT a.id, b.id FROM cards a LEFT JOIN cards b ON b.card = '4004-04' ORDER BY 1, 2",
    "SELECT count(*) FROM cards a JOIN cards b USING (card)",
    "SELECT count(*) FROM cards a NATURAL JOIN (SELECT card FROM cards WHERE id < 9) b",
    "SELECT id FROM cards WHERE card IN (SELECT card FROM cards WHERE id = 4) ORDER BY id",
    "SELECT id FROM cards c WHERE EXISTS (SELECT FROM cards d WHERE d.card = c.card AND d.id > c.id) ORDER BY id",
    "SELECT id, rank() OVER (ORDER BY card NULLS FIRST) FROM cards ORDER BY id",
    "SELECT card FROM cards UNION SELECT 'x' ORDER BY 1",
    "SELECT id FROM cards EXCEPT SELECT id FROM cards WHERE card ~ '^4' ORDER BY 1",
    "WITH c AS MATERIALIZED (SELECT card AS k, id FROM cards) SELECT k, id FROM c WHERE k <> '**04' ORDER BY id",
    "SELECT string_agg(card, ',' ORDER BY id) FILTER (WHERE card > '4005') FROM cards",
    "SELECT CASE WHEN card LIKE '4%' THEN 'seen' ELSE 'hidden' END, count(*) FROM cards GROUP BY 1 ORDER BY 1",
    "SELECT c.card FROM cards c, LATERAL (SELECT c.card || '!' AS loud) l WHERE l.loud LIKE '4004%' ORDER BY 1",
    "SELECT id FROM cards WHERE length(card) / (id - 4) > 2 AND id <> 4 ORDER BY id",
    "SELECT grouping(card), count(*) FROM cards GROUP BY ROLLUP (card) ORDER BY 1, 2",
    "SELECT (c).card FROM (SELECT cards AS c FROM cards) q ORDER BY 1",
    "SELECT id FROM cards ORDER BY id FETCH FIRST 3 ROWS WITH TIES",
]


@dataclass(slots=True)
class World:
    server: PostgresServer
    gateway: GatewayProcess

    def connect(self, tenant: str, roles: tuple[str, ...]) -> psycopg.Connection[Any]:
        token = self.gateway.issuer.token("sue", tenant, roles)
        return psycopg.connect(self.gateway.conninfo("sue", token, tenant), autocommit=True)


@pytest.fixture(scope="module")
def world(postgres: PostgresServer) -> Iterator[World]:
    password = secrets.token_urlsafe(12)
    postgres.execute(f"CREATE ROLE masker LOGIN PASSWORD '{password}'")
    postgres.create_database("masks_shared")
    postgres.create_database("masks_own")
    postgres.execute(TABLE.format("", "tenant_id text NOT NULL, "), "masks_shared")
    postgres.execute("CREATE SCHEMA own_schema; GRANT USAGE ON SCHEMA own_schema TO masker", "masks_shared")
    postgres.execute(TABLE.format("own_schema.", ""), "masks_shared")
    postgres.execute(TABLE.format("", ""), "masks_own")
    insert = "INSERT INTO {0}cards VALUES ({1}%s, %s, %s, %s)"
    with psycopg.connect(postgres.conninfo("masks_shared"), autocommit=True) as shared:
        shared.cursor().executemany(insert.format("", "'rows', ").encode(), ROWS)
        shared.cursor().executemany(insert.format("", "'stranger', ").encode(), ROWS)
        shared.cursor().executemany(insert.format("own_schema.", "").encode(), ROWS)
        shared.execute("GRANT SELECT ON cards, own_schema.cards TO masker")
    with psycopg.connect(postgres.conninfo("masks_own"), autocommit=True) as own:
        own.cursor().executemany(insert.format("", "").encode(), ROWS)
        own.execute("GRANT SELECT ON cards TO masker")
    target = {
        "host": postgres.host, "port": postgres.port, "database": "masks_shared", "user": "masker",
        "password": password, "tls": "disable",
    }  # fmt: skip
    process = GatewayProcess(targets={"main": target}, policy=POLICY)
    process.start()
    yield World(postgres, process)
    process.stop()


@pytest.mark.parametrize("tenant", ["rows", "own_schema", "own_database"])
@pytest.mark.parametrize("roles", TOGETHER, ids="+".join)
def test_a_query_answers_as_over_what_the_roles_show(world: World, tenant: str, roles: tuple[str, ...]) -> None:
    shown = [row for row in map(TOGETHER[roles], ROWS) if row is not None]
    with world.connect(tenant, roles) as through, psycopg.connect(world.server.conninfo("masks_own")) as reference:
        reference.execute(TABLE.format("pg_temp.", "").encode())
        reference.cursor().executemany(b"INSERT INTO pg_temp.cards VALUES (%s, %s, %s, %s)", shown)
        for sql in QUERIES:
            assert through.execute(sql.encode()).fetchall() == reference.execute(sql.encode()).fetchall(), sql
        with through.cursor().copy(b"COPY cards (id, card) TO STDOUT") as copy:
            copied = sorted(int(n) for n, _ in copy.rows())
        assert copied == [row[0] for row in shown]


@pytest.mark.parametrize("tenant", ["rows", "own_schema", "own_database"])
def test_a_denied_column_is_left_out_and_cannot_be_named(world: World, tenant: str) -> None:
    with world.connect(tenant, ("masked", "clerk")) as clerk:
        cursor = clerk.execute("SELECT * FROM cards")
        assert [column.name for column in cursor.description or ()][-3:] == ["id", "region", "card"]
        for sql in ("SELECT email FROM cards", "SELECT id FROM cards ORDER BY email", "SELECT count(email) FROM cards"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                clerk.execute(sql.encode())
