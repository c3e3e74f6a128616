"""Claims to principal: what is taken, and that everything else is refused."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.errors import AuthenticationError
from policy.identity import ClaimRules, principal_from_claims

NOW = 1_800_000_000.0
RULES = ClaimRules("https://idp.test", "tenantgate", attribute_claims=("region",))


def claims(**changes: Any) -> dict[str, object]:
    good = {"iss": "https://idp.test", "aud": "tenantgate", "sub": "alice", "tenant": "acme", "exp": NOW + 600}
    return {name: value for name, value in (good | changes).items() if value is not ...}


def test_principal_holds_what_the_claims_say() -> None:
    principal = principal_from_claims(claims(roles=["app", "sales"], region="eu", other="x"), RULES, NOW)
    assert principal.subject == "alice"
    assert principal.tenants == {"acme"}
    assert principal.roles == {"app", "sales"}
    assert dict(principal.attributes) == {"region": "eu"}
    assert principal.expires_at == NOW + 600
    assert principal.method == "jwt"


@pytest.mark.parametrize(
    ("roles", "expected"),
    [(["a", "b"], {"a", "b"}), ("a  b ", {"a", "b"}), ("", set()), ([], set()), (..., set()), (None, set())],
)
def test_roles_are_a_list_or_words(roles: object, expected: set[str]) -> None:
    assert principal_from_claims(claims(roles=roles), RULES, NOW).roles == expected


@pytest.mark.parametrize("roles", [1, True, {"a": 1}, ["a", 1], ["a", ""], ["a\0b"], [["a"]], "a\nb"])
def test_other_roles_are_refused(roles: object) -> None:
    with pytest.raises(AuthenticationError, match="roles"):
        principal_from_claims(claims(roles=roles), RULES, NOW)


@pytest.mark.parametrize("name", ["sub", "tenant", "region"])
@pytest.mark.parametrize(
    "value", ["", None, 1, 0, True, ["acme"], {"id": "acme"}, "a\0b", "a\n", "\x9b31m", "\ud800", "x" * 256]
)
def test_texts_are_printable_strings(name: str, value: object) -> None:
    with pytest.raises(AuthenticationError, match=name):
        principal_from_claims(claims(**{name: value}), RULES, NOW)


@pytest.mark.parametrize("name", ["sub", "tenant", "exp", "aud", "iss"])
def test_required_claims(name: str) -> None:
    with pytest.raises(AuthenticationError):
        principal_from_claims(claims(**{name: ...}), RULES, NOW)


@pytest.mark.parametrize("aud", ["tenantgate", ["tenantgate"], ["other", "tenantgate"]])
def test_audiences_that_name_us(aud: object) -> None:
    assert principal_from_claims(claims(aud=aud), RULES, NOW)


@pytest.mark.parametrize(
    "aud", ["tenantgate2", "Tenantgate", "tenantgate other", [], ["tenantgate", 1], {"tenantgate": 1}, None, 1]
)
def test_audiences_that_do_not(aud: object) -> None:
    with pytest.raises(AuthenticationError, match="aud"):
        principal_from_claims(claims(aud=aud), RULES, NOW)


@pytest.mark.parametrize("name", ["exp", "nbf", "iat"])
@pytest.mark.parametrize(
    "value", [True, str(NOW + 60), None, float("nan"), float("inf"), -1, 2**64, (NOW + 60) * 1000, [NOW], 10**400]
)
def test_times_are_sane_numbers(name: str, value: object) -> None:
    with pytest.raises(AuthenticationError, match=name):
        principal_from_claims(claims(**{name: value}), RULES, NOW)


@pytest.mark.parametrize(
    ("changes", "accepted"),
    [
        ({"exp": NOW + 0.5}, True),
        ({"exp": NOW}, False),
        ({"exp": NOW - 1}, False),  # no leeway: the session would end at once
        ({"nbf": NOW + 29}, True),
        ({"nbf": NOW + 31}, False),
        ({"iat": NOW + 29}, True),
        ({"iat": NOW + 31}, False),
        ({"iat": NOW - 1000, "exp": NOW - 1000 + 86_400}, True),
        ({"iat": NOW - 1000, "exp": NOW - 1000 + 86_401}, False),
        ({"exp": NOW + 86_401}, False),  # without iat the rest of its life counts
    ],
)
def test_validity(changes: dict[str, Any], accepted: bool) -> None:
    if accepted:
        assert principal_from_claims(claims(**changes), RULES, NOW)
        return
    with pytest.raises(AuthenticationError):
        principal_from_claims(claims(**changes), RULES, NOW)


@pytest.mark.parametrize("name", ["Tenant", "TENANT", "tenant_id", "tenantId", "tenant-id"])
def test_a_second_spelling_of_the_tenant_is_refused(name: str) -> None:
    with pytest.raises(AuthenticationError, match="ambiguous"):
        principal_from_claims(claims(**{name: "globex"}), RULES, NOW)


def test_claim_names_are_not_folded() -> None:
    with pytest.raises(AuthenticationError, match="tenant"):
        principal_from_claims(claims(tenant=..., Tenant="acme"), RULES, NOW)


@pytest.mark.parametrize("tenant", ["globex", "ACME", "acme ", "аcme", "acme,globex"])
def test_an_issuer_speaks_for_its_tenants_only(tenant: str) -> None:
    rules = dataclasses.replace(RULES, tenants=frozenset({"acme"}))
    assert principal_from_claims(claims(), rules, NOW).tenants == {"acme"}
    with pytest.raises(AuthenticationError, match="may not speak"):
        principal_from_claims(claims(tenant=tenant), rules, NOW)


def test_revoked_tokens() -> None:
    rules = dataclasses.replace(RULES, revoked_token_ids=frozenset({"j1"}))
    assert principal_from_claims(claims(jti="j2"), rules, NOW)
    for jti in ("j1", ..., 1, ["j1"]):
        with pytest.raises(AuthenticationError):
            principal_from_claims(claims(jti=jti), rules, NOW)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@given(st.sampled_from(["iss", "aud", "sub", "tenant", "exp", "nbf", "iat", "jti", "roles", "region"]), json_values)
def test_any_value_gives_a_sound_principal_or_an_authentication_error(name: str, value: object) -> None:
    try:
        principal = principal_from_claims(claims(**{name: value}), RULES, NOW)
    except AuthenticationError:
        return
    assert len(principal.tenants) == 1
    assert all(isinstance(role, str) and role for role in principal.roles)
    assert principal.expires_at is not None
    assert NOW < principal.expires_at <= NOW + 86_400
