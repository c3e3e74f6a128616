"""Which tenant: selectors only select among what the credential allows."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.errors import AuthenticationError, TenantRefused
from policy.model import Isolation, Principal, Tenant, TenantStatus
from policy.tenancy import Selectors, resolve_tenant, suffix_of_user, tenant_from_server_name


def tenant(name: str, database: str | None = None, status: TenantStatus = TenantStatus.ACTIVE) -> Tenant:
    return Tenant(name, Isolation.SHARED, "main", name, database=database, status=status)


TENANTS = {
    t.id: t
    for t in (
        tenant("acme", "shop"),
        tenant("globex", "shop"),
        tenant("umbrella", "umbrella_db"),
        tenant("gone", status=TenantStatus.SUSPENDED),
    )
}


def principal(*tenants: str) -> Principal:
    return Principal("alice", frozenset(tenants), frozenset(), "jwt")


ALICE = principal("acme")
BOTH = principal("acme", "globex")


@pytest.mark.parametrize(
    ("who", "selectors", "expected"),
    [
        (ALICE, Selectors("acme"), "acme"),
        (ALICE, Selectors("shop"), "acme"),
        (ALICE, Selectors("acme", "acme", "acme", "acme"), "acme"),
        (ALICE, Selectors(), "acme"),
        (ALICE, Selectors(sni="ACME"), "acme"),
        (BOTH, Selectors("globex"), "globex"),
        (BOTH, Selectors("shop", option="globex"), "globex"),
        (BOTH, Selectors("shop", user_suffix="acme"), "acme"),
        (principal("umbrella"), Selectors("umbrella_db"), "umbrella"),
    ],
)
def test_selected(who: Principal, selectors: Selectors, expected: str) -> None:
    assert resolve_tenant(who, selectors, TENANTS).id == expected


@pytest.mark.parametrize(
    ("who", "selectors", "sqlstate"),
    [
        (ALICE, Selectors("globex"), "3D000"),
        (ALICE, Selectors("ACME"), "3D000"),
        (ALICE, Selectors("template1"), "3D000"),
        (ALICE, Selectors("umbrella_db"), "3D000"),
        (ALICE, Selectors(""), "3D000"),
        (ALICE, Selectors("acme", "globex"), "28000"),
        (ALICE, Selectors("acme", option="globex"), "28000"),
        (ALICE, Selectors("acme", sni="globex"), "28000"),
        (ALICE, Selectors("acme", ""), "28000"),
        (BOTH, Selectors("acme", option="globex"), "28000"),
        (BOTH, Selectors("acme", "acme", "acme", "globex"), "28000"),
        (BOTH, Selectors("shop"), "28000"),
        (BOTH, Selectors(), "28000"),
        (principal("gone"), Selectors("gone"), "28000"),
        (principal("nosuch"), Selectors("nosuch"), "28000"),
        (principal(), Selectors("acme"), "28000"),
    ],
)
def test_refused(who: Principal, selectors: Selectors, sqlstate: str) -> None:
    with pytest.raises(TenantRefused) as refusal:
        resolve_tenant(who, selectors, TENANTS)
    assert refusal.value.sqlstate == sqlstate


def test_suspension_is_told_to_its_own_users_only() -> None:
    with pytest.raises(TenantRefused, match="suspended"):
        resolve_tenant(principal("gone"), Selectors("gone"), TENANTS)
    with pytest.raises(TenantRefused) as foreign:
        resolve_tenant(ALICE, Selectors("gone"), TENANTS)
    assert "suspended" not in foreign.value.message


@pytest.mark.parametrize("field", ["database", "user_suffix", "option", "sni"])
@pytest.mark.parametrize("foreign", ["globex", "gone"])
def test_foreign_and_unknown_tenants_look_alike(field: str, foreign: str) -> None:
    def told(name: str) -> tuple[str, ...]:
        with pytest.raises(TenantRefused) as refusal:
            resolve_tenant(ALICE, dataclasses.replace(Selectors("acme"), **{field: name}), TENANTS)
        error = refusal.value
        parts = (error.message, error.sqlstate, error.detail or "", error.hint or "")
        return tuple(part.replace(name, "NAME") for part in parts)

    assert told(foreign) == told("nosuch")


names = st.none() | st.sampled_from(["acme", "globex", "gone", "umbrella", "shop", "nosuch", "ACME", ""])


@given(st.frozensets(st.sampled_from(["acme", "globex", "gone", "nosuch"])), names, names, names, names)
def test_never_a_tenant_that_the_principal_lacks_or_a_selector_denies(
    allowed: frozenset[str], database: str | None, suffix: str | None, option: str | None, sni: str | None
) -> None:
    try:
        found = resolve_tenant(principal(*allowed), Selectors(database, suffix, option, sni), TENANTS)
    except TenantRefused:
        return
    assert found.id in allowed
    assert found.status is TenantStatus.ACTIVE
    assert database in (None, found.id, found.database)
    assert suffix in (None, found.id)
    assert option in (None, found.id)
    assert sni is None or sni.lower() == found.id


@pytest.mark.parametrize(
    ("user", "expected"),
    [("alice", None), ("alice@acme", "acme"), ("alice@nosuch", "nosuch"), ("alice@", ""), ("acme", "acme")],
)
def test_user_names_of_a_principal(user: str, expected: str | None) -> None:
    assert suffix_of_user(user, ALICE) == expected


@pytest.mark.parametrize("user", ["Alice", "bob", "bob@acme", "globex", "@acme", "alice@x@acme", "acme@acme", ""])
def test_user_names_of_others(user: str) -> None:
    with pytest.raises(AuthenticationError):
        suffix_of_user(user, ALICE)


def test_a_subject_may_be_a_mail_address() -> None:
    who = dataclasses.replace(ALICE, subject="alice@acme.example")
    assert suffix_of_user("alice@acme.example", who) is None
    assert suffix_of_user("alice@acme.example@acme", who) == "acme"
    with pytest.raises(AuthenticationError):
        suffix_of_user("alice", who)


@pytest.mark.parametrize(
    ("server_name", "suffix", "expected"),
    [
        ("acme.db.example.com", ".db.example.com", "acme"),
        ("ACME.DB.example.com.", "db.example.com", "acme"),
        ("a.b.db.example.com", ".db.example.com", "a.b"),
        ("db.example.com", ".db.example.com", None),
        ("acmedb.example.com", ".db.example.com", None),
        ("localhost", ".db.example.com", None),
        ("acme.db.example.com", None, None),
        (None, ".db.example.com", None),
    ],
)
def test_tenant_from_server_name(server_name: str | None, suffix: str | None, expected: str | None) -> None:
    assert tenant_from_server_name(server_name, suffix) == expected
