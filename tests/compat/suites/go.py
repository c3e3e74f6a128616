"""pgx and lib/pq: the tests that their Go modules carry."""

from __future__ import annotations

import json
import shutil
import subprocess
from functools import partial
from pathlib import Path

from tests.compat.stage import Way
from tests.compat.suite import FAILED, HOME, PASSED, SKIPPED, Outcomes, Place, Suite, call, given_directory

_OUTCOME = {"pass": PASSED, "fail": FAILED, "skip": SKIPPED}
_PGX = ("github.com/jackc/pgx/v5", "v5.9.2", ("./...",))
_PQ = ("github.com/lib/pq", "v1.12.3", (".",))


def prepare(module: str, version: str) -> Place:
    """A copy that can be written to of what `go mod download` brings. Raises CalledProcessError, FileNotFoundError."""
    place = given_directory() or HOME / f"{module.replace('/', '-')}-{version}"
    if not place.is_dir():
        printed = subprocess.run(
            ["go", "mod", "download", "-json", f"{module}@{version}"], check=True, capture_output=True, cwd=HOME
        ).stdout
        shutil.copytree(json.loads(printed)["Dir"], place, copy_function=shutil.copyfile)
    return Place(place)


def run(packages: tuple[str, ...], way: Way, place: Place) -> Outcomes:
    """A test with subtests is left out for these."""
    env = {"PGX_TEST_DATABASE": way.dsn, "PQTEST_DSN": way.dsn}
    printed = call(["go", "test", "-json", "-count=1", "-p=1", "-timeout=15m", *packages], way, place.suite, env)
    outcomes: dict[str, str] = {}
    for line in printed.splitlines():
        event = json.loads(line) if line.startswith("{") else {}
        if event.get("Action") in _OUTCOME and "Test" in event:
            outcomes[f"{Path(event['Package']).name}::{event['Test']}"] = _OUTCOME[event["Action"]]
    return outcomes


SUITES = [
    Suite(name, partial(prepare, module, version), partial(run, packages), setup="CREATE EXTENSION hstore")
    for name, (module, version, packages) in (("pgx", _PGX), ("lib-pq", _PQ))
]
