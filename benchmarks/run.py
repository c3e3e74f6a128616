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
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.marks import marks_of
from benchmarks.measure import SELECT_ONLY, BulkSample, Sample, copy_out, select_only
from benchmarks.report import render_svg, table
from benchmarks.stage import Stage, Way
from benchmarks.works import at_rate, connections, in_turn, literals, medians, million_rows, transactions
from proxy.postgres import engine

MODES = ("simple", "extended", "prepared")
CLIENTS = (1, 8, 64)


def main() -> int:
    """Exit code 0: all marks met, 1: one is missed."""
    arguments = _arguments()
    results = arguments.results
    results.mkdir(parents=True, exist_ok=True)
    with Stage(arguments.scale, workers=arguments.workers) as stage:
        points = [_point(stage, mode, clients, arguments) for mode in MODES for clients in CLIENTS]
        works = _works(stage, points, arguments)
        bulk = _bulk(stage, arguments.rounds, copy_out)
        million = _bulk(stage, arguments.rounds, million_rows)
    report = {
        "machine": platform.platform(),
        "python": platform.python_version(),
        "compiled": not str(engine.__file__).endswith(".py"),
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "seconds": arguments.seconds,
        "rounds": arguments.rounds,
        "workers": arguments.workers,
        "points": points,
        "works": works,
        "bulk": bulk,
        "million": million,
        "marks": marks_of(points, works, bulk, million),
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
    parser.add_argument("--workers", type=int, default=1, help="processes of the gateway (default 1)")
    parser.add_argument("--results", type=Path, default=Path(__file__).parent / "results", help="where reports go")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    return parser.parse_args()


def _point(stage: Stage, mode: str, clients: int, arguments: argparse.Namespace) -> dict[str, Any]:
    """PgBouncer pools transactions, except for prepared statements, which Debian's 1.18 has in session mode only."""
    ways = [way for way in stage.ways if way.name != _other_pgbouncer(mode)]
    samples: dict[str, list[Sample]] = {way.name: [] for way in ways}
    for number in range(arguments.rounds):
        for way in ways:
            print(f"\r{mode} {clients} clients, round {number + 1}: {way.name:24}", end="", file=sys.stderr, flush=True)
            samples[way.name].append(select_only(stage, way, mode, clients, arguments.seconds))
    print("\r" + " " * 70 + "\r", end="", file=sys.stderr)
    return {"mode": mode, "clients": clients, "ways": {_short(way): medians(samples[way.name]) for way in ways}}


def _other_pgbouncer(mode: str) -> str:
    return "pgbouncer-transaction" if mode == "prepared" else "pgbouncer-session"


def _short(way: Way) -> str:
    return way.name.partition("-")[0]


def _works(
    stage: Stage, points: list[dict[str, Any]], arguments: argparse.Namespace
) -> dict[str, dict[str, dict[str, float | None]]]:
    ways = [way for way in stage.ways if way.name != "pgbouncer-session"]
    peak = next(p for p in points if p["mode"] == "simple" and p["clients"] == max(CLIENTS))["ways"]["pgbouncer"]["tps"]
    seconds, rounds = arguments.seconds, arguments.rounds
    print("\rtransactions, connections, fixed rate", end="", file=sys.stderr, flush=True)
    return {
        "transactions": in_turn(ways, rounds, lambda way: transactions(stage, way, seconds)),
        "connections": in_turn(ways, rounds, lambda way: connections(stage, way, seconds)),
        "literals": literals(stage, rounds, seconds),
        "rate": in_turn(ways, rounds, lambda way: at_rate(stage, way, SELECT_ONLY, int(0.7 * peak), seconds)),
    }


def _bulk(stage: Stage, rounds: int, measure: Callable[[Stage, Way], BulkSample]) -> dict[str, dict[str, float | None]]:
    ways = [way for way in stage.ways if way.name != "pgbouncer-session"]
    samples: dict[str, list[BulkSample]] = {_short(way): [] for way in ways}
    for _ in range(rounds):
        for way in ways:
            samples[_short(way)].append(measure(stage, way))
    return {name: _bulk_medians(of_way) for name, of_way in samples.items()}


def _bulk_medians(samples: list[BulkSample]) -> dict[str, float | None]:
    cpu = [sample.proxy_s for sample in samples if sample.proxy_s is not None]
    return {
        "megabytes": samples[0].size / 1e6,
        "wall_s": median(sample.wall_s for sample in samples),
        "proxy_s": median(cpu) if cpu else None,
    }


if __name__ == "__main__":
    sys.exit(main())
