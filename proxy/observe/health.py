"""What /readyz tells: of one process, or of several workers together."""

from __future__ import annotations

import json
from dataclasses import dataclass

Answer = tuple[int, str, bytes]


@dataclass(frozen=True, slots=True)
class Readiness:
    """problems: why no session should be sent here. targets_failing: those that could not be reached a moment ago.
    degraded: what does not work as it should, and is no reason to send sessions elsewhere."""

    problems: tuple[str, ...]
    targets_failing: tuple[str, ...]
    degraded: tuple[str, ...] = ()

    def answer(self) -> Answer:
        """Status, content type and body."""
        told = {"ready": not self.problems, "problems": self.problems, "targets_failing": self.targets_failing}
        if self.degraded:
            told["degraded"] = self.degraded
        return (503 if self.problems else 200), "application/json", json.dumps(told).encode() + b"\n"
