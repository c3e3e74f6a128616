"""The corpus through a running gateway, judged by the corpus's own runners.

Attacks of four categories must be stopped, benign cases of four groups must answer as a database that holds acme's rows
only. Every case gets a fresh copy of the fixture database; dropping the old one kills the gateway's backends, which it
has to notice.
"""

from __future__ import annotations

import gc
import json
import warnings
from collections.abc import Iterator
from typing import Any

import pytest

from tests.harness.gateway import GatewayProcess
from tests.security import corpus, fixture, proxied
from tests.security.conftest import CorpusServer
from tests.security.known import KNOWN_ATTACKS, KNOWN_CORRECTNESS, KNOWN_REFLECTION
from tests.security.score import SCORES

CATEGORIES = ("reads-basic", "dml", "extended-protocol", "wire-level")
GROUPS = ("dml", "sql", "prepared", "copy")
FOREIGN_NAMES = ("globex", "exports", "mv_top_secrets")
ATTACKS = [case for case in corpus.attack_cases() if case["category"] in CATEGORIES and case["mode"] == "shared"]
REFLECTING_GROUPS = ("psql", "jdbc", "sqlalchemy", "django", "asyncpg")
BENIGN = [case for case in corpus.correctness_cases() if case["group"] in GROUPS]
REFLECTION = [case for case in corpus.correctness_cases() if case["group"] in REFLECTING_GROUPS]


@pytest.fixture(scope="module")
def gateway(corpus_server: CorpusServer) -> Iterator[GatewayProcess]:
    with proxied.serve(corpus_server) as process:
        yield process


@pytest.fixture(scope="module")
def environment(corpus_server: CorpusServer, gateway: GatewayProcess) -> Iterator[Any]:
    with proxied.environment(corpus_server, gateway) as env:
        yield env


@pytest.fixture(autouse=True)
def _quiet_sockets() -> Iterator[None]:
    """The runner leaves sockets of refused connections to the garbage collector."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("case", ATTACKS, ids=[case["id"] for case in ATTACKS])
def test_attack_is_stopped(case: corpus.Case, environment: Any) -> None:
    problems, _ = corpus.runner().run_protected(environment, case)
    SCORES.add("attacks stopped", case["category"], case["id"], not problems)
    _judge(case["id"], "; ".join(problems), KNOWN_ATTACKS)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("case", BENIGN, ids=[case["id"] for case in BENIGN])
def test_benign_case_answers_as_a_database_of_its_own(case: corpus.Case, environment: Any) -> None:
    path = corpus.require() / case["expected"]["file"]
    expected = json.loads(path.read_text(encoding="utf-8"))
    got = corpus.correctness().run_on(environment, case, fixture.DATABASE, fixture.TEMPLATE, "protected", False)
    problem = "" if got == expected else _difference(got, expected)
    SCORES.add("benign cases correct", case["group"], case["id"], not problem)
    _judge(case["id"], problem, KNOWN_CORRECTNESS)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("case", REFLECTION, ids=[case["id"] for case in REFLECTION])
def test_tools_get_answers_from_the_catalogs(case: corpus.Case, environment: Any) -> None:
    """Not the same answers: the reference shows all relations, the gateway only those that acme may read."""
    expected = json.loads((corpus.require() / case["expected"]["file"]).read_text(encoding="utf-8"))
    got = corpus.correctness().run_on(environment, case, fixture.DATABASE, fixture.TEMPLATE, "protected", False)
    errors = [step["errors"] for step in got["results"]]
    problem = "" if errors == [step["errors"] for step in expected["results"]] else f"errors: {errors}"
    for name in FOREIGN_NAMES:
        if name in json.dumps(got):
            problem += f" shows {name}"
    SCORES.add("reflection answered", case["group"], case["id"], not problem)
    SCORES.add("reflection the same", case["group"], case["id"], got == expected)
    _judge(case["id"], problem, KNOWN_REFLECTION)


def _judge(case_id: str, problem: str, known: dict[str, str]) -> None:
    if problem and case_id in known:
        pytest.xfail(known[case_id])
    assert not problem, problem
    assert case_id not in known, "listed as known, but it does well: take it off the list"


def _difference(got: dict[str, Any], expected: dict[str, Any]) -> str:
    """The first difference, in words."""
    for number, (mine, theirs) in enumerate(zip(got["results"], expected["results"], strict=False)):
        for key, value in theirs.items():
            if mine.get(key) != value:
                return f"step {number} {key}: got {mine.get(key)!r} expected {value!r}"[:1500]
    if len(got["results"]) != len(expected["results"]):
        return f"{len(got['results'])} results instead of {len(expected['results'])}"
    return f"effect differs: got {got['verify']!r} expected {expected['verify']!r}"[:1500]
