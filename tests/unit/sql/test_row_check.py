"""Values tested against the row filter: where the test stands, and which statements need none."""

from __future__ import annotations

import pytest

from policy.access import Access, TableAccess
from policy.errors import AccessDenied
from policy.model import Isolation
from policy.sql.rules.row_check import ROW_MARKER
from proxy.postgres.errors import ROW_FILTER_MARKER, foreign_tenant
from tests.unit.sql.shop import CATALOG, FULL, plan_of, rewritten, shared_access
from tests.unit.sql.test_insert import squeezed

LIMITED = shared_access(
    orders=TableAccess(True, True, True, row_filter="status = :attr_region OR amount < 5", reasons=("seller",)),
    notes=TableAccess(True, True, True, row_filter="tenant_id = :tenant"),
)
ERROR = f"pg_catalog.current_setting('{ROW_MARKER}')"


def test_a_set_list_tests_the_first_column_that_the_filter_names() -> None:
    assert squeezed(rewritten("UPDATE orders SET id = 2, status = 'x', amount = amount + 1", LIMITED)).startswith(
        squeezed(
            "UPDATE \"public\".\"orders\" SET id = 2, status = CASE WHEN ((('x')::text) = 'eu' OR"
            f" ((amount + 1)::numeric) < 5) THEN ('x') ELSE {ERROR}::text END, amount = amount + 1 WHERE "
        )
    )


def test_a_row_of_values_tests_with_its_defaults() -> None:
    test = f"((('open'::text)::text) = 'eu' OR ((2 + 3)::numeric) < 5) THEN (2 + 3) WHEN {ERROR} IS NULL THEN NULL END"
    assert squeezed(rewritten("INSERT INTO orders (id, amount) VALUES (1, 2 + 3)", LIMITED)) == squeezed(
        f'INSERT INTO "public"."orders" (id, amount, "tenant_id") VALUES (1, CASE WHEN {test}, \'acme\' )'
    )


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE orders SET id = 5",
        "DELETE FROM orders",
        "SELECT * FROM orders",
        "UPDATE notes SET body = 'x'",
        "UPDATE notes SET tenant_id = 'acme'",
        "INSERT INTO cards (id, card) VALUES (1, 'x')",
    ],
)
def test_what_the_filter_does_not_name_needs_no_test(sql: str) -> None:
    assert ROW_MARKER not in rewritten(sql, LIMITED)


def test_a_filter_for_reading_only_is_no_filter_for_new_rows() -> None:
    wide = shared_access(orders=TableAccess(True, True, read_filter="status = 'x'"))
    assert ROW_MARKER not in rewritten("UPDATE orders SET status = 'y'", wide)


def test_every_strategy_tests() -> None:
    for isolation, schema in ((Isolation.SCHEMA, "public"), (Isolation.DATABASE, "")):
        limited = {key: LIMITED.table("public", "orders") for key in (("", "orders"), ("public", "orders"))}
        access = Access("x", isolation, "main", FULL, limited, {})
        plan = plan_of("UPDATE orders SET status = 'x'", access, CATALOG, schema)
        assert any(isinstance(piece, str) and ROW_MARKER in piece for piece in plan.pieces)
        with pytest.raises(AccessDenied, match="cannot be checked"):
            plan_of("INSERT INTO orders DEFAULT VALUES", access, CATALOG, schema)


def test_a_copy_goes_by_way_of_an_insert_that_tests() -> None:
    plan = plan_of("COPY orders (id, status) FROM STDIN", LIMITED)
    assert plan.staged == "orders"
    assert plan.copy_stamp is None
    sent = rewritten("COPY orders (id, status) FROM STDIN", LIMITED).split("; ")
    assert [statement.split()[0] for statement in sent] == ["CREATE", "COPY", "INSERT", "DROP"]
    assert ROW_MARKER in sent[2]
    assert not plan_of("COPY cards (id) FROM STDIN", LIMITED).staged


def test_a_copy_whose_rows_cannot_be_tested_is_refused_where_it_stands() -> None:
    limited = shared_access(orders=TableAccess(write=True, copy=True, row_filter="cents > 5", reasons=("s",)))
    with pytest.raises(AccessDenied) as caught:
        plan_of("  COPY orders (id) FROM STDIN", limited)
    assert caught.value.position == 3


def test_the_data_plane_knows_the_error() -> None:
    assert ROW_MARKER.encode() == ROW_FILTER_MARKER
    message = f'unrecognized configuration parameter "{ROW_MARKER}"'.encode()
    assert foreign_tenant(message).message == "new row violates the row filter"
    assert foreign_tenant(message).sqlstate == "42501"
    assert "own tenant" in foreign_tenant().message


def test_a_name_of_an_object_is_not_repeated_without_its_guard() -> None:
    sent = rewritten("UPDATE orders SET status = 'exports'::regclass::text || 'x' WHERE id = 1", LIMITED)
    assert sent.count("'exports'") == 1
