"""Scores of the corpus runs, gathered by the tests and printed once at the end of the session."""

from __future__ import annotations

from collections import Counter


class Scores:
    """Passed and total by suite and group, with the ids that did not pass."""

    def __init__(self) -> None:
        self._total: Counter[tuple[str, str]] = Counter()
        self._passed: Counter[tuple[str, str]] = Counter()
        self._failed: dict[tuple[str, str], list[str]] = {}

    def __bool__(self) -> bool:
        return bool(self._total)

    def add(self, suite: str, group: str, case: str, passed: bool) -> None:
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
