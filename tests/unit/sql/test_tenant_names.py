"""Channels and advisory locks: each tenant has its own, whatever it writes."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.access import Access
from policy.errors import StatementRefused
from policy.sql import builtin_functions as builtin
from policy.sql.compile import compile_query
from policy.sql.functions import default_is_allowed
from policy.sql.namespaces import client_channel, is_shortened, lock_key_of, namespace_of, target_channel
from policy.sql.plan import Plan, Slot, SlotKind, render
from tests.unit.sql import sample
from tests.unit.sql.sample import DATABASE, SCHEMA, SHARED

CATALOG = replace(
    sample.CATALOG,
    builtin_functions=sample.CATALOG.builtin_functions | builtin.CHANNELS | builtin.ADVISORY_LOCKS | {"hashtext"},
)
ACME = replace(sample.VALUES, namespace=namespace_of("acme"), lock_key=lock_key_of("acme", "salt"))
PREFIX = ACME.namespace
NAMES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1).filter(
    lambda name: len(name.encode()) <= 63
)


def plan_of(sql: str, access: Access = SHARED) -> Plan:
    (plan,) = compile_query(sql, access, CATALOG, schema="initech" if access is SCHEMA else "").plans
    if plan.denial is not None:
        raise plan.denial
    return plan


def sent(sql: str, access: Access = SHARED) -> str:
    return render(plan_of(sql, access), ACME, ("0",) * 9)


@pytest.mark.parametrize("access", [SHARED, SCHEMA], ids=["shared", "schema"])
def test_statements_name_the_tenants_channel(access: Access) -> None:
    assert sent("LISTEN news", access) == f'LISTEN "{PREFIX}_news"'
    assert sent('LISTEN U&"n\\0065ws"', access) == f'LISTEN "{PREFIX}_news"'
    assert sent('NOTIFY "a""b", \'x\'', access).startswith(f'NOTIFY "{PREFIX}_a""b", ')
    assert sent("UNLISTEN News", access) == f'UNLISTEN "{PREFIX}_news"'
    assert sent("UNLISTEN *", access) == "UNLISTEN *"


def test_in_a_database_of_its_own_all_stands_as_it_is() -> None:
    for sql in ("LISTEN news", "NOTIFY news", "SELECT pg_notify($1, $2)", "SELECT pg_advisory_lock($1)"):
        assert sent(sql, DATABASE) == sql


@pytest.mark.parametrize(
    ("sql", "pins"),
    [
        ("LISTEN news", "listen"),
        ("SELECT pg_advisory_lock(1)", "advisory lock"),
        ("SELECT id FROM orders WHERE pg_try_advisory_lock_shared(id, 2)", "advisory lock"),
        ("PREPARE p AS SELECT pg_advisory_lock(1)", "advisory lock"),
        ("SELECT pg_advisory_xact_lock(1), pg_try_advisory_xact_lock_shared(2)", ""),
        ("SELECT pg_advisory_unlock(1), pg_advisory_unlock_all()", ""),
        ("NOTIFY news", ""),
        ("SELECT pg_notify('news', '')", ""),
        ("UNLISTEN *", ""),
    ],
)
@pytest.mark.parametrize("access", [SHARED, DATABASE], ids=["shared", "database"])
def test_what_outlives_the_transaction_pins_the_session(sql: str, pins: str, access: Access) -> None:
    catalog = replace(CATALOG, builtin_functions=CATALOG.builtin_functions | {"pg_advisory_unlock_all"})
    (plan,) = compile_query(sql, access, catalog).plans
    assert plan.denial is None
    assert plan.pins == pins


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT pg_advisory_lock(key => 1)",
        "SELECT pg_advisory_lock(VARIADIC '{1}')",
        "SELECT pg_advisory_lock(ALL 1)",
        "SELECT pg_advisory_lock(1, 2, 3)",
        "SELECT pg_advisory_lock()",
        "SELECT pg_advisory_lock(DISTINCT 1)",
        "SELECT public.pg_advisory_lock(1)",
        "SELECT pg_notify()",
        "SELECT pg_listening_channels()::text",
        "SELECT * FROM pg_listening_channels() WITH ORDINALITY",
        "SELECT * FROM ROWS FROM (pg_listening_channels())",
        "SELECT pg_notification_queue_usage()",
        "CREATE VIEW v AS SELECT pg_advisory_lock(1)",
    ],
)
def test_forms_that_are_not_understood_are_refused(sql: str) -> None:
    for access in (SHARED, replace(SCHEMA, ddl=True)):
        with pytest.raises(StatementRefused):
            plan_of(sql, access)


@pytest.mark.parametrize("name", sorted(builtin.ADVISORY_LOCKS | builtin.CHANNELS))
@pytest.mark.parametrize(
    "form", ["SELECT {}", "SELECT lower('x') FROM orders WHERE {} IS NULL", "PREPARE p AS SELECT {}"]
)
def test_no_call_goes_out_without_the_tenants_own(name: str, form: str) -> None:
    arguments = {"pg_listening_channels": "", "pg_notify": "$1, $2"}.get(name, "$1, $2")
    text = f"pg_catalog.{name}({arguments})" + (
        " AS n" if name == "pg_listening_channels" and "SELECT {}" in form else ""
    )
    if "WHERE" in form and name == "pg_listening_channels":
        return
    kinds = {piece.kind for piece in plan_of(form.format(text)).pieces if isinstance(piece, Slot)}
    assert kinds & {SlotKind.NAMESPACE, SlotKind.LOCK_KEY}


def test_a_view_that_locks_takes_the_readers_own_lock() -> None:
    orders = CATALOG.relations["public", "orders"]
    definition = "SELECT tenant_id, id FROM public.orders WHERE pg_try_advisory_lock((id)::bigint)"
    view = replace(orders, name="unlocked", kind="v", columns=orders.columns[:2], definition=definition)
    relations = {**CATALOG.relations, ("public", "unlocked"): view}
    (plan,) = compile_query("SELECT id FROM unlocked", SHARED, replace(CATALOG, relations=relations)).plans
    assert plan.denial is None
    assert plan.pins == "advisory lock"
    assert [piece for piece in plan.pieces if piece == Slot(SlotKind.LOCK_KEY)]


@pytest.mark.parametrize("call", ["pg_try_advisory_lock(1)", "pg_notify('x', 'y')"])
def test_a_default_cannot_be_rewritten(call: str) -> None:
    assert default_is_allowed("now()", SHARED, CATALOG)
    assert not default_is_allowed(call, SHARED, CATALOG)
    assert default_is_allowed(call, DATABASE, CATALOG)


@given(NAMES)
def test_a_name_comes_back_as_it_was(name: str) -> None:
    channel = target_channel(PREFIX, name)
    assert len(channel.encode()) <= 63
    known = {channel: name} if is_shortened(name) else {}
    assert client_channel(PREFIX, channel, known) == name
    assert client_channel(namespace_of("globex"), channel, {}) is None


@given(NAMES, NAMES)
def test_two_tenants_never_meet_and_two_names_are_two(one: str, other: str) -> None:
    assert target_channel(PREFIX, one) != target_channel(namespace_of("globex"), other)
    assert (target_channel(PREFIX, one) == target_channel(PREFIX, other)) is (one == other)


def test_the_hash_is_what_the_docs_say() -> None:
    assert namespace_of("acme") == "tg_" + hashlib.sha256(b"acme").hexdigest()[:20]
    assert lock_key_of("acme", "1") != lock_key_of("acme", "2")
    assert lock_key_of("acme", "1") != lock_key_of("globex", "1")
