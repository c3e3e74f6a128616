"""Quotas of parents bound the sum of their children: in one process against a model, and with processes that race."""

from __future__ import annotations

import os
import random
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policy.changes import EMPTY, Change, snapshot_with
from policy.errors import QuotaExceeded
from policy.model import Isolation, QuotaLimits, Tenant
from policy.snapshot import Snapshot
from proxy.quota_tree import QuotaGroups, bounding
from proxy.quotas import TenantUsage
from proxy.workers.table import QuotaTable, create_table
from proxy.workers.usage import SharedUsage

NAMES = ("root", "left", "right", "leaf", "other")
PARENTS = {"left": "root", "right": "root", "leaf": "left"}
_FEW = st.none() | st.integers(1, 3)
_LIMITS = st.builds(QuotaLimits, connections=_FEW, concurrent_statements=_FEW)


def _tenant(name: str, limits: QuotaLimits, parent: str | None) -> Tenant:
    return Tenant(name, Isolation.SHARED, "main", name, quotas=limits, parent=parent)


def _snapshot(limits: dict[str, QuotaLimits], parents: dict[str, str]) -> Snapshot:
    tenants = [_tenant(name, limits.get(name, QuotaLimits()), parents.get(name)) for name in NAMES]
    return snapshot_with(EMPTY, 1, [Change("tenant", tenant.id, tenant) for tenant in tenants])


def _usages(snapshot: Snapshot) -> tuple[dict[str, TenantUsage], QuotaGroups]:
    groups = QuotaGroups(TenantUsage)
    usages = {name: TenantUsage(name, snapshot.tenants[name].quotas) for name in NAMES}
    for name, usage in usages.items():
        usage.set_groups(groups.of(snapshot, snapshot.tenants[name], 0.0))
    return usages, groups


def _below(name: str, parents: dict[str, str]) -> set[str]:
    found = {name}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def test_whose_quotas_bound_a_tenant() -> None:
    limited = QuotaLimits(connections=1)
    snapshot = _snapshot({"root": limited, "left": QuotaLimits(backends=1), "leaf": limited}, PARENTS)
    bound = {name: [tenant.id for tenant in bounding(snapshot, snapshot.tenants[name])] for name in NAMES}
    assert bound == {"root": ["root"], "left": ["root"], "right": ["root"], "leaf": ["root"], "other": []}


def test_a_refusal_tells_nothing_of_the_others() -> None:
    usages, _ = _usages(_snapshot({"root": QuotaLimits(connections=1, statements_per_s=1)}, PARENTS))
    usages["right"].admit_connection()
    with pytest.raises(QuotaExceeded) as raised:
        usages["leaf"].admit_connection()
    assert raised.value.message == 'too many connections for tenant "leaf" and those that share with it (limit 1)'
    assert (raised.value.sqlstate, raised.value.quota) == ("53300", "connections")
    usages["right"].admit_statement(0.0)
    with pytest.raises(QuotaExceeded, match='tenant "leaf" and those') as too_fast:
        usages["leaf"].admit_statement(0.0)
    assert too_fast.value.retry_after_s is not None


def test_a_token_that_only_some_gave_is_given_back() -> None:
    limits = {"root": QuotaLimits(statements_per_s=1, burst=2), "left": QuotaLimits(statements_per_s=1, burst=1)}
    usages, _ = _usages(_snapshot(limits, PARENTS))
    usages["left"].admit_statement(0.0)
    with pytest.raises(QuotaExceeded):
        usages["left"].admit_statement(0.0)  # its own is used up
    usages["right"].admit_statement(0.0)  # the root's second one is still there
    with pytest.raises(QuotaExceeded):
        usages["right"].admit_statement(0.0)


_STEPS = st.lists(
    st.tuples(st.sampled_from(["connect", "leave", "begin", "pipe", "end", "again", "move"]), st.sampled_from(NAMES)),
    max_size=60,
)


@given(st.dictionaries(st.sampled_from(NAMES), _LIMITS), _STEPS)
@settings(max_examples=150, deadline=None)
def test_the_sum_below_never_exceeds_a_limit_and_is_refused_for_nothing_less(
    limits: dict[str, QuotaLimits], steps: list[tuple[str, str]]
) -> None:
    """The model counts what each tenant has; a tenant is admitted exactly when it and all above have room."""
    parents = dict(PARENTS)
    snapshot = _snapshot(limits, parents)
    usages, groups = _usages(snapshot)
    have = {name: {"connections": 0, "concurrent_statements": 0} for name in NAMES}

    def room(name: str, what: str) -> bool:
        above = [owner for owner in NAMES if name in _below(owner, parents)]
        return all(
            (limit := getattr(limits.get(owner, QuotaLimits()), what)) is None
            or sum(have[child][what] for child in _below(owner, parents)) < limit
            for owner in above
        )

    for step, name in steps:
        usage, mine = usages[name], have[name]
        if step == "move":
            parents = dict(PARENTS) if parents != PARENTS else {"left": "right", "leaf": "other"}
            snapshot = _snapshot(limits, parents)
            groups.follow(snapshot, usages.values(), 0.0)
        elif step == "leave" and mine["connections"]:
            usage.release_connection()
            mine["connections"] -= 1
        elif step == "end" and mine["concurrent_statements"]:
            usage.end_statement()
            mine["concurrent_statements"] -= 1
        elif step == "again":
            usage.readmit_statement()
            mine["concurrent_statements"] += 1
        elif step == "pipe":
            usage.admit_statement(0.0, pipelined=True)
        elif step in ("connect", "begin"):
            what = "connections" if step == "connect" else "concurrent_statements"
            expected = room(name, what)
            try:
                usage.admit_connection() if step == "connect" else usage.admit_statement(0.0)
            except QuotaExceeded:
                assert not expected
            else:
                assert expected
                mine[what] += 1
        assert (usage.connections, usage.statements) == tuple(mine.values())


# Processes that race. TENANTGATE_RACES=250000 makes 10^6 requests of it.

_RACES = int(os.environ.get("TENANTGATE_RACES", "3000"))
_LIMIT = 3
_BURST = _RACES * 2


def test_workers_admit_no_more_than_the_tree_allows() -> None:
    """Four processes, each with sessions of three children: never more at a time than the parent has, and of its tokens
    each one once."""
    table = create_table()
    reader, writer = os.pipe()
    children = []
    for seat in (1, 2, 3, 4):
        child = os.fork()
        if child == 0:
            os._exit(_race(table, seat, writer))
        children.append(child)
    os.close(writer)
    told = b"".join(iter(lambda: os.read(reader, 65536), b""))
    os.close(reader)
    assert [os.waitpid(child, 0)[1] for child in children] == [0, 0, 0, 0]
    admitted = sum(count for (count,) in struct.iter_unpack("q", told))
    assert admitted == _BURST


def _race(descriptor: int, seat: int, writer: int) -> int:
    """Exit status 0; 1: the parent's row once showed more than its limit."""
    table, chance = QuotaTable(descriptor, seat), random.Random(seat)
    limits = {"root": QuotaLimits(concurrent_statements=_LIMIT, statements_per_s=0.001, burst=_BURST)}
    snapshot = _snapshot(limits, {"left": "root", "right": "root", "leaf": "left"})
    groups = QuotaGroups(lambda name, given, now: SharedUsage(name, given, now, table, 1))
    usages = [SharedUsage(name, QuotaLimits(), 0.0, table, 1) for name in ("left", "right", "leaf")]
    for usage in usages:
        usage.set_groups(groups.of(snapshot, snapshot.tenants[usage.tenant], 0.0))
    row, running, admitted = table.row("root/"), list[SharedUsage](), 0
    for _ in range(_RACES):
        usage = chance.choice(usages)
        try:
            usage.admit_statement(0.0)
        except QuotaExceeded:
            pass
        else:
            admitted += 1
            running.append(usage)
        with row:
            if row.total_statements() > _LIMIT:
                return 1
        if running and chance.random() < 0.6:
            running.pop(chance.randrange(len(running))).end_statement()
    while running:
        running.pop().end_statement()
    while True:  # the tokens that are left
        try:
            usages[0].admit_statement(0.0, pipelined=True)
        except QuotaExceeded:
            break
        admitted += 1
    os.write(writer, struct.pack("q", admitted))
    return 0
