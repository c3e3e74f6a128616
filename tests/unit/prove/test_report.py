"""A run's state: kept, gone on with, and put together from parts."""

from __future__ import annotations

from pathlib import Path

import pytest

from admin.prove.oracle import Kind, Verdict
from admin.prove.report import Finding, Report
from admin.prove.steps import Case, Outcome, Result, Step

RUN = {"seed": 1, "part": [0, 1]}


def _report(*sqls: str) -> Report:
    report = Report(seed=1)
    for number, sql in enumerate(sqls, start=1):
        report.count(Step(sql), Outcome(), Outcome(results=[Result(rows=[(b"1",)])]))
        report.number = number
    report.refuse("42501 permission denied", sqls[0])
    report.undecided.append("case 1: too slow")
    report.seconds = 2.0
    return report


def test_a_run_goes_on_where_it_ended(tmp_path: Path) -> None:
    first = _report("SELECT 1", "SELECT 2")
    case = Case(2, (Step("SELECT 2"),), "simple")
    first.findings.append(Finding(case, Verdict(Kind.DIFFERENT, 0, "rows"), case))
    first.save(tmp_path / "state", RUN)
    again = Report(seed=1)
    again.load(tmp_path / "state", RUN)
    assert again.as_dict() == first.as_dict()
    assert again.lines(verbose=True) == first.lines(verbose=True)
    assert again.number == 2
    again.save(tmp_path / "state", RUN)
    third = Report(seed=1)
    third.load(tmp_path / "state", RUN)
    assert len(third.differences) == 1


def test_the_state_of_another_run_is_not_gone_on_with(tmp_path: Path) -> None:
    _report("SELECT 1").save(tmp_path / "state", RUN)
    with pytest.raises(ValueError, match="another run"):
        Report(seed=2).load(tmp_path / "state", {**RUN, "seed": 2})


def test_parts_become_one_report(tmp_path: Path) -> None:
    for index, sqls in enumerate((("SELECT 1",), ("SELECT 2", "SELECT 3"))):
        _report(*sqls).save(tmp_path / str(index), RUN)
    whole = Report(seed=1)
    for index in range(2):
        whole.load(tmp_path / str(index), RUN)
    assert (whole.statements, whole.accepted, whole.rows, whole.refused.total()) == (3, 3, 3, 2)
    assert len(whole.undecided) == 2
