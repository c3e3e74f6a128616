"""How many requests one caller may make: a token bucket each, in memory, of the callers of late."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from admin.api.problems import ApiProblem

_MAX_CALLERS = 10_000


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at: float


class RateLimit:
    """Lifetime: the process. per_s may go on for ever, burst at once. `clock` is monotonic, in seconds.

    The callers that were longest away are forgotten when there are too many: they would have a full bucket again.
    """

    __slots__ = ("_buckets", "_burst", "_clock", "_per_s")

    def __init__(self, per_s: float, burst: float, clock: Callable[[], float]) -> None:
        self._per_s = per_s
        self._burst = burst
        self._clock = clock
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def take(self, caller: str) -> None:
        """Count one request. Raises ApiProblem (429) with Retry-After, in whole seconds."""
        now = self._clock()
        bucket = self._buckets.get(caller)
        if bucket is None:
            bucket = self._buckets[caller] = _Bucket(self._burst, now)
            if len(self._buckets) > _MAX_CALLERS:
                self._buckets.popitem(last=False)
        self._buckets.move_to_end(caller)
        bucket.tokens = min(self._burst, bucket.tokens + max(0.0, now - bucket.at) * self._per_s)
        bucket.at = now
        if bucket.tokens < 1:
            wait_s = max(1, math.ceil((1 - bucket.tokens) / self._per_s))
            detail = f"more than {self._per_s:g} requests per second"
            raise ApiProblem(429, "too-many-requests", detail, headers={"Retry-After": str(wait_s)})
        bucket.tokens -= 1
