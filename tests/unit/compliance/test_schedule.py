"""Periods of scheduled reports, and who makes one: whole days in UTC, one process for each, failures told."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from admin.cli.api_reports import load_schedules
from admin.compliance.schedule import last_period
from admin.services.reports import LEASE_S, failed, made, take
from admin.store.engine import Store, store_url
from admin.store.upgrade import upgrade
from policy.errors import ConfigurationError


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("every", "now", "name", "since", "until"),
    [
        ("day", "2026-03-01T00:00:00", "2026-02-28", "2026-02-28", "2026-03-01"),
        ("day", "2026-03-01T23:59:59", "2026-02-28", "2026-02-28", "2026-03-01"),
        ("week", "2026-11-29T12:00:00", "2026-W47", "2026-11-16", "2026-11-23"),
        ("week", "2026-11-30T00:00:00", "2026-W48", "2026-11-23", "2026-11-30"),
        ("week", "2027-01-04T08:00:00", "2026-W53", "2026-12-28", "2027-01-04"),
        ("month", "2026-01-15T12:00:00", "2025-12", "2025-12-01", "2026-01-01"),
        ("month", "2028-03-01T00:00:00", "2028-02", "2028-02-01", "2028-03-01"),
    ],
)
def test_a_period_is_the_last_whole_one(every: str, now: str, name: str, since: str, until: str) -> None:
    period = last_period(every, at(now))
    assert (period.name, period.since, period.until) == (name, at(since), at(until))


class Clock:
    def __init__(self) -> None:
        self.now = at("2026-11-28T04:00:00")

    def __call__(self) -> float:
        return self.now


async def test_one_process_makes_a_report_and_failures_are_events(tmp_path: Path) -> None:
    clock = Clock()
    stores = [Store(store_url(f"sqlite:///{tmp_path / 'store.db'}"), clock=clock) for _ in range(2)]
    first, second = stores
    await upgrade(first)
    assert await take(first, "soc2/*/day", "2026-11-27", "a")
    assert not await take(second, "soc2/*/day", "2026-11-27", "b")
    assert await take(second, "soc2/acme/day", "2026-11-27", "b")
    await failed(first, "soc2/*/day", "2026-11-27", "a", "the disk is full")
    assert not await take(second, "soc2/*/day", "2026-11-27", "b")
    clock.now += 60.5
    assert await take(second, "soc2/*/day", "2026-11-27", "b")
    await failed(first, "soc2/*/day", "2026-11-27", "a", "of one who has it no more")
    clock.now += LEASE_S - 1
    assert not await take(first, "soc2/*/day", "2026-11-27", "a")
    clock.now += 2
    assert await take(first, "soc2/*/day", "2026-11-27", "a")
    await made(first, "soc2/*/day", "2026-11-27", "a", "8 controls")
    clock.now += 10 * LEASE_S
    assert not await take(second, "soc2/*/day", "2026-11-27", "b")
    for store in stores:
        await store.close()


CONFIG = """
[[compliance.schedule]]
framework = "soc2"
every = "day"
directory = "reports"
formats = ["json"]
"""


def test_schedules_are_read_and_mistakes_told_at_once(tmp_path: Path) -> None:
    path = tmp_path / "tenantgate.toml"
    path.write_text(CONFIG)
    (schedule,) = load_schedules(path, {})
    assert schedule.name == "soc2/*/day"
    assert schedule.directory == tmp_path / "reports"
    path.write_text(CONFIG + CONFIG + '[[compliance.schedule]]\nframework = "sox"\nevery = "year"\nformats = ["doc"]\n')
    with pytest.raises(ConfigurationError) as raised:
        load_schedules(path, {})
    said = " ".join(f"{key} {message}" for key, message, _ in raised.value.problems)
    for mistake in ("soc2/*/day twice", "'sox'", "'year'", "'doc'", "directory is missing"):
        assert mistake in said
