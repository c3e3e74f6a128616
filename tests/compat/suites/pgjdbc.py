"""pgJDBC: those tests of its source distribution (Maven Central) that talk to a server."""

from __future__ import annotations

import shutil
import subprocess
import tarfile

from tests.compat.stage import Way
from tests.compat.suite import HOME, Outcomes, Place, Suite, call, given_directory, outcomes_of_report

VERSION = "42.7.13"
TESTS = "org/postgresql/test/**/*Test"  # those beside are of its classes alone
_ARCHIVE = f"org.postgresql:postgresql:{VERSION}:tar.gz:jdbc-src"
_MAVEN = ("mvn", "-B", "-q")


def prepare() -> Place:
    """Fetched, unpacked and compiled. Raises CalledProcessError, FileNotFoundError."""
    place = given_directory() or HOME / f"postgresql-{VERSION}-jdbc-src"
    if not place.is_dir():
        HOME.mkdir(parents=True, exist_ok=True)
        subprocess.run(
            [*_MAVEN, "dependency:copy", f"-Dartifact={_ARCHIVE}", f"-DoutputDirectory={HOME}"], check=True, cwd=HOME
        )
        with tarfile.open(HOME / f"{place.name}.tar.gz") as archive:
            archive.extractall(HOME, filter="data")
    subprocess.run([*_MAVEN, "test-compile"], check=True, cwd=place)
    return Place(place)


def run(way: Way, place: Place) -> Outcomes:
    """Its privileged user is the same one: what needs a superuser fails on both ways."""
    place.suite.joinpath("build.local.properties").write_text(_properties(way), encoding="utf-8")
    reports = place.suite / "target" / "surefire-reports"
    shutil.rmtree(reports, ignore_errors=True)
    call([*_MAVEN, "surefire:test", "-Dmaven.test.failure.ignore", f"-Dtest={TESTS}"], way, place.suite)
    shutil.copytree(reports, reports.with_name(f"reports-{way.name}"), dirs_exist_ok=True)
    outcomes: dict[str, str] = {}
    for report in sorted(reports.glob("TEST-*.xml")):
        outcomes |= outcomes_of_report(report)
    return outcomes


def _properties(way: Way) -> str:
    values = {
        "test.url.PGHOST": "127.0.0.1", "test.url.PGPORT": way.port, "test.url.PGDBNAME": way.database,
        "user": way.user, "password": way.password,
        "privilegedUser": way.user, "privilegedPassword": way.password,
    }  # fmt: skip
    return "".join(f"{name}={value}\n" for name, value in values.items())


SUITE = Suite("pgjdbc", prepare, run, setup="CREATE EXTENSION hstore; CREATE EXTENSION citext")
