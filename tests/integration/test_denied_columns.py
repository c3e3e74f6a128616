"""Denied columns on a real server: `*` and whole rows leave them out, and no statement can name, test or write one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from policy.access import TableAccess
from policy.model import Isolation
from policy.sql.compile import compile_query
from tests.integration.shop_twins import OWNER, Databases, rewritten, run

DENIED = TableAccess(
    read=True,
    write=True,
    copy=True,
    denied=frozenset({"card", "name"}),
    row_filter="name <> 'c2'",
    masks={"region": "left(region, 1)"},
)
ACCESS = replace(OWNER, id="denied", tables={("public", "customers"): DENIED})


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM customers",
        "SELECT c.* FROM customers c JOIN orders o ON o.customer_id = c.id",
        "TABLE customers",
        "SELECT c FROM customers c",
        "SELECT row_to_json(c), to_jsonb(c) ->> 'card' FROM customers c",
        "SELECT * FROM customers NATURAL JOIN orders",
        "SELECT * FROM (SELECT * FROM customers) x",
        "WITH c AS (SELECT * FROM customers) SELECT * FROM c",
        "SELECT x.z FROM customers AS x (t, z) WHERE z::text LIKE '%'",
        "SELECT * FROM customers TABLESAMPLE SYSTEM (100) REPEATABLE (1)",
        "SELECT c.*, count(o.id) FROM customers c LEFT JOIN orders o ON o.id = c.id GROUP BY c.tenant_id, c.id",
        "COPY customers TO STDOUT",
        "SELECT attname FROM pg_attribute WHERE attrelid = 'customers'::regclass",
        "SELECT column_name FROM information_schema.columns WHERE table_name = 'customers'",
        "SELECT o.note AS card FROM orders o ORDER BY card",
        "SELECT card FROM (SELECT note AS card FROM orders) o JOIN customers c ON true",
        "SELECT id FROM customers WHERE id < 5 FOR UPDATE",
        "UPDATE customers SET region = 'DE' WHERE id = 1 RETURNING id",
    ],
)
def test_it_is_as_if_they_were_not_there(sql: str, databases: Databases) -> None:
    (status, columns, rows), *_ = run(databases.shared, rewritten(sql, ACCESS, databases.catalog))
    assert len(status) != 5 or status.isalpha(), columns
    assert "ACME-CARD" not in repr(rows)
    assert "'c2'" not in repr(rows)
    if "AS card" not in sql:
        assert not {"card", "name"} & {*columns, *(row[0] for row in rows if row)}


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT card FROM customers",
        "SELECT c.card FROM customers c",
        "SELECT public.customers.card FROM public.customers",
        "SELECT 1 FROM customers WHERE name = 'c1'",
        "SELECT count(*) FROM orders o JOIN customers c ON c.name = o.note",
        "SELECT (SELECT max(o.id) FROM orders o WHERE o.note = c.name) FROM customers c",
        "SELECT id FROM customers ORDER BY name",
        "SELECT 1 FROM customers a JOIN customers b USING (name)",
        "INSERT INTO customers (tenant_id, id, name) VALUES ('acme', 99, 'x')",
        "INSERT INTO customers VALUES ('acme', 99, 'x')",
        "INSERT INTO customers (id) VALUES (1) ON CONFLICT (tenant_id, id) DO UPDATE SET name = 'x'",
        "INSERT INTO customers (id) VALUES (99) RETURNING *",
        "INSERT INTO customers (id) VALUES (99) RETURNING customers",
        "INSERT INTO customers (id) VALUES (99) RETURNING name",
        "UPDATE customers SET name = 'x'",
        "UPDATE customers SET (region, name) = ('x', 'y')",
        "UPDATE customers SET region = name",
        "UPDATE customers SET region = 'x' WHERE card LIKE '4%'",
        "UPDATE customers SET region = 'x' RETURNING *",
        "DELETE FROM customers WHERE card LIKE '4%'",
        "DELETE FROM customers RETURNING name",
        "DELETE FROM customers RETURNING *",
        "DELETE FROM orders o USING customers c WHERE c.name = o.note",
        "COPY customers (id, card) TO STDOUT",
        "COPY customers (id, card) FROM STDIN",
        "COPY customers FROM STDIN",
        "MERGE INTO customers c USING orders o ON c.id = o.id WHEN MATCHED THEN UPDATE SET name = 'x'",
        "MERGE INTO customers c USING orders o ON c.id = o.id WHEN NOT MATCHED THEN INSERT VALUES ('acme', 1, 'x')",
        "SELECT buyer FROM sales",
    ],
)
def test_naming_one_is_refused(sql: str, databases: Databases) -> None:
    denial = compile_query(sql, ACCESS, databases.catalog).denial
    assert denial is not None
    assert denial.sqlstate in ("42501", "0A000"), denial
    assert denial.hint


def test_in_an_own_schema_and_database_they_are_denied_too(databases: Databases) -> None:
    for isolation, schema in ((Isolation.SCHEMA, "public"), (Isolation.DATABASE, "")):
        key = "" if isolation is Isolation.SCHEMA else "public"
        access = replace(ACCESS, isolation=isolation, rules={}, tables={(key, "customers"): replace(DENIED, masks={})})
        plan = compile_query("SELECT * FROM customers", access, databases.catalog, schema=schema).plans[0]
        assert plan.denial is None
        assert "card" not in repr(plan.pieces)
        assert compile_query("SELECT card FROM customers", access, databases.catalog, schema=schema).denial is not None
