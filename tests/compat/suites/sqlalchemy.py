"""SQLAlchemy: its dialect suite and its own tests of PostgreSQL, with psycopg and with asyncpg."""

from __future__ import annotations

from functools import partial

from sqlalchemy import URL

from tests.compat.stage import Way
from tests.compat.suite import Outcomes, Place, Suite, environment, run_pytest, unpack_sdist

VERSION = "2.1.9"
DRIVERS = ("psycopg", "asyncpg")
SETUP = """
CREATE SCHEMA test_schema AUTHORIZATION compat_owner;
CREATE SCHEMA test_schema_2 AUTHORIZATION compat_owner;
CREATE EXTENSION hstore; CREATE EXTENSION citext
"""


def prepare() -> Place:
    suite = unpack_sdist("sqlalchemy", VERSION)
    packages = (f"SQLAlchemy=={VERSION}", "asyncpg==0.32.0", "psycopg[binary]==3.3.4", "greenlet", "pytest")
    return Place(suite, environment("sqlalchemy", packages))


def run(driver: str, way: Way, place: Place) -> Outcomes:
    url = URL.create(f"postgresql+{driver}", way.user, way.password, "127.0.0.1", way.port, way.database)
    files = ["test/dialect/test_suite.py", "test/dialect/postgresql"]
    return run_pytest(way, place, ["--dburi", url.render_as_string(hide_password=False), *files, "-p", "no:logging"])


SUITES = [Suite(f"sqlalchemy-{driver}", prepare, partial(run, driver), setup=SETUP) for driver in DRIVERS]
