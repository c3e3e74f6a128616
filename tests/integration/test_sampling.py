"""TABLESAMPLE of shared tables: a share of the tenant's own rows, and nothing of where rows of others stand."""

from __future__ import annotations

import pytest

from tests.integration.shop_twins import OWNER, Databases, rewritten, run


def _ids(sql: str, databases: Databases, *, alone: bool = False) -> list[str | None]:
    connection = databases.alone if alone else databases.shared
    return [row[0] for row in run(connection, rewritten(sql, OWNER, databases.catalog))[0][2]]


@pytest.mark.parametrize("method", ["BERNOULLI", "SYSTEM"])
def test_a_sample_takes_about_the_share_asked_for(method: str, databases: Databases) -> None:
    taken = [len(_ids(f"SELECT id FROM orders TABLESAMPLE {method} (50)", databases)) for _ in range(40)]
    assert 400 < sum(taken) < 800  # of 40 times 30 rows: 600, with a deviation of 17
    assert len(set(taken)) > 1


@pytest.mark.parametrize("table", ["orders", "documents"])
def test_with_repeatable_it_is_the_same_with_and_without_rows_of_others(table: str, databases: Databases) -> None:
    samples = set()
    for seed in range(20):
        sql = f"SELECT id FROM {table} TABLESAMPLE SYSTEM (40) REPEATABLE ({seed})"
        assert _ids(sql, databases) == _ids(sql, databases) == _ids(sql, databases, alone=True)
        samples.add(tuple(_ids(sql, databases)))
    assert len(samples) > 3


def test_the_test_is_made_once_for_each_row_of_the_table(databases: Databases) -> None:
    """A volatile condition that PostgreSQL moved to the join would be drawn anew for each pair."""
    sql = "SELECT a.id, count(*) FROM orders a TABLESAMPLE BERNOULLI (50) CROSS JOIN items b GROUP BY a.id"
    (result,) = run(databases.shared, rewritten(sql, OWNER, databases.catalog))
    assert {row[1] for row in result[2]} == {str(len(_ids("SELECT line FROM items", databases)))}
