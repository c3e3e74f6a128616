"""EXPLAIN: which options show nothing of others, and when all of them may be used."""

from __future__ import annotations

from dataclasses import replace

import pytest

from policy.access import TableAccess
from policy.sql import builtin_functions as builtin
from policy.sql.compile import compile_query
from policy.sql.plan import render
from tests.unit.sql import sample
from tests.unit.sql.sample import DATABASE, SCHEMA, becomes, denial

CATALOG = replace(
    sample.CATALOG,
    builtin_functions=sample.CATALOG.builtin_functions | builtin.CATALOG_HELPERS,
    system_columns={
        "pg_catalog.pg_class": ("oid", "relname", "relkind"),
        "pg_catalog.pg_database": ("oid", "datname"),
    },
)


@pytest.mark.parametrize(
    "option", ["ANALYZE", "BUFFERS", "WAL", "SETTINGS", "MEMORY", "SERIALIZE text", "TIMING", "NEW"]
)
def test_what_counts_rows_or_pages_is_refused_on_shared_tables(option: str) -> None:
    error = denial(f"EXPLAIN ({option}) SELECT id FROM orders")
    assert error.sqlstate == "0A000"
    assert error.hint
    if " " not in option:
        assert becomes(f"EXPLAIN ({option} off) SELECT 1") == "EXPLAIN (COSTS OFF)  SELECT 1"


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        ("EXPLAIN", "COSTS OFF"),
        ("EXPLAIN VERBOSE", "COSTS OFF, VERBOSE"),
        ("EXPLAIN (COSTS true, SUMMARY)", "COSTS OFF"),
        ("EXPLAIN (VERBOSE, FORMAT xml)", "COSTS OFF, VERBOSE, FORMAT xml"),
        ("EXPLAIN (GENERIC_PLAN, FORMAT json)", "COSTS OFF, GENERIC_PLAN, FORMAT json"),
    ],
)
def test_the_plan_itself_is_shown_without_costs(written: str, sent: str) -> None:
    assert becomes(f"{written} SELECT 1") == f"EXPLAIN ({sent})  SELECT 1"


ALL = "EXPLAIN (ANALYZE, BUFFERS, WAL, SETTINGS, VERBOSE, FORMAT json)"


def test_own_tables_are_explained_as_asked() -> None:
    assert becomes(f"{ALL} SELECT 1", DATABASE) == f"{ALL} SELECT 1"
    assert becomes(f"{ALL} SELECT id FROM orders", SCHEMA).startswith(ALL)
    limited = replace(SCHEMA, tables={("", "orders"): TableAccess(read=True, row_filter="id = 1")})
    assert denial(f"{ALL} SELECT 1", limited).sqlstate == "0A000"


@pytest.mark.parametrize(
    ("sql", "access"),
    [
        ("SELECT relname FROM pg_class", SCHEMA),
        ("SELECT id FROM orders WHERE EXISTS (SELECT FROM pg_catalog.pg_class)", SCHEMA),
        ("SELECT format_type(id::oid, NULL) FROM orders", SCHEMA),
        ("SELECT 'orders'::regclass", SCHEMA),
        ("SELECT datname FROM pg_database", DATABASE),
    ],
)
def test_where_catalogs_are_guarded_their_rows_are_not_counted(sql: str, access: object) -> None:
    assert access in (SCHEMA, DATABASE)
    own = SCHEMA if access is SCHEMA else DATABASE
    for options, refused in (("(ANALYZE)", True), ("", False)):
        (plan,) = compile_query(f"EXPLAIN {options} {sql}", own, CATALOG, schema="initech").plans
        assert (plan.denial is not None) is refused
        if not refused:
            assert render(plan, sample.VALUES).startswith("EXPLAIN (COSTS OFF)")
