"""asyncpg: the tests of its source distribution that need but a database (not those that start servers)."""

from __future__ import annotations

from tests.compat.stage import Way
from tests.compat.suite import Outcomes, Place, Suite, environment, run_pytest, unpack_sdist

VERSION = "0.32.0"
FILES = (
    "adversity", "cache_invalidation", "cancellation", "codecs", "copy", "cursor", "exceptions", "execute",
    "introspection", "listeners", "logging", "pool", "prepare", "record", "timeout", "transaction", "types", "utils",
)  # fmt: skip


def prepare() -> Place:
    """The sources' own `asyncpg` is not compiled: it makes way for the installed one."""
    suite = unpack_sdist("asyncpg", VERSION)
    if (suite / "asyncpg").is_dir():
        (suite / "asyncpg").rename(suite / "asyncpg.source")
    return Place(suite, environment("asyncpg", (f"asyncpg=={VERSION}", "pytest", "uvloop")))


def run(way: Way, place: Place) -> Outcomes:
    return run_pytest(way, place, [f"tests/test_{name}.py" for name in FILES])


SUITE = Suite("asyncpg", prepare, run, database="postgres", superuser=True)  # its fixtures name that database
