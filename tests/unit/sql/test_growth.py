"""What a statement may take: whether it may need more storage, and how many tables it makes that stay."""

from __future__ import annotations

import pytest

from policy.access import Access
from policy.model import Isolation
from policy.sql.compile import compile_query
from policy.sql.plan import StatementKind
from tests.unit.sql.shop import CATALOG, FULL, shared_access

OWN = Access("own", Isolation.DATABASE, "main", FULL, {}, {}, ddl=True)

GROWS = [
    "INSERT INTO orders (id) VALUES (1)",
    "UPDATE orders SET id = 1",
    "WITH added AS (INSERT INTO orders (id) VALUES (1) RETURNING id) DELETE FROM orders",
    "WITH added AS (INSERT INTO orders (id) VALUES (1) RETURNING id) SELECT id FROM added",
    "COPY orders FROM STDIN",
    "EXECUTE anything",
    "CREATE TABLE more (n int)",
    "CREATE TABLE more AS SELECT 1 AS n",
    "SELECT 1 AS n INTO more",
    "CREATE INDEX ON orders (id)",
    "CREATE TEMP TABLE more (n int)",
    "SELECT 1; INSERT INTO orders (id) VALUES (1)",
]
DOES_NOT = [
    "SELECT id FROM orders",
    "SELECT id FROM orders FOR UPDATE",
    "DELETE FROM orders",
    "WITH gone AS (DELETE FROM orders RETURNING id) SELECT id FROM gone",
    "COPY orders TO STDOUT",
    "TRUNCATE orders",
    "DROP TABLE orders",
    "VACUUM orders",
    "BEGIN",
    "COMMIT",
    "SET timezone TO 'UTC'",
    "SHOW QUOTA",
]
TABLES = {
    "CREATE TABLE a (n int)": 1,
    "CREATE TABLE a AS SELECT 1 AS n": 1,
    "CREATE TABLE a (n int); CREATE TABLE b (n int)": 2,
    "SELECT 1 AS n INTO a": 1,
    "CREATE TEMP TABLE a (n int)": 0,
    "CREATE TABLE pg_temp.a (n int)": 0,
    "SELECT 1 AS n INTO TEMP a": 0,
    "CREATE MATERIALIZED VIEW a AS SELECT 1 AS n": 0,
    "CREATE INDEX ON orders (id)": 0,
    "INSERT INTO orders (id) VALUES (1)": 0,
}


@pytest.mark.parametrize("sql", GROWS)
def test_what_may_take_storage(sql: str) -> None:
    assert any(plan.grows for plan in compile_query(sql, OWN, CATALOG).plans)


@pytest.mark.parametrize("sql", DOES_NOT)
def test_what_takes_none(sql: str) -> None:
    compiled = compile_query(sql, OWN, CATALOG)
    assert compiled.denial is None
    assert not any(plan.grows for plan in compiled.plans)


@pytest.mark.parametrize(("sql", "made"), TABLES.items())
def test_tables_that_stay(sql: str, made: int) -> None:
    compiled = compile_query(sql, OWN, CATALOG)
    assert compiled.denial is None
    assert sum(plan.tables_made for plan in compiled.plans) == made


def test_show_quota_is_nobodys_setting_and_reaches_no_relation() -> None:
    (plan,) = compile_query("SHOW quota", shared_access(), CATALOG).plans
    assert (plan.kind, plan.command, plan.relations, plan.denial) == (StatementKind.SESSION, "SHOW", (), None)
    (other,) = compile_query("SHOW quotas", shared_access(), CATALOG).plans
    assert other.denial is not None
