"""What Prometheus reads is what was counted."""

from __future__ import annotations

import timeit

from prometheus_client.parser import text_string_to_metric_families

from proxy.observe.metrics import Gauges, Histogram, Metrics, PoolGauge


def scrape(metrics: Metrics) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(metrics.render().decode())
        for sample in family.samples
    }


def value(metrics: Metrics, name: str, **labels: str) -> float:
    return scrape(metrics)[(f"tenantgate_{name}", frozenset(labels.items()))]


def test_everything_is_there_before_anything_happened() -> None:
    names = {name for name, _ in scrape(Metrics())}
    assert {
        "tenantgate_frontends", "tenantgate_logins_total", "tenantgate_statement_seconds_bucket",
        "tenantgate_bytes_total", "tenantgate_plan_cache_hits_total", "tenantgate_plan_cache_misses_total",
        "tenantgate_plan_cache_entries", "tenantgate_audit_events_total", "tenantgate_audit_queue",
        "tenantgate_sqlglot_unparsed_total", "tenantgate_build_info", "process_cpu_seconds_total",
    } <= names  # fmt: skip


def test_statements_by_tenant_and_outcome() -> None:
    metrics = Metrics()
    counts = metrics.statement_counts("acme")
    metrics.count_statement(counts, "ok", 0.002)
    metrics.count_statement(counts, "ok", 0.002)
    metrics.count_statement(metrics.statement_counts("globex"), "refused", 100.0)
    assert metrics.statement_counts("acme") is counts
    assert value(metrics, "statements_total", tenant="acme", outcome="ok") == 2
    assert value(metrics, "statements_total", tenant="acme", outcome="refused") == 0
    assert value(metrics, "statements_total", tenant="globex", outcome="refused") == 1
    assert value(metrics, "statement_seconds_count") == 3
    assert value(metrics, "statement_seconds_sum") == 100.004
    assert value(metrics, "statement_seconds_bucket", le="0.001") == 0
    assert value(metrics, "statement_seconds_bucket", le="0.0025") == 2
    assert value(metrics, "statement_seconds_bucket", le="60.0") == 2
    assert value(metrics, "statement_seconds_bucket", le="+Inf") == 3


def test_a_bucket_includes_its_upper_end() -> None:
    histogram = Histogram((1.0, 2.0))
    for seconds in (1.0, 1.5, 2.0, 2.1):
        histogram.observe(seconds)
    assert histogram.cumulative() == [("1.0", 1.0), ("2.0", 3.0), ("+Inf", 4.0)]


def test_counters() -> None:
    metrics = Metrics()
    metrics.bytes_in += 10
    metrics.bytes_out += 20
    metrics.plan_cache_hits += 3
    metrics.plan_cache_misses += 4
    metrics.sqlglot_unparsed += 5
    metrics.count_login("ok")
    metrics.count_login("authentication")
    metrics.count_denied("unsupported")
    metrics.count_quota_refused("acme", "statements_per_s")
    assert value(metrics, "bytes_total", direction="in") == 10
    assert value(metrics, "bytes_total", direction="out") == 20
    assert value(metrics, "plan_cache_hits_total") == 3
    assert value(metrics, "plan_cache_misses_total") == 4
    assert value(metrics, "sqlglot_unparsed_total") == 5
    assert value(metrics, "logins_total", outcome="ok") == 1
    assert value(metrics, "logins_total", outcome="authentication") == 1
    assert value(metrics, "denied_total", kind="unsupported") == 1
    assert value(metrics, "quota_refused_total", tenant="acme", quota="statements_per_s") == 1


def test_gauges_are_read_when_scraped() -> None:
    metrics = Metrics()
    frontends = [5]
    metrics.gauges = Gauges(
        frontends=lambda: frontends[0],
        pools=lambda: [PoolGauge("main", "shop", idle=1, in_use=2, connecting=3, waiting=4)],
        plan_cache_entries=lambda: 6,
        plan_cache_bytes=lambda: 7000,
        policy_version=lambda: 9,
        audit_events=lambda: 7,
        audit_queue=lambda: 8,
    )
    assert value(metrics, "frontends") == 5
    frontends[0] = 1
    assert value(metrics, "frontends") == 1
    for state, count in (("idle", 1), ("in_use", 2), ("connecting", 3)):
        assert value(metrics, "pool_backends", target="main", database="shop", state=state) == count
    assert value(metrics, "pool_waiting", target="main", database="shop") == 4
    assert value(metrics, "plan_cache_entries") == 6
    assert value(metrics, "plan_cache_size_bytes") == 7000
    assert value(metrics, "policy_version") == 9
    assert value(metrics, "audit_events_total") == 7
    assert value(metrics, "audit_queue") == 8


def test_counting_a_statement_is_cheap() -> None:
    metrics = Metrics()
    counts = metrics.statement_counts("acme")
    best_s = min(timeit.repeat(lambda: metrics.count_statement(counts, "ok", 0.002), number=5000, repeat=7)) / 5000
    assert best_s < 5e-6  # about 0.3 us on an idle machine; the slack is for busy ones
