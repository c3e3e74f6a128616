"""Guards that are barriers, on a real server: what may be known of a row is asked of the index all the same."""

from __future__ import annotations

import pytest

from tests.integration.two_shops import Connection, acme_only, check_same_as_alone, run, shop
from tests.unit.sql.shop import rewritten

__all__ = ["acme_only", "shop"]


def plan_of(shop: Connection, sql: str) -> str:
    shop.execute("SET LOCAL enable_seqscan = off")
    return "\n".join(row[0] for row in shop.execute(f"EXPLAIN {sql}".encode()))


def test_a_row_is_found_by_its_key(shop: Connection) -> None:
    sql = rewritten("SELECT o.* FROM orders o WHERE o.id = 2 AND 4 / o.id > 1 AND lower(o.status) = 'paid'")
    assert "(id = 2)" in plan_of(shop, sql).partition("Index Cond: ")[2].partition("\n")[0]
    assert len(run(shop, sql)[1]) == 1
    shop.rollback()


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM orders o WHERE o.id IN (1, 2) AND lower(o.status) = 'open'",
        "SELECT * FROM orders WHERE amount BETWEEN 5 AND 25 AND lower(status) <> 'x' AND id IS NOT NULL",
        "SELECT o.id FROM orders o LEFT JOIN notes n ON n.id = o.id WHERE n.id IS NULL AND lower(o.status) = 'open'",
        "SELECT o.id, n.id FROM notes n RIGHT JOIN orders o ON n.id = o.id WHERE o.id > 1 AND lower(o.status) > 'a'",
        "SELECT o.id, n.id FROM orders o FULL JOIN notes n ON n.id = o.id WHERE o.id > 1 AND lower(o.status) > 'a'",
        "SELECT count(*) FROM orders o, orders p WHERE o.id = 1 AND p.id = 2 AND lower(o.status) <> lower(p.status)",
        "SELECT id FROM orders o WHERE id = 1 AND EXISTS (SELECT FROM notes WHERE notes.id = o.id AND id = 1 AND"
        " lower(body) = 'public')",
        "SELECT status, count(*) FROM orders WHERE id < 3 AND lower(status) > 'a' GROUP BY status HAVING count(*) > 0",
        "INSERT INTO orders (id) SELECT id + 60 FROM orders WHERE lower(status) = 'open' AND id = 1"
        " ON CONFLICT DO NOTHING RETURNING id",
        "SELECT * FROM orders WHERE id = 1 /* AND */ AND -- AND id = 2\n lower(status) = 'open' ORDER BY id LIMIT 1",
    ],
)  # fmt: skip
def test_it_changes_no_answer(sql: str, shop: Connection, acme_only: Connection) -> None:
    check_same_as_alone(sql, shop, acme_only)


def test_what_could_tell_of_a_row_is_not_repeated(shop: Connection) -> None:
    sql = rewritten("SELECT id FROM notes WHERE 1 / (id - 101) < 5 AND id = 101")
    assert sql.count("/") == 1
    assert run(shop, sql)[1] == []
    shop.rollback()


def test_a_parameter_keeps_its_type(shop: Connection) -> None:
    """The guard stands before the select list, where the parameter would get its type otherwise."""
    sql = rewritten(
        "SELECT $1 || 'x', n.id FROM notes n JOIN orders o ON o.id = n.id"
        " WHERE lower(n.body) = lower(o.status) AND n.author = $1 AND n.id = $2"
    )
    guard = sql[sql.index("(SELECT") : sql.index("OFFSET 0")]
    assert "$1" not in guard
    assert '"id" = $2' in guard
