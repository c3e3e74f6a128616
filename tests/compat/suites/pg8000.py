"""pg8000: the tests of its source distribution."""

from __future__ import annotations

import os

from tests.compat.stage import Way
from tests.compat.suite import Outcomes, Place, Suite, environment, run_pytest, unpack_sdist

VERSION = "1.31.6"


def prepare() -> Place:
    suite = unpack_sdist("pg8000", VERSION)
    packages = (f"pg8000=={VERSION}", "pytest", "pytest-benchmark", "pytest-mock", "pytz")
    return Place(suite, environment("pg8000", packages))


def run(way: Way, place: Place) -> Outcomes:
    return run_pytest(way, place, ["test", "-c", os.devnull, "--rootdir=.", "--ignore=test/test_readme.py"])


SUITE = Suite(  # its fixtures log in as that user, to the database of that name
    "pg8000", prepare, run, database="postgres", user="postgres", superuser=True, setup="CREATE EXTENSION hstore"
)
