"""Changes one by one: they lead to the snapshot that a document of the outcome gives, and are checked as it is."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policy.change_checks import check_changes
from policy.changes import EMPTY, Change, read_change, snapshot_with
from policy.problems import Problems
from policy.snapshot import Snapshot
from policy.snapshot_index import SnapshotIndex, index_of

SHARED = {"isolation": "shared", "target": "main"}


def _change(kind: str, name: str, body: Any) -> Change:
    problems = Problems()
    change = read_change(problems, kind, name, body, ["main", "eu"])
    assert problems.found == []
    return change


def _snapshot(*entities: tuple[str, str, Any]) -> Snapshot:
    changes = [_change(*entity) for entity in entities]
    snapshot = snapshot_with(EMPTY, 1, changes)
    assert _problems(snapshot, changes) == {}
    return snapshot


def _problems(after: Snapshot, changes: list[Change], databases: dict[str, str] | None = None) -> dict[str, str]:
    problems = Problems()
    check_changes(problems, after, changes, databases)
    assert all(hint for _, _, hint in problems.found)
    return {key: message for key, message, _ in problems.found}


def _refused(before: Snapshot, *entities: tuple[str, str, Any]) -> dict[str, str]:
    changes = [_change(*entity) for entity in entities]
    return _problems(snapshot_with(before, 2, changes), changes, {"main": "shop"})


BASE = (
    ("flag", "reports", {"deny": ["table:reports.*:read"]}),
    ("tier", "pro", {"flags": {"reports": "off", "lanes": "off"}, "quotas": {"connections": 9, "backends": 3}}),
    ("tenant", "group", SHARED | {"slug": "g"}),
    ("tenant", "acme", SHARED | {"parent": "group", "tier": "pro", "quotas": {"connections": 5}}),
    ("tenant", "own", {"isolation": "schema", "target": "main", "schema": "own"}),
    ("tenant", "alone", {"isolation": "database", "target": "main", "database": "alone"}),
    ("role", "clerk", {"inherits": ["analyst"]}),
    ("role", "acme/boss", {"inherits": ["clerk"]}),
    ("assignment", "a", {"subject": "alice", "tenant": "acme", "roles": ["boss"]}),
    ("tables", "main", {"orders": {"tenant_column": "t"}}),
)


@pytest.mark.parametrize(
    ("change", "place", "message"),
    [
        (("tenant", "group", SHARED | {"parent": "acme"}), "tenants.group.parent", "group > acme > group"),
        (("tenant", "group", SHARED | {"parent": "group"}), "tenants.group.parent", "cycle"),
        (("tenant", "new", SHARED | {"parent": "acmee"}), "tenants.new.parent", "no tenant 'acmee'"),
        (("tenant", "new", SHARED | {"tier": "prp"}), "tenants.new.tier", "unknown tier"),
        (("tenant", "new", SHARED | {"flags": {"copi": "off"}}), "tenants.new.flags.copi", "unknown flag"),
        (("tenant", "new", SHARED | {"slug": "g"}), "tenants.new.slug", "another tenant"),
        (("tenant", "new", SHARED | {"slug": "acme"}), "tenants.new.slug", "another tenant"),
        (("tenant", "new", SHARED | {"value": "acme"}), "tenants.new.value", "tenant acme"),
        (("tenant", "new", SHARED | {"database": "alone"}), "tenants.new.database", "alone keeps"),
        (("tenant", "new", {"isolation": "database", "target": "main", "database": "shop"}),
         "tenants.new.database", "keeps its rows"),
        (("tenant", "new", {"isolation": "schema", "target": "main", "schema": "own"}), "tenants.new.schema", "own"),
        (("tenant", "new", {"isolation": "schema", "target": "main", "schema": "public", "database": "shop"}),
         "tenants.new.schema", "holds tables"),
        (("tables", "main", {"own.orders": {"tenant_column": "t"}}), "tenants.own.schema", "holds tables"),
        (("tenant", "group", None), "tenants.group", "tenants.acme.parent"),
        (("tenant", "acme", None), "tenants.acme", 'roles."acme/boss", assignments.a'),
        (("role", "analyst2", {"inherits": ["analist"]}), "roles.analyst2.inherits[0]", "no role"),
        (("role", "clerk", {"inherits": ["clerk"]}), "roles.clerk.inherits", "clerk > clerk"),
        (("role", "boss", {}), "roles.boss", "acme/boss"),
        (("role", "acme/clerk", {}), 'roles."acme/clerk"', "everybody's"),
        (("role", "nobody/x", {}), 'roles."nobody/x"', "no tenant 'nobody'"),
        (("role", "x", {"row_filters": {"own.orders": "true"}}), 'roles.x.row_filters."own.orders"', "own schema"),
        (("role", "clerk", None), "roles.clerk", 'roles."acme/boss".inherits'),
        (("role", "acme/boss", None), 'roles."acme/boss"', "assignments.a.roles"),
        (("assignment", "b", {"subject": "x", "tenant": "acmee", "roles": ["clerk"]}), "assignments.b.tenant", "acmee"),
        (("assignment", "b", {"subject": "x", "tenant": "group", "roles": ["boss"]}), "assignments.b.roles[0]", "boss"),
        (("tier", "pro", None), "tiers.pro", "tenants.acme.tier"),
        (("tier", "other", {"flags": {"nope": "on"}}), "tiers.other.flags.nope", "unknown flag"),
        (("flag", "reports", None), "flags.reports", "tiers.pro.flags"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_with_its_place(change: tuple[str, str, Any], place: str, message: str) -> None:
    base = list(BASE)
    if change[:2] == ("tier", "pro"):
        base.append(("tier", "free", {}))
    found = _refused(_snapshot(*base), change)
    assert list(found) == [place]
    assert message in found[place]


def test_a_cycle_of_roles_is_told_once_with_its_path() -> None:
    roles = [("role", a, {"inherits": [b]}) for a, b in ("ab", "bc", "ca", "da")]
    found = _refused(EMPTY, *roles)
    assert list(found) == ["roles.a.inherits"]
    assert found["roles.a.inherits"].endswith("a > b > c > a")


def test_tiers_flags_and_own_words_are_in_force_together() -> None:
    tenant = _snapshot(*BASE).tenants["acme"]
    assert (tenant.quotas.connections, tenant.quotas.backends) == (5, 3)
    assert tenant.off == {"reports", "lanes"}
    assert not tenant.lanes
    assert tenant.written is not None
    assert tenant.written.quotas.backends is None


def test_a_change_of_a_tier_reaches_its_tenants_and_can_be_taken_back() -> None:
    first = _snapshot(*BASE)
    second = snapshot_with(first, 2, [_change("tier", "pro", {"quotas": {"backends": 7}})])
    assert second.tenants["acme"].quotas.backends == 7
    assert second.tenants["acme"].lanes
    assert second.tenants["group"] is first.tenants["group"]
    third = snapshot_with(second, 3, [_change(*BASE[1])])
    assert third.tenants == first.tenants


def test_a_flag_that_is_off_lowers_quotas_and_never_raises_them() -> None:
    flag = {"quotas": {"connections": 10, "statements_per_s": 5}, "default": "off"}
    for own, expected in ((None, 10), (3, 3), (30, 10)):
        quotas = {} if own is None else {"quotas": {"connections": own}}
        snapshot = _snapshot(("flag", "full", flag), ("tenant", "t", SHARED | quotas))
        assert snapshot.tenants["t"].quotas.connections == expected
        assert snapshot.tenants["t"].quotas.statements_per_s == 5


# Any sequence of changes

_TENANT_BODIES = st.builds(
    lambda place, parent, slug: place | parent | slug,
    st.sampled_from(
        [
            SHARED, SHARED | {"value": "7"}, SHARED | {"database": "shop"}, SHARED | {"target": "eu"},
            {"isolation": "schema", "target": "main", "schema": "s"},
            {"isolation": "schema", "target": "main", "schema": "s", "database": "shop"},
            {"isolation": "schema", "target": "main", "schema": "public"},
            {"isolation": "database", "target": "main"}, {"isolation": "database", "target": "eu", "database": "d"},
        ]
    ),
    st.sampled_from([{}, {"parent": "a"}, {"parent": "b"}]),
    st.sampled_from([{}, {"slug": "s"}]),
)  # fmt: skip
_ONE_CHANGE = st.one_of(
    st.tuples(st.just("tenant"), st.sampled_from("abc"), _TENANT_BODIES | st.none()),
    st.tuples(
        st.just("tables"), st.just("main"),
        st.sampled_from([None, {"s.x": {"global": True}}, {"x": {"global": True}}]),
    ),
    st.tuples(
        st.just("role"), st.sampled_from(["r", "q", "a/own"]),
        st.sampled_from(
            [None, {}, {"inherits": ["q"]}, {"inherits": ["r", "analyst"]}, {"masks": {"s.x": {"y": "NULL"}}}]
        ),
    ),
    st.tuples(
        st.just("assignment"), st.sampled_from("xy"),
        st.sampled_from([None, *({"subject": "u", "tenant": t, "roles": [r]} for t in "ab" for r in ("r", "own"))]),
    ),
)  # fmt: skip


@given(st.lists(st.lists(_ONE_CHANGE, min_size=1, max_size=3, unique_by=lambda c: c[:2]), max_size=8))
@settings(max_examples=120, deadline=None)
def test_changes_one_by_one_are_what_the_whole_is(steps: list[list[tuple[str, str, Any]]]) -> None:
    databases = {"main": "shop", "eu": "eu"}
    snapshot = snapshot_with(EMPTY, 0, [])
    index_of(snapshot)
    for step in steps:
        changes = [_change(*entity) for entity in step]
        after = snapshot_with(snapshot, 0, changes)
        whole = [
            Change(kind, name, entity)
            for kind, section in (("tenant", after.tenants), ("role", after.roles), ("assignment", after.assignments),
                                  ("tables", after.tables))
            for name, entity in section.items()
        ]  # fmt: skip
        anew = snapshot_with(EMPTY, 0, whole)
        assert anew == after
        assert bool(_problems(after, changes, databases)) == bool(_problems(anew, whole, databases))
        assert _content(index_of(after)) == _content(index_of(anew))
        if not _problems(after, changes, databases):
            snapshot = after


def _content(index: SnapshotIndex) -> dict[str, Any]:
    """An index without what is empty, and without the order of things."""
    found: dict[str, Any] = {}
    for name in ("assigned", "children", "databases", "own_schemas", "per_target", "rows", "schemas", "sharing",
                 "slugs", "values"):  # fmt: skip
        mapping = getattr(index, name)
        found[name] = {
            key: sorted(a.id for a in value) if isinstance(value, tuple) else value
            for key, value in mapping.items()
            if value
        }
    return found


# Ten thousand tenants


def test_ten_thousand_tenants_and_a_thousand_roles() -> None:
    entities: list[tuple[str, str, Any]] = [("tier", "pro", {"quotas": {"connections": 9}})]
    entities += [
        ("tenant", f"t{i}", SHARED | {"tier": "pro", "parent": f"t{i // 10}"} if i else SHARED) for i in range(10_000)
    ]
    entities += [
        ("role", f"r{i}", {"permissions": ["table:orders:read"], "inherits": [f"r{i // 2}"] if i else []})
        for i in range(1000)
    ]
    entities += [
        ("assignment", f"a{i}", {"subject": f"u{i}", "tenant": f"t{i}", "roles": ["r7"]}) for i in range(10_000)
    ]
    entities.append(("tables", "main", {f"t{i}": {"tenant_column": "t"} for i in range(300)}))
    started = time.process_time()
    changes = [_change(*entity) for entity in entities]
    snapshot = snapshot_with(EMPTY, 1, changes)
    assert _problems(snapshot, changes) == {}
    assert time.process_time() - started < 20  # of the processor; some 1 s: what is quadratic takes minutes
    quickest = 1.0
    for version in range(2, 12):
        change = [_change("tenant", "t77", SHARED | {"status": "suspended", "parent": f"t{version}"})]
        started = time.process_time()
        snapshot = snapshot_with(snapshot, version, change)
        assert _problems(snapshot, change) == {}
        quickest = min(quickest, time.process_time() - started)
    assert quickest < 0.2  # some 2 ms
    assert list(index_of(snapshot).below("t77"))[:2] == ["t770", "t771"]
