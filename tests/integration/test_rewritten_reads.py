"""What statements become, run on a real server: the answers are those of a database with the tenant's rows only.

Each line of `reads.sql` is compiled as tenant acme and run on a database of two tenants, and as it is on a copy without
the other tenant's rows: columns, rows and SQLSTATEs must be equal.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from policy.model import Isolation
from policy.sql.compile import compile_query
from tests.integration.shop_twins import ANALYST, OWNER, SECRET, Databases, Result, filtered, rewritten, run

READS = [line for line in (Path(__file__).parent / "reads.sql").read_text().splitlines() if line]


def _comparable(results: list[Result]) -> list[Result]:
    """An error's text is compared by its SQLSTATE only: it may name the position in another text."""
    return [(status, columns if rows or len(status) != 5 else [], rows) for status, columns, rows in results]


@pytest.mark.parametrize("sql", READS)
def test_the_answer_is_that_of_a_database_with_own_rows_only(sql: str, databases: Databases) -> None:
    sent = rewritten(sql, OWNER, databases.catalog)
    got = run(databases.shared, sent)
    assert SECRET not in repr(got)
    if "nope" not in sql and "BEGIN" not in sql:
        own_transaction = [s for s in sql.split("; ") if s]
        expected = run(databases.alone, own_transaction)
        assert _comparable(got) == _comparable(expected), sent


@pytest.mark.parametrize("isolation", [Isolation.SCHEMA, Isolation.DATABASE])
@pytest.mark.parametrize("sql", [sql for sql in READS if "nope" not in sql and "BEGIN" not in sql])
def test_row_filters_mean_the_same_in_an_own_schema_or_database(
    sql: str, isolation: Isolation, databases: Databases
) -> None:
    """Filters that let one tenant's rows through answer as the database that holds no others."""
    sent = rewritten(sql, filtered(isolation), databases.catalog)
    got = run(databases.shared, sent)
    assert SECRET not in repr(got)
    assert _comparable(got) == _comparable(run(databases.alone, [s for s in sql.split("; ") if s])), sent


@pytest.mark.parametrize("sql", [sql for sql in READS if "customers" in sql])
def test_masked_values_and_filtered_rows_are_never_seen(sql: str, databases: Databases) -> None:
    if compile_query(sql, ANALYST, databases.catalog).denial is not None:
        return
    got = repr(run(databases.shared, rewritten(sql, ANALYST, databases.catalog)))
    assert "ACME-CARD" not in got
    assert "deep" not in got
    assert SECRET not in got


LEAKY = [
    "SELECT id FROM {t} WHERE has_schema_privilege({c}, 'usage')",
    "SELECT id FROM {t} WHERE {c}::int > 0",
    "SELECT id FROM {t} o WHERE {c}::date > now() FOR UPDATE",
    "SELECT * FROM (SELECT {c}::int AS x FROM {t}) s WHERE x > 0",
    "WITH s AS (SELECT * FROM {t}) SELECT * FROM s WHERE {c}::int > 0",
    "SELECT a.id FROM {t} a JOIN {t} b ON a.{c}::int = b.id",
    "SELECT id FROM {t} GROUP BY id HAVING max({c})::int > 0",
    "SELECT (SELECT 1 FROM {t} WHERE {c}::int > 0)",
    "SELECT id FROM {t} UNION SELECT {c}::int FROM {t}",
    "SELECT id FROM {t} WHERE id IN (SELECT {c}::int FROM {t})",
    "SELECT id FROM {t} ORDER BY {c}::int",
    "SELECT o.id FROM {t} o, LATERAL (SELECT 1 WHERE o.{c}::int > 0) x FOR UPDATE OF o",
    "SELECT o.id FROM {t} o, LATERAL (SELECT 1 FROM {t} i WHERE o.{c}::int > i.id) x FOR UPDATE OF o",
    "SELECT o.id FROM {t} o, generate_series(1, o.{c}::int) x FOR UPDATE OF o",
    "SELECT o.id FROM {t} o JOIN {t} i ON o.{c}::int = i.id WHERE o.{c}::int > 0 FOR UPDATE OF o",
    "SELECT tableoid, * FROM {t} o, LATERAL (SELECT 1 WHERE o.{c}::int > 0) x",
    "SELECT id FROM {t} WHERE id = (SELECT id FROM {t} WHERE {c}::int > 0 ORDER BY id LIMIT 1 FOR UPDATE)",
    "SELECT * FROM (SELECT id, {c} FROM {t} WHERE {c}::int > 0 ORDER BY id FOR UPDATE) x WHERE {c}::int > 0",
    "SELECT * FROM (SELECT id, {c} FROM {t} WHERE id > 0 ORDER BY id LIMIT 1 FOR UPDATE) x WHERE {c}::int > 0",
    "SELECT x.id FROM {t} x WHERE x.id IN (SELECT i.id FROM {t} i WHERE x.{c}::int > 0 LIMIT 5 FOR UPDATE)",
    "WITH n AS (SELECT id FROM {t} WHERE {c}::int > 0 LIMIT 1 FOR UPDATE) UPDATE {t} SET id = 1 FROM n WHERE n.id = 2",
]


@pytest.mark.parametrize("sql", LEAKY)
@pytest.mark.parametrize(("table", "column"), [("orders", "note"), ("customers", "name"), ("jobs", "body")])
def test_no_error_shows_a_value_of_another_tenant(sql: str, table: str, column: str, databases: Databases) -> None:
    query = compile_query(sql.format(t=table, c=column), OWNER, databases.catalog)
    if query.denial is not None:
        return
    got = run(databases.shared, rewritten(sql.format(t=table, c=column), OWNER, databases.catalog))
    assert SECRET not in repr(got)


RAISING = [
    "SELECT j.id FROM jobs j, LATERAL (SELECT 1 WHERE j.body ~ j.body) x FOR UPDATE OF j",
    "SELECT j.id FROM jobs j CROSS JOIN LATERAL (SELECT 1 FROM items i WHERE j.body ~ j.body) x FOR UPDATE OF j",
    "SELECT j.id FROM jobs j JOIN orders o ON j.body ~ j.body FOR UPDATE OF j",
    "SELECT j.id, j.body FROM jobs j, LATERAL (SELECT 1 WHERE j.body ~ j.body) x GROUP BY j.id",
    "SELECT j.id FROM jobs j WHERE j.body ~ j.body FOR UPDATE",
    "SELECT id FROM (SELECT id, body FROM jobs FOR UPDATE) j WHERE j.body ~ j.body",
    "SELECT id FROM (SELECT id, body FROM jobs LIMIT 3 FOR UPDATE) j WHERE j.body ~ j.body",
    "SELECT id FROM (SELECT id, body FROM jobs WHERE id > 0 LIMIT ALL FOR UPDATE) j WHERE j.body ~ j.body",
    "SELECT id FROM (SELECT id, body FROM jobs WHERE id > 0 OFFSET 0) j WHERE j.body ~ j.body",
    "SELECT id FROM (SELECT id, body FROM jobs WHERE state > 'a' LIMIT NULL) j WHERE j.body ~ j.body",
    "SELECT id FROM orders o WHERE EXISTS (SELECT 1 FROM jobs j WHERE j.body ~ j.body LIMIT 1)",
    "SELECT id FROM orders o WHERE EXISTS (SELECT 1 FROM jobs j WHERE j.id = o.id LIMIT 1 FOR UPDATE)",
    "SELECT id FROM (SELECT id, body FROM jobs ORDER BY id LIMIT 50) j WHERE j.body ~ j.body",
    "SELECT j.id FROM jobs j, LATERAL (SELECT 1 WHERE j.body ~ j.body LIMIT 1) x",
    "SELECT j.id FROM jobs j LEFT JOIN orders o ON j.body ~ j.body WHERE j.body ~ j.body LIMIT 3",
    "SELECT max(j.id) FROM jobs j HAVING bool_and(j.body ~ j.body)",
    "SELECT id FROM jobs WHERE id = (SELECT id FROM jobs WHERE body ~ body ORDER BY id DESC LIMIT 1 FOR UPDATE)",
    "WITH n AS (SELECT id FROM jobs WHERE body ~ body LIMIT 1 FOR UPDATE) SELECT j.id FROM jobs j, n WHERE j.id = n.id",
    "SELECT id FROM orders o WHERE id IN (SELECT j.id FROM jobs j WHERE body ~ body AND j.id = o.id LIMIT 1 FOR SHARE)",
    "SELECT j.id FROM jobs j JOIN orders o ON o.id = j.id WHERE j.body ~ j.body FOR UPDATE OF j",
]


@pytest.mark.parametrize("sql", RAISING)
def test_no_condition_meets_a_row_of_another_tenant(sql: str, databases: Databases) -> None:
    """The operator costs no more than the tenant test, so that PostgreSQL may well apply it first."""
    ((status, *_),) = run(databases.shared, rewritten(sql, OWNER, databases.catalog))
    assert status.startswith("SELECT")
