"""Metrics and rows of several workers as those of one gateway."""

from __future__ import annotations

from proxy.observe.metrics import Family, Metrics
from proxy.workers.merged import Merged
from proxy.workers.rows import merge_rows


def report(ok: int, *, seconds: float = 0.003, version: int = 1) -> list[Family]:
    metrics = Metrics()
    counts = metrics.statement_counts("acme")
    for _ in range(ok):
        metrics.count_statement(counts, "ok", seconds)
    families = metrics.families()
    return [
        (name, kind, text, [(sample, labels, float(version)) for sample, labels, _ in samples])
        if name == "tenantgate_policy_version"
        else (name, kind, text, samples)
        for name, kind, text, samples in families
    ]


def samples(text: bytes) -> dict[str, float]:
    lines = [line for line in text.decode().splitlines() if not line.startswith("#")]
    assert len(lines) == len({line.rsplit(" ", 1)[0] for line in lines}), "a sample stands there twice"
    return {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in lines}


OK = 'tenantgate_statements_total{outcome="ok",tenant="acme"}'


def test_counts_and_histograms_are_sums_and_a_version_is_the_oldest() -> None:
    text = Merged().render({"1": report(3, version=5), "2": report(4, seconds=0.2, version=4)}, [])
    found = samples(text)
    assert found[OK] == 7
    assert found["tenantgate_statement_seconds_count"] == 7
    assert found['tenantgate_statement_seconds_bucket{le="0.005"}'] == 3
    assert found['tenantgate_statement_seconds_bucket{le="0.25"}'] == 7
    assert found["tenantgate_policy_version"] == 4
    assert found['process_resident_memory_bytes{worker="1"}'] > 0
    assert text.count(b"# TYPE tenantgate_statements_total") == 1
    assert text.count(b"# TYPE process_open_fds") == 1


def test_what_an_ended_worker_had_counted_stays_and_what_it_had_open_does_not() -> None:
    merged = Merged()
    merged.retire(report(10))
    found = samples(Merged(merged.retired).render({"2": report(1)}, []))
    assert found[OK] == 11
    assert found["tenantgate_frontends"] == 0
    assert 'process_open_fds{worker="1"}' not in found
    only_retired = samples(merged.render({}, []))
    assert only_retired[OK] == 10
    assert "tenantgate_frontends" not in only_retired


POOL = {
    "target": "main", "database": "shop", "search_path": "public", "user": "gateway", "cl_active": 1, "cl_waiting": 2,
    "sv_active": 3, "sv_idle": 4, "sv_login": 5, "maxwait": 0, "maxwait_us": 600, "pool_size": 7,
    "pool_mode": "transaction", "claim": "",
}  # fmt: skip


def test_one_pool_of_two_workers_is_one_row() -> None:
    other = {**POOL, "database": "else"}
    rows = merge_rows("POOLS", [[dict(POOL), other], [{**POOL, "maxwait": 1, "maxwait_us": 9}]])
    first = rows[0]
    assert len(rows) == 2
    assert (first.cl_active, first.sv_login, first.pool_size) == (2, 10, 14)  # type: ignore[union-attr]
    assert (first.maxwait, first.maxwait_us) == (1, 9)  # type: ignore[union-attr]


def test_an_average_is_that_of_all_statements() -> None:
    one = dict.fromkeys(("total_error_count", "total_refused_count", "total_received", "total_sent"), 0)
    one |= {"tenant": "acme", "database": "shop", "total_query_count": 1, "total_query_time": 9, "avg_query_time": 9}  # type: ignore[dict-item]
    (row,) = merge_rows("STATS", [[dict(one)], [{**one, "total_query_count": 2, "total_query_time": 3}]])
    assert (row.total_query_count, row.avg_query_time) == (3, 4)  # type: ignore[union-attr]
