"""What a sink is: it takes audit events from the forwarder and says what became of them.

Delivery is at least once: what is not known to have arrived is sent again, with the same `id`, so a receiver drops what
it has. A sink never drops anything itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, Protocol

from policy.errors import TenantGateError

SEVERITIES: Final[Mapping[str, int]] = {"info": 6, "notice": 5, "warning": 4, "error": 3, "critical": 2}
_OF_OUTCOMES: Final[Mapping[str, str]] = {
    "refused": "warning", "lost": "warning", "error": "notice", "cancelled": "notice",
}  # fmt: skip
_OF_EVENTS: Final[Mapping[str, str]] = {"gap": "critical", "recovered": "warning"}


class SinkUnavailable(TenantGateError):
    """The sink did not take the batch, or it is not known whether it did; `retry_after_s` is what it asked for."""

    kind = "audit_sink"
    retryable = True

    def __init__(self, message: str, *, retry_after_s: float = 0.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class SinkUnusable(TenantGateError):
    """The sink cannot be used as it is configured."""

    kind = "audit_sink"


@dataclass(frozen=True, slots=True)
class Record:
    """One line of the log, without its newline. `id` is the event's own, or made of its place in the chain."""

    id: str
    chain: str
    seq: int
    line: bytes
    event: Mapping[str, object]

    def text(self, name: str) -> str:
        """A member as text, "" where it has none."""
        value = self.event.get(name)
        return value if isinstance(value, str) else "" if value is None else str(value)

    @property
    def time(self) -> float:
        """Seconds since the epoch, 0 where the line has none."""
        value = self.event.get("time")
        return float(value) if isinstance(value, int | float) and 0 <= value < 1e11 else 0.0

    @property
    def timestamp(self) -> str:
        """RFC 3339 with microseconds, in UTC."""
        return datetime.fromtimestamp(self.time, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    @property
    def level(self) -> str:
        """info, notice, warning or critical: the event's own, else what its kind and outcome say."""
        own = self.text("level")
        kind, outcome = self.text("event"), self.text("outcome")
        return own if own in SEVERITIES else _OF_EVENTS.get(kind) or _OF_OUTCOMES.get(outcome, "info")


@dataclass(slots=True)
class Outcome:
    """What became of a batch: all arrived but those to `retry` and those `rejected` for good, with a reason."""

    retry: list[Record] = field(default_factory=list)
    rejected: list[tuple[Record, str]] = field(default_factory=list)


class Sink(Protocol):
    """One receiver, used by one task from the first `send` to `close`. It connects by itself, also after a failure."""

    async def send(self, records: Sequence[Record]) -> Outcome:
        """Deliver a batch. Raises SinkUnavailable when all of it is to be sent again, and SinkUnusable."""

    async def close(self) -> None:
        """Let go of connections."""
