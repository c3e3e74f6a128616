"""New rows and the roles' row filter on a real server: the outcome is that of a native policy with the same condition.

Each statement runs rewritten, and as it is on a copy where PostgreSQL's own row-level security does the same. What
cannot be tested is refused; nothing that the native policy refuses ever gets through.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest

from policy.access import Access, TableAccess
from policy.errors import AccessDenied
from policy.model import Isolation, TableClass, TableRule
from policy.sql.catalog import Catalog
from policy.sql.rules.row_check import ROW_MARKER
from tests.harness.postgres import PostgresServer
from tests.harness.simple_query import load_catalog_from
from tests.unit.sql.shop import plan_of, rewritten

SCHEMA = """
CREATE TABLE sales (
  tenant_id text NOT NULL DEFAULT 'acme', id int PRIMARY KEY, region varchar(6) DEFAULT 'EMEA', code char(2),
  amount numeric(6,2) DEFAULT 1, note text, kind int, made timestamptz DEFAULT clock_timestamp());
CREATE TABLE plans (tenant_id text NOT NULL DEFAULT 'acme', id int, region text);
CREATE TABLE only_emea (tenant_id text NOT NULL DEFAULT 'acme', id int, region text);
CREATE TABLE dated (tenant_id text NOT NULL DEFAULT 'acme', id int, made timestamptz DEFAULT clock_timestamp());
CREATE TABLE doubled (
  tenant_id text NOT NULL DEFAULT 'acme', id int, twice int GENERATED ALWAYS AS (id * 2) STORED);
INSERT INTO sales (tenant_id, id, region, code, amount, note) VALUES
  ('acme', 1, 'EMEA', 'CH', 10, 'one'), ('acme', 2, 'APAC', 'JP', 20, 'two'), ('acme', 3, 'EMEA', NULL, 30, 'three'),
  ('globex', 4, 'EMEA', 'DE', 40, 'GLOBEX-SECRET');
INSERT INTO plans VALUES ('acme', 11, 'EMEA'), ('acme', 12, 'APAC');
INSERT INTO only_emea VALUES ('acme', 13, 'EMEA'), ('acme', 14, 'EMEA');
"""
FILTER = "region = 'EMEA' AND amount > 0 AND code IS DISTINCT FROM 'XX'"
NATIVE = f"""
CREATE ROLE limited; GRANT ALL ON ALL TABLES IN SCHEMA public TO limited;
ALTER TABLE sales ENABLE ROW LEVEL SECURITY;
CREATE POLICY p ON sales TO limited USING (tenant_id = 'acme' AND {FILTER});
ALTER TABLE plans ENABLE ROW LEVEL SECURITY;
CREATE POLICY p ON plans TO limited USING (tenant_id = 'acme');
"""
TABLES = ("sales", "plans", "only_emea", "dated", "doubled")
RULES = {("public", name): TableRule("public", name, TableClass.TENANT, "tenant_id") for name in TABLES}
ALL = TableAccess(read=True, write=True, copy=True)


def _limited(condition: str) -> TableAccess:
    return TableAccess(read=True, write=True, copy=True, row_filter=condition, reasons=("seller",))


ACCESS = Access(
    "x",
    Isolation.SHARED,
    "main",
    ALL,
    {
        ("public", "sales"): _limited(FILTER),
        ("public", "dated"): _limited("made < now()"),
        ("public", "doubled"): _limited("twice > 4"),
    },
    RULES,
)


@dataclass(slots=True)
class Databases:
    rewritten: psycopg.Connection[Any]
    native: psycopg.Connection[Any]
    catalog: Catalog


@pytest.fixture(scope="module", params=["postgres", "postgres_tls"])
def databases(request: pytest.FixtureRequest) -> Iterator[Databases]:
    server: PostgresServer = request.getfixturevalue(request.param)
    for name, more in (("checks", ""), ("checks_native", NATIVE)):
        server.create_database(name)
        server.execute(SCHEMA + more, name)
    catalog = asyncio.run(load_catalog_from(server.conninfo("checks")))
    with (
        psycopg.connect(server.conninfo("checks")) as own,
        psycopg.connect(server.conninfo("checks_native")) as native,
    ):
        yield Databases(own, native, catalog)
        own.rollback()
        native.rollback()
    server.drop_database("checks")
    server.drop_database("checks_native")
    server.execute("DROP ROLE limited")


ROWS = "SELECT tenant_id, id, region, code, amount, note, kind FROM sales ORDER BY id"


def outcome(connection: psycopg.Connection[Any], sql: str, parameters: list[Any], role: str) -> Any:
    """Rows of the table afterwards, and what was returned; `violation`, or another error's SQLSTATE."""
    try:
        connection.execute(f"SET LOCAL ROLE {role}".encode())
        if parameters:
            raw = psycopg.RawCursor(connection)
            cursor: Any = raw.execute(sql.encode(), parameters)
        else:
            cursor = connection.execute(sql.encode())
        returned = (cursor.statusmessage, cursor.fetchall() if cursor.description else [])
        connection.execute("RESET ROLE")
        return returned, connection.execute(ROWS).fetchall()
    except psycopg.errors.InsufficientPrivilege:
        return "violation"
    except psycopg.Error as error:
        return "violation" if ROW_MARKER in str(error) else error.sqlstate
    finally:
        connection.rollback()


STATEMENTS: list[tuple[str, list[Any]]] = [
    # UPDATE
    ("UPDATE sales SET note = 'x', kind = 7", []),
    ("UPDATE sales SET region = 'EMEA' WHERE id = 1 RETURNING id, region", []),
    ("UPDATE sales SET region = 'APAC' WHERE id = 1", []),
    ("UPDATE sales SET region = 'APAC' WHERE id = 2", []),
    ("UPDATE sales SET region = NULL WHERE id = 1", []),
    ("UPDATE sales SET region = lower('EMEA')", []),
    ("UPDATE sales SET region = upper('emea'), amount = amount * 2, note = note || region", []),
    ("UPDATE sales SET amount = amount - 15", []),
    ("UPDATE sales SET amount = 0.001 WHERE id = 1", []),
    ("UPDATE sales SET amount = -1 WHERE id = 1", []),
    ("UPDATE sales SET amount = 5, region = 'APAC' WHERE id = 1", []),
    ("UPDATE sales SET region = 'APAC', amount = 5 WHERE id = 1", []),
    ("UPDATE sales s SET region = p.region FROM plans p WHERE p.id = s.id + 10", []),
    ("UPDATE sales s SET region = p.region FROM plans p WHERE p.id = 11 AND s.id = 1 RETURNING s.id, p.*", []),
    ("UPDATE sales SET region = CASE WHEN id = 1 THEN 'EMEA' ELSE 'APAC' END WHERE id < 2", []),
    ("UPDATE sales SET region = CASE WHEN id = 1 THEN 'EMEA' ELSE 'APAC' END", []),
    ("UPDATE sales SET code = 'XX' WHERE id = 1", []),
    ("UPDATE sales SET code = NULL", []),
    ("UPDATE sales SET region = $1 WHERE id = $2", ["EMEA", 1]),
    ("UPDATE sales SET region = $1, note = $3 WHERE id = $2", ["APAC", 1, "x"]),
    ("UPDATE sales SET amount = $1, region = coalesce($2, region)", [5, None]),
    ("UPDATE sales SET amount = '7', region = 'EMEA'::text", []),
    ("UPDATE sales SET tenant_id = 'acme', region = 'APAC' WHERE id = 1", []),
    ("WITH u AS (UPDATE sales SET region = 'APAC' WHERE id = 1 RETURNING id) SELECT * FROM u", []),
    ("UPDATE sales SET (region, note) = ('APAC', 'x')", []),
    ("UPDATE sales SET (note, region) = ROW('x', upper('emea')), amount = 7", []),
    ("UPDATE sales SET (tenant_id, region) = ('acme', DEFAULT)", []),
    ("UPDATE sales SET region = DEFAULT WHERE id = 1", []),
    ("UPDATE sales SET region = public.plans.region FROM public.plans WHERE plans.id = 11", []),
    ("UPDATE sales SET (region, note) = (SELECT region, 'x' FROM plans WHERE id = 11)", []),
    ("UPDATE sales SET (note, region) = (SELECT 'x', region FROM plans WHERE id = 12) WHERE sales.id = 1", []),
    ("UPDATE sales SET (amount, note, region) = (SELECT max(p.id), 'x', 'EMEA' FROM plans p) RETURNING id", []),
    ("UPDATE sales SET (amount, region) = (SELECT sales.amount - 15, p.region FROM plans p WHERE p.id = 11)", []),
    ("UPDATE sales SET (region, note) = (SELECT region, 'x' FROM plans WHERE false)", []),
    ("UPDATE sales SET (code, note) = (SELECT NULL, 'x' FROM plans WHERE false), region = 'EMEA'", []),
    ("UPDATE sales SET (region, note) = (SELECT region, 'x' FROM only_emea)", []),
    ("UPDATE sales s SET (note, amount) = (SELECT p.region, $1 FROM plans p WHERE p.id = s.id + 10)", [3]),
    ("UPDATE sales SET region = DEFAULT, amount = DEFAULT, code = DEFAULT", []),
    ("UPDATE sales SET region = (SELECT max(region) FROM plans WHERE plans.id = sales.id + 10)", []),
    ("UPDATE sales SET region = (SELECT region FROM plans WHERE plans.id = 11)", []),
    ("UPDATE sales SET region = (SELECT region FROM plans WHERE false), note = 'x'", []),
    ("UPDATE sales s SET region = (SELECT p.region FROM plans p WHERE p.id = s.id + $1) WHERE s.id = 1", [10]),
    ("UPDATE sales SET amount = random() * 0 + 1, region = 'EMEA'", []),
    ("UPDATE sales SET amount = random() - 2", []),
    ("UPDATE sales SET amount = (SELECT 3) + amount, note = 'y' RETURNING id, amount, note", []),
    ("UPDATE sales SET code = (SELECT 'XX')", []),
    # INSERT
    ("INSERT INTO sales (id, region) VALUES (9, 'EMEA')", []),
    ("INSERT INTO sales (id, region) VALUES (9, 'APAC')", []),
    ("INSERT INTO sales (id, region) VALUES (9, 'EMEA'), (10, 'APAC')", []),
    ("INSERT INTO sales (id) VALUES (9)", []),
    ("INSERT INTO sales (id, amount) VALUES (9, 0)", []),
    ("INSERT INTO sales (id, amount) VALUES (9, 0.004)", []),
    ("INSERT INTO sales (id, amount) VALUES (9, '3'), (10, 4.5), (11, DEFAULT) RETURNING id, amount, region", []),
    ("INSERT INTO sales (id, amount) VALUES (9, '3'), (10, NULL)", []),
    ("INSERT INTO sales (id, region, amount) VALUES (9, DEFAULT, DEFAULT)", []),
    ("INSERT INTO sales (id, code) VALUES (9, 'XX')", []),
    ("INSERT INTO sales (tenant_id, id, region) VALUES ('acme', 9, 'EMEA')", []),
    ("INSERT INTO sales (tenant_id, id, region) VALUES ('acme', 9, 'APAC')", []),
    ("INSERT INTO sales VALUES ('acme', 9, 'EMEA', 'CH', 3, 'n', 1, now())", []),
    ("INSERT INTO sales VALUES ('acme', 9, 'APAC', 'CH', 3, 'n', 1, now())", []),
    ("INSERT INTO sales (id, region, amount, kind) VALUES ($1, $2, $3, $4)", [9, "EMEA", 3, 4]),
    ("INSERT INTO sales (id, region, amount) VALUES ($1, $2, $3)", [9, "APAC", 3]),
    ("INSERT INTO sales (id, region) VALUES ((SELECT max(id) + 5 FROM plans), 'EMEA')", []),
    ("INSERT INTO sales (id, region) SELECT id, region FROM plans", []),
    ("INSERT INTO sales (id, region) SELECT id, region FROM plans WHERE region = 'EMEA' RETURNING id", []),
    ("INSERT INTO sales (id, region, note) SELECT p.id, upper(p.region) AS r, 'x' n FROM plans p ORDER BY r", []),
    ("INSERT INTO sales (id) SELECT count(*) + 30 FROM plans GROUP BY region", []),
    ("INSERT INTO sales (id, region) SELECT 9, max(region) FROM plans", []),
    ("INSERT INTO sales (id, region) SELECT 9, 'EMEA'", []),
    ("INSERT INTO sales (id, region) SELECT unnest(ARRAY[9, 10]), unnest(ARRAY['EMEA', 'APAC'])", []),
    ("INSERT INTO sales (id, region) SELECT 9, jsonb_array_elements_text('[\"EMEA\"]')", []),
    ("INSERT INTO sales (id, region) VALUES (9, (SELECT 'APAC'))", []),
    ("INSERT INTO sales (id, region) VALUES (9, (SELECT max(region) FROM plans WHERE region = 'EMEA'))", []),
    ("INSERT INTO sales (id, amount) VALUES (9, random() - 2)", []),
    ("INSERT INTO sales (id, amount) VALUES (9, random() * 0 + 2)", []),
    ("INSERT INTO sales (id, region, amount) VALUES (9, 'EMEA', (SELECT 4)), (10, (SELECT 'EMEA'), 3)", []),
    ("INSERT INTO sales (id, region) SELECT * FROM (SELECT id, region FROM plans) s", []),
    ("INSERT INTO sales (id, region) SELECT * FROM (SELECT id, 'EMEA' FROM plans) s ORDER BY 1 LIMIT 2", []),
    ("INSERT INTO sales (id, region) SELECT 9, 'EMEA' UNION SELECT 10, 'APAC'", []),
    ("INSERT INTO sales (id, region) SELECT 9, 'EMEA' UNION ALL SELECT 10, 'EMEA' RETURNING id, region", []),
    ("INSERT INTO sales (region, id) SELECT DISTINCT region, id FROM plans", []),
    ("INSERT INTO sales (id, region) SELECT DISTINCT ON (region) id, region FROM plans ORDER BY region LIMIT 1", []),
    ("INSERT INTO sales (id, region, amount) SELECT id, region, random() * 0 + 1 FROM plans WHERE region = 'EMEA'", []),
    ("INSERT INTO sales (id, region) SELECT id, (SELECT region FROM plans LIMIT 1) FROM plans", []),
    ("INSERT INTO sales (id, amount) SELECT id, (SELECT count(*) FROM plans) FROM plans", []),
    ("INSERT INTO sales (tenant_id, id, region) TABLE only_emea", []),
    ("INSERT INTO sales (tenant_id, id, region) SELECT * FROM (SELECT 'acme', id, 'EMEA' FROM plans) s", []),
    ("INSERT INTO sales (tenant_id, id, region) SELECT DISTINCT 'acme', id, region FROM plans", []),
    ("INSERT INTO sales (id, region) WITH w AS (SELECT id, region FROM only_emea) SELECT * FROM w", []),
    # ON CONFLICT (not of a foreign key: id is unique over all)
    ("WITH i AS (INSERT INTO sales (id, region) VALUES (9, 'APAC') RETURNING id) SELECT * FROM i", []),
]  # fmt: skip


@pytest.mark.parametrize(("sql", "parameters"), STATEMENTS)
def test_the_outcome_is_that_of_a_native_policy(sql: str, parameters: list[Any], databases: Databases) -> None:
    expected = outcome(databases.native, sql, parameters, "limited")
    sent = rewritten(sql, ACCESS, catalog=databases.catalog)
    assert outcome(databases.rewritten, sent, parameters, "postgres") == expected


def test_both_outcomes_occur(databases: Databases) -> None:
    found = [outcome(databases.native, sql, parameters, "limited") for sql, parameters in STATEMENTS]
    assert found.count("violation") > 15
    assert sum(isinstance(each, tuple) for each in found) > 15


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE sales SET (region, note) = (SELECT region, 'x' FROM plans LIMIT 1), amount = random()",
        "UPDATE sales SET region = (SELECT region FROM plans LIMIT 1), amount = random()",
        "INSERT INTO sales (id, region, amount) VALUES (9, (SELECT 'APAC'), random())",
        "INSERT INTO sales DEFAULT VALUES",
        "INSERT INTO dated (id) VALUES (1)",
        "INSERT INTO doubled (id) VALUES (1)",
        "UPDATE doubled SET id = 1",
    ],
)
def test_what_cannot_be_tested_is_refused(sql: str, databases: Databases) -> None:
    with pytest.raises(AccessDenied, match="cannot be checked against the row filter") as caught:
        rewritten(sql, ACCESS, catalog=databases.catalog)
    assert caught.value.hint
    assert caught.value.position > 0


def test_a_value_that_does_not_fit_is_not_cut_to_one_that_does(databases: Databases) -> None:
    for sql in ("UPDATE sales SET code = 'CHX' WHERE id = 1", "INSERT INTO sales (id, region) VALUES (9, 'EMEA  x')"):
        sent = rewritten(sql, ACCESS, catalog=databases.catalog)
        assert outcome(databases.rewritten, sent, [], "postgres") in ("22001", "violation")


def test_upserts(databases: Databases) -> None:
    """The clause needs a key with the tenant column, so there is no native twin."""
    connection = databases.rewritten
    connection.execute("ALTER TABLE sales ADD UNIQUE (tenant_id, id)")
    upsert = "INSERT INTO sales (id, region) VALUES (1, '{}') ON CONFLICT (tenant_id, id) DO UPDATE SET region = {}"
    for first, second, allowed in (
        ("EMEA", "'EMEA'", True),
        ("EMEA", "'APAC'", False),
        ("APAC", "'EMEA'", False),
        ("EMEA", "excluded.region", True),
        ("EMEA", "excluded.region || 'x'", False),
        ("EMEA", "sales.region", True),
    ):
        with connection.transaction(force_rollback=True):
            sql = rewritten(upsert.format(first, second), ACCESS, catalog=databases.catalog)
            if allowed:
                connection.execute(sql.encode())
            else:
                with pytest.raises(psycopg.errors.UndefinedObject, match=ROW_MARKER):
                    connection.execute(sql.encode())
    connection.rollback()


def test_plans_serve_every_literal(databases: Databases) -> None:
    """The test repeats the client's literals: as slots, so that one plan holds for all of them."""
    plan = plan_of("UPDATE sales SET region = 'EMEA' WHERE id = 1", ACCESS, databases.catalog)
    assert plan.has_runtime_check
    assert not any(isinstance(piece, str) and "'EMEA')::" in piece for piece in plan.pieces)
