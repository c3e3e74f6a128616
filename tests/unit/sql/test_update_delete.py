"""UPDATE and DELETE: the tests in WHERE, the tenant column, masks and permissions."""

from __future__ import annotations

from dataclasses import replace

import pytest

from policy.access import Access, TableAccess
from policy.errors import StatementRefused
from policy.model import Isolation
from tests.unit.sql.shop import CATALOG, FULL, READ_ONLY, WRITE_ONLY, plan_of, rewritten, shared_access
from tests.unit.sql.test_insert import checked, squeezed


def own_rows(name: str) -> str:
    return f'"{name}"."tenant_id" OPERATOR(pg_catalog.=) \'acme\''


OWN = own_rows("orders")

PAIRS = [
    ("DELETE FROM orders", f'DELETE FROM "public"."orders" WHERE {OWN}'),
    (
        "DELETE FROM orders AS o WHERE id = 5 OR true RETURNING *",
        f'DELETE FROM "public"."orders" AS o WHERE {own_rows("o")} AND (id = 5 OR true) RETURNING *',
    ),
    (
        "DELETE FROM ONLY orders WHERE lower(status) = 'x'",
        f'DELETE FROM ONLY "public"."orders" WHERE {OWN}'
        f" AND CASE WHEN {OWN} THEN (lower(status) = 'x') ELSE false END",
    ),
    (
        "UPDATE orders SET amount = 1 RETURNING id",
        f'UPDATE "public"."orders" SET amount = 1 WHERE {OWN} RETURNING id',
    ),
    (
        "UPDATE orders SET tenant_id = status, amount = 2 WHERE id = 1",
        'UPDATE "public"."orders" SET tenant_id = ' + checked("status") + f", amount = 2 WHERE {OWN} AND (id = 1)",
    ),
    (
        "UPDATE orders SET tenant_id = DEFAULT",
        f'UPDATE "public"."orders" SET tenant_id = \'acme\' WHERE {OWN}',
    ),
    (
        "WITH d AS (DELETE FROM notes RETURNING id) SELECT id FROM d",
        f'WITH d AS (DELETE FROM "public"."notes" WHERE {own_rows("notes")} RETURNING id) SELECT id FROM d',
    ),
]


@pytest.mark.parametrize(("sql", "expected"), PAIRS)
def test_targets_are_confined(sql: str, expected: str) -> None:
    assert squeezed(rewritten(sql)) == expected


def test_assigning_a_parameter_to_the_tenant_column() -> None:
    plan = plan_of("UPDATE orders SET tenant_id = $2 WHERE id = $1")
    assert plan.has_runtime_check


def test_a_leaky_row_filter_is_evaluated_for_own_rows_only() -> None:
    access = shared_access(orders=TableAccess(read=True, write=True, row_filter="1 / id > 0"))
    guarded = f'CASE WHEN {OWN} THEN (1 / "orders"."id" > 0) ELSE false END'
    assert squeezed(rewritten("DELETE FROM orders", access)).endswith(f"WHERE {OWN} AND {guarded}")


def test_row_filters_of_roles_apply_in_every_strategy() -> None:
    filtered = TableAccess(True, True, row_filter="status = 'open'")
    access = Access("d", Isolation.DATABASE, "main", FULL, {("", "orders"): filtered}, {})
    sql = squeezed(rewritten("DELETE FROM orders WHERE id = 1", access))
    assert sql == 'DELETE FROM orders WHERE ("orders"."status" = \'open\') AND (id = 1)'


REFUSED = [
    ("UPDATE orders SET (status, tenant_id) = (SELECT 'x', 'acme')", "42501"),
    ("UPDATE orders SET (status, tenant_id) = ('x', NULL)", "42501"),
    ("UPDATE orders SET tenant_id = NULL", "42501"),
    ("UPDATE v_orders SET id = 1", "0A000"),
    ("UPDATE countries SET name = 'x'", "42501"),
    ("DELETE FROM countries", "42501"),
    ("DELETE FROM sales.elsewhere", "42P01"),
    ("UPDATE pg_settings SET setting = 'x'", "42P01"),
    ("UPDATE drafts SET snapshot = DEFAULT", "42501"),
    ("UPDATE cards SET holder = card", "42501"),
    ("UPDATE cards SET holder = 'x' WHERE cards.card = 'y'", "42501"),
    ("UPDATE cards SET holder = 'x' RETURNING card", "42501"),
    ("UPDATE cards c SET holder = 'x' RETURNING c.*", "42501"),
    ("DELETE FROM cards RETURNING *", "42501"),
    ("DELETE FROM cards RETURNING old.card", "42501"),
    ("DELETE FROM cards RETURNING WITH (OLD AS o) o.card", "0A000"),
    ("DELETE FROM cards WHERE row_to_json(cards)::text LIKE '%4111%'", "42501"),
    ("DELETE FROM orders USING cards c, sales.elsewhere e WHERE true", "42P01"),
    ("DELETE FROM orders WHERE ctid = '(0,1)'", "0A000"),
    ("WITH d AS (DELETE FROM countries RETURNING 1) SELECT 1", "42501"),
]


@pytest.mark.parametrize(("sql", "sqlstate"), REFUSED)
def test_refusals(sql: str, sqlstate: str) -> None:
    with pytest.raises(StatementRefused) as caught:
        rewritten(sql)
    assert caught.value.sqlstate == sqlstate
    assert caught.value.position > 0


def test_masked_columns_of_other_relations_may_be_read() -> None:
    sql = rewritten("UPDATE orders SET status = c.card FROM cards c WHERE c.id = orders.id RETURNING c.card")
    assert "right(" in sql


@pytest.mark.parametrize(
    "sql", ["DELETE FROM orders", "UPDATE orders SET amount = 1", "INSERT INTO orders (id) VALUES (1)"]
)
def test_writing_needs_write_access(sql: str) -> None:
    with pytest.raises(StatementRefused) as caught:
        rewritten(sql, shared_access(orders=READ_ONLY))
    assert caught.value.sqlstate == "42501"
    rewritten(sql, shared_access(orders=WRITE_ONLY))


@pytest.mark.parametrize(
    "sql",
    ["DELETE FROM orders WHERE id = 1", "UPDATE orders SET amount = amount", "DELETE FROM orders RETURNING id"],
)
def test_testing_or_showing_rows_needs_read_access(sql: str) -> None:
    with pytest.raises(StatementRefused, match="permission denied"):
        rewritten(sql, shared_access(orders=WRITE_ONLY))


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE orders SET amount = 1",
        "DELETE FROM orders",
        "WITH d AS (DELETE FROM orders RETURNING id) SELECT * FROM d",
        "INSERT INTO orders (id) VALUES (1) ON CONFLICT (tenant_id, id) DO NOTHING",
        "COPY orders (id) FROM STDIN",
    ],
)
def test_tables_with_rewrite_rules_are_not_written(sql: str) -> None:
    """A rule makes other statements of this one, which nobody has checked."""
    orders = replace(CATALOG.relations["public", "orders"], has_rules=True)
    catalog = replace(CATALOG, relations={("public", "orders"): orders})
    own = Access("s", Isolation.SCHEMA, "main", FULL, {}, {})
    for access, schema in ((shared_access(), ""), (own, "public")):
        with pytest.raises(StatementRefused, match="rewrite rules"):
            plan_of(sql, access, catalog, schema)
    plan_of(sql, replace(own, isolation=Isolation.DATABASE), catalog)
