"""Views of shared tables on a real server: a view shows its reader's rows of its tables, whatever it says of itself.

What views answer is compared in `reads.sql`; here is who may use which, and that roles' masks reach through them.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from policy.access import NO_ACCESS, Access, TableAccess
from policy.errors import StatementRefused
from policy.model import Isolation, TableClass, TableRule
from policy.sql.compile import compile_query
from tests.integration.shop_twins import ANALYST, OWNER, SECRET, Databases, rewritten, run


def _answer(sql: str, access: Access, databases: Databases) -> str:
    return repr(run(databases.shared, rewritten(sql, access, databases.catalog)))


def _refusal(sql: str, access: Access, databases: Databases) -> StatementRefused:
    denial = compile_query(sql, access, databases.catalog).denial
    assert denial is not None
    return denial


def test_masks_and_filters_of_its_tables_reach_through_a_view(databases: Databases) -> None:
    with_names = ANALYST.tables["public", "customers"]
    hidden = replace(with_names, masks={**with_names.masks, "name": "'hidden'"})
    answer = _answer("SELECT * FROM sales", replace(ANALYST, tables={("public", "customers"): hidden}), databases)
    assert "hidden" in answer
    assert "'c2'" not in answer
    assert SECRET not in answer


def test_a_view_has_filters_and_masks_of_its_own(databases: Databases) -> None:
    own = TableAccess(read=True, row_filter="id < 3", masks={"buyer": "upper(buyer)"})
    answer = _answer("SELECT buyer FROM sales", replace(OWNER, tables={("public", "sales"): own}), databases)
    assert sorted(run(databases.shared, rewritten("SELECT buyer FROM sales", OWNER, databases.catalog))[0][2])
    assert "'C1'" in answer
    assert "'c" not in answer
    assert "'C3'" not in answer


@pytest.mark.parametrize("table", ["orders", "customers"])
def test_a_view_needs_read_access_to_its_tables(table: str, databases: Databases) -> None:
    access = replace(OWNER, tables={("public", table): NO_ACCESS})
    assert _refusal("SELECT * FROM sales", access, databases).sqlstate == "42501"


def test_a_view_that_runs_unreviewed_code_is_refused(databases: Databases) -> None:
    denial = _refusal("SELECT id FROM peeking", OWNER, databases)
    assert (denial.sqlstate, "peek" in (denial.detail or "")) == ("42501", True)


def test_a_view_over_what_is_not_listed_does_not_exist(databases: Databases) -> None:
    """As with every name that is not known, it could only be a temporary table of the session's."""
    ((status, _, rows),) = run(databases.shared, rewritten("SELECT * FROM over_unlisted", OWNER, databases.catalog))
    assert (status, rows) == ("42P01", [])


def test_a_denied_view_is_denied(databases: Databases) -> None:
    rules = {**OWNER.rules, ("public", "sales"): TableRule("public", "sales", TableClass.DENIED)}
    assert _refusal("SELECT * FROM sales", replace(OWNER, rules=rules), databases).sqlstate == "42501"


def test_a_trusted_view_is_used_as_a_table(databases: Databases) -> None:
    trusted = {name: replace(OWNER.rules["public", name], trusted=True) for name in ("labelled", "totals")}
    access = replace(OWNER, rules={**OWNER.rules, **{("public", name): rule for name, rule in trusted.items()}})
    (sent,) = rewritten("SELECT id FROM labelled", access, databases.catalog)
    assert '"public"."labelled"' in sent
    databases.shared.execute("REFRESH MATERIALIZED VIEW totals")
    assert run(databases.shared, rewritten("SELECT n FROM totals", access, databases.catalog))[0][2] == [("30",)]


def test_a_materialised_view_wants_trust(databases: Databases) -> None:
    assert _refusal("SELECT n FROM totals", OWNER, databases).sqlstate == "42501"


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO labelled (id) VALUES (99)",
        "UPDATE labelled SET note = 'x'",
        "DELETE FROM sales",
        "SELECT id FROM labelled FOR UPDATE",
        "COPY labelled TO STDOUT",
        "SELECT * FROM labelled TABLESAMPLE SYSTEM (10)",
    ],
)
def test_views_are_only_read(sql: str, databases: Databases) -> None:
    assert _refusal(sql, OWNER, databases).sqlstate in ("0A000", "42809", "42501")


def test_the_catalogs_show_the_views_that_may_be_read(databases: Databases) -> None:
    names = _answer("SELECT relname FROM pg_class WHERE relkind = 'v'", OWNER, databases)
    assert "'turnover'" in names
    assert "over_unlisted" not in names


def test_in_a_schema_of_its_own_a_view_cannot_leave_it(databases: Databases) -> None:
    own = Access("own", Isolation.SCHEMA, "main", OWNER.default, {}, {})
    own_catalog = databases.catalog
    relations = dict(own_catalog.relations)
    relations["initech", "orders"] = replace(relations["public", "orders"], schema="initech")
    relations["initech", "straying"] = replace(relations["public", "labelled"], schema="initech", name="straying")
    inside = relations["public", "labelled"].definition.replace("public.", "initech.")
    relations["initech", "staying"] = replace(relations["initech", "straying"], name="staying", definition=inside)
    catalog = replace(own_catalog, relations=relations)
    refused = compile_query("SELECT * FROM straying", own, catalog, schema="initech").denial
    assert refused is not None
    assert refused.sqlstate == "42501"
    assert compile_query("SELECT * FROM staying", own, catalog, schema="initech").denial is None


def test_the_definition_of_a_view_that_is_not_listed_is_not_told(databases: Databases) -> None:
    """It may name the tenant that it was made for."""
    by_oid = _answer(
        "SELECT pg_get_viewdef(oid) FROM pg_class WHERE relname IN ('labelled', 'sales')", OWNER, databases
    )
    assert "FROM orders" in by_oid.replace("public.", "")
    assert "customers" not in by_oid
    for sql in ("SELECT definition FROM pg_views", "SELECT view_definition FROM information_schema.views"):
        assert "customers" not in _answer(sql, OWNER, databases)


def test_a_mask_within_a_view_is_behind_a_barrier(databases: Databases) -> None:
    """From outside its column looks like any other of its type, which could be compared before the tenant test."""
    sql = "SELECT id FROM labelled WHERE note < '2'"
    mask = TableAccess(read=True, masks={"note": "(note::int)::text"})
    masked = replace(OWNER, tables={("public", "orders"): mask})
    assert "OFFSET 0" not in rewritten(sql, OWNER, databases.catalog)[0]
    assert "OFFSET 0" in rewritten(sql, masked, databases.catalog)[0]
    assert SECRET not in _answer(sql, masked, databases)
