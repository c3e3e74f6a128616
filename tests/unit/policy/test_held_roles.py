"""Who holds which roles where and until when, and what a tenant's status lets it do at a given time."""

from __future__ import annotations

from typing import Any

import pytest

from policy.admission import admission_of, console_admission, reach_child
from policy.document import parse_policy
from policy.errors import TenantRefused
from policy.held_roles import HeldRoles, held_roles
from policy.model import Principal
from policy.rbac import may_read_gateway, resolve_access
from policy.snapshot import Snapshot
from policy.standing import standing_of
from policy.tenancy import Selectors, resolve_tenant

NOW = 1_000.0
ISSUER = "https://id.example"

POLICY = """
flags: {}
tiers: {free: {trial_grace: 100}, closed: {flags: {write: off}}}
tenants:
  top: {isolation: shared, target: main}
  mid: {isolation: shared, target: main, parent: top}
  low: {isolation: shared, target: main, parent: mid}
  side: {isolation: shared, target: main}
  trial: {isolation: shared, target: main, status: trial, tier: free, trial_ends: "1970-01-01T00:20:00Z"}
  shut: {isolation: shared, target: main, tier: closed}
  gone: {isolation: shared, target: main, status: deleting, parent: top}
roles:
  plain: {permissions: ["table:orders:read"]}
  head: {permissions: ["table:orders:read", "tenant:children:use"]}
  top/chief: {inherits: [head]}
  console: {permissions: ["gateway:*:read"]}
  never: {deny: ["tenant:children:use"]}
assignments:
  a: {subject: alice, tenant: top, roles: [chief, analyst], expires: "1970-01-01T00:20:00Z"}
  b: {group: ops, tenant: "*", issuer: "https://id.example", roles: [super_admin]}
  c: {subject: alice, tenant: top, roles: [plain], issuer: local}
  d: {role: boss, tenant: low, roles: [plain]}
  e: {claim: {team: blue}, tenant: low, roles: [plain], expires: "1970-01-01T00:10:00Z"}
  f: {claim: {team: blue}, tenant: low, roles: [plain], expires: "1970-01-01T01:00:00Z"}
"""


@pytest.fixture(scope="module")
def snapshot() -> Snapshot:
    return parse_policy(POLICY, version=1, targets=["main"])


def who(subject: str, tenant: str, *roles: str, **more: Any) -> Principal:
    return Principal(subject, frozenset({tenant}), frozenset(roles), "jwt", **{"issuer": ISSUER, **more})


def held(snapshot: Snapshot, principal: Principal, tenant: str, now: float = NOW) -> HeldRoles:
    return held_roles(snapshot, principal, snapshot.tenants[tenant], now)


def test_assigned_and_named_roles_and_when_they_end(snapshot: Snapshot) -> None:
    found = held(snapshot, who("alice", "top", "plain", "ghost", "super_admin", "mid/x"), "top")
    assert found.keys == {"plain", "top/chief", "/analyst"}
    assert (found.until, found.unknown) == (1200.0, ("ghost", "mid/x", "super_admin"))
    assert held(snapshot, who("alice", "top"), "top", 1199.999).keys == {"top/chief", "/analyst"}
    assert held(snapshot, who("alice", "top"), "top", 1200.0) == HeldRoles(frozenset())


def test_what_an_assignment_compares(snapshot: Snapshot) -> None:
    local = who("alice", "top", issuer="local")
    assert held(snapshot, local, "top", 2000.0).keys == {"plain"}
    assert held(snapshot, who("bob", "low", "boss"), "low").keys == {"plain"}
    assert held(snapshot, who("bob", "low", attributes={"team": "blue"}), "low").until == 3600.0  # the other is over
    assert held(snapshot, who("bob", "low", attributes={"team": "red"}), "low").keys == frozenset()
    assert held(snapshot, who("alice", "low"), "low").keys == frozenset()  # of another tenant
    assert held(snapshot, who("x", "side", groups=frozenset({"ops"})), "side").everywhere == {"/super_admin"}
    assert (
        held(snapshot, who("x", "side", groups=frozenset({"ops"}), issuer="https://other"), "side").keys == frozenset()
    )


def test_a_built_in_role_is_nobodys_by_its_name(snapshot: Snapshot) -> None:
    for name in ("super_admin", "/super_admin", "top/super_admin", "/"):
        principal = who("mallory", "top", name)
        access = resolve_access(snapshot, snapshot.tenants["top"], held(snapshot, principal, "top").keys)
        assert not access.table("public", "orders").read
        assert not may_read_gateway(snapshot, console_admission(snapshot, principal, NOW).roles)


def test_below_the_own_tenant_only_roles_that_say_so_count(snapshot: Snapshot) -> None:
    alice = who("alice", "top", "plain")
    assert held(snapshot, alice, "low").keys == {"top/chief"}
    assert held(snapshot, alice, "side").keys == frozenset()
    assert held(snapshot, who("bob", "low", "head"), "top").keys == frozenset()
    assert held(snapshot, who("bob", "mid", "head", "never"), "low").keys == frozenset()
    assert held(snapshot, who("x", "mid", groups=frozenset({"ops"})), "low").keys == {"/super_admin"}


@pytest.mark.parametrize(
    ("subject", "home", "roles", "name", "reached"),
    [
        ("bob", "top", ["head"], "mid", True),
        ("bob", "top", ["head"], "low", True),
        ("bob", "mid", ["head"], "low", True),
        ("bob", "top", ["plain"], "low", False),
        ("bob", "mid", ["head"], "top", False),
        ("bob", "low", ["head"], "mid", False),
        ("bob", "top", ["head"], "side", False),
        ("bob", "side", ["head"], "low", False),
        ("bob", "top", ["head"], "nobody", False),
        ("bob", "top", ["head", "never"], "low", False),
    ],
)
def test_which_tenants_can_be_chosen(
    snapshot: Snapshot, subject: str, home: str, roles: list[str], name: str, reached: bool
) -> None:
    """Whatever the reason, a tenant that cannot be reached is refused in the same words as one that is not there."""
    principal = who(subject, home, *roles)

    def choose(**selectors: str) -> str:
        def reach(who: Principal, name: str) -> Any:
            return reach_child(snapshot, who, name, NOW)

        return resolve_tenant(principal, Selectors(**selectors), snapshot.tenants, NOW, reach).id

    for kind in ("database", "user_suffix", "option", "sni"):
        if reached:
            assert choose(**{kind: name}) == name
            continue
        with pytest.raises(TenantRefused) as refused:
            choose(**{kind: name})
        with pytest.raises(TenantRefused) as missing:
            choose(**{kind: "zzz"})
        assert refused.value.message.replace(name, "zzz") == missing.value.message
        assert refused.value.sqlstate == missing.value.sqlstate
    assert choose(database=home) == home


def test_a_child_that_is_not_served(snapshot: Snapshot) -> None:
    principal = who("bob", "top", "head")
    with pytest.raises(TenantRefused, match="is being deleted"):
        resolve_tenant(
            principal, Selectors("gone"), snapshot.tenants, NOW, lambda p, name: reach_child(snapshot, p, name, NOW)
        )


@pytest.mark.parametrize(
    ("now", "served", "read_only", "until"),
    [
        (1199.9, True, "", 1200.0),
        (1200.0, True, "the trial has ended", 1300.0),
        (1299.9, True, "the trial has ended", 1300.0),
        (1300.0, False, "", None),
    ],
)
def test_a_trial_by_the_clock(
    snapshot: Snapshot, now: float, served: bool, read_only: str, until: float | None
) -> None:
    standing = standing_of(snapshot.tenants["trial"], now)
    assert (standing.is_served, standing.read_only, standing.until) == (served, read_only, until)
    principal = who("bob", "trial", "plain")
    if served:
        assert admission_of(snapshot, principal, "trial", now).read_only == read_only
    else:
        with pytest.raises(TenantRefused):
            admission_of(snapshot, principal, "trial", now)


def test_without_the_flag_write_a_tenant_is_read_only(snapshot: Snapshot) -> None:
    standing = standing_of(snapshot.tenants["shut"], NOW)
    assert (standing.is_served, standing.read_only) == (True, "changes are switched off for this tenant")
