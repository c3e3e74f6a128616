"""Points in time as people write them: RFC 3339, with an offset. Inside they are seconds since the epoch."""

from __future__ import annotations

import re
from datetime import UTC, datetime

TIMESTAMP_HINT = "Write it as in RFC 3339, with an offset: 2027-01-31T12:00:00Z."

_TIMESTAMP = re.compile(r"\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(\.\d{1,6})?([Zz]|[+-]\d{2}:\d{2})", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def parse_timestamp(text: str) -> float:
    """Seconds since the epoch, to the microsecond. Raises ValueError."""
    if _TIMESTAMP.fullmatch(text) is None:
        raise ValueError(f"{text[:40]!r} is not a time with an offset")
    try:
        return (datetime.fromisoformat(text.upper()) - _EPOCH).total_seconds()
    except (ValueError, OverflowError):
        raise ValueError(f"{text!r} is not in the calendar") from None


def write_timestamp(seconds: float) -> str:
    """In UTC, as short as it can be said: `parse_timestamp` gives the same number back."""
    moment = datetime.fromtimestamp(round(seconds * 1_000_000) / 1_000_000, UTC)
    return moment.isoformat().replace("+00:00", "Z")
