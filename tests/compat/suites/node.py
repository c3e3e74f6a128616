"""node-postgres: the integration tests of its repository (its package has none), with the driver from npm."""

from __future__ import annotations

import shutil
import subprocess

from tests.compat.stage import Way
from tests.compat.suite import FAILED, HOME, PASSED, Outcomes, Place, Suite, call, clone

VERSION = "8.23.0"
PACKAGES = (f"pg@{VERSION}", "async@2.6.4", "bluebird@3.7.2", "co@4.6.0", "pg-copy-streams@0.3.0")
LOG = "node-postgres"


def prepare() -> Place:
    """The tests are put beside the installed driver, where they look for it. Raises CalledProcessError."""
    checkout = clone("https://github.com/brianc/node-postgres", f"pg@{VERSION}", f"node-postgres-{VERSION}")
    place = HOME / "npm"
    place.mkdir(exist_ok=True)
    command = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(place), *PACKAGES]
    subprocess.run(command, check=True, cwd=place)
    suite = place / "node_modules" / "pg"
    shutil.copytree(checkout / "packages" / "pg" / "test", suite / "test", dirs_exist_ok=True)
    return Place(suite)


def run(way: Way, place: Place) -> Outcomes:
    """Each file is a program; it prints a line for each of its tests, and fails as a whole when one fails."""
    outcomes: dict[str, str] = {}
    printed = ""
    for path in sorted((place.suite / "test" / "integration").rglob("*-tests.js")):
        name = str(path.relative_to(place.suite / "test" / "integration"))
        said = call(["sh", "-c", 'timeout 60 node "$0"; echo "status $?"', str(path)], way, place.suite)
        outcomes[name] = PASSED if said.rstrip().endswith("status 0") else FAILED
        printed += f"== {name}: {outcomes[name]}\n{said}\n"
    (HOME / f"{LOG}-{way.name}.log").write_text(printed, encoding="utf-8")
    return outcomes


SUITE = Suite("node-postgres", prepare, run)
