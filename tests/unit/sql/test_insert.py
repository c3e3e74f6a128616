"""INSERT under the shared strategy: what is sent, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest

from policy.access import Access
from policy.errors import StatementRefused
from policy.model import Isolation
from policy.sql.plan import SlotValues, render
from tests.unit.sql.shop import CATALOG, FULL, WRITE_ONLY, plan_of, rewritten, shared_access

CHECKED_BY = (
    "CASE WHEN ({})::text OPERATOR(pg_catalog.=) 'acme' THEN 'acme'"
    " ELSE pg_catalog.current_setting('tenantgate_foreign_tenant')::text END"
)


def checked(expression: str) -> str:
    """An expression for the tenant column as it is sent."""
    return CHECKED_BY.format(expression)


OWN_ORDERS = (
    '(SELECT "tenant_id", "id", "amount", "status", "cents" FROM "public"."orders"'
    ' WHERE "tenant_id" OPERATOR(pg_catalog.=) \'acme\') AS "orders"'
)


def squeezed(sql: str) -> str:
    """Without the spaces that only separate pieces."""
    return " ".join(sql.split()).replace(" )", ")").replace(" ,", ",").replace("( ", "(")


PAIRS = [
    (
        "INSERT INTO notes (body) VALUES ('a'), ('b') RETURNING id",
        "INSERT INTO \"public\".\"notes\" (body, \"tenant_id\") VALUES ('a', 'acme'), ('b', 'acme') RETURNING id",
    ),
    (
        "INSERT INTO orders DEFAULT VALUES RETURNING *",
        'INSERT INTO "public"."orders" ("tenant_id") VALUES (\'acme\') RETURNING *',
    ),
    (
        "INSERT INTO notes VALUES (5)",
        'INSERT INTO "public"."notes" ("id", "tenant_id") VALUES (5, \'acme\')',
    ),
    (
        "INSERT INTO public.orders AS o (id) SELECT 1 WHERE 1 IS DISTINCT FROM 2",
        'INSERT INTO "public"."orders" AS o (id, "tenant_id") SELECT 1, \'acme\' WHERE 1 IS DISTINCT FROM 2',
    ),
    (
        "WITH c AS (SELECT 1 AS a, 'x') INSERT INTO drafts (id, snapshot) (TABLE c) UNION SELECT 2, 'x' AS from",
        'WITH c AS (SELECT 1 AS a, \'x\') INSERT INTO "public"."drafts" (id, snapshot, "tenant_id")'
        " (SELECT *, 'acme' FROM c) UNION SELECT 2, 'x' AS from, 'acme'",
    ),
    (
        "INSERT INTO orders (id) SELECT max(id) FROM orders",
        f'INSERT INTO "public"."orders" (id, "tenant_id") SELECT max(id), \'acme\' FROM {OWN_ORDERS}',
    ),
    (
        "INSERT INTO orders (tenant_id, id) VALUES ('acme', 1), (DEFAULT, 2)",
        'INSERT INTO "public"."orders" (tenant_id, id) VALUES (' + checked("'acme'") + ", 1), ('acme', 2)",
    ),
    (
        "INSERT INTO orders (id, tenant_id) SELECT 1, lower('A') AS t",
        'INSERT INTO "public"."orders" (id, tenant_id) SELECT 1, ' + checked("lower('A')") + " AS t",
    ),
    (
        "INSERT INTO orders (id, tenant_id) SELECT 1, 'a' UNION SELECT 2, 'b'",
        'INSERT INTO "public"."orders" (id, tenant_id) SELECT "c1", '
        + checked('"c2"')
        + " FROM (SELECT * FROM (SELECT 1, 'a' UNION SELECT 2, 'b') AS \"tenantgate_query\" OFFSET 0)"
        ' AS "tenantgate_rows"("c1", "c2")',
    ),
    (
        "INSERT INTO notes OVERRIDING SYSTEM VALUE VALUES (1)",
        'INSERT INTO "public"."notes" ("id", "tenant_id") OVERRIDING SYSTEM VALUE VALUES (1, \'acme\')',
    ),
    (
        "INSERT INTO units (id, name) VALUES (1, 'x')",
        'INSERT INTO "public"."units" (id, name, "owner") VALUES (1, \'x\', \'acme\'::uuid)',
    ),
]


@pytest.mark.parametrize(("sql", "expected"), PAIRS)
def test_rows_are_stamped(sql: str, expected: str) -> None:
    assert squeezed(rewritten(sql)) == expected


@pytest.mark.parametrize("prefix", ["", "PREPARE p AS "])
def test_a_parameter_is_checked_by_the_target(prefix: str) -> None:
    """Its type may be settled elsewhere: in `VALUES ($1::"char"::text, $1)` the value `acme` means `a`."""
    plan = plan_of(prefix + "INSERT INTO notes (tenant_id, body) VALUES ($1, $2), ($3, $2)")
    assert plan.has_runtime_check
    assert squeezed(rewritten(prefix + "INSERT INTO notes (tenant_id) VALUES ($1)")).count("CASE WHEN ($1)::text") == 1
    assert plan.write


def test_the_plan_holds_no_tenant() -> None:
    plan = plan_of("INSERT INTO notes (body) VALUES ('x')")
    values = [SlotValues(quoted, "", "", {}) for quoted in ("'acme'", "'globex'")]
    acme, globex = (render(plan, value, ("'x'",)) for value in values)
    assert acme.replace("acme", "globex") == globex


REFUSED = [
    ("INSERT INTO notes (tenant_id, body) VALUES (NULL, 'x')", "42501"),
    ("INSERT INTO orders (tenant_id, id) VALUES (1)", "42601"),
    ("INSERT INTO orders (id, tenant_id) VALUES (1)", "42601"),
    ("INSERT INTO orders VALUES ('acme', 1, 2, 'x', 5, 6)", "42601"),
    ("INSERT INTO orders SELECT * FROM unnest(ARRAY['acme'], ARRAY[7])", "0A000"),
    ("INSERT INTO drafts (id) VALUES (1)", "42501"),
    ("INSERT INTO drafts (id, snapshot) VALUES (1, 'x'), (2, DEFAULT)", "42501"),
    ("INSERT INTO countries VALUES ('XX', 'x')", "42501"),
    ("INSERT INTO v_orders (id) VALUES (1)", "0A000"),
    ("INSERT INTO sales.elsewhere (id) VALUES (1)", "42P01"),
    ("INSERT INTO other.orders (id) VALUES (1)", "42P01"),
    ("INSERT INTO pg_catalog.pg_class (relname) VALUES ('x')", "42P01"),
    ("INSERT INTO cards (id, card) VALUES (1, 'x') RETURNING *", "42501"),
    ("INSERT INTO cards (id, card) VALUES (1, 'x') RETURNING cards.card", "42501"),
    ("INSERT INTO cards (id, card) VALUES (1, 'x') RETURNING to_jsonb(cards)", "42501"),
    ("INSERT INTO notes (body) VALUES (pg_read_file('x'))", "42501"),
    ("INSERT INTO notes (body, tenant_id[1]) VALUES ('x', 'y')", "42501"),
]


@pytest.mark.parametrize(("sql", "sqlstate"), REFUSED)
def test_refusals(sql: str, sqlstate: str) -> None:
    with pytest.raises(StatementRefused) as caught:
        rewritten(sql)
    assert caught.value.sqlstate == sqlstate
    assert caught.value.position > 0
    assert caught.value.hint or sqlstate in ("42601", "42P01")


def test_a_masked_column_may_be_written() -> None:
    assert "RETURNING id" in rewritten("INSERT INTO cards (id, card) VALUES (1, 'x') RETURNING id")


def test_returning_needs_read_access() -> None:
    access = shared_access(notes=WRITE_ONLY)
    rewritten("INSERT INTO notes (body) VALUES ('x')", access)
    with pytest.raises(StatementRefused, match="permission denied"):
        rewritten("INSERT INTO notes (body) VALUES ('x') RETURNING id", access)


def test_tables_with_rules_are_refused() -> None:
    orders = CATALOG.relations["public", "orders"]
    catalog = replace(CATALOG, relations={("public", "orders"): replace(orders, has_rules=True)})
    with pytest.raises(StatementRefused, match="rules"):
        rewritten("INSERT INTO orders (id) VALUES (1)", catalog=catalog)


def test_own_schema_and_database_keep_the_statement() -> None:
    sql = "INSERT INTO notes (body) VALUES ('x') ON CONFLICT DO NOTHING"
    relation = replace(CATALOG.relations["public", "notes"], schema="t_acme")
    catalog = replace(CATALOG, relations={("t_acme", "notes"): relation})
    plan = plan_of(sql, Access("s", Isolation.SCHEMA, "main", FULL, {}, {}), catalog, schema="t_acme")
    text = render(plan, SlotValues("'acme'", '"t_acme"', "", {}), ("'x'",))
    assert text == 'INSERT INTO "t_acme"."notes" (body) VALUES (\'x\') ON CONFLICT DO NOTHING'
    plan = plan_of(sql, Access("d", Isolation.DATABASE, "main", FULL, {}, {}))
    assert render(plan, SlotValues("'acme'", "", "", {}), ("'x'",)) == sql
