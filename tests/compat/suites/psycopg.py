"""psycopg 3: its repository's tests, since its source distribution has none."""

from __future__ import annotations

from tests.compat.stage import Way
from tests.compat.suite import Outcomes, Place, Suite, clone, environment, run_pytest

VERSION = "3.3.4"
MARKS = "not slow and not flakey and not timing and not crdb"


def prepare() -> Place:
    """Without pytest-asyncio: the suite has anyio do its work."""
    packages = (f"psycopg[binary]=={VERSION}", "anyio", "mypy", "numpy", "pproxy", "pytest", "pytest-randomly")
    suite = clone("https://github.com/psycopg/psycopg", VERSION, f"psycopg-{VERSION}")
    return Place(suite, environment("psycopg", packages))


def run(way: Way, place: Place) -> Outcomes:
    options = ["--test-dsn", way.dsn, "-m", MARKS, "--ignore=tests/pool", "-p", "no:randomly"]
    return run_pytest(way, place, options)


SUITE = Suite("psycopg", prepare, run, superuser=True)
