"""Every attack that is plain SQL, of all categories, compiled as acme and run on PostgreSQL as the backend role.

This needs no gateway: it shows whether the rewriting alone keeps foreign rows unseen and unchanged. Each case runs in a
transaction that is rolled back; one that ends it makes the database anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

import pytest

from policy.sql.catalog import Catalog
from tests.harness.simple_query import load_catalog_from
from tests.security import corpus, fixture
from tests.security.compiled import CompiledSession, Outcome, acme_access
from tests.security.conftest import CorpusServer
from tests.security.known import KNOWN_COMPILED
from tests.security.score import SCORES

DATABASE = "compiled"


def _statements(case: corpus.Case) -> list[str]:
    """The attacker's query strings, when the case is nothing else."""
    steps = case.get("steps") or [{"sql": case["sql"]}]
    plain = all(set(step) <= {"s", "sql"} and step.get("s", "a") == "a" and "${" not in step["sql"] for step in steps)
    return [step["sql"] for step in steps] if plain else []


CASES = [case for case in corpus.attack_cases() if case["mode"] == "shared" and _statements(case)]
pytestmark = pytest.mark.skipif(not CASES and corpus.locate() is not None, reason="no plain SQL cases")


@pytest.fixture(scope="module")
def make_session(corpus_server: CorpusServer) -> Iterator[Callable[[], CompiledSession]]:
    """Make a session on a fresh copy of the fixture; the one before is closed."""
    open_sessions: list[CompiledSession] = []
    catalog: list[Catalog] = []

    def make() -> CompiledSession:
        while open_sessions:
            open_sessions.pop().close()
        fixture.copy_database(corpus_server.server, fixture.TEMPLATE, DATABASE)
        conninfo = corpus_server.conninfo(DATABASE)
        if not catalog:
            catalog.append(asyncio.run(load_catalog_from(conninfo)))
        open_sessions.append(CompiledSession(conninfo, acme_access(), catalog[0]))
        return open_sessions[-1]

    yield make
    while open_sessions:
        open_sessions.pop().close()


@pytest.fixture(scope="module")
def session(make_session: Callable[[], CompiledSession]) -> dict[str, CompiledSession]:
    """A holder, so that a case which spoils its session can put a new one."""
    return {"now": make_session()}


@pytest.mark.parametrize("case", CASES, ids=[case["id"] for case in CASES])
def test_no_foreign_row_is_seen_or_changed(
    case: corpus.Case,
    session: dict[str, CompiledSession],
    make_session: Callable[[], CompiledSession],
) -> None:
    runner = session["now"]
    runner.connection.execute("BEGIN")
    before = runner.foreign_state()
    outcomes: list[Outcome] = []
    try:
        for text in _statements(case):
            outcomes.append(runner.run(text))
        problem = _problem(case, outcomes, runner, before)
    finally:
        if runner.in_transaction:
            runner.connection.execute("ROLLBACK")
        else:
            session["now"] = make_session()
    SCORES.add("attacks, compiled", case["category"], case["id"], problem is None)
    if problem is not None and case["id"] in KNOWN_COMPILED:
        pytest.xfail(KNOWN_COMPILED[case["id"]])
    assert problem is None, problem
    assert case["id"] not in KNOWN_COMPILED, "listed as known, but it is stopped: take it off the list"


def _problem(
    case: corpus.Case, outcomes: list[Outcome], runner: CompiledSession, before: dict[str, tuple[object, ...]]
) -> str | None:
    sent = "\n".join(sql for outcome in outcomes for sql in outcome.sent)
    for outcome in outcomes:
        found = outcome.leak(case.get("marker", corpus.MARKER))
        if found is not None:
            return f"LEAK {found!r} by\n{sent}"
    if not runner.failed and any(outcome.sent for outcome in outcomes):
        after = runner.foreign_state()
        changed = [table for table in before if before[table] != after[table]]
        if changed:
            return f"CHANGED {changed} by\n{sent}"
    if case["expect"] == "denied" and all(outcome.denial is None and not outcome.errors for outcome in outcomes):
        return f"NOT DENIED\n{sent}"
    return None
