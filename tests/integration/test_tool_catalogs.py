"""What tools ask of the catalogs when they connect and draw their trees (tools/*.sql, in our own words), and psql's
backslash commands: each is answered, and no answer has anything of others in it, in each isolation strategy."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.clients.test_psql import psql_path
from tests.harness.missing import missing
from tests.harness.postgres import PostgresServer
from tests.integration.catalog_stage import MARK, TENANTS, Stage, catalog_stage

HERE = Path(__file__).parent / "tools"
FOREIGN = re.compile(f"{MARK}|globex")


def _questions() -> dict[str, str]:
    """Name and text of each block: `-- name` or `-- name => what it shows`, then one line of statements."""
    found: dict[str, str] = {}
    for path in sorted(HERE.glob("*.sql")):
        for block in path.read_text(encoding="utf-8").split("\n\n"):
            head, _, text = block.strip().partition("\n")
            found[f"{path.stem}: {head.removeprefix('-- ')}"] = text
    return found


QUESTIONS = _questions()


@pytest.fixture(scope="module", params=["postgres", "postgres_tls"], ids=["18", "15"])
def stage(request: pytest.FixtureRequest) -> Iterator[Stage]:
    server: PostgresServer = request.getfixturevalue(request.param)
    with catalog_stage(server) as made:
        yield made


@pytest.fixture(params=list(TENANTS))
def strategy(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def _answer(connection: psycopg.Connection[tuple[object, ...]], text: str) -> str:
    """All rows of all statements as one text; the connection is told to send the simple protocol."""
    cursor = connection.execute(text.encode(), prepare=False)
    rows: list[object] = []
    while True:
        rows += cursor.fetchall() if cursor.description else []
        if not cursor.nextset():
            return "\n".join(map(str, rows))


def test_questions_of_tools_are_answered(stage: Stage, strategy: str) -> None:
    problems = []
    with stage.connect(strategy) as connection:
        for name, text in QUESTIONS.items():
            try:
                answer = _answer(connection, text)
            except psycopg.Error as error:
                problems.append(f"{name}: {error.sqlstate} {error}")
                continue
            if FOREIGN.search(answer):
                problems.append(f"{name}: tells of others")
            if name.partition(" => ")[2] not in answer:
                problems.append(f"{name}: is not shown")
    assert not problems


@pytest.mark.parametrize(
    "question", ["SELECT * FROM pg_class", "SELECT * FROM pg_database", "SELECT 'orders'::regclass"]
)
def test_explain_counts_nothing_of_guarded_catalogs(stage: Stage, strategy: str, question: str) -> None:
    with stage.connect(strategy) as connection:
        plan = _answer(connection, f"EXPLAIN (FORMAT json, VERBOSE) {question}")
        if strategy != "database" or "pg_database" in question:
            assert "Plan Rows" not in plan
            with pytest.raises(psycopg.errors.FeatureNotSupported):
                connection.execute(f"EXPLAIN ANALYZE {question}".encode())


COMMANDS = (HERE / "psql.txt").read_text(encoding="utf-8").splitlines()
# psql's own words for what it does not find, or asks of a server of another version
_NOT_FOUND = re.compile(r"does not exist|not available|Did not find any|\(0 rows\)")


def test_psql_backslash_commands(stage: Stage, strategy: str) -> None:
    if stage.server.flavour != "debian15":
        pytest.skip("an older psql asks for columns that this server has no more")
    path = psql_path()
    if path is None:
        missing("psql", "apt-get install postgresql-client")
    script = "".join(f"\\echo @@ {c[1:]}\n\\warn @@ {c[1:]}\n{c}\n" for c in COMMANDS)
    run = subprocess.run(
        [path, "-X", "-A", "-t", stage.conninfo(strategy)],
        input=script, capture_output=True, text=True, check=False, timeout=120, env={**os.environ, "PAGER": "cat"},
    )  # fmt: skip
    errors = [block for block in run.stderr.split("@@ ") if "ERROR" in block or "FATAL" in block]
    assert [block for block in errors if not _NOT_FOUND.search(block)] == []
    leaks = [block[:200] for block in run.stdout.split("@@ ") if FOREIGN.search(block.partition("\n")[2])]
    assert leaks == []
    assert "orders|table" in run.stdout
