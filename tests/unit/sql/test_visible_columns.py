"""Columns that a name surely has: `a.f` is then no call of a function f."""

from __future__ import annotations

import pytest

from policy.sql.parse import parse_statements
from policy.sql.visible_columns import columns_by_name
from tests.unit.sql import sample


def knows(sql: str, name: str, column: str) -> bool:
    found = columns_by_name(parse_statements(sql)[0].node, sample.CATALOG).get(name, ())
    return bool(found) and all(column in columns for columns in found)


@pytest.mark.parametrize(
    ("sql", "name", "column"),
    [
        ("SELECT 1 FROM orders o", "o", "total"),
        ("SELECT 1 FROM orders o (a, b)", "o", "b"),
        ("SELECT 1 FROM (SELECT id AS total FROM orders) s", "s", "total"),
        ("SELECT 1 FROM (SELECT o.total, count(*) FROM orders o) s", "s", "total"),
        ("SELECT 1 FROM (SELECT 1 AS total UNION SELECT 2) s", "s", "total"),
        ("WITH q AS (SELECT 1 AS total) SELECT 1 FROM q r", "r", "total"),
        ("WITH q (total) AS (SELECT 1) SELECT 1 FROM q", "q", "total"),
        ("WITH q AS (DELETE FROM orders RETURNING id AS total) SELECT 1 FROM q", "q", "total"),
        ("INSERT INTO orders VALUES (1) ON CONFLICT (id) DO UPDATE SET total = 1", "excluded", "total"),
    ],
)
def test_known(sql: str, name: str, column: str) -> None:
    assert knows(sql, name, column)


@pytest.mark.parametrize(
    ("sql", "name", "column"),
    [
        ("SELECT 1 FROM orders o (a, b, c, d)", "o", "total"),
        ("SELECT 1 FROM (SELECT id FROM orders) s", "s", "total"),
        ("SELECT 1 FROM (SELECT total FROM orders) s (a)", "s", "total"),
        ("SELECT 1 FROM (SELECT *, 1 AS total FROM orders) s (a)", "s", "total"),
        ("SELECT 1 FROM (VALUES (1)) s", "s", "total"),
        ("SELECT 1 FROM unknown o", "o", "total"),
        ("SELECT 1 FROM orders o, LATERAL (SELECT 1 FROM (SELECT 2 AS id) o) x", "o", "total"),
        ("SELECT 1 FROM (orders JOIN customers USING (id)) AS o", "o", "total"),
        ("WITH orders AS (SELECT 1 AS id) SELECT 1 FROM orders o", "o", "total"),
        ("WITH q AS (SELECT 1 AS total), r AS (WITH q AS (SELECT 1) SELECT 1 FROM q) SELECT 1 FROM q", "q", "total"),
        ("SELECT 1 FROM generate_series(1, 7) o", "o", "total"),
    ],
)
def test_not_known(sql: str, name: str, column: str) -> None:
    assert not knows(sql, name, column)
