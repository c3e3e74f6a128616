"""Scores of the corpus runs, gathered by the tests and printed once at the end of the session.

A pytest plugin: with pytest-xdist each process sends what it gathered to the one that prints.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest


class Scores:
    """Passed and total by suite and group, with the ids that did not pass."""

    def __init__(self) -> None:
        self.records: list[tuple[str, str, str, bool]] = []
        self._total: Counter[tuple[str, str]] = Counter()
        self._passed: Counter[tuple[str, str]] = Counter()
        self._failed: dict[tuple[str, str], list[str]] = {}

    def __bool__(self) -> bool:
        return bool(self._total)

    def add(self, suite: str, group: str, case: str, passed: bool) -> None:
        self.records.append((suite, group, case, passed))
        key = (suite, group)
        self._total[key] += 1
        self._passed[key] += passed
        if not passed:
            self._failed.setdefault(key, []).append(case)

    def lines(self) -> list[str]:
        """`suite group passed/total  failed ids`, one line each."""
        return [
            f"{suite:<22} {group:<46} {self._passed[suite, group]:>3}/{self._total[suite, group]:<3}"
            f" {' '.join(sorted(self._failed.get((suite, group), [])))}".rstrip()
            for suite, group in sorted(self._total)
        ]


SCORES = Scores()


def pytest_sessionfinish(session: pytest.Session) -> None:
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["scores"] = SCORES.records


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    for suite, group, case, passed in getattr(node, "workeroutput", {}).get("scores", ()):
        SCORES.add(suite, group, case, passed)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if SCORES:
        terminalreporter.section("isolation corpus")
        for line in SCORES.lines():
            terminalreporter.write_line(line)
