"""postgres.js: the tests of its repository (its package has none)."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from tests.compat.stage import Way
from tests.compat.suite import FAILED, PASSED, Outcomes, Place, Suite, call, clone

VERSION = "3.4.9"
DATABASE = "postgres_js_test"  # as the tests have it
RUNNER = Path(__file__).with_name("postgres_js_runner.js")
_LINE = re.compile(r"^(ok|not ok) (.*)$", re.MULTILINE)


def prepare() -> Place:
    """They make databases and users of their own; here they log in as who has a database. Raises CalledProcessError."""
    place = clone("https://github.com/porsager/postgres", f"v{VERSION}", f"postgres.js-{VERSION}")
    tests = place / "tests"
    shutil.copyfile(RUNNER, tests / "test.js")
    tests.joinpath("bootstrap.js").write_text("export function exec() {}\n", encoding="utf-8")
    index = tests / "index.js"
    text = index.read_text(encoding="utf-8")
    user = "user: process.env.PGUSER, pass: process.env.PGPASSWORD\n}"
    index.write_text(text.replace("user: 'postgres_js_test'\n}", user, 1), encoding="utf-8")
    return Place(place)


def run(way: Way, place: Place) -> Outcomes:
    printed = call(["timeout", "900", "node", "tests/index.js"], way, place.suite, {"PGSSLMODE": ""})
    outcomes: dict[str, str] = {}
    for outcome, line in _LINE.findall(printed):
        name = line.split(" Error: ")[0].split(" PostgresError: ")[0]
        outcomes[name] = PASSED if outcome == "ok" and outcomes.get(name) != FAILED else FAILED
    return outcomes


SUITE = Suite("postgres-js", prepare, run, database=DATABASE)
