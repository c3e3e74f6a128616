"""The calendar of quotas per period: seconds to months, in UTC, so that all gateways turn the page at the same time."""

from __future__ import annotations

import calendar
import time
from typing import Final

PERIODS: Final = ("second", "minute", "hour", "day", "month")
SECONDS: Final = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400, "month": 2_592_000}
"""How long a period is, to compare limits; a month as 30 days."""


def period_bounds(per: str, wall: float) -> tuple[int, int]:
    """Start and end (exclusive) of the period that `wall` is in; all are seconds since the epoch."""
    if per == "month":
        now = time.gmtime(wall)
        after = (now.tm_year + now.tm_mon // 12, now.tm_mon % 12 + 1)
        return _first_of(now.tm_year, now.tm_mon), _first_of(*after)
    length = SECONDS[per]
    start = int(wall // length) * length
    return start, start + length


def _first_of(year: int, month: int) -> int:
    return calendar.timegm((year, month, 1, 0, 0, 0))


def when(moment: float) -> str:
    """A moment as clients are told it."""
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(moment))
