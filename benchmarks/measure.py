"""Run pgbench and COPY along one way and read what they cost: throughput, latency, CPU of the proxy's process."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks.stage import Stage, Way

SELECT_ONLY = r"""\set aid random(1, 100000 * :scale)
SELECT abalance FROM pgbench_accounts WHERE aid = :aid;
"""
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Sample:
    """One run. tps per second, latencies in milliseconds, proxy_us: the proxy's CPU microseconds per transaction."""

    tps: float
    median_ms: float
    p99_ms: float
    proxy_us: float | None


@dataclass(frozen=True, slots=True)
class BulkSample:
    """One COPY out. seconds of wall clock and of the proxy's CPU, bytes received."""

    wall_s: float
    proxy_s: float | None
    size: int


def cpu_s(pid: int | None) -> float:
    """User and system CPU seconds of a process and of those that it has started, so far."""
    if pid is None:
        return 0.0
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    children = " ".join(path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/children"))
    return (int(fields[11]) + int(fields[12])) / _TICKS + sum(cpu_s(int(child)) for child in children.split())


def select_only(stage: Stage, way: Way, mode: str, clients: int, seconds: int) -> Sample:
    """pgbench -S as a script file, so that every way gets the same statement."""
    return run_pgbench(stage, way, SELECT_ONLY, mode, clients, seconds)


def run_pgbench(
    stage: Stage, way: Way, script_text: str, mode: str, clients: int, seconds: int, *options: str
) -> Sample:
    """One script along one way. Raises RuntimeError when pgbench fails."""
    with tempfile.TemporaryDirectory() as directory:
        script = Path(directory) / "script.sql"
        script.write_text(script_text)
        before = cpu_s(way.pid)
        done = subprocess.run(
            [stage.pgbench, "-n", "-M", mode, "-c", str(clients), "-j", "2", "-T", str(seconds), "-f", script,
             "-D", f"scale={stage.scale}", "-h", "127.0.0.1", "-p", str(way.port), "-U", way.user, "-l", "--log-prefix",
             f"{directory}/log", *options, way.database],
            env=way_environment(way), capture_output=True, text=True, check=False,
        )  # fmt: skip
        used = cpu_s(way.pid) - before
        if done.returncode != 0:
            raise RuntimeError(f"pgbench through {way.name} failed:\n{done.stderr[-2000:]}")
        latencies = _latencies_ms(Path(directory))
    transactions = len(latencies)
    return Sample(
        tps=float(_find(r"tps = ([\d.]+)", done.stdout)),
        median_ms=median(latencies),
        p99_ms=latencies[int(0.99 * (transactions - 1))],
        proxy_us=None if way.pid is None else used / transactions * 1e6,
    )


def copy_out(stage: Stage, way: Way) -> BulkSample:
    """COPY all of pgbench_accounts to nowhere with psql."""
    psql = Path(stage.postgres.bin_dir) / "psql"
    columns = "aid, bid, abalance, filler"
    before, begin = cpu_s(way.pid), time.perf_counter()
    process = subprocess.Popen(
        [psql, "-XqAt", "-h", "127.0.0.1", "-p", str(way.port), "-U", way.user, "-d", way.database,
         "-c", f"COPY pgbench_accounts ({columns}) TO STDOUT"],
        env=way_environment(way), stdout=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    size = 0
    while chunk := process.stdout.read(1 << 20):
        size += len(chunk)
    if process.wait() != 0:
        raise RuntimeError(f"COPY through {way.name} failed")
    wall = time.perf_counter() - begin
    return BulkSample(wall, None if way.pid is None else cpu_s(way.pid) - before, size)


def way_environment(way: Way) -> dict[str, str]:
    return os.environ | {"PGPASSWORD": way.password, "PGSSLMODE": "disable", "PGGSSENCMODE": "disable"}


def _latencies_ms(directory: Path) -> list[float]:
    """Sorted latencies from pgbench's log files (third column, microseconds)."""
    values: list[float] = []
    for path in directory.glob("log.*"):
        with path.open() as lines:
            values.extend(int(line.split(" ", 3)[2]) / 1000 for line in lines)
    return sorted(values)


def _find(pattern: str, text: str) -> str:
    found = re.search(pattern, text)
    if found is None:
        raise RuntimeError(f"pgbench said nothing like {pattern}:\n{text}")
    return found[1]
