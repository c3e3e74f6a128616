"""Token buckets and what a tenant uses of its quotas."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policy.errors import QuotaExceeded
from policy.model import QuotaLimits
from policy.quotas import TokenBucket
from proxy.errors import LocalProtocolError
from proxy.quotas import TenantUsage

_rates = st.floats(0.001, 1e5) | st.integers(1, 100_000)
_bursts = st.integers(1, 1000)
_starts = st.floats(0, 2e9)
_steps = st.lists(st.floats(0, 5) | st.sampled_from([0.0, 1e-7, 1e-3]), min_size=1, max_size=60)


@given(rate=_rates, burst=_bursts, start=_starts, steps=_steps)
@settings(max_examples=200, deadline=None)
def test_no_span_admits_more_than_its_burst_and_rate(rate: float, burst: int, start: float, steps: list[float]) -> None:
    bucket = TokenBucket(rate, burst, start)
    exact = Fraction(rate).limit_denominator(1000)
    now, admitted = start, []
    for step in steps:
        now += step
        if bucket.take(now) == 0.0:
            admitted.append(now)
    for i, first in enumerate(admitted):
        for count, last in enumerate(admitted[i:], 1):
            span = Fraction(last) - Fraction(first) + Fraction(1, 1_000_000)  # times are rounded to microseconds
            assert count <= burst + exact * span


@given(rate=_rates, burst=_bursts, start=_starts, steps=_steps)
@settings(max_examples=200, deadline=None)
def test_after_the_wait_it_names_the_next_is_admitted(
    rate: float, burst: int, start: float, steps: list[float]
) -> None:
    bucket, now = TokenBucket(rate, burst, start), start
    for step in steps:
        now += step
        wait = bucket.take(now)
        if wait:
            now += wait
            assert bucket.take(now) == 0.0
            assert wait <= 1 / float(rate) + 3e-6 + 0.001 / float(rate) / float(rate)


@given(rate=_rates, burst=_bursts)
@settings(max_examples=100, deadline=None)
def test_a_full_bucket_holds_exactly_its_burst(rate: float, burst: int) -> None:
    bucket = TokenBucket(rate, burst, 0.0)
    assert [bucket.take(0.0) for _ in range(burst)] == [0.0] * burst
    assert bucket.take(0.0) > 0


def test_nothing_drifts_over_a_million_statements() -> None:
    bucket = TokenBucket(1000.0, 1, 0.0)
    assert all(bucket.take(n / 1000) == 0.0 for n in range(1_000_000))


def test_a_clock_that_steps_back_gives_and_takes_nothing() -> None:
    bucket = TokenBucket(1.0, 2, 100.0)
    assert [bucket.take(100.0), bucket.take(50.0)] == [0.0, 0.0]
    assert bucket.take(50.0) > 0
    assert bucket.take(100.5) > 0
    assert bucket.take(101.0) == 0.0


@pytest.mark.parametrize(("rate", "burst"), [(0.0, 1), (-1.0, 1), (1.0, 0), (1e-9, 1)])
def test_a_bucket_that_would_never_fill_is_refused(rate: float, burst: int) -> None:
    with pytest.raises(ValueError, match="positive"):
        TokenBucket(rate, burst, 0.0)


def test_resizing_keeps_what_is_used() -> None:
    bucket = TokenBucket(1.0, 10, 0.0)
    for _ in range(4):
        bucket.take(0.0)
    smaller = bucket.resized(0.5, 5, 0.0)
    assert [smaller.take(0.0), smaller.take(0.0) > 0] == [0.0, True]
    larger = bucket.resized(1.0, 100, 0.0)
    assert [larger.take(0.0) for _ in range(96)] == [0.0] * 96
    assert larger.take(0.0) > 0


class TestTenantUsage:
    def test_without_limits_everything_is_admitted(self) -> None:
        usage = TenantUsage("acme", QuotaLimits())
        for _ in range(1000):
            usage.admit_connection()
            usage.admit_statement(0.0)
        assert (usage.connections, usage.statements) == (1000, 1000)

    def test_connections(self) -> None:
        usage = TenantUsage("acme", QuotaLimits(connections=1))
        usage.admit_connection()
        with pytest.raises(QuotaExceeded) as raised:
            usage.admit_connection()
        assert raised.value.sqlstate == "53300"
        assert raised.value.detail is None
        assert '"acme" (limit 1)' in raised.value.message
        usage.release_connection()
        usage.admit_connection()

    def test_concurrent_statements_take_no_token_when_refused(self) -> None:
        usage = TenantUsage("acme", QuotaLimits(concurrent_statements=1, statements_per_s=1.0, burst=2))
        usage.admit_statement(0.0)
        with pytest.raises(QuotaExceeded) as raised:
            usage.admit_statement(0.0)
        assert (raised.value.sqlstate, raised.value.detail) == ("53400", "Retry after 0.100 s.")
        usage.end_statement()
        usage.admit_statement(0.0)

    def test_the_time_to_wait_is_in_the_detail_and_is_enough(self) -> None:
        usage = TenantUsage("acme", QuotaLimits(statements_per_s=3.0, burst=1))
        usage.admit_statement(10.0)
        with pytest.raises(QuotaExceeded) as raised:
            usage.admit_statement(10.0)
        assert (raised.value.sqlstate, raised.value.detail) == ("53400", "Retry after 0.334 s.")
        assert raised.value.retry_after_s is not None
        assert usage.statements == 1
        usage.admit_statement(10.0 + raised.value.retry_after_s)

    def test_the_burst_is_a_second_unless_configured(self) -> None:
        usage = TenantUsage("acme", QuotaLimits(statements_per_s=2.5))
        for _ in range(3):
            usage.admit_statement(0.0)
        with pytest.raises(QuotaExceeded):
            usage.admit_statement(0.0)

    def test_new_limits_at_a_reload(self) -> None:
        usage = TenantUsage("acme", QuotaLimits(connections=5, statements_per_s=1.0, burst=3))
        for _ in range(3):
            usage.admit_connection()
            usage.admit_statement(0.0)
        usage.set_limits(QuotaLimits(connections=2, statements_per_s=1.0, burst=3), 0.0)
        assert usage.connections == 3
        with pytest.raises(QuotaExceeded):
            usage.admit_connection()
        with pytest.raises(QuotaExceeded):
            usage.admit_statement(0.0)  # a reload is no refill
        usage.set_limits(QuotaLimits(), 0.0)
        usage.admit_statement(0.0)
        usage.admit_connection()
        usage.set_limits(QuotaLimits(statements_per_s=1.0), 0.0)
        usage.admit_statement(0.0)

    def test_what_was_not_admitted_cannot_end(self) -> None:
        usage = TenantUsage("acme", QuotaLimits())
        with pytest.raises(LocalProtocolError):
            usage.release_connection()
        with pytest.raises(LocalProtocolError):
            usage.end_statement()
