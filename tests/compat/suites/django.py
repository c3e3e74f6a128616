"""Django: the tests of its source distribution that ask most of a database."""

from __future__ import annotations

import json
import re

from tests.compat.stage import Way
from tests.compat.suite import FAILED, PASSED, SKIPPED, Outcomes, Place, Suite, call, environment, unpack_sdist

VERSION = "5.2.19"
LABELS = (
    "aggregation", "aggregation_regress", "annotations", "backends", "basic", "bulk_create", "custom_pk",
    "db_functions", "expressions", "introspection", "inspectdb", "many_to_many", "model_fields", "queries",
    "select_for_update", "transactions", "update",
)  # fmt: skip
_LINE = re.compile(r"^(test\w+ \([\w.]+\))(?:\n.*?)?? \.\.\. (ok|FAIL|ERROR|skipped|expected failure)", re.MULTILINE)
_OUTCOME = {"ok": PASSED, "skipped": SKIPPED, "expected failure": PASSED}


def prepare() -> Place:
    suite = unpack_sdist("django", VERSION)
    return Place(suite / "tests", environment("django", (f"Django=={VERSION}", "psycopg[binary]==3.3.4", "tzdata")))


def run(way: Way, place: Place) -> Outcomes:
    """Its runner makes a database for itself; here it is told that the one that is there is that one (--keepdb)."""
    place.suite.joinpath("gateway_settings.py").write_text(_settings(way), encoding="utf-8")
    command = [str(place.python), "runtests.py", "--settings=gateway_settings", "--noinput", "--parallel=1", "-v2"]
    printed = call([*command, "--keepdb", *LABELS], way, place.suite)
    return {test: _OUTCOME.get(outcome, FAILED) for test, outcome in _LINE.findall(printed)}


def _settings(way: Way) -> str:
    one = {
        "ENGINE": "django.db.backends.postgresql", "HOST": "127.0.0.1", "PORT": way.port, "USER": way.user,
        "PASSWORD": way.password, "NAME": way.database, "TEST": {"NAME": way.database},
    }  # fmt: skip
    other = {**one, "TEST": {"NAME": way.database, "MIRROR": "default"}}
    lines = [f"DATABASES = {json.dumps({'default': one, 'other': other})}", "SECRET_KEY = 'x'", "USE_TZ = False"]
    lines += ["PASSWORD_HASHERS = ['django.contrib.auth.hashers.MD5PasswordHasher']"]
    return "\n".join([*lines, "DEFAULT_AUTO_FIELD = 'django.db.models.AutoField'", ""])


SUITE = Suite("django", prepare, run, database="postgres")  # it looks for databases by way of that one
