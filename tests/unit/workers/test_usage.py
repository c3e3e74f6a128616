"""Quotas of several workers together: two seats of one table act as two workers would, and real processes race."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from policy.errors import QuotaExceeded
from policy.model import QuotaLimits
from proxy.quotas import QuotaKeeping, TenantUsage
from proxy.workers import table as table_module
from proxy.workers.door import Door
from proxy.workers.table import QuotaTable, create_table, is_table
from proxy.workers.usage import SharedUsage


@pytest.fixture
def descriptor() -> int:
    return create_table()  # stays open: a process that closes it gives up its locks


def admits(act: Callable[[], object]) -> bool:
    try:
        act()
    except QuotaExceeded:
        return False
    return True


def pair(descriptor: int, limits: QuotaLimits, version: int = 1) -> tuple[SharedUsage, SharedUsage]:
    one, two = (SharedUsage("acme", limits, 0.0, QuotaTable(descriptor, seat), version) for seat in (1, 2))
    return one, two


def test_connections_are_counted_together(descriptor: int) -> None:
    one, two = pair(descriptor, QuotaLimits(connections=3))
    one.admit_connection()
    one.admit_connection()
    two.admit_connection()
    assert not admits(one.admit_connection)
    with pytest.raises(QuotaExceeded) as raised:
        two.admit_connection()
    assert (raised.value.sqlstate, raised.value.quota) == ("53300", "connections")
    one.release_connection()
    two.admit_connection()
    assert (one.connections, two.connections) == (1, 2)


def test_running_statements_are_counted_together(descriptor: int) -> None:
    one, two = pair(descriptor, QuotaLimits(concurrent_statements=1))
    one.admit_statement(0.0)
    assert not admits(lambda: two.admit_statement(0.0))
    two.admit_statement(0.0, pipelined=True)  # behind another of its session
    one.end_statement()
    two.admit_statement(0.0)
    one.readmit_statement()  # goes on whatever the others do
    two.end_statement()
    assert not admits(lambda: two.admit_statement(0.0))


def test_tokens_come_from_one_bucket_and_are_as_many_as_of_one_process(descriptor: int) -> None:
    limits = QuotaLimits(statements_per_s=7.5, burst=4)
    one, two = pair(descriptor, limits)
    alone = TenantUsage("acme", limits, 0.0)
    for step in range(400):
        now = step * 0.037
        usage = (one, two)[step * 7 % 3 % 2]
        assert admits(lambda u=usage, t=now: u.admit_statement(t)) == admits(lambda t=now: alone.admit_statement(t))  # type: ignore[misc]


def test_a_new_policy_counts_once_however_many_workers_hear_of_it(descriptor: int) -> None:
    one, two = pair(descriptor, QuotaLimits(statements_per_s=1.0, burst=5))
    for usage in (one, two, one):
        usage.admit_statement(0.0)
    wider = QuotaLimits(statements_per_s=1.0, burst=8)
    one.set_limits(wider, 0.0, version=2)
    one.admit_statement(0.0)
    two.admit_statement(0.0)  # has not heard of it yet, and goes by it all the same
    two.set_limits(wider, 0.0, version=2)
    assert [admits(lambda u=u: u.admit_statement(0.0)) for u in (one, two, one, two)] == [True, True, True, False]  # type: ignore[misc]


def test_limits_that_come_later_find_what_is_there(descriptor: int) -> None:
    one, two = pair(descriptor, QuotaLimits())
    one.admit_connection()
    two.admit_connection()
    limits = QuotaLimits(connections=2)
    one.set_limits(limits, 0.0, version=2)
    two.set_limits(limits, 0.0, version=2)
    assert not admits(one.admit_connection)


def test_a_worker_that_ended_uses_nothing(descriptor: int) -> None:
    one, two = pair(descriptor, QuotaLimits(connections=1, concurrent_statements=1))
    one.admit_connection()
    one.admit_statement(0.0)
    supervisor = QuotaTable(descriptor, 0)
    assert not admits(two.admit_connection)
    supervisor.clear_seat(1)
    two.admit_connection()
    two.admit_statement(0.0)


def test_tenants_do_not_share_a_row(descriptor: int) -> None:
    limits = QuotaLimits(connections=1)
    names = ["acme", "acm", "e", "globex", "\0gateway", "ä"]
    usages = [SharedUsage(name, limits, 0.0, QuotaTable(descriptor, 1), 1) for name in names]
    for usage in usages:
        usage.admit_connection()
    assert not any(admits(usage.admit_connection) for usage in usages)


def test_more_tenants_than_rows_are_refused(descriptor: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table_module, "ROWS", 1)
    table = QuotaTable(descriptor, 1)
    SharedUsage("acme", QuotaLimits(connections=1), 0.0, table, 1)
    SharedUsage("unlimited", QuotaLimits(), 0.0, table, 1)
    with pytest.raises(QuotaExceeded):
        SharedUsage("globex", QuotaLimits(connections=1), 0.0, table, 1)


@pytest.mark.parametrize("when_away", ["local", "deny", "allow"])
def test_of_the_fleets_connections_only_the_share(descriptor: int, when_away: str) -> None:
    table = QuotaTable(descriptor, 0)
    keeping = QuotaKeeping(lambda: table, when_away=when_away)
    usage = SharedUsage("acme", QuotaLimits(connections=4), 0.0, QuotaTable(descriptor, 1), 1, keeping)
    row = table.row("acme")
    assert usage.has_share() is False  # nothing has been granted yet
    table.shares_until = 1 << 60
    with pytest.raises(QuotaExceeded, match="and 0 of this one") as refused:
        usage.admit_connection()
    assert (refused.value.sqlstate, usage.connections) == ("53300", 0)
    assert row.lacks_connections()
    row.put_connections_share(2)
    assert not row.lacks_connections()
    usage.admit_connection()
    assert usage.has_share()
    usage.admit_connection()
    assert not usage.has_share()
    assert row.lacks_connections()
    assert row.connections_share() == 2
    table.shares_until = 1  # the keeper is away
    assert usage.has_share()
    if when_away == "deny":
        with pytest.raises(QuotaExceeded) as denied:
            usage.admit_connection()
        assert denied.value.sqlstate == "57P03"
        return
    usage.admit_connection()
    usage.admit_connection()
    with pytest.raises(QuotaExceeded, match=r"limit 4\)"):
        usage.admit_connection()


def test_the_door_counts_all_workers(descriptor: int) -> None:
    one, two = (Door(QuotaTable(descriptor, seat)) for seat in (1, 2))
    assert one.enter(0, 3)
    assert two.enter(0, 3)
    assert two.enter(1, 3)
    assert not one.enter(1, 3)
    two.publish(1)
    assert one.enter(1, 3)


def test_a_table_is_known_by_its_size(descriptor: int) -> None:
    assert is_table(descriptor)
    os.ftruncate(other := os.memfd_create("other"), 100)
    assert not is_table(other)
    os.close(other)


@pytest.mark.parametrize("killed", [False, True])
def test_processes_that_race_admit_exactly_what_there_is(descriptor: int, killed: bool) -> None:
    """Real processes, real locks; one of them may be killed while it takes tokens, which gives none back."""
    burst = int(os.environ.get("TENANTGATE_TEST_REQUESTS", "20000"))
    limits = QuotaLimits(statements_per_s=0.001, burst=burst)
    readers, children = [], []
    for seat in (1, 2, 3, 4):
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            os._exit(_take_all(descriptor, seat, limits, writer))
        os.close(writer)
        readers.append(reader)
        children.append(child)
    if killed:
        os.read(readers[0], 1)
        os.kill(children[0], 9)
    admitted = killed + sum(_rest(reader) for reader in readers)
    for child in children:
        os.waitpid(child, 0)
    assert burst - killed <= admitted <= burst  # the killed one took a token that it could not tell of


def _take_all(descriptor: int, seat: int, limits: QuotaLimits, writer: int) -> int:
    usage = SharedUsage("acme", limits, 0.0, QuotaTable(descriptor, seat), 1)
    while admits(lambda: usage.admit_statement(0.0)):
        os.write(writer, b".")
    return 0


def _rest(reader: int) -> int:
    count = 0
    while data := os.read(reader, 65536):
        count += len(data)
    os.close(reader)
    return count
