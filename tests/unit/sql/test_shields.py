"""Conditions that are kept from other tenants' rows by themselves (policy/sql/rules/shields.py)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from policy.access import TableAccess
from policy.sql.catalog import Catalog
from policy.sql.rules.shields import _COSTLY
from tests.unit.sql.shop import CATALOG, FULL, rewritten, shared_access

LEAKY = "SELECT o.id FROM orders o WHERE 1 / o.id < 5"
SORTING = replace(CATALOG, sorts_by_cost=True)


def _is_ordered(catalog: Catalog, row_filter: str | None = None) -> bool:
    access = shared_access(orders=replace(FULL, row_filter=row_filter))
    sent = rewritten(LEAKY, access, catalog=catalog)
    assert 'WHERE "o"."tenant_id" OPERATOR(pg_catalog.=) \'acme\'' in sent
    assert ("CASE WHEN" in sent, "OFFSET 0" in sent) == (True, False)
    return _COSTLY.format('"o"."tenant_id"') in sent


def _with_children(catalog: Catalog) -> Catalog:
    orders = replace(catalog.relations["public", "orders"], has_children=True)
    return replace(catalog, relations={**catalog.relations, ("public", "orders"): orders})


def test_the_cheaper_shield_needs_a_planner_that_sorts_by_cost() -> None:
    assert _is_ordered(SORTING)
    assert not _is_ordered(CATALOG), "cpu_operator_cost may be zero"
    assert not _is_ordered(replace(SORTING, server_version=190000)), "a planner that was not read"
    assert not _is_ordered(_with_children(SORTING)), "a partition may be a foreign table"
    assert not _is_ordered(SORTING, row_filter="status <> 'lost'"), "what the filter costs is not known"


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT o.id FROM orders o, notes n WHERE lower(o.status) = lower(n.body)",  # about two relations
        "SELECT o.id FROM orders o, notes n WHERE lower(status) = 'x'",  # about whose is for the server to say
        "SELECT o.id FROM notes n LEFT JOIN orders o ON o.id = n.id WHERE lower(o.status) = 'x'",  # of missing rows
        "SELECT o.id FROM orders o JOIN notes n ON 1 / n.id > 0 WHERE lower(o.status) = 'x'",  # not all of it in WHERE
        "SELECT o.id FROM orders o WHERE 1 / o.id > (SELECT count(*) FROM notes)",
        "SELECT id FROM (SELECT id, 1 / id AS q FROM orders) o WHERE q > 1",
        "SELECT id FROM orders o WHERE id IN (SELECT id FROM notes WHERE lower(body) = 'x')",
        "SELECT count(*) FROM orders o WHERE lower(o.status) = 'x' GROUP BY o.id HAVING 1 / o.id > 0",
    ],
)
def test_elsewhere_it_is_a_barrier(sql: str) -> None:
    sent = rewritten(sql, catalog=SORTING)
    assert "OFFSET 0" in sent
    assert "CASE" not in sent


def test_masked_columns_keep_their_barrier() -> None:
    masked = TableAccess(read=True, masks={"status": "left(status, 1)"})
    sent = rewritten("SELECT o.id FROM orders o WHERE lower(o.status) = 'x'", shared_access(orders=masked))
    assert "OFFSET 0" in sent


def test_what_is_the_same_for_all_needs_no_shield() -> None:
    sent = rewritten("SELECT o.id FROM orders o JOIN countries c ON c.code = o.status WHERE lower(c.name) = 'x'")
    assert "OFFSET 0" not in sent
    assert "CASE" not in sent


def test_a_table_that_is_made_stands_before_from() -> None:
    sent = rewritten("SELECT o.id INTO TEMP made FROM orders o WHERE 1 / o.id < 5 AND o.id > 0", catalog=SORTING)
    assert "COALESCE((1 / o.id < 5), CASE WHEN" in sent
