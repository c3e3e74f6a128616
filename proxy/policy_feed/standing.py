"""How well a policy store is followed, as gateways tell of it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Standing:
    """How well the feed is followed. state: current, away (the store cannot be read), refused (what it says cannot be
    used). confirmed_at: when the snapshot was last known to be the newest, seconds of the monotonic clock."""

    state: str
    confirmed_at: float
    problem: str = ""
