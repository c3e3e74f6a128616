"""[audit.watch]: what `tenantgate audit watch` looks for in the log. The gateway itself uses none of it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from proxy.config_values import Table

_HOURS: Final = re.compile(r"([01]?\d|2[0-4])-([01]?\d|2[0-4])")
DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


@dataclass(frozen=True, slots=True)
class WatchConfig:
    """A number of 0, and an empty list or text, turn a rule off.

    failed_logins, refused_statements: so many of one user within `window_s`. personal: relations whose rows a user
    reads above the habit: more than `habit_factor` times the average day and than `habit_least`. hours: `7-20`, in
    `time_zone`, on `days`. learning_days: how long a user's first use of a relation is no news. canary_relations,
    canary_tenants: nobody has business there. unusual: statements unlike a user's others, found by nearest neighbours.
    """

    enabled: bool = False
    window_s: float = 300.0
    failed_logins: int = 5
    refused_statements: int = 10
    personal: tuple[str, ...] = ()
    habit_factor: float = 5.0
    habit_least: int = 1000
    hours: str = ""
    days: tuple[str, ...] = ("mon", "tue", "wed", "thu", "fri")
    time_zone: str = "UTC"
    learning_days: int = 14
    canary_relations: tuple[str, ...] = ()
    canary_tenants: tuple[str, ...] = ()
    unusual: bool = False


def read_watch(table: Table) -> WatchConfig:
    """[audit.watch]; that it is there turns watching on."""
    default = WatchConfig()
    known = table.has("watch")
    watch = table.table("watch")
    config = WatchConfig(
        enabled=known,
        window_s=watch.duration("window_s", default.window_s, 1, 86_400),
        failed_logins=watch.integer("failed_logins", default.failed_logins, 0, 1_000_000),
        refused_statements=watch.integer("refused_statements", default.refused_statements, 0, 1_000_000),
        personal=watch.strings("personal"),
        habit_factor=float(watch.integer("habit_factor", int(default.habit_factor), 2, 1000)),
        habit_least=watch.integer("habit_least", default.habit_least, 1),
        hours=watch.optional_text("hours") or "",
        days=watch.strings("days", default.days),
        time_zone=watch.text("time_zone", default.time_zone),
        learning_days=watch.integer("learning_days", default.learning_days, 0, 3660),
        canary_relations=watch.strings("canary_relations"),
        canary_tenants=watch.strings("canary_tenants"),
        unusual=watch.boolean("unusual", default.unusual),
    )
    _check(watch, config)
    watch.finish()
    return config


def _check(watch: Table, config: WatchConfig) -> None:
    if config.hours and parse_hours(config.hours) is None:
        watch.problem("hours", f"cannot be read: {config.hours!r}", 'Write "7-20": from 7:00 and before 20:00.')
    for day in config.days:
        if day not in DAYS:
            watch.problem("days", f"has {day!r}", f"Known: {', '.join(DAYS)}.")
    try:
        ZoneInfo(config.time_zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        watch.problem("time_zone", f"is not known: {config.time_zone!r}", 'For example "Europe/Berlin".')
    for key in ("personal", "canary_relations"):
        for name in getattr(config, key):
            if "." not in name:
                watch.problem(key, f"has {name!r}", 'With its schema: "public.customers".')


def parse_hours(text: str) -> tuple[int, int] | None:
    """(from, before) in hours of the day; None for what is not that."""
    found = _HOURS.fullmatch(text)
    if found is None or int(found[1]) >= int(found[2]):
        return None
    return int(found[1]), int(found[2])
