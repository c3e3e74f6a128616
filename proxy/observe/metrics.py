"""What the gateway counts: plain ints on the hot path, turned into Prometheus text when scraped.

Hot-path users bind what they need once per session: `counts = metrics.statement_counts(tenant)`, then
`counts["ok"] += 1` and `metrics.statement_seconds.observe(s)`; bytes and cache hits are attributes to add to.
Nothing here locks: all counting happens on one event loop's thread, and so does `render`.
"""

from __future__ import annotations

import platform
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from prometheus_client import CollectorRegistry, GCCollector, ProcessCollector, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from proxy.observe.version import product_version

Family = tuple[str, str, str, list[tuple[str, dict[str, str], float]]]  # name, type, help, samples

METRICS_CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
OUTCOMES: Final = ("ok", "error", "refused", "cancelled", "lost")
_SECONDS = (
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
    0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
)  # fmt: skip


class Histogram:
    """Counts per fixed bucket; `bounds` are inclusive upper ends in seconds, one more bucket takes the rest."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...] = _SECONDS) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, seconds: float) -> None:
        self.counts[bisect_left(self.bounds, seconds)] += 1
        self.total += seconds

    def cumulative(self) -> list[tuple[str, float]]:
        """Buckets as Prometheus wants them: (upper end, number of values up to it)."""
        names = [*map(str, self.bounds), "+Inf"]
        seen = 0
        buckets = []
        for name, count in zip(names, self.counts, strict=True):
            seen += count
            buckets.append((name, float(seen)))
        return buckets


@dataclass(frozen=True, slots=True)
class PoolGauge:
    """How one pool stands at the time of a scrape."""

    target: str
    database: str
    idle: int
    in_use: int
    connecting: int
    waiting: int


def _zero() -> int:
    return 0


def _no_age() -> float:
    return 0.0


def _no_pools() -> Iterable[PoolGauge]:
    return ()


@dataclass(frozen=True, slots=True)
class Gauges:
    """Where values come from that are read on scrape rather than counted; the server sets them."""

    frontends: Callable[[], int] = field(default=_zero)
    pools: Callable[[], Iterable[PoolGauge]] = field(default=_no_pools)
    lanes: Callable[[], int] = field(default=_zero)
    lane_requests: Callable[[], int] = field(default=_zero)
    plan_cache_entries: Callable[[], int] = field(default=_zero)
    plan_cache_bytes: Callable[[], int] = field(default=_zero)
    policy_version: Callable[[], int] = field(default=_zero)
    policy_age_s: Callable[[], float] = field(default=_no_age)
    quota_shares_up: Callable[[], bool | None] = field(default=lambda: None)
    audit_events: Callable[[], int] = field(default=_zero)
    audit_queue: Callable[[], int] = field(default=_zero)
    audit_lost: Callable[[], int] = field(default=_zero)
    audit_spilled: Callable[[], int] = field(default=_zero)
    audit_blocked: Callable[[], int] = field(default=_zero)


class Metrics:
    """One per worker process. Tenant labels are ids from policy, never client text, so they are bounded."""

    __slots__ = (
        "_denied",
        "_logins",
        "_quota_reached",
        "_quota_refused",
        "_registry",
        "_statements",
        "bytes_in",
        "bytes_out",
        "gauges",
        "plan_cache_evicted",
        "plan_cache_hits",
        "plan_cache_misses",
        "sqlglot_unparsed",
        "statement_seconds",
    )

    def __init__(self) -> None:
        self.bytes_in = 0  # from clients
        self.bytes_out = 0  # to clients
        self.plan_cache_evicted = 0
        self.plan_cache_hits = 0
        self.plan_cache_misses = 0
        self.sqlglot_unparsed = 0
        self.statement_seconds = Histogram()
        self.gauges = Gauges()
        self._logins: dict[str, int] = {"ok": 0, "refused": 0}
        self._denied: dict[str, int] = {}
        self._statements: dict[str, dict[str, int]] = {}
        self._quota_refused: dict[tuple[str, str], int] = {}
        self._quota_reached: dict[tuple[str, str, str], int] = {}
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(_Export(self))
        ProcessCollector(registry=self._registry)
        GCCollector(registry=self._registry)

    def statement_counts(self, tenant: str) -> dict[str, int]:
        """The counters of `tenant` by outcome (`OUTCOMES`), to keep and to add to."""
        counts = self._statements.get(tenant)
        if counts is None:
            counts = self._statements[tenant] = dict.fromkeys(OUTCOMES, 0)
        return counts

    def count_statement(self, counts: dict[str, int], outcome: str, seconds: float) -> None:
        """One statement ended: `counts` from `statement_counts`."""
        counts[outcome] += 1
        self.statement_seconds.observe(seconds)

    def count_login(self, outcome: str) -> None:
        """outcome: ok | refused | the kind of the error that ended the login."""
        self._logins[outcome] = self._logins.get(outcome, 0) + 1

    def count_denied(self, kind: str) -> None:
        """A statement was refused; `kind` of its error class."""
        self._denied[kind] = self._denied.get(kind, 0) + 1

    def count_quota_refused(self, tenant: str, quota: str) -> None:
        key = (tenant, quota)
        self._quota_refused[key] = self._quota_refused.get(key, 0) + 1

    def count_quota_reached(self, tenant: str, quota: str, level: int) -> None:
        """level: 80 or 100 percent."""
        key = (tenant, quota, str(level))
        self._quota_reached[key] = self._quota_reached.get(key, 0) + 1

    def by_level(self) -> Mapping[tuple[str, str, str], int]:
        return self._quota_reached

    def by_tenant(self) -> Mapping[str, Mapping[str, int]]:
        """Statements per tenant and outcome, for `SHOW STATS`."""
        return self._statements

    def by_login(self) -> Mapping[str, int]:
        return self._logins

    def by_denial(self) -> Mapping[str, int]:
        return self._denied

    def by_quota(self) -> Mapping[tuple[str, str], int]:
        return self._quota_refused

    def families(self) -> list[Family]:
        """The same as `render`, as values that go to the supervisor."""
        return [family_of(metric) for metric in self._registry.collect()]

    def render(self) -> bytes:
        """All metrics in Prometheus' text format (`METRICS_CONTENT_TYPE`)."""
        return generate_latest(self._registry)


class _Export(Collector):
    """Turns the counters into metric families, once per scrape."""

    __slots__ = ("_metrics",)

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        yield _build_info()
        yield from self._sessions()
        yield from self._statements()
        yield from self._pools()
        yield from self._plans()
        yield from self._audit()

    def _sessions(self) -> Iterator[Metric]:
        metrics = self._metrics
        yield _gauge("tenantgate_frontends", "Client connections now.", metrics.gauges.frontends())
        yield _gauge("tenantgate_policy_version", "Version of the policy in force.", metrics.gauges.policy_version())
        text = "Since when nobody could say that the policy in force is the store's newest; 0 without a store."
        yield GaugeMetricFamily("tenantgate_policy_age_seconds", text, value=metrics.gauges.policy_age_s())
        logins = CounterMetricFamily("tenantgate_logins", "Logins by how they ended.", labels=["outcome"])
        for outcome, count in metrics.by_login().items():
            logins.add_metric([outcome], count)
        yield logins
        traffic = CounterMetricFamily("tenantgate_bytes", "Bytes from (in) and to (out) clients.", labels=["direction"])
        traffic.add_metric(["in"], metrics.bytes_in)
        traffic.add_metric(["out"], metrics.bytes_out)
        yield traffic

    def _statements(self) -> Iterator[Metric]:
        metrics = self._metrics
        statements = CounterMetricFamily(
            "tenantgate_statements", "Statements by tenant and outcome.", labels=["tenant", "outcome"]
        )
        for tenant, counts in metrics.by_tenant().items():
            for outcome, count in counts.items():
                statements.add_metric([tenant, outcome], count)
        yield statements
        seconds = metrics.statement_seconds
        yield HistogramMetricFamily(
            "tenantgate_statement_seconds",
            "Time from a statement's arrival to the end of its reply.",
            buckets=seconds.cumulative(),
            sum_value=seconds.total,
        )
        denied = CounterMetricFamily("tenantgate_denied", "Statements refused, by reason.", labels=["kind"])
        for kind, count in metrics.by_denial().items():
            denied.add_metric([kind], count)
        yield denied
        refused = CounterMetricFamily("tenantgate_quota_refused", "Refusals by a quota.", labels=["tenant", "quota"])
        for labels, count in metrics.by_quota().items():
            refused.add_metric(labels, count)
        yield refused
        reached = CounterMetricFamily(
            "tenantgate_quota_reached",
            "How often a quota was used up by so many percent.",
            labels=["tenant", "quota", "percent"],
        )
        for reached_labels, count in metrics.by_level().items():
            reached.add_metric(reached_labels, count)
        yield reached
        if (is_up := metrics.gauges.quota_shares_up()) is not None:
            yield shares_up(is_up)

    def _pools(self) -> Iterator[Metric]:
        backends = GaugeMetricFamily(
            "tenantgate_pool_backends", "Backends by state.", labels=["target", "database", "state"]
        )
        waiting = GaugeMetricFamily(
            "tenantgate_pool_waiting", "Sessions that wait for a backend.", labels=["target", "database"]
        )
        for pool in self._metrics.gauges.pools():
            labels = [pool.target, pool.database]
            for state in ("idle", "in_use", "connecting"):
                backends.add_metric([*labels, state], getattr(pool, state))
            waiting.add_metric(labels, pool.waiting)
        yield backends
        yield waiting
        gauges = self._metrics.gauges
        yield _gauge("tenantgate_lanes", "Backends that carry statements of many sessions.", gauges.lanes())
        yield _counter("tenantgate_lane_requests", "Statements that went to a lane.", gauges.lane_requests())

    def _plans(self) -> Iterator[Metric]:
        metrics = self._metrics
        yield _counter("tenantgate_plan_cache_hits", "Plans found in the cache.", metrics.plan_cache_hits)
        yield _counter("tenantgate_plan_cache_misses", "Plans compiled.", metrics.plan_cache_misses)
        yield _counter("tenantgate_plan_cache_evicted", "Plans dropped for want of room.", metrics.plan_cache_evicted)
        yield _gauge("tenantgate_plan_cache_entries", "Plans in the cache.", metrics.gauges.plan_cache_entries())
        yield _gauge("tenantgate_plan_cache_size_bytes", "What they take.", metrics.gauges.plan_cache_bytes())
        yield _counter(
            "tenantgate_sqlglot_unparsed",
            "Statements that the second parser could not read.",
            metrics.sqlglot_unparsed,
        )

    def _audit(self) -> Iterator[Metric]:
        gauges = self._metrics.gauges
        yield _counter("tenantgate_audit_events", "Audit events written.", gauges.audit_events())
        yield _gauge("tenantgate_audit_queue", "Audit events not written yet.", gauges.audit_queue())
        yield _counter("tenantgate_audit_lost", "Audit events that could not be kept.", gauges.audit_lost())
        yield _gauge("tenantgate_audit_spilled_bytes", "Audit lines in the spill, encrypted.", gauges.audit_spilled())
        yield _counter("tenantgate_audit_blocked", "Times that clients waited for the log.", gauges.audit_blocked())


def shares_up(is_up: bool) -> Metric:
    """Of the keeper of quotas that machines share."""
    return _gauge("tenantgate_quota_shares_up", "Whether Redis grants shares of quotas.", int(is_up))


def family_of(metric: Metric) -> Family:
    samples = [(sample.name, dict(sample.labels), float(sample.value)) for sample in metric.samples]
    return metric.name, metric.type, metric.documentation, samples


def _gauge(name: str, text: str, value: int) -> Metric:
    return GaugeMetricFamily(name, text, value=value)


def _counter(name: str, text: str, value: int) -> Metric:
    return CounterMetricFamily(name, text, value=value)


def _build_info() -> Metric:
    info = {"version": product_version(), "python": platform.python_version()}
    return InfoMetricFamily("tenantgate_build", "Version of the gateway.", value=info)
