"""What one driver's test suite is: where it comes from, how it is run on one way to a database, what came out.

Sources and packages live in .build/compat, nothing of them is kept in the project.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from tests.compat.stage import Way

HOME = Path(".build/compat").resolve()
PASSED, FAILED, SKIPPED, NOT_RUN = "passed", "failed", "skipped", "not run"
RUN_S = 5400
Outcomes = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Place:
    """A suite that can be run: its sources, and the interpreter of its environment (Python's suites)."""

    suite: Path
    python: Path = Path(sys.executable)


@dataclass(frozen=True, slots=True)
class Suite:
    """`prepare` fetches what is missing; `run` gives the outcome of each test.

    database: what the tenant and its database are called, user: who logs in, where the suite insists on a name.
    setup: SQL that the superuser runs in the database beforehand. superuser: the direct run is the superuser's.
    """

    name: str
    prepare: Callable[[], Place]
    run: Callable[[Way, Place], Outcomes]
    database: str = "compat"
    user: str = "compat_owner"
    setup: str = ""
    superuser: bool = False


def given_directory() -> Path | None:
    """SUITE=DIRECTORY: a checkout that is there, where the sources cannot be fetched."""
    given = os.environ.get("SUITE")
    return Path(given).resolve() if given else None


def clone(repository: str, tag: str, name: str) -> Path:
    """The checkout of one tag. Raises CalledProcessError."""
    suite = given_directory() or HOME / name
    if not suite.is_dir():
        command = ["git", "clone", "-q", "-c", "advice.detachedHead=false", "--depth", "1", "--branch", tag]
        subprocess.run([*command, repository, str(suite)], check=True)
    return suite


def unpack_sdist(package: str, version: str) -> Path:
    """The source distribution from PyPI, unpacked. Raises CalledProcessError."""
    given = given_directory()
    if given is not None:
        return given
    place = HOME / "sdist" / f"{package}-{version}"
    if not place.is_dir():
        command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-binary", package]
        subprocess.run([*command, "-d", str(place.parent), f"{package}=={version}"], check=True)
        with tarfile.open(place.with_name(place.name + ".tar.gz")) as archive:
            archive.extractall(place.parent, filter="data")
    return place


def environment(name: str, packages: Sequence[str]) -> Path:
    """The interpreter of a virtual environment with these packages. Raises CalledProcessError."""
    python = HOME / f"venv-{name}" / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(python.parents[1])], check=True)
    subprocess.run([python, "-m", "pip", "install", "-q", *packages], check=True)
    return python


def run_pytest(way: Way, place: Place, arguments: Sequence[str], env: Mapping[str, str] | None = None) -> Outcomes:
    """Run pytest in the suite's directory; the outcome of each test is in its report."""
    report = HOME / f"{place.suite.name}-{way.name}.xml"
    report.unlink(missing_ok=True)
    options = ["-q", "--no-header", "--tb=native", f"--junitxml={report}", "-o", f"cache_dir={HOME / way.name}"]
    call([str(place.python), "-m", "pytest", *options, *arguments], way, place.suite, env)
    return outcomes_of_report(report)


def call(command: Sequence[str], way: Way, directory: Path, env: Mapping[str, str] | None = None) -> str:
    """What the command printed; it also goes to .build/compat/SUITE-WAY.log, to be read when a test fails."""
    everything = {**os.environ, **way.environment, **(env or {})}
    done = subprocess.run(
        command, cwd=directory, env=everything, check=False, timeout=RUN_S, text=True, errors="replace",
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    with (HOME / f"{directory.name}-{way.name}.log").open("w", encoding="utf-8") as log:
        log.write(done.stdout)
    return done.stdout


def outcomes_of_report(report: Path) -> Outcomes:
    """Those of a JUnit file. A test of several subtests counts once, with the worst of them."""
    outcomes: dict[str, str] = {}
    for case in ElementTree.parse(report).iter("testcase"):
        name = f"{case.get('classname')}::{case.get('name')}"
        if outcomes.get(name) != FAILED:
            outcomes[name] = _outcome(case)
    return outcomes


def _outcome(case: ElementTree.Element) -> str:
    tags = {child.tag for child in case}
    return FAILED if tags & {"failure", "error"} else SKIPPED if "skipped" in tags else PASSED
