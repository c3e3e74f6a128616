"""The rest of the corpus's attacks through a running gateway, with shared tables and with a schema for each tenant.

Some two minutes: only with TENANTGATE_CORPUS_FULL=1. A case whose victim is refused a statement that nobody may run
(LISTEN, advisory locks, SET of a GUC of its own) is stopped: there is nothing to attack.
"""

from __future__ import annotations

import gc
import os
import re
import warnings
from collections.abc import Iterator
from typing import Any

import pytest

from tests.harness.gateway import GatewayProcess
from tests.security import corpus, fixture, proxied
from tests.security.conftest import CorpusServer
from tests.security.known import KNOWN_FULL
from tests.security.score import SCORES

pytestmark = pytest.mark.skipif("TENANTGATE_CORPUS_FULL" not in os.environ, reason="set TENANTGATE_CORPUS_FULL=1")
CATEGORIES = (
    "startup-and-auth", "session-and-settings", "pooling-and-cancel", "copy-cursors-prepared", "names-and-scoping",
    "functions-and-views", "catalogs-statistics-explain", "ddl-and-privileges", "schema-and-database-mode",
)  # fmt: skip
CASES = [
    case for case in corpus.attack_cases() if case["category"] in CATEGORIES and case["mode"] in ("shared", "schema")
]
Proxied = tuple[str, GatewayProcess, Any]  # isolation, gateway, the runner's Env
REFUSED_TO_ALL = re.compile(r"VICTIM HIT .*(not supported through|is not allowed|permission denied to set)")


@pytest.fixture(scope="module", params=["shared", "schema"])
def environment(
    corpus_server: CorpusServer, request: pytest.FixtureRequest
) -> Iterator[tuple[str, GatewayProcess, Any]]:
    with proxied.serve(corpus_server, request.param) as gateway, proxied.environment(corpus_server, gateway) as env:
        yield request.param, gateway, env


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("case", CASES, ids=[case["id"] for case in CASES])
def test_attack_is_stopped(case: corpus.Case, environment: Proxied, corpus_server: CorpusServer) -> None:
    mode, gateway, env = environment
    if case["mode"] != mode:
        pytest.skip("is for another strategy")
    before = len(gateway.log)
    problems = [problem for problem in _run(env, case) if not REFUSED_TO_ALL.search(problem)]
    # What cases clean up is also the password that the gateway logs in with.
    corpus_server.server.execute(f"ALTER ROLE {fixture.BACKEND_ROLE} PASSWORD '{corpus_server.password}'")
    gateway.assert_clean_log(before)
    SCORES.add("attacks stopped", f"{case['category']} {mode}", case["id"], not problems)
    if problems and case["id"] in KNOWN_FULL:
        pytest.xfail(KNOWN_FULL[case["id"]])
    assert not problems
    assert case["id"] not in KNOWN_FULL, "listed as known, but it does well: take it off the list"


def _run(env: Any, case: corpus.Case) -> list[str]:
    try:
        problems, _ = corpus.runner().run_protected(env, case)
    except KeyError as missing:
        return [f"no value for {missing}: the step that gives it was refused"]
    finally:
        with warnings.catch_warnings():  # the runner leaves sockets of refused connections to the garbage collector
            warnings.simplefilter("ignore", ResourceWarning)
            gc.collect()
    return list(problems)
