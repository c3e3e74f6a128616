"""ON CONFLICT: only on keys that contain the tenant column, and only the tenant's own row is updated."""

from __future__ import annotations

import pytest

from policy.errors import StatementRefused
from tests.unit.sql.shop import WRITE_ONLY, rewritten, shared_access
from tests.unit.sql.test_insert import squeezed

TEST = '"orders"."tenant_id" OPERATOR(pg_catalog.=) \'acme\''


def test_the_tenant_test_comes_first_and_encloses_the_condition() -> None:
    conflict = "ON CONFLICT (tenant_id, id) DO UPDATE SET amount = 1 WHERE orders.id > 0 OR true"
    sql = f"INSERT INTO orders (id) VALUES (1) {conflict}"
    assert squeezed(rewritten(sql)).endswith(
        f"DO UPDATE SET amount = 1 WHERE {TEST} AND CASE WHEN {TEST} THEN (orders.id > 0 OR true) ELSE false END"
    )


def test_do_update_without_a_condition_gets_one() -> None:
    sql = "INSERT INTO orders (id) VALUES (1) ON CONFLICT (tenant_id, id) DO UPDATE SET amount = 1 RETURNING id"
    assert squeezed(rewritten(sql)).endswith(f"SET amount = 1 WHERE {TEST} RETURNING id")


@pytest.mark.parametrize(
    "clause",
    [
        "ON CONFLICT DO NOTHING",
        "ON CONFLICT (id, tenant_id) DO NOTHING",
        "ON CONFLICT ON CONSTRAINT orders_pkey DO NOTHING",
        "ON CONFLICT (tenant_id, id) DO UPDATE SET amount = excluded.amount, tenant_id = excluded.tenant_id",
    ],
)
def test_keys_with_the_tenant_column_are_accepted(clause: str) -> None:
    rewritten(f"INSERT INTO orders (id) VALUES (1) {clause}")


@pytest.mark.parametrize(
    ("sql", "sqlstate"),
    [
        ("INSERT INTO notes (id, body) VALUES (1, 'x') ON CONFLICT (id) DO UPDATE SET body = 'y'", "42501"),
        ("INSERT INTO notes (id, body) VALUES (1, 'x') ON CONFLICT (id) DO NOTHING", "42501"),
        ("INSERT INTO notes (id, body) VALUES (1, 'x') ON CONFLICT DO NOTHING", "42501"),
        ("INSERT INTO notes (id, body) VALUES (1, 'x') ON CONFLICT ON CONSTRAINT notes_pkey DO NOTHING", "42501"),
        ("INSERT INTO orders (id) VALUES (1) ON CONFLICT ((lower(tenant_id))) DO NOTHING", "42501"),
        ("INSERT INTO orders (id) VALUES (1) ON CONFLICT ON CONSTRAINT no_such DO NOTHING", "42704"),
        (
            "INSERT INTO orders (id) VALUES (1) ON CONFLICT (tenant_id, id)"
            " DO UPDATE SET (id, tenant_id) = (SELECT 1, 'x')",
            "42501",
        ),
        (
            "INSERT INTO orders (id) VALUES (1) ON CONFLICT (tenant_id, id) DO UPDATE SET tenant_id = NULL",
            "42501",
        ),
        (
            "INSERT INTO cards (id) VALUES (1) ON CONFLICT (tenant_id, id) DO UPDATE SET holder = cards.card",
            "42501",
        ),
        (
            "INSERT INTO cards (id) VALUES (1) ON CONFLICT (tenant_id, id) DO UPDATE SET holder = 'x' WHERE card = 'y'",
            "42501",
        ),
        (
            "INSERT INTO drafts VALUES ('acme', 1, 'x') ON CONFLICT (tenant_id, id) DO UPDATE SET snapshot = DEFAULT",
            "42501",
        ),
    ],
)
def test_refusals(sql: str, sqlstate: str) -> None:
    with pytest.raises(StatementRefused) as caught:
        rewritten(sql)
    assert caught.value.sqlstate == sqlstate
    assert caught.value.position > 0


def test_the_hint_names_a_key_that_works() -> None:
    with pytest.raises(StatementRefused) as caught:
        rewritten("INSERT INTO orders (id) VALUES (1) ON CONFLICT (amount) DO NOTHING")
    assert "ON CONFLICT (tenant_id, id)" in (caught.value.hint or "")


def test_a_key_of_the_tenants_own_rows_is_completed() -> None:
    """As an application says it that knows nothing of the tenant column."""
    sql = "INSERT INTO orders (id) VALUES (1) ON CONFLICT (/* of ours */ id) WHERE id > 0 DO NOTHING"
    assert 'ON CONFLICT ("tenant_id", /* of ours */ id) WHERE id > 0 DO NOTHING' in rewritten(sql)
    sql = "INSERT INTO orders (id) VALUES (1) ON CONFLICT ( id ) DO UPDATE SET amount = excluded.amount"
    assert squeezed(rewritten(sql)).endswith(
        f'ON CONFLICT ("tenant_id", id) DO UPDATE SET amount = excluded.amount WHERE {TEST}'
    )


def test_reading_the_row_in_the_way_needs_read_access() -> None:
    access = shared_access(orders=WRITE_ONLY)
    sql = "INSERT INTO orders (id) VALUES (1) ON CONFLICT (tenant_id, id) DO UPDATE SET amount = {}"
    rewritten(sql.format("excluded.amount"), access)
    with pytest.raises(StatementRefused, match="permission denied"):
        rewritten(sql.format("orders.amount"), access)
