"""Functions of the target's owner that the policy lists: safe ones run, tenant-bound ones get the session's tenant."""

from __future__ import annotations

from dataclasses import replace

import pytest

from policy.model import FunctionRule, Isolation
from policy.sql.compile import compile_query
from tests.integration.shop_twins import OWNER, SECRET, Databases, rewritten, run

RULES = (
    FunctionRule("public", "shout"),
    FunctionRule("public", "largest", 1),
    FunctionRule("public", "notes_of", 2),
)
ACCESS = replace(OWNER, id="listed", functions={(rule.schema, rule.name): rule for rule in RULES})


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT shout(name) FROM customers",
        "SELECT public.shout(c.name) FROM customers c WHERE shout(name) LIKE 'C1%'",
        "SELECT c.shout FROM (SELECT name AS shout FROM customers) c",
        "SELECT largest('acme', 3), public.largest('acme', 0)",
        "SELECT * FROM notes_of(25, 'acme') AS n WHERE n LIKE '2%'",
        "SELECT id, largest('acme', id) FROM orders",
        "WITH n AS (SELECT * FROM notes_of(20, 'acme')) SELECT count(*) FROM n",
    ],
)
def test_listed_functions_answer_as_in_a_database_of_the_tenant(sql: str, databases: Databases) -> None:
    got = run(databases.shared, rewritten(sql, ACCESS, databases.catalog))
    assert got == run(databases.alone, [sql])
    assert len(got[0][0]) > 5


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM notes_of(0, 'globex')",
        "SELECT * FROM notes_of(0, NULL)",
        "SELECT * FROM notes_of(0, (SELECT 'globex'))",
        "SELECT largest($$globex$$, 3)",
        "SELECT * FROM orders o, notes_of(o.id, 'glo' || 'bex')",
        "SELECT most FROM largest_of",
        "INSERT INTO orders (id, note) SELECT 900, max(n) FROM notes_of(0, 'globex') n RETURNING note",
    ],
)
def test_whatever_the_client_writes_the_tenant_is_its_own(sql: str, databases: Databases) -> None:
    ((status, _, rows),) = run(databases.shared, rewritten(sql, ACCESS, databases.catalog))
    assert len(status) > 5
    assert rows
    assert SECRET not in repr(rows)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT peek()",
        "SELECT largest()",
        "SELECT largest(above => 3, whose => 'globex')",
        "SELECT notes_of(VARIADIC ARRAY[1])",
        "SELECT * FROM notes_of(0, (SELECT max(note) FROM orders))",
        "SELECT o.largest FROM orders o",
        "SELECT other.shout('x')",
    ],
)
def test_what_cannot_be_bound_is_refused(sql: str, databases: Databases) -> None:
    denial = compile_query(sql, ACCESS, databases.catalog).denial
    assert denial is not None
    assert denial.sqlstate in ("42501", "0A000", "42883")


def test_without_the_list_none_runs(databases: Databases) -> None:
    for call in ("shout('x')", "largest('acme', 1)", "public.notes_of(1, 'acme')"):
        denial = compile_query(f"SELECT {call}", OWNER, databases.catalog).denial
        assert denial is not None
        assert denial.sqlstate == "42501"


def test_in_an_own_schema_they_are_named_with_theirs(databases: Databases) -> None:
    own = replace(ACCESS, isolation=Isolation.SCHEMA, rules={})
    assert compile_query("SELECT public.shout('x')", own, databases.catalog, schema="own").denial is None
    assert compile_query("SELECT shout('x')", own, databases.catalog, schema="own").denial is not None
