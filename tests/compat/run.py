"""Drivers' own test suites, past the gateway and through it, and what differs: `make compat`.

Each suite is run twice, on a server made for it, and its tests whose outcome differs are printed. SUITE=DIRECTORY takes
a suite's sources that are there instead of fetching them.
"""

from __future__ import annotations

import argparse
import contextlib
import subprocess
import time

from tests.compat.stage import Way, stage
from tests.compat.suite import FAILED, NOT_RUN, PASSED, SKIPPED, Outcomes, Suite
from tests.compat.suites import asyncpg, django, go, node, pg8000, pgjdbc, postgres_js, psycopg, psycopg2, sqlalchemy

ALL = (
    psycopg.SUITE,
    asyncpg.SUITE,
    *sqlalchemy.SUITES,
    psycopg2.SUITE,
    pg8000.SUITE,
    django.SUITE,
    *go.SUITES,
    node.SUITE,
    pgjdbc.SUITE,
    postgres_js.SUITE,
)
SUITES = {suite.name: suite for suite in ALL}
DIRECT, GATEWAY = range(2)


def main() -> int:
    arguments = _parser().parse_args()
    for suite in (SUITES[name] for name in arguments.suite or ["psycopg"]):
        try:
            place = suite.prepare()
        except (subprocess.CalledProcessError, FileNotFoundError) as error:
            print(f"{suite.name} or its packages cannot be fetched: {error}\nIs there a network? Or SUITE=DIRECTORY.")
            return 1
        runs = {}
        for number in (DIRECT, GATEWAY) if arguments.only is None else (arguments.only,):
            with _stage_of(suite) as ways:
                begun = time.monotonic()
                runs[ways[number].name] = suite.run(ways[number], place)
                print(f"{suite.name} {ways[number].name}: {_counts(runs[ways[number].name])}", end=", ")
                print(f"{time.monotonic() - begun:.0f} s", flush=True)
        _print_differences(runs)
    return 0


def _stage_of(suite: Suite) -> contextlib.AbstractContextManager[tuple[Way, Way]]:
    return stage(database=suite.database, user=suite.user, setup=suite.setup, direct_superuser=suite.superuser)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make compat", description=__doc__, epilog="make compat ARGS='--suite pgx'")
    parser.add_argument("--suite", action="append", choices=sorted(SUITES), help="default: psycopg; may be repeated")
    parser.add_argument("--only", type=["direct", "gateway"].index, metavar="direct|gateway", help="one run of the two")
    return parser


def _print_differences(runs: dict[str, Outcomes]) -> None:
    if len(runs) == 1:
        (outcomes,) = runs.values()
        print("\n".join(f"  {name}: {outcome}" for name, outcome in sorted(outcomes.items()) if outcome == FAILED))
        return
    direct, gateway = runs.values()
    for name in sorted(direct.keys() | gateway.keys()):
        before, after = direct.get(name, NOT_RUN), gateway.get(name, NOT_RUN)
        if before != after:
            print(f"  {name}: {before} directly, {after} through the gateway")


def _counts(outcomes: Outcomes) -> str:
    return ", ".join(f"{sum(o == kind for o in outcomes.values())} {kind}" for kind in (PASSED, FAILED, SKIPPED))


if __name__ == "__main__":
    raise SystemExit(main())
