"""Quotas per period: whatever workers do at the same time, nothing is counted twice or lost, and periods end when the
calendar says so. Clocks are given."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.errors import QuotaExceeded
from policy.model import PeriodLimit, QuotaLimits
from policy.quota_periods import PERIODS, period_bounds
from proxy.quota_alerts import Alerts
from proxy.quota_ledger import EXHAUSTED, UNBOUNDED, Ledger
from proxy.quota_state import StateFile, dump
from proxy.quotas import QuotaKeeping, TenantUsage
from proxy.workers.subjects import Subjects
from proxy.workers.table import GRANTED, STATE, QuotaTable, create_table

MINUTE = QuotaLimits(rows=PeriodLimit(100, "minute"), bytes=PeriodLimit(10_000, "hour"))
START = 1_795_824_000.0  # 2026-11-28 00:00:00 UTC


@pytest.fixture
def descriptor() -> int:
    return create_table()  # stays open: a process that closes it gives up its locks


def ledger(
    descriptor: int, limits: QuotaLimits = MINUTE, seat: int = 1, away: str | None = None, tenant: str = "acme"
) -> tuple[Ledger, Alerts]:
    table, alerts = QuotaTable(descriptor, seat), Alerts(tenant)
    return Ledger(tenant, limits, table, table.row(tenant), alerts, away), alerts


def refuses(subject: Ledger, wall: float) -> bool:
    try:
        subject.check(wall)
    except QuotaExceeded as error:
        return error.sqlstate == "53400"
    return False


class TestCalendar:
    @given(per=st.sampled_from(PERIODS), wall=st.floats(0, 4e9))
    def test_periods_follow_each_other_without_a_gap(self, per: str, wall: float) -> None:
        start, end = period_bounds(per, wall)
        assert start <= wall < end
        assert period_bounds(per, end)[0] == end
        assert period_bounds(per, start) == (start, end)
        assert start == 0 or period_bounds(per, start - 1)[1] == start

    def test_months_are_the_calendars(self) -> None:
        lengths = []
        start, end = period_bounds("month", START)
        for _ in range(15):
            lengths.append((end - start) // 86_400)
            start, end = period_bounds("month", end)
        assert lengths == [30, 31, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31, 31]


class TestPeriods:
    def test_what_is_used_up_comes_back_with_the_next_period(self, descriptor: int) -> None:
        subject, _ = ledger(descriptor)
        subject.spend(60, 0, 0, START)
        assert not refuses(subject, START + 59)
        subject.spend(40, 0, 0, START + 59.9)
        assert refuses(subject, START + 59.99)
        assert subject.allowance(START + 59.99) == (0, 10_000)
        assert not refuses(subject, START + 60)
        assert subject.allowance(START + 60) == (100, 10_000)

    def test_a_statement_counts_in_the_period_in_which_it_ends(self, descriptor: int) -> None:
        subject, _ = ledger(descriptor)
        subject.check(START + 59)
        subject.spend(100, 500, 0, START + 60.5)
        assert refuses(subject, START + 61)
        assert subject.allowance(START + 120) == (100, 9500)

    def test_an_alert_at_80_and_one_at_100_percent_once_in_a_period(self, descriptor: int) -> None:
        subject, alerts = ledger(descriptor)
        levels = []
        for second, rows in ((0, 79), (1, 1), (2, 5), (3, 15), (4, 5), (60, 80)):
            before = alerts.count
            subject.spend(rows, 0, 0, START + second)
            levels += [alert.level for alert in alerts.since(before, START + second)]
        assert levels == [80, 100, 80]

    def test_only_the_first_worker_tells_of_it_and_all_tell_their_sessions(self, descriptor: int) -> None:
        told: list[tuple[str, int]] = []
        pair = []
        for seat in (1, 2):
            table = QuotaTable(descriptor, seat)
            alerts = Alerts("acme", lambda _tenant, quota, level, _text: told.append((quota, level)))
            pair.append((Ledger("acme", MINUTE, table, table.row("acme"), alerts, None), alerts))
        for (subject, alerts), rows in zip(pair, (85, 1), strict=True):
            subject.spend(rows, 0, 0, START)
            assert len(alerts.since(0, START)) == 1
        assert told == [("rows", 80)]

    def test_other_limits_keep_what_was_used_and_another_period_begins_anew(self, descriptor: int) -> None:
        subject, _ = ledger(descriptor)
        subject.spend(90, 0, 0, START)
        subject.set_limits(QuotaLimits(rows=PeriodLimit(80, "minute")))
        assert refuses(subject, START)
        subject.set_limits(QuotaLimits(rows=PeriodLimit(80, "day")))
        assert not refuses(subject, START)

    def test_what_a_statement_may_bring_is_the_least_of_all_limits(self, descriptor: int) -> None:
        subject, _ = ledger(descriptor, QuotaLimits(rows=PeriodLimit(100, "day"), result_rows=50, result_bytes=7))
        group, _ = ledger(descriptor, QuotaLimits(rows=PeriodLimit(60, "day")), tenant="acme/")
        subject.above = (group,)
        assert subject.allowance(START) == (50, 7)
        subject.spend(30, 0, 0, START)
        assert subject.allowance(START) == (30, 7)
        subject.spend(30, 0, 0, START)
        with pytest.raises(QuotaExceeded, match='of tenant "acme" and those that share with it is used up'):
            subject.check(START)
        subject.set_limits(QuotaLimits())
        subject.above = ()
        assert subject.allowance(START) == (UNBOUNDED, UNBOUNDED)

    def test_of_a_tree_the_sum_of_the_children_counts(self, descriptor: int) -> None:
        keeping = QuotaKeeping(lambda: QuotaTable(descriptor, 1))
        group = TenantUsage("top/", QuotaLimits(rows=PeriodLimit(100, "day")), 0.0, keeping)
        children = [TenantUsage(name, QuotaLimits(), 0.0, keeping) for name in ("one", "two")]
        for child in children:
            child.set_groups((group,))
            assert child.ledger is not None
            child.ledger.spend(50, 0, 0, START)
        for child in children:
            assert child.ledger is not None
            assert refuses(child.ledger, START)


@pytest.mark.parametrize("processes", [4])
def test_processes_that_race_count_everything_and_admit_nothing_beyond(descriptor: int, processes: int) -> None:
    """Each asks before every row. A row may be under way in each of the others when the last one is admitted."""
    limit = int(os.environ.get("TENANTGATE_TEST_REQUESTS", "20000"))
    limits = QuotaLimits(rows=PeriodLimit(limit, "month"))
    readers, children = [], []
    for seat in range(1, processes + 1):
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            subject, _ = ledger(descriptor, limits, seat)
            while not refuses(subject, START):
                subject.spend(1, 0, 0, START)
                os.write(writer, b".")
            os._exit(0)
        os.close(writer)
        readers.append(reader)
        children.append(child)
    admitted = 0
    for reader in readers:
        while data := os.read(reader, 65536):
            admitted += len(data)
        os.close(reader)
    for child in children:
        assert os.waitpid(child, 0)[1] == 0
    assert limit <= admitted <= limit + processes - 1
    subject, _ = ledger(descriptor, limits, 5)
    assert subject.used(subject.gauges[0], START) == admitted


class TestShares:
    def test_nothing_beyond_what_was_granted_while_the_keeper_is_there(self, descriptor: int) -> None:
        subject, _ = ledger(descriptor, QuotaLimits(rows=PeriodLimit(1000, "day")), away="deny")
        table = QuotaTable(descriptor, 0)
        row = table.row("acme")
        with pytest.raises(QuotaExceeded) as away:
            subject.check(START)
        assert away.value.sqlstate == "57P03"
        table.shares_until = 1 << 60
        assert refuses(subject, START)  # of the first period that it knows, nothing unasked
        row.begin_period(0, *period_bounds("day", START), 10)
        row.put_period(0, STATE, 1)
        assert not refuses(subject, START)
        subject.spend(10, 0, 0, START)
        assert refuses(subject, START)
        row.put_period(0, GRANTED, 20)
        assert not refuses(subject, START)
        row.put_period(0, STATE, EXHAUSTED)
        assert refuses(subject, START)
        assert not refuses(subject, START + 86_400)  # a hundredth of a new one, until the keeper speaks
        subject.spend(10, 0, 0, START + 86_400)
        assert refuses(subject, START + 86_400)

    @pytest.mark.parametrize(
        ("away", "used", "refused"), [("local", 999, False), ("local", 1000, True), ("deny", 1, True)]
    )
    def test_without_the_keeper_as_configured(self, descriptor: int, away: str, used: int, refused: bool) -> None:
        subject, _ = ledger(descriptor, QuotaLimits(rows=PeriodLimit(1000, "day")), away=away)
        subject.spend(used, 0, 0, START)
        try:
            subject.check(START)
            assert not refused
        except QuotaExceeded:
            assert refused


class TestState:
    def test_what_was_used_outlives_the_table_and_what_is_over_does_not(self, descriptor: int, tmp_path: Path) -> None:
        subject, _ = ledger(descriptor, QuotaLimits(rows=PeriodLimit(9, "month"), bytes=PeriodLimit(9, "second")))
        wall = period_bounds("month", time.time())[0] + 0.5
        subject.spend(7, 7, 0, wall)
        file = StateFile(tmp_path / "quotas.json")
        file.save(QuotaTable(descriptor, 0))
        other = create_table()
        file.load(QuotaTable(other, 0))
        again, _ = ledger(other, subject.limits)
        assert again.used(again.gauges[0], wall) == 7
        assert again.used(again.gauges[1], wall) == 0

    @pytest.mark.parametrize(
        "text", ["", "[]", "{}", '{"format": 1, "tenants": {"zz": []}}', '{"format": 1, "tenants": {"00": [[1]]}}', "{"]
    )
    def test_a_broken_file_is_no_reason_not_to_serve(self, descriptor: int, tmp_path: Path, text: str) -> None:
        path = tmp_path / "quotas.json"
        path.write_text(text)
        table = QuotaTable(descriptor, 0)
        StateFile(path).load(table)
        assert dump(table, START) == {}


class TestSubjects:
    def test_a_user_counts_once_and_those_of_a_dead_process_not_at_all(self) -> None:
        subjects = Subjects()
        entering = [(1, "ann"), (2, "ann"), (2, "ben"), (1, "cleo")]
        assert [subjects.enter(seat, "acme", who, 2) for seat, who in entering] == [1, 1, 2, 0]
        assert subjects.enter(1, "globex", "cleo", 2) == 1
        assert subjects.leave(1, "acme", "ann") == 2
        again = Subjects(subjects.entries())
        again.clear_seat(2)
        assert again.enter(1, "acme", "cleo", 1) == 1
        assert again.leave(1, "acme", "nobody") == 1

    def test_soft_ones_are_let_in(self) -> None:
        subjects = Subjects()
        assert [subjects.enter(0, "acme", str(n), None) for n in range(3)] == [1, 2, 3]
