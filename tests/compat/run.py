"""psycopg 3's own test suite, past the gateway and through it, and what differs: `make compat`.

The suite is taken from psycopg's repository at the tag below (git and the network are needed; SUITE=DIRECTORY takes a
checkout that is there), the driver from PyPI. Both live in .build/compat, nothing of them is kept in the project.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

from tests.compat.stage import Way, stage

VERSION = "3.3.4"
REPOSITORY = "https://github.com/psycopg/psycopg"
PACKAGES = (f"psycopg[binary]=={VERSION}", "anyio", "mypy", "numpy", "pproxy", "pytest", "pytest-randomly")
MARKS = "not slow and not flakey and not timing and not crdb"
HOME = Path(".build/compat").resolve()
PASSED, FAILED, SKIPPED = "passed", "failed", "skipped"


def main() -> int:
    try:
        suite, python = _fetch_suite(), _make_environment()
    except (subprocess.CalledProcessError, FileNotFoundError) as error:
        print(f"the suite or its packages cannot be fetched: {error}\nIs there a network? Or give SUITE=DIRECTORY.")
        return 1
    with stage() as ways:
        direct, gateway = (_run(way, suite, python) for way in ways)
    for name in sorted(direct.keys() | gateway.keys()):
        before, after = direct.get(name, "not run"), gateway.get(name, "not run")
        if before != after:
            print(f"{name}: {before} directly, {after} through the gateway")
    for way, outcomes in (("direct", direct), ("gateway", gateway)):
        print(way, ", ".join(f"{_count(outcomes, kind)} {kind}" for kind in (PASSED, FAILED, SKIPPED)))
    return 0


def _fetch_suite() -> Path:
    given = os.environ.get("SUITE")
    suite = Path(given).resolve() if given else HOME / f"psycopg-{VERSION}"
    if not (suite / "tests").is_dir():
        command = ["git", "clone", "-q", "--depth", "1", "--branch", VERSION, REPOSITORY, str(suite)]
        subprocess.run(command, check=True)
    return suite


def _make_environment() -> Path:
    """Without pytest-asyncio: the suite has anyio do its work."""
    python = HOME / "venv" / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(HOME / "venv")], check=True)
    subprocess.run([python, "-m", "pip", "install", "-q", *PACKAGES], check=True)
    return python


def _run(way: Way, suite: Path, python: Path) -> dict[str, str]:
    """The outcome of each test."""
    report = HOME / f"{way.name}.xml"
    command = [
        str(python), "-m", "pytest", "--test-dsn", way.dsn, "-m", MARKS, "--ignore=tests/pool", "-p", "no:randomly",
        "-q", f"--junitxml={report}", "-o", f"cache_dir={HOME / way.name}",
    ]  # fmt: skip
    subprocess.run(command, cwd=suite, check=False)
    return {
        f"{case.get('classname')}::{case.get('name')}": _outcome(case)
        for case in ElementTree.parse(report).iter("testcase")
    }


def _outcome(case: ElementTree.Element) -> str:
    tags = {child.tag for child in case}
    return FAILED if tags & {"failure", "error"} else SKIPPED if "skipped" in tags else PASSED


def _count(outcomes: dict[str, str], kind: str) -> int:
    return sum(outcome == kind for outcome in outcomes.values())


if __name__ == "__main__":
    raise SystemExit(main())
