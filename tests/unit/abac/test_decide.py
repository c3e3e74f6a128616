"""How policies change what roles give. Adding one that takes something away never enlarges anything."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from typing import Any

from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from policy.abac.decide import Decider
from policy.abac.facts import Asker, Surroundings, address_of
from policy.abac.masks import is_written
from policy.access import Access, TableAccess
from policy.document import parse_policy
from policy.model import Principal
from policy.rbac import resolve_access
from policy.snapshot import Snapshot

_BASE = """
tenants:
  acme: {isolation: shared, target: shop, tier: gold, attributes: {country: de}}
  own: {isolation: schema, target: shop, schema: own}
roles:
  app: {permissions: ["table:*:write"], masks: {customers: {card: "'*'"}}}
  eu: {permissions: ["table:orders:read"], row_filters: {orders: "region = 'eu'"}}
  clerk: {permissions: ["table:orders:read"], deny: ["table:customers:*"]}
tables:
  shop:
    customers: {tenant_column: tenant_id, tags: [crm], columns: {email: [pii], card: [pci, pii]}}
    orders: {tenant_column: tenant_id, tags: [sales]}
    countries: {global: true}
    exports: {denied: true}
policies:
"""
_PHASES = (Phase.explicit, Phase.reuse, Phase.generate)  # to make them smaller takes minutes
_ACTIONS = ("select", "insert", "update", "delete", "copy")
_SCOPES = st.sampled_from(
    [
        "action, resource", 'action == Action::"select", resource', 'action == Action::"delete", resource',
        'action in [Action::"insert", Action::"update"], resource', "action, resource is Column",
        'action, resource == Table::"orders"', 'action, resource in Table::"customers"',
        'action == Action::"select", resource == Column::"customers.email"', "action, resource is Table",
    ]
)  # fmt: skip
_CONDITIONS = st.sampled_from(
    [
        "true", 'resource.tags.contains("pii")', 'resource.tags.contains("sales")', 'principal.roles.contains("app")',
        'context.ip.isInRange(ip("10.0.0.0/8"))', "context.hour >= 8", 'context.amr.contains("mfa")', "context.tls",
        'principal.hasTag("region") && principal.getTag("region") == "eu"', 'principal.tenant.tier == "gold"',
        'principal.tenant.hasTag("country") && principal.tenant.getTag("country") == "de"', "context.weekday == 6",
    ]
)  # fmt: skip
_EFFECTS = st.sampled_from(
    [
        "mask: hash", "mask: email", "mask: {partial: {last: 4}}", "mask: 'null'", 'row_filter: "region = \'us\'"',
        'row_filter: "total > 5"', "limit: {rows: 10}", "limit: {bytes: 1000}", "mask: {sql: \"left(email, 1)\"}",
    ]
).map(lambda text: "{" + text + "}")  # fmt: skip
_RESTRICTIONS = st.one_of(
    st.tuples(st.just("forbid"), _SCOPES, _CONDITIONS, st.just("deny")),
    st.tuples(st.just("permit"), _SCOPES, _CONDITIONS, _EFFECTS | st.sampled_from(["require_mfa", "require_approval"])),
)
_ALLOWS = st.tuples(st.just("permit"), _SCOPES, _CONDITIONS, st.just("allow"))
_Policy = tuple[str, str, str, str]


def _snapshot(policies: list[_Policy]) -> Snapshot:
    lines = [
        f"  p{n}: {{cedar: '{verb} (principal, {scope}) when {{ {condition} }};', effect: {effect}}}"
        for n, (verb, scope, condition, effect) in enumerate(policies)
    ]
    return parse_policy(_BASE + "\n".join(lines) + "\n", version=1, targets=["shop"])


_ASKERS: dict[str, Any] = {
    "roles": st.sets(st.sampled_from(["app", "eu", "clerk"])).map(frozenset),
    "tenant": st.sampled_from(["acme", "own"]),
    "address": st.sampled_from(["10.1.2.3", "192.0.2.1", ""]),
    "amr": st.sampled_from([frozenset(), frozenset({"mfa"})]),
    "region": st.sampled_from([None, "eu"]),
    "hour": st.integers(0, 23),
}


def _decide(snapshot: Snapshot, who: dict[str, Any]) -> Access:
    tenant = snapshot.tenants[who["tenant"]]
    attributes = {"region": who["region"]} if who["region"] else {}
    principal = Principal("ann", frozenset({tenant.id}), who["roles"], "jwt", attributes, amr=who["amr"])
    around = Surroundings(who["address"], tls=True)
    asker = Asker(principal, tenant, around, 1_764_288_000.0 + 3600 * who["hour"], who["roles"])
    return Decider(snapshot).decide(resolve_access(snapshot, tenant, who["roles"]), asker)


def _allowed(access: TableAccess) -> set[str]:
    given = {"select": access.read, "copy": access.copy}
    given |= {kind: access.for_write(kind).write for kind in ("insert", "update", "delete")}
    return {action for action in _ACTIONS if given[action] and action not in access.policy.refusals}


def _is_no_more(less: TableAccess, more: TableAccess) -> None:
    assert _allowed(less) <= _allowed(more)
    assert less.denied >= more.denied
    assert less.masks.keys() | less.denied >= more.masks.keys()
    _filter_is_no_wider(less.filter_for_reading, more.filter_for_reading)
    for kind in ("insert", "update", "delete"):
        _filter_is_no_wider(less.for_write(kind).row_filter, more.for_write(kind).row_filter)
    for limit in ("rows", "bytes"):
        old, new = getattr(more.policy, limit), getattr(less.policy, limit)
        assert old is None or (new is not None and new <= old)
    for action, approvals in more.policy.approvals.items():
        assert set(approvals) <= set(less.policy.approvals.get(action, ()))


def _filter_is_no_wider(less: str | None, more: str | None) -> None:
    """Filters of these tests are joined by AND only."""
    parts = set() if more is None else {part.strip("()") for part in more.split(" AND ")}
    assert parts <= (set() if less is None else {part.strip("()") for part in less.split(" AND ")})


@given(st.lists(_RESTRICTIONS | _ALLOWS, max_size=3), _RESTRICTIONS, st.fixed_dictionaries(_ASKERS))
@settings(max_examples=50, deadline=None, phases=_PHASES)
def test_a_policy_that_restricts_never_enlarges(policies: list[_Policy], more: _Policy, who: dict[str, Any]) -> None:
    before, after = _decide(_snapshot(policies), who), _decide(_snapshot([*policies, more]), who)
    for key in {*before.tables, *after.tables}:
        _is_no_more(after.table(*key), before.table(*key))
    _is_no_more(after.default, before.default)
    assert set(after.policy.refusals) >= set(before.policy.refusals)


@given(st.lists(_RESTRICTIONS, max_size=3), _ALLOWS, st.fixed_dictionaries(_ASKERS))
@settings(max_examples=40, deadline=None, phases=_PHASES)
def test_allow_takes_nothing_away_and_lifts_no_restriction(
    policies: list[_Policy], more: _Policy, who: dict[str, Any]
) -> None:
    before, after = _decide(_snapshot(policies), who), _decide(_snapshot([*policies, more]), who)
    for key in {*before.tables, *after.tables}:
        old, new = before.table(*key), after.table(*key)
        assert _allowed(old) <= _allowed(new)
        assert (old.denied, old.masks, old.filter_for_reading) == (new.denied, new.masks, new.filter_for_reading)
        assert set(old.policy.refusals) <= set(new.policy.refusals)
    if who["tenant"] == "acme":
        assert _allowed(after.table("public", "exports")) == set()
        assert after.table("public", "countries").write is False
    if "clerk" in who["roles"]:  # a denial of roles wins
        assert "select" not in _allowed(after.table("public", "customers"))


@given(st.lists(_RESTRICTIONS | _ALLOWS, max_size=4), st.fixed_dictionaries(_ASKERS))
@settings(max_examples=30, deadline=None, phases=_PHASES)
def test_policies_on_trial_change_nothing_but_notes(policies: list[_Policy], who: dict[str, Any]) -> None:
    active = _snapshot(policies)
    trial = replace(active, policies={name: replace(p, state="dry_run") for name, p in active.policies.items()})
    plain = _decide(_snapshot([]), who)
    decided = _decide(trial, who)
    for key in decided.tables:
        tried, alone = decided.table(*key), plain.table(*key)
        assert replace(tried, policy=alone.policy) == alone
        assert not tried.policy.restricts
    assert Decider(active).book.policies.keys() == Decider(trial).book.policies.keys()


def _of(policies: str, **who: Any) -> Access:
    asked: dict[str, Any] = {
        "roles": frozenset({"app"}), "tenant": "acme", "address": "10.1.2.3", "amr": frozenset(), "region": None,
        "hour": 12,
    }  # fmt: skip
    return _decide(parse_policy(_BASE + policies, version=1, targets=["shop"]), asked | who)


def test_two_masks_of_one_column_contradict_each_other() -> None:
    pii = 'permit (principal, action, resource is Column) when { resource.tags.contains("pii") };'
    text = f"  a: {{cedar: '{pii}', effect: {{mask: hash}}}}\n  b: {{cedar: '{pii}', effect: {{mask: email}}}}\n"
    customers = _of(text).table("public", "customers")
    assert '"null"' in customers.masks["email"]
    assert "policy a, b: masks of email contradict each other: NULL" in customers.policy.notes
    customers = _of(text[: text.index("  b:")]).table("public", "customers")
    assert is_written(customers.masks["card"])
    assert "'*'" in customers.masks["card"]  # laid over that of the role


def test_a_mask_that_reaches_columns_nobody_listed_shows_nothing() -> None:
    text = "  a: {cedar: 'permit (principal, action, resource in Table::\"customers\");', effect: {mask: hash}}\n"
    access = _of(text)
    assert "select" not in _allowed(access.table("public", "customers"))
    assert "select" in _allowed(access.table("public", "orders"))


def test_what_cannot_be_evaluated_counts_where_it_takes_away() -> None:
    text = (
        "  a: {cedar: 'forbid (principal, action, resource) when { context.ip.isLoopback() };'}\n"
        "  b: {cedar: 'permit (principal, action, resource) when { !context.ip.isLoopback() };', effect: allow}\n"
    )
    nowhere = _of(text, address="", roles=frozenset()).table("public", "orders")  # a socket without an address
    assert _allowed(nowhere) == set()
    assert not nowhere.read
    assert _allowed(_of(text).table("public", "orders")) == set(_ACTIONS)
    assert _allowed(_of(text, roles=frozenset()).table("public", "orders")) == set(_ACTIONS)


def test_sessions_that_policies_cannot_tell_apart_share_their_plans() -> None:
    text = "  a: {cedar: 'forbid (principal, action, resource) unless { context.ip.isInRange(ip(\"10.0.0.0/8\")) };'}\n"
    assert _of(text, address="10.1.1.1").id == _of(text, address="10.2.2.2", hour=3, region="eu").id
    assert _of(text, address="10.1.1.1").id != _of(text, address="192.0.2.1").id


def test_addresses() -> None:
    assert address_of("10.0.0.1:5432") == "10.0.0.1"
    assert address_of("::1:5432") == "::1"
    assert address_of("::ffff:10.0.0.1:5432") == "10.0.0.1"
    assert address_of("local") == ""


def test_cedar_is_loaded_only_where_there_are_policies() -> None:
    code = (
        "import sys\nimport proxy.server, policy.document\n"
        "policy.document.parse_policy('tenants: {a: {isolation: shared, target: t}}', version=1, targets=['t'])\n"
        "assert 'cedarpy' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
