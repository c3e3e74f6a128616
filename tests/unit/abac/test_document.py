"""What is wrong with a policy is told with its place and a hint, all of it at once, and nothing of it counts."""

from __future__ import annotations

import pytest

from policy.abac.cedar import CedarError, parse_cedar
from policy.changes import EMPTY, read_change, snapshot_with
from policy.document import parse_policy
from policy.errors import ConfigurationError
from policy.problems import Problems

_PERMIT = "permit (principal, action, resource);"


@pytest.mark.parametrize(
    ("text", "line", "column", "message"),
    [
        ("permit (principal, action, resource)\nwhen { context.tls == };", 2, 23, "unexpected token"),
        ("permit (principal, action, resource) when { foo( };", 1, 50, "unexpected token"),
        ("permit (principal,\n  action", 2, 9, "unexpected end"),
        ('permit (principal, action == "select", resource);', 1, 30, "expected an entity uid"),
        ('permit (principal, action, resource)\nwhen { resource.tgs.contains("x") };', 2, 17, "attribute `tgs`"),
        ('permit (principal, action == Action::"drop", resource);', 1, 30, "unrecognized action"),
        ("permit (principal, action, resource) when { context.hour < true };", 0, 0, "expected Long"),
        ('permit (principal, action, resource) when { principal.getTag("x") == "y" };', 1, 62, "access to tag"),
        ('permit (principal, action, resource in Table::"Orders");', 0, 0, "has capitals"),
        ('permit (principal, action, resource == Column::"email");', 0, 0, "write table.column"),
        ("permit (principal == ?principal, action, resource);", 0, 0, "templates"),
        (_PERMIT + _PERMIT, 0, 0, "holds 2 policies"),
        ("// nothing", 0, 0, "holds 0 policies"),
    ],
)
def test_cedar_that_cannot_be_used(text: str, line: int, column: int, message: str) -> None:
    with pytest.raises(CedarError, match=message) as told:
        parse_cedar(text)
    assert (told.value.line, told.value.column) == (line, column)


def test_what_a_policy_asks_is_known() -> None:
    parsed = parse_cedar(
        'permit (principal is User, action, resource in Schema::"sales") when { principal.roles.contains("x") && '
        'principal.hasTag("region") && principal.getTag("region") == "eu" && context.hour < 8 && '
        'principal.tenant.tier == "gold" && resource in Table::"sales.leads" };'
    )
    assert parsed.facts == {"roles", "claim region", "hour", "tenant"}
    assert parsed.tables == {"sales.leads"}
    assert parsed.schemas == {"sales"}
    assert parse_cedar('permit (principal == User::"ann", action, resource);').facts == {"subject"}
    assert parse_cedar("forbid (principal, action, resource) when { principal == principal };").facts == {
        "subject", "roles", "method", "tenant", "claims",
    }  # fmt: skip


_BAD = """
tenants: {acme: {isolation: shared, target: shop}}
tables:
  shop:
    orders: {tenant_column: tenant_id, tags: [ok, "not ok"], columns: {Card: [pci]}}
policies:
  syntax: {cedar: "permit (principal, action, resource) when { ;"}
  word: {cedar: "permit (principal, action, resource);", effect: {masks: hash}}
  both: {cedar: "forbid (principal, action, resource);", effect: allow}
  other: {cedar: "permit (principal, action, resource);", effect: deny}
  sql: {cedar: "permit (principal, action, resource);", effect: {row_filter: "region = (SELECT 1)"}}
  sql2: {cedar: "permit (principal, action, resource);", effect: {mask: {sql: "DROP TABLE orders"}}}
  none: {cedar: "permit (principal, action, resource);", effect: {limit: {}}}
  zone: {cedar: "permit (principal, action, resource);", time_zone: Mars/Olympus}
  state: {cedar: "permit (principal, action, resource);", state: on}
  regex: {cedar: "permit (principal, action, resource);", effect: {require_approval: "("}}
  key: {cedar: "permit (principal, action, resource);", effects: allow}
  two: {cedar: "permit (principal, action, resource);", effect: {mask: hash, limit: {rows: 1}}}
  mask: {cedar: "permit (principal, action, resource);", effect: {mask: {partial: {last: -1}}}}
"""


def test_every_problem_is_told_with_its_place_and_a_hint() -> None:
    with pytest.raises(ConfigurationError) as told:
        parse_policy(_BAD, version=1, targets=["shop"])
    found = {key: (message, hint) for key, message, hint in told.value.problems}
    assert set(found) == {
        "tables.shop.orders.tags[1]", "tables.shop.orders.columns.Card", "policies.syntax.cedar",
        "policies.word.effect", "policies.both.effect", "policies.other.effect", "policies.sql.effect.row_filter",
        "policies.sql2.effect.mask.sql", "policies.none.effect.limit", "policies.zone.time_zone",
        "policies.state.state", "policies.regex.effect.require_approval", "policies.key.effects",
        "policies.two.effect", "policies.mask.effect.mask.partial.last",
    }  # fmt: skip
    assert found["policies.syntax.cedar"][0].startswith("line 1, column 45: unexpected token")
    assert found["policies.word.effect"] == ("unknown effect 'masks'", "Did you mean mask?")
    assert found["policies.both.effect"][0] == "allow contradicts the policy's forbid"
    assert all(hint for _, hint in found.values())


def test_a_change_that_is_wrong_changes_nothing() -> None:
    problems = Problems()
    change = read_change(problems, "policy", "p", {"cedar": "permit ("}, [])
    assert change.entity is None
    assert problems.found
    good = read_change(Problems(), "policy", "p", {"cedar": _PERMIT}, [])
    assert set(snapshot_with(EMPTY, 1, [good]).policies) == {"p"}
