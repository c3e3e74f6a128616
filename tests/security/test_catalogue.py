"""The project's own catalogue of threats (catalogue/entries.yaml): every entry is run, or names a test."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml

from tests.fix_postgres import serve_postgres
from tests.security.catalogue import steps
from tests.security.catalogue.world import DATABASE, ROLE, World, make_world

PROJECT = Path(__file__).parents[2]
ENTRIES: list[dict[str, Any]] = yaml.safe_load((Path(__file__).parent / "catalogue" / "entries.yaml").read_text())
RUN = [entry for entry in ENTRIES if "steps" in entry]
TESTED = [entry for entry in ENTRIES if "test" in entry]
LEAST = 150
# What entries without a gateway must show at the least: the oracle can see what it is there to see.
LEAST_UNPROTECTED = 0.5


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with serve_postgres("embedded") as server, make_world(server) as made:
        yield made


def test_the_catalogue_is_whole() -> None:
    assert len(ENTRIES) >= LEAST
    assert len({entry["id"] for entry in ENTRIES}) == len(ENTRIES)
    for entry in ENTRIES:
        assert entry["threat"], entry
        assert entry["defence"], entry
        assert ("steps" in entry) != ("test" in entry), entry


@pytest.mark.parametrize("entry", TESTED, ids=[entry["id"] for entry in TESTED])
def test_the_named_test_exists(entry: dict[str, Any]) -> None:
    path, _, name = entry["test"].partition("::")
    functions = [
        node.name
        for node in ast.walk(ast.parse((PROJECT / path).read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    assert name in functions


@pytest.mark.parametrize("entry", RUN, ids=[entry["id"] for entry in RUN])
def test_a_threat_is_met(entry: dict[str, Any], world: World) -> None:
    world.reset()
    logged = len(world.gateway.log)
    before = world.foreign_rows()
    outcome = steps.run(entry["steps"], world.connect)
    problem = steps.problem(entry, outcome, before, world.foreign_rows())
    assert problem is None, problem
    world.gateway.assert_clean_log(logged)


def test_without_a_gateway_the_same_steps_do_harm(world: World) -> None:
    """READ, LEAK and WRITE, straight to the server as the gateway's role: else the entries would prove nothing."""
    tried = [e for e in RUN if e["id"].startswith(("READ", "LEAK", "WRITE")) and _is_plain(e)]
    harmed = [entry["id"] for entry in tried if _harms(entry, world)]
    world.reset()
    assert len(harmed) > len(tried) * LEAST_UNPROTECTED, harmed


def _is_plain(entry: dict[str, Any]) -> bool:
    return all(isinstance(what, str) for step in entry["steps"] for what in step.values())


def _harms(entry: dict[str, Any], world: World) -> bool:
    """Whether a connection without a gateway sees or counts what is globex's, or changes it."""
    world.reset()
    before = world.foreign_rows()
    seen: list[str] = []
    rows: list[list[str | None]] = []
    with psycopg.connect(world.server.conninfo(DATABASE, user=ROLE, password=world.password), autocommit=True) as bare:
        for sql in (sql for step in entry["steps"] for sql in step.values()):
            result = bare.pgconn.exec_(sql.encode())
            rows = [[_cell(result, row, at) for at in range(result.nfields)] for row in range(result.ntuples)]
            seen += [result.error_message.decode(), str(rows)]
    counted = "rows" in entry and rows != entry["rows"]
    return counted or bool(steps.MARKER.search("".join(seen))) or before != world.foreign_rows()


def _cell(result: Any, row: int, column: int) -> str | None:
    value = result.get_value(row, column)
    return None if value is None else value.decode()
