"""The other works of the benchmark: transactions, new connections, a fixed rate, a large result."""

from __future__ import annotations

import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from statistics import median

from benchmarks.measure import BulkSample, Sample, cpu_s, run_pgbench, select_only, way_environment
from benchmarks.stage import Stage, Way

TPC_B = r"""\set aid random(1, 100000 * :scale)
\set bid random(1, :scale)
\set tid random(1, 10 * :scale)
\set delta random(-5000, 5000)
BEGIN;
UPDATE pgbench_accounts SET abalance = abalance + :delta WHERE aid = :aid;
SELECT abalance FROM pgbench_accounts WHERE aid = :aid;
UPDATE pgbench_tellers SET tbalance = tbalance + :delta WHERE tid = :tid;
UPDATE pgbench_branches SET bbalance = bbalance + :delta WHERE bid = :bid;
INSERT INTO pgbench_history (tid, bid, aid, delta, mtime) VALUES (:tid, :bid, :aid, :delta, CURRENT_TIMESTAMP);
END;
"""
ONE = "SELECT 1;\n"
MILLION = "SELECT aid, bid, abalance, filler FROM pgbench_accounts LIMIT 1000000"


def transactions(stage: Stage, way: Way, seconds: int) -> Sample:
    """TPC-B as pgbench has it, 16 clients."""
    return run_pgbench(stage, way, TPC_B, "simple", 16, seconds)


def connections(stage: Stage, way: Way, seconds: int) -> Sample:
    """A new connection for each `SELECT 1`, four at a time: log-ins per second."""
    return run_pgbench(stage, way, ONE, "simple", 4, seconds, "-C")


def at_rate(stage: Stage, way: Way, script: str, rate: int, seconds: int) -> Sample:
    """16 clients at a fixed rate; the latency counts from when a transaction was due."""
    return run_pgbench(stage, way, script, "simple", 16, seconds, "-R", str(rate))


def million_rows(stage: Stage, way: Way) -> BulkSample:
    """A SELECT of a million rows, read by psql row by row and thrown away."""
    before, begin = cpu_s(way.pid), time.perf_counter()
    with tempfile.TemporaryDirectory() as directory:
        done = subprocess.run(
            [Path(stage.postgres.bin_dir) / "psql", "-XqAt", "-h", "127.0.0.1", "-p", str(way.port), "-U", way.user,
             "-d", way.database, "-v", "FETCH_COUNT=0", "-o", f"{directory}/rows", "-c", MILLION],
            env=way_environment(way), check=True, capture_output=True,
        )  # fmt: skip
        assert not done.stdout
        size = (Path(directory) / "rows").stat().st_size
    wall = time.perf_counter() - begin
    return BulkSample(wall, None if way.pid is None else cpu_s(way.pid) - before, size)


def literals(stage: Stage, rounds: int, seconds: int) -> dict[str, dict[str, float | None]]:
    """64 clients through the gateway, texts with ever-changing literals and prepared statements in turn.

    plan_cache_hits: of the plans that the texts needed, the part that was found.
    """
    gateway, way = stage.gateway, stage.ways[-1]
    assert gateway is not None
    samples: dict[str, list[Sample]] = {"simple": [], "prepared": []}
    found = needed = 0.0
    for _ in range(rounds):
        hits, misses = plan_cache_counts(gateway.admin_port)
        samples["simple"].append(select_only(stage, way, "simple", 64, seconds))
        more_hits, more_misses = plan_cache_counts(gateway.admin_port)
        found += more_hits - hits
        needed += more_hits + more_misses - hits - misses
        samples["prepared"].append(select_only(stage, way, "prepared", 64, seconds))
    return {
        "simple": medians(samples["simple"]) | {"plan_cache_hits": found / needed},
        "prepared": medians(samples["prepared"]),
    }


def plan_cache_counts(admin_port: int) -> tuple[float, float]:
    """Hits and misses of a gateway's plan cache since its start."""
    with urllib.request.urlopen(f"http://127.0.0.1:{admin_port}/metrics", timeout=30) as answer:
        lines = answer.read().decode().splitlines()
    values = dict(line.split(" ", 1) for line in lines if line.startswith("tenantgate_plan_cache_"))
    return float(values["tenantgate_plan_cache_hits_total"]), float(values["tenantgate_plan_cache_misses_total"])


def in_turn(ways: list[Way], rounds: int, measure: Callable[[Way], Sample]) -> dict[str, dict[str, float | None]]:
    """Medians by way of what `measure` gives, the ways taking turns."""
    samples: dict[str, list[Sample]] = {way.name.partition("-")[0]: [] for way in ways}
    for _ in range(rounds):
        for way in ways:
            samples[way.name.partition("-")[0]].append(measure(way))
    return {name: medians(of_way) for name, of_way in samples.items()}


def medians(samples: list[Sample]) -> dict[str, float | None]:
    cpu = [sample.proxy_us for sample in samples if sample.proxy_us is not None]
    return {
        "tps": median(sample.tps for sample in samples),
        "median_ms": median(sample.median_ms for sample in samples),
        "p99_ms": median(sample.p99_ms for sample in samples),
        "proxy_us": median(cpu) if cpu else None,
    }
