"""Which statements may keep the plain guard: nothing in them can tell of a row before the tenant test dropped it."""

from __future__ import annotations

import pytest

from policy.access import NO_ACCESS, Access, TableAccess
from policy.model import Isolation
from policy.sql.catalog import Catalog, Column, Relation
from policy.sql.context import Context
from policy.sql.leakproof import statement_is_leakproof
from policy.sql.parse import parse_statements, scan
from policy.sql.references import collect_references

ORDERS = Relation(
    1,
    "public",
    "orders",
    "r",
    (
        Column("id", 23, "integer"),
        Column("big", 20, "bigint"),
        Column("amount", 1700, "numeric"),
        Column("ratio", 701, "double precision"),
        Column("body", 25, "text"),
        Column("code", 1043, "character varying"),
        Column("paid", 16, "boolean"),
        Column("at", 1184, "timestamp with time zone"),
        Column("day", 1082, "date"),
        Column("status", 16400, "order_status"),
        Column("attrs", 3802, "jsonb"),
        Column("card", 25, "text"),
    ),
)
ITEMS = Relation(2, "public", "items", "r", (Column("order_id", 23, "integer"), Column("sku", 25, "text")))
CATALOG = Catalog(
    1,
    "shop",
    180000,
    {("public", "orders"): ORDERS, ("public", "items"): ITEMS},
    leakproof_functions=frozenset({"starts_with"}),
)
ACCESS = Access(
    "test",
    Isolation.SHARED,
    "main",
    NO_ACCESS,
    {("public", "orders"): TableAccess(read=True, masks={"card": "'****' || right(card, 4)"})},
    {},
)


def is_leakproof(sql: str) -> bool:
    tokens = scan(sql)
    statement = parse_statements(sql, tokens)[0]
    context = Context(ACCESS, CATALOG, "", sql, tokens, statement, collect_references(statement.node, tokens))
    return statement_is_leakproof(statement.node, context)


LEAKPROOF = [
    "SELECT 1",
    "SELECT * FROM orders",
    "SELECT 1 / (id - 30), lower(body), attrs->>'a' FROM orders ORDER BY amount / 3 LIMIT 5",
    "SELECT * FROM orders WHERE id = 5 AND body <> 'x' OR NOT paid",
    "SELECT * FROM orders o WHERE o.id = $1 AND big >= $2 AND o.code = $3",
    "SELECT * FROM orders WHERE id IN (1, 2, 3) AND id BETWEEN 1 AND big AND at > now()",
    "SELECT * FROM orders WHERE id = ANY ($1) AND id = ANY ('{1,2}'::int[]) AND id <> ALL (ARRAY[1, 2])",
    "SELECT * FROM orders WHERE attrs IS NOT NULL AND body IS DISTINCT FROM code",
    "SELECT * FROM orders WHERE day = current_date AND day < '2025-01-01'::date AND at = CURRENT_TIMESTAMP",
    "SELECT * FROM orders WHERE amount > 100 AND amount > id AND ratio < 0.5",
    "SELECT * FROM orders WHERE (id, body) = (1, 'x') AND (paid IS TRUE) AND starts_with(body, 'a')",
    "SELECT o.id, count(*) FROM orders o JOIN items i ON i.order_id = o.id GROUP BY o.id HAVING sum(amount) > 3",
    "SELECT * FROM orders o JOIN items i ON (o.id = i.order_id AND i.sku = o.code)",
    "SELECT * FROM (SELECT id AS n, attrs FROM orders) s WHERE s.n = 1",
    "WITH c AS (SELECT order_id, max(sku) AS m FROM items GROUP BY 1) SELECT * FROM c WHERE order_id = 1 AND m = 'x'",
    "SELECT * FROM orders WHERE id IN (SELECT order_id FROM items WHERE sku = body)",
    "SELECT * FROM orders o WHERE EXISTS (SELECT 1 FROM items i WHERE i.order_id = o.id)",
    "SELECT * FROM orders WHERE id = (SELECT max(order_id) FROM items)",
    "SELECT lower(body) FROM orders UNION SELECT upper(sku) FROM items ORDER BY 1",
    "INSERT INTO items SELECT id, lower(body) FROM orders WHERE id = 3",
    "UPDATE orders SET amount = amount / id WHERE id = 3 RETURNING 1 / id",
    "DELETE FROM orders o USING items i WHERE o.id = i.order_id AND i.sku = 'x'",
    "EXPLAIN SELECT * FROM orders WHERE id = 1",
    "SELECT * FROM orders, generate_series(1, 3) AS g",
    "SELECT (SELECT lower(sku) FROM items WHERE order_id = orders.id) FROM orders",
    "SELECT coalesce(body, 'x') = 'x' FROM orders WHERE coalesce(body, 'x') = code",
    "SELECT * FROM (SELECT CASE WHEN id = 1 THEN body ELSE 'x' END AS b FROM orders) s WHERE b = 'y'",
]

LEAKY = [
    "SELECT * FROM orders WHERE has_schema_privilege(body, 'usage')",
    "SELECT * FROM orders WHERE 1 / (id - 30) > 0",
    "SELECT * FROM orders WHERE (id / (id - 30)) IS NOT NULL",
    "SELECT * FROM orders WHERE body::int = 1",
    "SELECT * FROM orders WHERE lower(body) = 'x'",
    "SELECT * FROM orders WHERE body LIKE 'x%'",
    "SELECT * FROM orders WHERE status = 'open'",
    "SELECT * FROM orders WHERE attrs @> '{}'",
    "SELECT * FROM orders WHERE card = 'x'",
    "SELECT * FROM orders WHERE amount = $1",
    "SELECT * FROM orders WHERE amount = ratio",
    "SELECT * FROM orders WHERE amount > '1'::float8",
    "SELECT * FROM orders WHERE day = at",
    "SELECT * FROM orders ORDER BY (SELECT 1 FROM items WHERE 1 / order_id = 1)",
    "SELECT * FROM orders o JOIN items i ON i.order_id = o.id AND length(sku) = 1",
    "SELECT * FROM orders o NATURAL JOIN items i",
    "SELECT id FROM orders GROUP BY id HAVING 1 / (id - 30) > 0",
    "SELECT * FROM (SELECT 1 / (id - 30) AS x FROM orders) s",
    "WITH c AS (SELECT body::int AS x FROM orders) SELECT * FROM c WHERE x = 1",
    "SELECT * FROM orders o WHERE EXISTS (SELECT max(1 / (o.id - 30)) FROM items)",
    "SELECT * FROM orders o WHERE EXISTS (SELECT 1 FROM items ORDER BY 1 / (o.id - 30))",
    "SELECT * FROM orders o WHERE o.id = (SELECT max(1 / (o.id - 30)) FROM items)",
    "SELECT * FROM orders WHERE id IN (SELECT 1 / order_id FROM items)",
    "SELECT * FROM orders o, LATERAL generate_series(1, o.id) g",
    "SELECT * FROM orders TABLESAMPLE system (10)",
    "SELECT * FROM orders o WHERE o.unknown_column = 1",
    "SELECT * FROM elsewhere WHERE id = 1",
    "SELECT * FROM orders o, items i WHERE o.id + 0 = i.order_id",
    "UPDATE orders SET id = 1 WHERE 1 / id = 1",
    "DELETE FROM orders WHERE CASE WHEN id = 1 THEN body::int = 1 END",
    "WITH d AS (DELETE FROM orders WHERE body::int = 1 RETURNING id) SELECT * FROM d",
    "MERGE INTO orders o USING items i ON o.id + 1 = i.order_id WHEN MATCHED THEN DELETE",
    "MERGE INTO orders o USING (SELECT order_id::int AS n FROM items) i ON o.id = i.n WHEN MATCHED THEN DELETE",
    "SELECT * FROM orders WHERE id OPERATOR(public.=) 2",
    "SELECT * FROM (SELECT o.to_json FROM orders o) s",
]


@pytest.mark.parametrize("sql", LEAKPROOF)
def test_harmless_statements_keep_the_plain_guard(sql: str) -> None:
    assert is_leakproof(sql)


@pytest.mark.parametrize("sql", LEAKY)
def test_anything_else_needs_a_barrier(sql: str) -> None:
    assert not is_leakproof(sql)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [("NULL", True), ("sku = 'x'", True), ("id = 5 AND paid", True), ("right(card, 4)", False), ("1 / id = 2", False)],
)
def test_expressions_of_roles(expression: str, expected: bool) -> None:
    sql = f"SELECT {expression}"
    tokens = scan(sql)
    statement = parse_statements(sql, tokens)[0]
    context = Context(ACCESS, CATALOG, "", sql, tokens, statement, collect_references(statement.node, tokens))
    assert statement_is_leakproof(statement.node.targetList[0].val, context) is expected
