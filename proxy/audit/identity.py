"""Ids of audit lines: UUIDv7 (RFC 9562 section 5.7), made cheaply for a batch of lines.

48 bits of milliseconds, then 72 random bits (and the two of the variant left at 10, 00 behind them). Nobody can guess
them, which also keeps the hash of a line from telling what stands in it to somebody who could guess the rest.
"""

from __future__ import annotations

import secrets
from typing import Final

_DIGITS: Final = 18  # hex digits of randomness in one id
_POOLED: Final = 64


class LineIds:
    """Gives ids from randomness that is fetched for many at once. `take` is all of a line's cost."""

    __slots__ = ("_at", "_millisecond", "_pool", "_stamp")

    def __init__(self) -> None:
        self._pool = ""
        self._at = 0
        self._millisecond = -1
        self._stamp = ""

    def take(self, time: float) -> str:
        """An id of an event at `time`, in seconds since the epoch."""
        at = self._at
        if at >= len(self._pool):
            self._pool, at = secrets.token_hex(_POOLED * _DIGITS // 2), 0
        self._at = at + _DIGITS
        millisecond = int(time * 1000)
        if millisecond != self._millisecond:
            self._millisecond = millisecond
            digits = f"{millisecond & 0xFFFFFFFFFFFF:012x}"
            self._stamp = f"{digits[:8]}-{digits[8:]}-7"
        pool = self._pool
        return f"{self._stamp}{pool[at : at + 3]}-8{pool[at + 3 : at + 6]}-{pool[at + 6 : at + 18]}"
