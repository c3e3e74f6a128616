"""The rest of the corpus's attacks through a running gateway: every strategy, and stronger backend roles.

Some three minutes: only with TENANTGATE_CORPUS_FULL=1. Behind the tables' owner and a superuser run the cases that need
such a role; with TENANTGATE_CORPUS_ROLES=all, all of them (ten minutes more).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

from tests.harness.gateway import GatewayProcess
from tests.security import corpus, fixture, proxied
from tests.security.attempts import attempt
from tests.security.conftest import CorpusServer
from tests.security.known import KNOWN_ATTACKS, KNOWN_FULL, KNOWN_FULL_OF_ANY_ROLE
from tests.security.score import SCORES

pytestmark = pytest.mark.skipif("TENANTGATE_CORPUS_FULL" not in os.environ, reason="set TENANTGATE_CORPUS_FULL=1")
CATEGORIES = (
    "startup-and-auth", "session-and-settings", "pooling-and-cancel", "copy-cursors-prepared", "names-and-scoping",
    "functions-and-views", "catalogs-statistics-explain", "ddl-and-privileges", "schema-and-database-mode",
)  # fmt: skip
CASES = corpus.attack_cases()
OWNER, SUPERUSER = fixture.OWNER_ROLE, "superuser"
ENVIRONMENTS = [
    ("shared", fixture.BACKEND_ROLE), ("schema", fixture.BACKEND_ROLE), ("database", fixture.BACKEND_ROLE),
    ("shared", OWNER), ("schema", OWNER), ("shared", SUPERUSER), ("schema", SUPERUSER), ("database", SUPERUSER),
]  # fmt: skip
Proxied = tuple[GatewayProcess, Any]  # gateway, the runner's Env


def _runs(mode: str, role: str) -> list[corpus.Case]:
    """The cases for one strategy and backend role."""
    cases = [case for case in CASES if case["mode"] == mode]
    if os.environ.get("TENANTGATE_CORPUS_ROLES") == "all":
        return cases
    if role == fixture.BACKEND_ROLE:  # the other categories: test_gateway_corpus.py
        return [case for case in cases if case["category"] in CATEGORIES]
    strong = ("app_owner",) if role == OWNER else ("app_owner", "postgres")
    return [case for case in cases if case.get("role") in strong]


RUNS = [(environment, case) for environment in ENVIRONMENTS for case in _runs(*environment)]


@pytest.fixture(scope="module")
def environment(corpus_server: CorpusServer, request: pytest.FixtureRequest) -> Iterator[Proxied]:
    mode, role = request.param
    name = corpus_server.server.superuser if role == SUPERUSER else role
    with (
        proxied.serve(corpus_server, mode, name) as gateway,
        proxied.environment(corpus_server, gateway) as env,
    ):
        yield gateway, env


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(
    ("environment", "case"),
    RUNS,
    ids=[f"{mode}-{role}-{case['id']}" for (mode, role), case in RUNS],
    indirect=["environment"],
)
def test_attack_is_stopped(
    case: corpus.Case, environment: Proxied, corpus_server: CorpusServer, request: pytest.FixtureRequest
) -> None:
    mode, role = request.node.callspec.params["environment"]
    gateway, env = environment
    before = len(gateway.log)
    problems = attempt(env, case)
    # What cases clean up is also the password that the gateway logs in with.
    for name in (fixture.BACKEND_ROLE, fixture.OWNER_ROLE):
        corpus_server.server.execute(f"ALTER ROLE {name} PASSWORD '{corpus_server.password}'")
    gateway.assert_clean_log(before)
    SCORES.add("attacks stopped", f"{case['category']} {mode} {role}", case["id"], not problems)
    known = KNOWN_ATTACKS | (KNOWN_FULL if role == fixture.BACKEND_ROLE else KNOWN_FULL_OF_ANY_ROLE)
    if problems and case["id"] in known:
        pytest.xfail(known[case["id"]])
    assert not problems
    assert case["id"] not in known, "listed as known, but it does well: take it off the list"
