"""One attack of the corpus, by the corpus's own runner, as it is meant: what keeps it from beginning is out of its way.

- A step that gives the attacker a value (a partition's name, a snapshot, a counter) is refused or answers nothing. The
  attack ends there, and what comes behind it was never tried; so a superuser tells the value, and it is.
- What a case's first step has a superuser make, or what its victim needs to find, is there before the runner looks.
- The runner takes only an error or an end of file for a refusal; the case's own mark of one counts, too.
- A time is taken until it is short, at most five times: a busy machine takes its own, an attack always takes its.
"""

from __future__ import annotations

import contextlib
import gc
import re
import warnings
from collections.abc import Iterator
from typing import Any

from tests.security import corpus

BEFORE = {
    "DDL-003": "DELETE FROM notes WHERE id = 1",  # the row that the victim then writes
    "MODE-012": "CREATE ROLE t_globex NOLOGIN; GRANT USAGE ON SCHEMA t_globex TO t_globex;"
    " GRANT SELECT ON t_globex.invoices TO t_globex",
}
"""What a superuser does in the fresh database, by case. A first step of the case that says the same is left out."""
_TRIES = 5
_REFUSED_TO_ALL = re.compile(r"VICTIM HIT .*(not supported through|is not allowed|permission denied to set)")


def attempt(env: Any, case: corpus.Case) -> list[str]:
    """What the runner finds wrong; empty when the attack was stopped.

    A case whose victim is refused a statement that nobody may run (SET of a GUC of its own) is stopped: there is
    nothing to attack.
    """
    for _ in range(_TRIES):
        problems = _told(env, case)
        if not problems or not all(problem.startswith("TIMING") for problem in problems):
            break
    return [problem for problem in problems if not _REFUSED_TO_ALL.search(problem)]


def _told(env: Any, case: corpus.Case) -> list[str]:
    try:
        return _run(env, case)
    except KeyError:  # no value: the step that gives it was refused
        steps = [{**step, "s": "admin"} if "save" in step else step for step in case["steps"]]
        return _run(env, {**case, "steps": steps})


def _run(env: Any, case: corpus.Case) -> list[str]:
    with _prepared(env, case) as prepared, _marks(prepared) as marks:
        try:
            problems, _ = corpus.runner().run_protected(env, prepared)
        finally:
            with warnings.catch_warnings():  # the runner leaves sockets of refused connections to the garbage collector
                warnings.simplefilter("ignore", ResourceWarning)
                gc.collect()
    return [problem for problem in problems if not (problem == "NOT DENIED" and marks)]


@contextlib.contextmanager
def _prepared(env: Any, case: corpus.Case) -> Iterator[corpus.Case]:
    """Each fresh copy of the database gets what the case needs; yields the case without the step that did it."""
    sql = BEFORE.get(case["id"])
    if sql is None:
        yield case
        return
    reset = env.reset_db

    def reset_and_prepare(name: str, template: str) -> None:
        reset(name, template)
        admin = env.connect_admin(name)
        assert not admin.query(sql).errors
        admin.close()

    env.reset_db = reset_and_prepare
    try:
        yield _without_first_step(case) if case["steps"][0].get("s") == "admin" else case
    finally:
        del env.reset_db


def _without_first_step(case: corpus.Case) -> corpus.Case:
    return {**case, "steps": case["steps"][1:], "deny_step": case["deny_step"] - 1}


@contextlib.contextmanager
def _marks(case: corpus.Case) -> Iterator[list[str]]:
    """Yields what comes to hold the refusals of the case's step that bear the mark which it calls its oracle."""
    found: list[str] = []
    if case["expect"] != "denied" or case.get("check") != "oracle":
        yield found
        return
    runner: Any = corpus.runner()
    denied_step = runner.denied_step

    def remember(run: Any) -> Any:
        result = denied_step(run)
        if result is not None and re.search(case["oracle"], str(result.end)):
            found.append(result.end)
        return result

    runner.denied_step = remember
    try:
        yield found
    finally:
        runner.denied_step = denied_step
