"""The shop of tests/unit/sql/shop.py twice on a real server: with all tenants' rows, and, as oracle, acme's alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg import sql as psycopg_sql

from tests.harness.postgres import PostgresServer
from tests.unit.sql.shop import DDL, ROWS, TABLES, rewritten

Connection = psycopg.Connection[tuple[Any, ...]]
State = dict[str, list[str]]


@pytest.fixture(scope="module")
def shop(postgres: PostgresServer) -> Iterator[Connection]:
    """All tenants' rows."""
    yield from _connected(postgres, "writes_shop", "")


@pytest.fixture(scope="module")
def acme_only(postgres: PostgresServer) -> Iterator[Connection]:
    """The same database with acme's rows only, where acme is the default tenant: the oracle."""
    own = "".join(
        f"DELETE FROM {table} WHERE tenant_id IS DISTINCT FROM 'acme';"
        f"ALTER TABLE {table} ALTER tenant_id SET DEFAULT 'acme';"
        for table in ("orders", "notes", "cards", "drafts")
    )
    yield from _connected(postgres, "writes_acme", own)


def _connected(postgres: PostgresServer, name: str, more: str) -> Iterator[Connection]:
    postgres.create_database(name)
    with psycopg.connect(postgres.conninfo(name)) as connection:
        connection.execute(DDL + ROWS + more)
        connection.commit()
        yield connection
        connection.rollback()
    postgres.drop_database(name)


def state(connection: Connection, *, own: bool) -> State:
    found: State = {}
    for table in TABLES:
        test = "AND r.tenant_id IS NOT DISTINCT FROM 'acme'" if own else "AND r.tenant_id IS DISTINCT FROM 'acme'"
        if table in ("units", "countries"):
            test = "" if own else "AND false"
        query = psycopg_sql.SQL(f"SELECT r::text FROM {table} r WHERE true {test} ORDER BY 1")
        found[table] = [row[0] for row in connection.execute(query)]
    return found


def run(connection: Connection, sql: str) -> tuple[str, list[tuple[Any, ...]]]:
    cursor = connection.execute(sql)
    return cursor.statusmessage or "", sorted(cursor.fetchall(), key=str) if cursor.description else []


def check_same_as_alone(sql: str, shop: Connection, acme_only: Connection) -> None:
    """The statement answers and changes acme's rows as it does alone, and nobody else's."""
    foreign = state(shop, own=False)
    for connection in (shop, acme_only):
        connection.execute("SELECT setval('notes_id_seq', 1000)")  # not undone by a rollback
    try:
        expected = run(acme_only, sql)
        assert run(shop, rewritten(sql)) == expected
        assert state(shop, own=True) == state(acme_only, own=True)
        assert state(shop, own=False) == foreign
    finally:
        shop.rollback()
        acme_only.rollback()
