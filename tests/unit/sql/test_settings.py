"""Settings: which may be changed, and what a plan tells of a change for who carries the session to another backend."""

from __future__ import annotations

import pytest

from policy.access import Access
from policy.sql.plan import SettingChange
from tests.unit.sql.sample import DATABASE, DATABASE_CODE, SCHEMA, SCHEMA_CODE, SHARED, denial, plan_of


@pytest.mark.parametrize(
    ("sql", "changes"),
    [
        ("SET TimeZone = 'Europe/Berlin'", [("timezone", "'Europe/Berlin'", False)]),
        ("SET SESSION DateStyle TO ISO, MDY", [("datestyle", "'iso', 'mdy'", False)]),
        ("SET DateStyle = 'German'", [("datestyle", "'German'", False)]),
        ("SELECT set_config('DateStyle', 'DMY', false)", [("datestyle", "'DMY'", False)]),
        ("SET LOCAL statement_timeout = 5000", [("statement_timeout", "5000", True)]),
        ("SET extra_float_digits = -3", [("extra_float_digits", "-3", False)]),
        ("SET geqo = off", [("geqo", "'off'", False)]),
        (r"SET application_name = 'a\b''c'", [("application_name", r" E'a\\b''c'", False)]),
        ("SET TIME ZONE -8", [("timezone", "-8", False)]),
        ("SET TIME ZONE LOCAL", [("timezone", None, False)]),
        ("SET NAMES 'utf8'", [("client_encoding", "'utf8'", False)]),
        ("SET LOCAL timezone TO DEFAULT", [("timezone", None, True)]),
        ("SET transaction_isolation = 'serializable'", [("transaction_isolation", "'serializable'", True)]),
        ("SET TRANSACTION READ ONLY", []),
        ("BEGIN ISOLATION LEVEL SERIALIZABLE, READ ONLY", []),
        (
            "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY",
            [
                ("default_transaction_isolation", "'repeatable read'", False),
                ("default_transaction_read_only", "1", False),
            ],
        ),
        ("RESET timezone", [("timezone", None, False)]),
        ("RESET ALL", [("", None, False)]),
        ("DISCARD ALL", [("", None, False)]),
        ("DISCARD PLANS", []),
        ("SET search_path TO public", []),
        ("SET SESSION AUTHORIZATION DEFAULT", []),
        ("SELECT set_config('TimeZone', 'UTC', false)", [("timezone", "'UTC'", False)]),
        ("SELECT pg_catalog.set_config('jit', 'off', true)", [("jit", "'off'", True)]),
        (
            "SELECT current_setting('jit') c, set_config('jit', 'off', false) AS new, set_config('geqo', 'on', 'f')",
            [("jit", "'off'", False), ("geqo", "'on'", False)],
        ),
    ],
)
def test_a_plan_tells_what_it_changes(sql: str, changes: list[tuple[str, str | None, bool]]) -> None:
    plan = plan_of(sql)
    assert plan.denial is None
    assert plan.settings == tuple(SettingChange(*change) for change in changes)
    assert plan.pins == ""


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT set_config('TimeZone', $1, false)",
        "SELECT set_config('TimeZone', 'UTC', $1)",
        "PREPARE p AS SELECT set_config('TimeZone', 'UTC', false)",
        "DECLARE c CURSOR FOR SELECT set_config('TimeZone', 'UTC', false)",
        "SET TIME ZONE INTERVAL '-08:00' HOUR TO MINUTE",
        "SELECT set_config('TimeZone', 'UTC', false) WHERE false",
        "SELECT set_config('TimeZone', 'UTC', false) FROM orders",
        "SELECT set_config('TimeZone', 'UTC', false) LIMIT 0",
        "SELECT set_config('TimeZone', 'UTC', false) UNION SELECT 'x'",
        "SELECT CASE WHEN false THEN set_config('TimeZone', 'UTC', false) END",
        "SELECT set_config('TimeZone', 'Asia/Tokyo', false), CASE WHEN false THEN set_config('jit', 'on', false) END",
        "SELECT set_config('TimeZone', 'Asia/Tokyo', false), set_config('TimeZone', 'UTC', false)",
        "SELECT (SELECT set_config('TimeZone', 'UTC', false))",
        "WITH x AS (SELECT set_config('TimeZone', 'UTC', false)) SELECT 1",
    ],
)
def test_what_the_text_does_not_tell_pins_the_session(sql: str) -> None:
    plan = plan_of(sql)
    assert plan.denial is None
    assert (plan.settings, plan.pins) == ((), "setting")


@pytest.mark.parametrize("access", [SHARED, SCHEMA, DATABASE], ids=["shared", "schema", "database"])
@pytest.mark.parametrize(
    "sql",
    [
        "SET search_path TO globex",
        "SET ROLE postgres",
        "SET SESSION AUTHORIZATION postgres",
        "SET standard_conforming_strings = off",
        "SET row_security = off",
        "SET work_mem = '10GB'",
        "SET app.tenant = 'globex'",
        "SET default_text_search_config = 'public.mine'",
        "SET timezone FROM CURRENT",
        "RESET log_statement",
        "SELECT set_config('role', 'postgres', false)",
        "SELECT set_config('search_path', $1, false)",
        "SELECT set_config($1, 'x', false)",
        "SELECT set_config('Time' || 'Zone', 'UTC', false)",
        "SHOW data_directory",
    ],
)
def test_what_may_not_be_changed_or_seen(sql: str, access: Access) -> None:
    error = denial(sql, access)
    assert error.sqlstate == "42501"
    assert error.hint


def test_constraints_are_named_in_the_tenants_own_schema_only() -> None:
    assert plan_of("SET CONSTRAINTS ALL DEFERRED").denial is None
    assert plan_of("SET CONSTRAINTS own_key, initech.other_key IMMEDIATE", SCHEMA).denial is None
    assert denial("SET CONSTRAINTS orders_key DEFERRED").hint == "Write SET CONSTRAINTS ALL DEFERRED."
    assert denial("SET CONSTRAINTS globex.orders_key DEFERRED", SCHEMA).hint


@pytest.mark.parametrize(
    ("sql", "pins"),
    [
        ("DECLARE c CURSOR WITH HOLD FOR SELECT * FROM orders", "cursor WITH HOLD"),
        ("DECLARE c BINARY SCROLL CURSOR WITH HOLD FOR SELECT * FROM orders", "cursor WITH HOLD"),
        ("DECLARE c SCROLL CURSOR WITHOUT HOLD FOR SELECT * FROM orders", ""),
        ("SELECT setseed(0.5)", "seed of random()"),
        ("SELECT id FROM orders WHERE pg_catalog.setseed(0.5) IS NULL", "seed of random()"),
        ("SELECT random() FROM orders", ""),
    ],
)
def test_what_outlives_its_transaction_keeps_the_backend(sql: str, pins: str) -> None:
    plan = plan_of(sql, DATABASE)
    assert plan.denial is None
    assert plan.pins == pins


@pytest.mark.parametrize("access", [SHARED, SCHEMA], ids=["shared", "schema"])
def test_nobody_sets_the_seed_of_a_backend_that_others_use(access: Access) -> None:
    """DISCARD ALL leaves it."""
    assert denial("SELECT setseed(0.5)", access).sqlstate in ("42501", "42883")


@pytest.mark.parametrize(
    ("sql", "accesses", "changes"),
    [
        ("SET enable_seqscan = off", (DATABASE, DATABASE_CODE), [("enable_seqscan", "'off'", False)]),
        ("SET LOCAL join_collapse_limit TO 1", (DATABASE, DATABASE_CODE), [("join_collapse_limit", "1", True)]),
        ("RESET random_page_cost", (DATABASE, DATABASE_CODE), [("random_page_cost", None, False)]),
        ("SHOW enable_sort", (DATABASE, DATABASE_CODE), []),
        ("SET work_mem TO '64kB'", (DATABASE_CODE,), [("work_mem", "'64kB'", False)]),
        ("SET check_function_bodies = false", (DATABASE_CODE,), [("check_function_bodies", "'false'", False)]),
        ("SET row_security = off", (DATABASE_CODE,), [("row_security", "'off'", False)]),
        ("SET app.customer TO 7", (DATABASE_CODE,), [('"app"."customer"', "7", False)]),
        ("RESET app.customer", (DATABASE_CODE,), [('"app"."customer"', None, False)]),
    ],
)
def test_a_database_of_ones_own_has_its_own_plans(
    sql: str, accesses: tuple[Access, ...], changes: list[tuple[str, str | None, bool]]
) -> None:
    for access in (SHARED, SCHEMA, SCHEMA_CODE, DATABASE, DATABASE_CODE):
        plan = plan_of(sql, access)
        if access in accesses:
            assert plan.denial is None
            assert plan.settings == tuple(SettingChange(*change) for change in changes)
        else:
            assert plan.denial is not None


@pytest.mark.parametrize(
    "sql",
    [
        "SET tenantgate.tenant = 'globex'",
        "SELECT set_config('tenantgate.tenant', 'globex', false)",
        'SET "app.x; DROP TABLE orders" = 1',
        'SET "app.a b" = 1',
        "SET session_replication_role = replica",
        "SET standard_conforming_strings = off",
        "SET log_statement = 'all'",
        "SET default_tablespace = 'x'",
        "SET ROLE postgres",
    ],
)
def test_nor_does_ones_own_code_set_what_the_gateway_relies_on(sql: str) -> None:
    assert denial(sql, DATABASE_CODE).sqlstate == "42501"


@pytest.mark.parametrize("sql", ["SET client_encoding TO 'SJIS'", "SELECT set_config('client_encoding', $1, false)"])
def test_encodings_are_for_databases_of_ones_own(sql: str) -> None:
    for access in (SHARED, SCHEMA):
        assert denial(sql, access).sqlstate == "42501"
    assert plan_of(sql, DATABASE).denial is None


def test_who_may_run_code_may_name_settings_by_parameters() -> None:
    sql = "SELECT set_config($1, $2, false)"
    assert denial(sql, DATABASE).sqlstate == "42501"
    assert plan_of(sql, DATABASE_CODE).pins == "setting"
