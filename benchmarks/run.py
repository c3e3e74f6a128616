"""`make bench`: what TenantGate costs, beside a direct connection and PgBouncer, in one run.

Every point is measured along all ways in turn, round after round, and the median of the rounds is shown: on a noisy
machine only ratios within one run mean something.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from pathlib import Path
from statistics import median

from benchmarks.measure import BulkSample, Sample, copy_out, select_only
from benchmarks.report import render_svg, table
from benchmarks.stage import Stage, Way
from proxy.postgres import engine

MODES = ("simple", "extended", "prepared")
CLIENTS = (1, 8, 64)
CPU_MARK, BULK_MARK = 2.0, 2.5


def main() -> int:
    """Exit code 0: all marks met, 1: one is missed."""
    arguments = _arguments()
    results = arguments.results
    results.mkdir(parents=True, exist_ok=True)
    with Stage(arguments.scale) as stage:
        points = [_point(stage, mode, clients, arguments) for mode in MODES for clients in CLIENTS]
        bulk = _bulk(stage, arguments.rounds)
    report = {
        "machine": platform.platform(),
        "python": platform.python_version(),
        "compiled": not str(engine.__file__).endswith(".py"),
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "seconds": arguments.seconds,
        "rounds": arguments.rounds,
        "points": points,
        "bulk": bulk,
        "marks": _marks(points, bulk),
    }
    (results / "latest.json").write_text(json.dumps(report, indent=1) + "\n")
    (results / "latest.svg").write_text(render_svg(report))
    print(json.dumps(report, indent=1) if arguments.json else table(report))
    return 0 if all(mark["met"] for mark in report["marks"]) else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.run",
        description=__doc__,
        epilog="example: python -m benchmarks.run --seconds 5 --rounds 3",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seconds", type=int, default=4, help="of each pgbench run (default 4)")
    parser.add_argument("--rounds", type=int, default=3, help="of each point (default 3)")
    parser.add_argument("--scale", type=int, default=21, help="of pgbench's tables; 21 make a COPY of 200 MB")
    parser.add_argument("--results", type=Path, default=Path(__file__).parent / "results", help="where reports go")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    return parser.parse_args()


def _point(stage: Stage, mode: str, clients: int, arguments: argparse.Namespace) -> dict[str, object]:
    """PgBouncer pools transactions, except for prepared statements, which Debian's 1.18 has in session mode only."""
    ways = [way for way in stage.ways if way.name != _other_pgbouncer(mode)]
    samples: dict[str, list[Sample]] = {way.name: [] for way in ways}
    for number in range(arguments.rounds):
        for way in ways:
            print(f"\r{mode} {clients} clients, round {number + 1}: {way.name:24}", end="", file=sys.stderr, flush=True)
            samples[way.name].append(select_only(stage, way, mode, clients, arguments.seconds))
    print("\r" + " " * 70 + "\r", end="", file=sys.stderr)
    return {"mode": mode, "clients": clients, "ways": {_short(way): _medians(samples[way.name]) for way in ways}}


def _other_pgbouncer(mode: str) -> str:
    return "pgbouncer-transaction" if mode == "prepared" else "pgbouncer-session"


def _short(way: Way) -> str:
    return way.name.partition("-")[0]


def _medians(samples: list[Sample]) -> dict[str, float | None]:
    cpu = [sample.proxy_us for sample in samples if sample.proxy_us is not None]
    return {
        "tps": median(sample.tps for sample in samples),
        "median_ms": median(sample.median_ms for sample in samples),
        "p99_ms": median(sample.p99_ms for sample in samples),
        "proxy_us": median(cpu) if cpu else None,
    }


def _bulk(stage: Stage, rounds: int) -> dict[str, dict[str, float | None]]:
    ways = [way for way in stage.ways if way.name != "pgbouncer-session"]
    samples: dict[str, list[BulkSample]] = {_short(way): [] for way in ways}
    for _ in range(rounds):
        for way in ways:
            samples[_short(way)].append(copy_out(stage, way))
    return {name: _bulk_medians(of_way) for name, of_way in samples.items()}


def _bulk_medians(samples: list[BulkSample]) -> dict[str, float | None]:
    cpu = [sample.proxy_s for sample in samples if sample.proxy_s is not None]
    return {
        "megabytes": samples[0].size / 1e6,
        "wall_s": median(sample.wall_s for sample in samples),
        "proxy_s": median(cpu) if cpu else None,
    }


def _marks(points: list[dict[str, object]], bulk: dict[str, dict[str, float | None]]) -> list[dict[str, object]]:
    """The marks of the issue: CPU per transaction at most 2.0 times PgBouncer's, bulk at most 2.5 times."""
    marks: list[dict[str, object]] = []
    for point in points:
        ways = point["ways"]
        assert isinstance(ways, dict)
        ratio = ways["tenantgate"]["proxy_us"] / ways["pgbouncer"]["proxy_us"]
        name = f"CPU per transaction, {point['mode']}, {point['clients']} clients"
        marks.append({"name": name, "ratio": ratio, "mark": CPU_MARK, "met": ratio <= CPU_MARK})
    for key, name in (("proxy_s", "bulk COPY out, CPU"), ("wall_s", "bulk COPY out, wall")):
        ours, theirs = bulk["tenantgate"][key], bulk["pgbouncer"][key]
        assert ours is not None
        assert theirs is not None
        marks.append({"name": name, "ratio": ours / theirs, "mark": BULK_MARK, "met": ours / theirs <= BULK_MARK})
    return marks


if __name__ == "__main__":
    sys.exit(main())
