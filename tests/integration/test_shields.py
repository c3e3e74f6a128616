"""Shielded conditions on a real server: under no plan does one meet a row that is not the tenant's.

`jobs` has a stranger's row whose body is no regular expression, so that `'x' ~ body` fails when it is evaluated for it;
the operator is one call, as cheap as the tenant test itself.
"""

from __future__ import annotations

import itertools

import pytest

from tests.integration.shop_twins import OWNER, Databases, rewritten

SCANS = ("enable_seqscan", "enable_indexscan", "enable_bitmapscan")
JOINS = ("enable_hashjoin", "enable_mergejoin", "enable_nestloop")


@pytest.fixture
def indexed(databases: Databases) -> Databases:
    databases.shared.execute("CREATE INDEX IF NOT EXISTS jobs_of ON jobs (tenant_id)")
    return databases


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT id FROM jobs WHERE 'x' ~ body",
        "SELECT id FROM jobs WHERE id > 100 AND 'x' ~ body",
        "SELECT j.id FROM jobs j JOIN orders o ON o.id = j.id WHERE 'x' ~ j.body",
        "SELECT j.id FROM orders o LEFT JOIN customers c ON c.id = o.id JOIN jobs j ON j.id = c.id WHERE 'x' ~ j.body",
        "SELECT id FROM jobs WHERE 'x' ~ body FOR UPDATE",
    ],
)
def test_no_plan_evaluates_it_for_a_strangers_row(sql: str, indexed: Databases) -> None:
    connection = indexed.shared
    (sent,) = rewritten(sql, OWNER, indexed.catalog)
    assert "COALESCE((" in sent
    plans = set()
    for scan, join in itertools.product(SCANS, JOINS):
        with connection.transaction(force_rollback=True):
            for name in (*SCANS, *JOINS):
                connection.execute(f"SET LOCAL {name} = {'on' if name in (scan, join) else 'off'}".encode())
            plan = connection.execute(b"EXPLAIN (COSTS OFF) " + sent.encode()).fetchall()
            plans.add("\n".join(row[0] for row in plan))
            connection.execute(sent.encode())  # would raise: invalid regular expression
    assert len(plans) > 1


def test_the_stranger_is_there(indexed: Databases) -> None:
    """Without its shield the condition fails."""
    import psycopg

    (sent,) = rewritten("SELECT id FROM jobs WHERE 'x' ~ body", OWNER, indexed.catalog)
    bare = sent[: sent.index("WHERE")] + "WHERE 'x' ~ body"
    with pytest.raises(psycopg.errors.InvalidRegularExpression):
        indexed.shared.execute(bare.encode())
