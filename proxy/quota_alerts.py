"""Quotas that are nearly used up, or used up and soft: told once to each session, and once to audit and metrics.

One per tenant and process. A quota per period is told of once in its period; others, which come and go, once a minute.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

NEAR: Final = 80
FULL: Final = 100
REPEAT_S: Final = 60.0

Tell = Callable[[str, str, int, str], None]  # tenant, quota, NEAR or FULL, what to say


@dataclass(frozen=True, slots=True)
class Alert:
    """number: in the order in which they came. until: seconds since the epoch when it is over."""

    number: int
    quota: str
    level: int
    text: str
    until: float


def nobody(_tenant: str, _quota: str, _level: int, _text: str) -> None:
    """Where nobody is to be told."""


class Alerts:
    """`count` grows with each alert: a session that has seen as many has nothing new to hear."""

    __slots__ = ("_known", "_tell", "count", "tenant")

    def __init__(self, tenant: str, tell: Tell = nobody) -> None:
        self.tenant = tenant
        self.count = 0
        self._tell = tell
        self._known: dict[str, Alert] = {}

    def raise_alert(self, quota: str, level: int, text: str, wall: float, until: float, *, told: bool = False) -> None:
        """A quota has reached a level. told: another worker has told audit and metrics already."""
        known = self._known.get(quota)
        if known is not None and wall < known.until and level <= known.level:
            return
        self.count += 1
        self._known[quota] = Alert(self.count, quota, level, text, until)
        if not told:
            self._tell(self.tenant, quota, level, text)

    def since(self, seen: int, wall: float) -> list[Alert]:
        """What holds now and came after the alert of this number."""
        return [alert for alert in self._known.values() if alert.number > seen and wall < alert.until]
