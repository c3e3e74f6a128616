"""When compliance reports are due: a schedule, and the last whole day, week or month (UTC) before a moment. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

PERIODS: Final = ("day", "week", "month")


@dataclass(frozen=True, slots=True)
class Schedule:
    """A report that is made for each period. every: day, week or month. formats: endings of the files' names.
    tenant: of it alone. key: PEM file of the key that signs; None: unsigned."""

    framework: str
    every: str
    directory: Path
    formats: tuple[str, ...]
    tenant: str | None = None
    key: Path | None = None

    @property
    def name(self) -> str:
        """The same in each process that has this schedule, wherever it writes."""
        return "/".join((self.framework, self.tenant or "*", self.every))

    def file(self, period: Period, form: str) -> Path:
        parts = (self.framework, *(() if self.tenant is None else (self.tenant,)), period.name)
        return self.directory / f"{'-'.join(parts)}.{form}"


@dataclass(frozen=True, slots=True)
class Period:
    """Whole days from `since` on and before `until`, seconds since the epoch; name: 2026-11-27, 2026-W48, 2026-11."""

    name: str
    since: float
    until: float


def last_period(every: str, now: float) -> Period:
    """The last one that is over."""
    today = datetime.fromtimestamp(now, UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    if every == "day":
        since, until = today - timedelta(days=1), today
        name = f"{since:%Y-%m-%d}"
    elif every == "week":
        until = today - timedelta(days=today.weekday())
        since = until - timedelta(days=7)
        name = f"{since:%G-W%V}"
    else:
        until = today.replace(day=1)
        since = (until - timedelta(days=1)).replace(day=1)
        name = f"{since:%Y-%m}"
    return Period(name, since.timestamp(), until.timestamp())
