"""psycopg2: the tests of its source distribution, which are unittest's."""

from __future__ import annotations

import os

from tests.compat.stage import Way
from tests.compat.suite import Outcomes, Place, Suite, environment, run_pytest, unpack_sdist

VERSION = "2.9.13"


def prepare() -> Place:
    suite = unpack_sdist("psycopg2", VERSION)
    return Place(suite, environment("psycopg2", (f"psycopg2-binary=={VERSION}", "pytest")))


def run(way: Way, place: Place) -> Outcomes:
    return run_pytest(way, place, ["tests", "-c", os.devnull, "--rootdir=."], {"PSYCOPG2_TESTDB": way.database})


SUITE = Suite("psycopg2", prepare, run, setup="CREATE EXTENSION hstore")
