"""Roles that insert, update and delete differently: each statement has the filter of its own kind, or is refused."""

from __future__ import annotations

import dataclasses

import pytest

from policy.access import Access, TableAccess
from policy.errors import AccessDenied, StatementRefused, UnsupportedStatement
from policy.model import Isolation
from policy.sql.catalog import Catalog
from tests.unit.sql.shop import CATALOG, plan_of, rewritten, shared_access

MIXED = TableAccess(
    read=True, write=True, copy=True, row_filter="amount > 1", read_filter="true",
    filters={"delete": "amount > 2", "insert": None},
)  # fmt: skip
NO_DELETE = TableAccess(read=True, write=True, copy=True, without=frozenset({"delete"}))
ONLY_INSERT = TableAccess(write=True, without=frozenset({"update", "delete"}))
FEW = TableAccess(read=True, only=frozenset({"id", "status"}))
SOME = TableAccess(read=True, only=frozenset({"id", "status"}), rest="status = 'open'")


def own(tables: dict[str, TableAccess], isolation: Isolation = Isolation.DATABASE, **more: object) -> Access:
    """A tenant with a place of its own, that may change its schema."""
    schema = "" if isolation is Isolation.SCHEMA else "public"
    access = Access(
        "own", isolation, "main", TableAccess(read=True, write=True, copy=True),
        {(schema, name): table for name, table in tables.items()}, {}, ddl=True,
    )  # fmt: skip
    return dataclasses.replace(access, **more)  # type: ignore[arg-type]


def test_each_kind_has_its_own_filter() -> None:
    access = shared_access(orders=MIXED)
    assert "amount > 1" in rewritten("UPDATE orders SET status = 'x'", access).replace('"amount"', "amount")
    deleted = rewritten("DELETE FROM orders", access)
    assert "> 2" in deleted
    assert "> 1" not in deleted
    assert "> 1" not in rewritten("INSERT INTO orders (id, amount) VALUES (9, 0)", access)
    assert "> 1" not in rewritten("SELECT id FROM orders", access)
    assert "> 1" in rewritten("SELECT id FROM orders FOR UPDATE", access)


def test_on_conflict_tests_the_new_row_as_an_insert_and_the_old_one_as_an_update() -> None:
    sql = "INSERT INTO orders (id, amount) VALUES (9, 0) ON CONFLICT (tenant_id, id) DO UPDATE SET status = 'x'"
    assert "> 1" in rewritten(sql, shared_access(orders=MIXED)).partition("DO UPDATE")[2]
    with pytest.raises(AccessDenied):
        plan_of(sql, shared_access(orders=ONLY_INSERT))
    plan_of(sql.partition(" DO UPDATE")[0] + " DO NOTHING", shared_access(orders=ONLY_INSERT))


@pytest.mark.parametrize(
    ("actions", "refused"),
    [
        ("WHEN MATCHED THEN UPDATE SET status = 'x'", None),
        ("WHEN MATCHED THEN DELETE", None),
        ("WHEN MATCHED AND orders.id = 1 THEN DELETE WHEN MATCHED THEN UPDATE SET status = 'x'", UnsupportedStatement),
        (
            "WHEN MATCHED THEN UPDATE SET status = 'x' WHEN NOT MATCHED THEN INSERT (id) VALUES (n.id)",
            UnsupportedStatement,
        ),
    ],
)  # fmt: skip
def test_merge_needs_one_filter_for_all_of_its_actions(actions: str, refused: type[StatementRefused] | None) -> None:
    sql = f"MERGE INTO orders USING (SELECT 1 AS id) n ON orders.id = n.id {actions}"
    plan_of(sql, shared_access())
    if refused is None:
        assert ("> 2" if "DELETE" in actions else "> 1") in rewritten(sql, shared_access(orders=MIXED))
    else:
        with pytest.raises(refused, match="filter its actions differently"):
            plan_of(sql, shared_access(orders=MIXED))


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM orders WHERE id = 1",
        "WITH d AS (DELETE FROM orders RETURNING id) SELECT 1",
        "MERGE INTO orders USING (SELECT 1 AS id) n ON orders.id = n.id WHEN MATCHED THEN DELETE",
    ],
)
def test_what_is_not_given_is_refused_wherever_it_stands(sql: str) -> None:
    plan_of(sql, shared_access())
    with pytest.raises(AccessDenied, match="permission denied for table orders"):
        plan_of(sql, shared_access(orders=NO_DELETE))


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1 FROM orders", "SELECT 1 FROM orders FOR UPDATE", "INSERT INTO orders (id) VALUES (1) RETURNING id",
        "INSERT INTO orders (id) SELECT id FROM orders", "UPDATE orders SET status = 'x'", "DELETE FROM orders",
        "COPY orders TO STDOUT", "COPY orders (id) FROM STDIN", "COPY (SELECT 1 FROM orders) TO STDOUT",
        "INSERT INTO cards (id) SELECT 1 WHERE EXISTS (SELECT FROM orders)",
    ],
)  # fmt: skip
def test_who_only_inserts_learns_nothing(sql: str) -> None:
    plan_of("INSERT INTO orders (id) VALUES (1)", shared_access(orders=ONLY_INSERT))
    with pytest.raises(AccessDenied):
        plan_of(sql, shared_access(orders=ONLY_INSERT))


def test_columns_that_are_not_listed_are_not_there_or_null() -> None:
    assert "amount" not in rewritten("SELECT * FROM orders", shared_access(orders=FEW))
    for sql in (
        "SELECT amount FROM orders",
        "SELECT 1 FROM orders WHERE amount > 1",
        "SELECT 1 FROM orders ORDER BY amount",
    ):
        with pytest.raises(AccessDenied, match="column amount"):
            plan_of(sql, shared_access(orders=FEW))
    shown = rewritten("SELECT amount FROM orders WHERE amount > 5", shared_access(orders=SOME))
    assert """CASE WHEN status = 'open' THEN "amount" ELSE NULL END""" in shown.replace('"status"', "status")
    for sql in ("UPDATE orders SET status = 'x' RETURNING amount", "DELETE FROM orders WHERE amount > 1"):
        some = dataclasses.replace(SOME, write=True)
        with pytest.raises(AccessDenied):
            plan_of(sql, shared_access(orders=some))


_DDL = {
    "ALTER TABLE orders RENAME TO innocent": True,
    "ALTER TABLE orders RENAME COLUMN amount TO x": True,
    "ALTER TABLE orders ALTER status TYPE text USING 'open'": True,
    "ALTER TABLE notes ATTACH PARTITION orders DEFAULT": True,
    "DROP TABLE orders": False,
    "DROP TABLE notes, orders": False,
    "ALTER TABLE public.orders DROP COLUMN amount": True,
}


@pytest.mark.parametrize("sql", _DDL)
def test_what_is_denied_or_hidden_cannot_be_made_another_table(sql: str) -> None:
    """Rules go by names: a table of another name would have none of them."""
    plan_of(sql, own({}))
    barred = dataclasses.replace(NO_DELETE, barred=("role clerk",))
    with pytest.raises(AccessDenied) as raised:
        plan_of(sql, own({"orders": barred}))
    assert raised.value.detail == "Denied by role clerk."
    masked = TableAccess(read=True, write=True, copy=True, masks={"amount": "NULL"})
    if _DDL[sql]:
        with pytest.raises(AccessDenied, match="permission denied for table orders"):
            plan_of(sql, own({"orders": masked}))
    else:
        plan_of(sql, own({"orders": masked}))
    plan_of("CREATE INDEX ON orders (id)", own({"orders": masked}))


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT lower('X')", "SELECT pg_catalog.lower('X')", 'SELECT "lower"(\'X\')', "SELECT U&\"l\\006fwer\"('X')",
        "SELECT * FROM lower('X')", "SELECT 1 FROM orders ORDER BY lower(status)", "SELECT (status).lower FROM orders",
        "SELECT 1 GROUP BY lower('x')", "INSERT INTO orders (id, status) VALUES (1, lower('X'))",
        "UPDATE orders SET status = lower(status)", "PREPARE p AS SELECT lower('X')", "EXPLAIN SELECT lower('X')",
        "WITH a AS (SELECT lower('X')) SELECT 1", "COPY (SELECT lower('X')) TO STDOUT",
    ],
)  # fmt: skip
def test_a_denied_function_is_denied_however_it_is_called(sql: str) -> None:
    denied = frozenset({("public", "lower")})
    for access in (shared_access(), own({})):
        with pytest.raises(StatementRefused) as raised:
            plan_of(sql, dataclasses.replace(access, denied_functions=denied))
        assert raised.value.sqlstate == "42501"


def test_functions_of_another_schema_are_not_meant() -> None:
    access = own({}, denied_functions=frozenset({("sales", "lower")}))
    plan_of("SELECT lower('X')", access)
    assert access.denies_function("sales", "lower")
    assert own({}, denied_functions=frozenset({(None, None)})).denies_function("", "anything")
    assert own({}, denied_functions=frozenset({("public", None)})).denies_function("", "anything")


@pytest.mark.parametrize("sql", ["CREATE TABLE x (a int)", "DROP TABLE orders", "UPDATE orders SET status = 'x'"])
def test_a_tenant_that_is_read_only_is_told_so(sql: str) -> None:
    readable = TableAccess(read=True, copy=True)
    access = own({}, default=readable, ddl=False, read_only="the trial has ended")
    with pytest.raises(AccessDenied) as raised:
        plan_of(sql, access)
    assert (raised.value.sqlstate, raised.value.detail) == ("25006", "The reason: the trial has ended.")


@pytest.mark.parametrize("sql", ["CALL p()", "DO $$ BEGIN END $$"])
def test_call_and_do_can_be_denied(sql: str) -> None:
    catalog: Catalog = dataclasses.replace(CATALOG, user_functions=frozenset({"p"}))
    plan_of(sql, own({}, code=True), catalog)
    with pytest.raises(AccessDenied, match="permission denied: "):
        plan_of(sql, own({}, code=True, call=False), catalog)
