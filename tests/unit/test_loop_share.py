"""A tenant's share of the event loop for compiling."""

from __future__ import annotations

from proxy.quotas import LoopShare


def test_a_burst_is_free_and_then_time_pays() -> None:
    share = LoopShare()
    for _ in range(10):
        share.spend(0.009, now=100.0)
    assert not share.is_spent
    share.spend(0.02, now=100.0)
    assert share.is_spent
    assert not share.has_recovered(101.0)
    assert share.has_recovered(103.0)
    assert not share.is_spent


def test_over_a_long_time_no_more_than_the_share_is_spent() -> None:
    share = LoopShare()
    spent, now = 0.0, 0.0
    while now < 1000.0:
        if not share.is_spent or share.has_recovered(now):
            share.spend(0.05, now)
            spent += 0.05
        now += 0.01
    assert spent <= LoopShare.SHARE * 1000 + LoopShare.BURST_S + 0.05


def test_who_was_quiet_has_no_more_than_the_burst() -> None:
    share = LoopShare()
    share.spend(0.001, now=0.0)
    share.spend(LoopShare.BURST_S * 2, now=10_000.0)
    assert share.is_spent
