"""The token bucket behind statements-per-second limits: arithmetic only, `now` is passed in.

Exact: levels are whole numbers, so that no rounding is gained or lost however often the bucket is asked. In any span of
t seconds at most burst + rate * t statements are admitted; after the wait it names, the next one is.
"""

from __future__ import annotations

from fractions import Fraction
from math import ceil
from typing import Final

_TICKS_PER_S: Final = 1_000_000  # times are kept in whole microseconds: floats hold those exactly until the year 2255


class TokenBucket:
    """Lives as long as its limits. Level, capacity and cost are in parts of a token such that a tick adds `_gain`."""

    __slots__ = ("_capacity", "_cost", "_gain", "_level", "_ticks")

    def __init__(self, rate: float, burst: int, now: float) -> None:
        """Start full. rate: tokens per second, > 0, taken to a thousandth; burst: tokens it holds, >= 1."""
        exact = Fraction(rate).limit_denominator(1000)
        if exact <= 0 or burst < 1:
            raise ValueError("rate and burst must be positive")
        self._gain = exact.numerator
        self._cost = _TICKS_PER_S * exact.denominator
        self._capacity = self._level = burst * self._cost
        self._ticks = round(now * _TICKS_PER_S)

    def take(self, now: float) -> float:
        """Take a token: 0.0 when there was one, else the seconds until there is (none is taken)."""
        self._refill(now)
        if self._level >= self._cost:
            self._level -= self._cost
            return 0.0
        missing_ticks = -(-(self._cost - self._level) // self._gain)
        return (missing_ticks + 1) / _TICKS_PER_S  # one more: `now` was rounded to a whole tick

    def give_back(self) -> None:
        """Put a token back that was taken for nothing."""
        self._level = min(self._capacity, self._level + self._cost)

    @property
    def is_low(self) -> bool:
        """A fifth of its tokens is left, or less. Small ones, which are so after each token, never are."""
        return self._level * 5 <= self._capacity and self._capacity >= 5 * self._cost

    def used(self, now: float) -> int:
        """How many of its tokens are gone."""
        self._refill(now)
        return (self._capacity - self._level) // self._cost

    def resized(self, rate: float, burst: int, now: float) -> TokenBucket:
        """A bucket with other limits that lacks the tokens that this one lacks."""
        self._refill(now)
        bucket = TokenBucket(rate, burst, now)
        used = Fraction(self._capacity - self._level, self._cost)
        bucket._level = max(0, bucket._capacity - ceil(used * bucket._cost))
        return bucket

    def state(self) -> tuple[int, int, int, int, int]:
        """Gain, cost, capacity, ticks and level: all that there is to it, as numbers for `resume`."""
        return self._gain, self._cost, self._capacity, self._ticks, self._level

    def resume(self, gain: int, cost: int, capacity: int, ticks: int, level: int) -> None:
        """Be the bucket that had this state."""
        self._gain, self._cost, self._capacity = gain, cost, capacity
        self._ticks, self._level = ticks, level

    def _refill(self, now: float) -> None:
        ticks = round(now * _TICKS_PER_S)
        if ticks > self._ticks:  # a clock that steps back gives nothing and takes nothing
            self._level = min(self._capacity, self._level + (ticks - self._ticks) * self._gain)
            self._ticks = ticks
