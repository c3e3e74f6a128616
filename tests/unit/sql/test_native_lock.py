"""Where row-level security does the tenant test, statements go without it; everything else is as before."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

import pytest

from policy.access import TableAccess
from tests.unit.sql.shop import CATALOG, plan_of, rewritten, shared_access
from tests.unit.sql.test_insert import squeezed

LOCK = "(tenant_id = ( SELECT tenantgate.proven('tenant'::text) AS proven))"


def locked(lock: str = LOCK) -> MappingProxyType:  # type: ignore[type-arg]
    return MappingProxyType({
        name: replace(relation, lock=lock) if name == ("public", "orders") else relation
        for name, relation in CATALOG.relations.items()
    })  # fmt: skip


NATIVE = replace(CATALOG, relations=locked())


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT id FROM orders", "SELECT * FROM orders WHERE 1/id > 0 FOR UPDATE", "DELETE FROM orders WHERE 1/id > 0",
        "UPDATE orders SET amount = 1", "SELECT count(*) FROM orders a JOIN orders b USING (id)", "TABLE orders",
    ],
)  # fmt: skip
def test_no_tenant_test_is_written(sql: str) -> None:
    assert "acme" in rewritten(sql)
    text = rewritten(sql, catalog=NATIVE)
    assert "acme" not in text
    assert "OFFSET 0" not in text


def test_delete_is_left_as_it_is() -> None:
    assert (
        squeezed(rewritten("DELETE FROM orders WHERE id = 1", catalog=NATIVE))
        == 'DELETE FROM "public"."orders" WHERE id = 1'
    )


def test_rows_are_stamped_all_the_same() -> None:
    assert "'acme'" in rewritten("INSERT INTO orders (id) VALUES (1)", catalog=NATIVE)
    assert "'acme'" in rewritten("UPDATE orders SET tenant_id = status", catalog=NATIVE)


def test_other_tables_are_guarded_all_the_same() -> None:
    text = rewritten("SELECT 1 FROM orders, notes", catalog=NATIVE)
    assert text.count("'acme'") == 1


def test_filters_and_masks_hold_all_the_same() -> None:
    access = shared_access(orders=TableAccess(read=True, row_filter="amount > 5", masks={"status": "NULL"}))
    text = squeezed(rewritten("SELECT * FROM orders WHERE 1/id > 0", access, catalog=NATIVE))
    assert "amount" in text
    assert "NULL" in text
    assert "OFFSET 0" in text  # the filter is no policy of the target's: the client's condition must wait for it
    assert "acme" not in text


@pytest.mark.parametrize("lock", ["true", LOCK.replace("tenant_id", "id"), LOCK.replace("=", "<>", 1)])
def test_a_policy_that_is_another_is_not_relied_on(lock: str) -> None:
    catalog = replace(CATALOG, relations=locked(lock))
    assert rewritten("SELECT id FROM orders", catalog=catalog) == rewritten("SELECT id FROM orders")


def test_explain_says_who_tests() -> None:
    assert (
        "orders: row-level security of the target on tenant_id"
        in plan_of("SELECT id FROM orders", catalog=NATIVE).rules
    )
