"""What a run found: counts, refusals grouped by reason, differences with their reproduction. Pure but for two files.

A run's state is its report and the number of its last case, as JSON: with it a run goes on where it was stopped, and
the parts of one that runs in several processes become one report.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from admin.prove.oracle import Verdict
from admin.prove.steps import Case, Outcome, Step

MOST_EXAMPLES = 3
_SUMS = ("statements", "accepted", "failed", "rows", "seconds")
_LISTS = ("undecided", "unsteady", "notes")
_COUNTERS = ("refused", "failures")
_NAMES = re.compile(r'"[^"]*"|\$\d+')


@dataclass(slots=True)
class Finding:
    """A difference, with the smallest case that shows it."""

    case: Case
    verdict: Verdict
    smallest: Case
    file: str = ""


@dataclass(slots=True)
class Report:
    """Counts are of statements; `failed`: PostgreSQL does not take them on either side."""

    seed: int
    statements: int = 0
    accepted: int = 0
    failed: int = 0
    rows: int = 0
    seconds: float = 0.0
    refused: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)
    failures: Counter[str] = field(default_factory=Counter)
    undecided: list[str] = field(default_factory=list)
    unsteady: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    found_before: list[dict[str, Any]] = field(default_factory=list)  # by earlier runs, or by another process
    number: int = 0  # of the last case
    left_out: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    interrupted: bool = False

    def count(self, step: Step, ours: Outcome, theirs: Outcome) -> None:
        """Take one statement into account."""
        if not step.counted or theirs.sqlstate == "25P02":
            return
        count = 1 + len(step.chained)
        self.statements += count
        if theirs.error is not None:
            self.failed += count
            message = theirs.error.get("M", "") if theirs.sqlstate[:2] in ("42", "22", "21", "0A") else ""
            reason = f"{theirs.sqlstate} {re.sub(_NAMES, '…', message)[:60]}"
            self.failures[reason] += 1
            self.examples.setdefault(reason, []).append(step.sql)
            del self.examples[reason][MOST_EXAMPLES:]
            return
        self.accepted += count
        self.rows += sum(len(result.rows) for result in theirs.results)

    def refuse(self, reason: str, sql: str) -> None:
        self.refused[reason] += 1
        examples = self.examples.setdefault(reason, [])
        if len(examples) < MOST_EXAMPLES:
            examples.append(sql)

    @property
    def refused_share(self) -> float:
        return sum(self.refused.values()) / self.accepted if self.accepted else 0.0

    @property
    def rate(self) -> float:
        return self.statements / self.seconds if self.seconds else 0.0

    def progress(self) -> str:
        return (
            f"{self.statements} statements, {self.rate:.0f}/s, {self.failed} invalid, "
            f"{self.refused_share:.1%} refused, {len(self.undecided)} undecided, {len(self.differences)} differences"
        )

    def as_dict(self) -> dict[str, object]:
        return {
            "seed": self.seed,
            "statements": self.statements,
            "accepted": self.accepted,
            "failed": self.failed,
            "rows": self.rows,
            "seconds": round(self.seconds, 1),
            "refused": dict(self.refused.most_common()),
            "refused_share": round(self.refused_share, 5),
            "undecided": len(self.undecided),
            "unsteady": len(self.unsteady),
            "left_out": self.left_out,
            "notes": self.notes,
            "interrupted": self.interrupted,
            "differences": self.differences,
        }

    @property
    def differences(self) -> list[dict[str, Any]]:
        return [
            *self.found_before,
            *(
                {
                    "case": finding.case.number,
                    "kind": finding.verdict.kind.value,
                    "reason": finding.verdict.reason,
                    "sql": [step.sql for step in finding.smallest.steps],
                    "file": finding.file,
                }
                for finding in self.findings
            ),
        ]

    def save(self, file: Path, run: Mapping[str, object]) -> None:
        """Write the state; run: what makes it this run and no other."""
        own = {name: getattr(self, name) for name in (*_SUMS, *_LISTS, *_COUNTERS, "number", "left_out", "examples")}
        text = json.dumps({"run": run, **own, "found_before": self.differences}, ensure_ascii=False)
        unfinished = file.with_name(file.name + ".new")
        unfinished.write_text(text, encoding="utf-8")
        unfinished.replace(file)

    def load(self, file: Path, run: Mapping[str, object]) -> None:
        """Add what a state file holds, if it is there. Raises ValueError when it is of another run."""
        if not file.exists():
            return
        state = json.loads(file.read_text(encoding="utf-8"))
        if state["run"] != run:
            raise ValueError(f"{file} is the state of another run: {state['run']}")
        for name in _SUMS:
            setattr(self, name, getattr(self, name) + state[name])
        for name in (*_LISTS, "found_before"):
            known = getattr(self, name)
            known += [item for item in state[name] if name != "notes" or item not in known]
        for name in _COUNTERS:
            getattr(self, name).update(state[name])
        self.number = max(self.number, state["number"])
        self.left_out |= state["left_out"]
        self.examples = {**state["examples"], **self.examples}

    def lines(self, *, verbose: bool = False) -> list[str]:
        """The report for people."""
        invalid = self.failed / self.statements if self.statements else 0.0
        out = [
            f"{self.statements} statements in {self.seconds:.0f} s ({self.rate:.0f}/s), seed {self.seed}",
            f"  accepted by PostgreSQL   {self.accepted} ({1 - invalid:.1%}), {self.rows} rows compared",
            f"  refused by the gateway   {sum(self.refused.values())} ({self.refused_share:.2%} of those)",
        ]
        for reason, count in self.refused.most_common():
            out.append(f"    {count:6}  {reason}")
            if verbose:
                out += [f"            {_short(example, 2000)}" for example in self.examples[reason]]
        if verbose:
            for reason, count in self.failures.most_common(40):
                out.append(f"    invalid {count:6}  {reason}")
                out += [f"            {_short(example, 1500)}" for example in self.examples[reason][:2]]
        out.append(f"  undecided                {len(self.undecided)} (an error that the order of evaluation explains)")
        if verbose:
            out += [f"            {_short(line)}" for line in self.undecided[:20]]
        out.append(f"  not repeatable           {len(self.unsteady)}")
        out += [f"            {_short(line)}" for line in (self.unsteady[:10] if verbose else ())]
        out += [f"  left out                 {name}: {why}" for name, why in self.left_out.items()]
        out += [f"  note                     {note}" for note in self.notes]
        out += ["  interrupted"] if self.interrupted else []
        out.append(f"  differences              {len(self.differences)}")
        for found in self.differences:
            out.append(f"    case {found['case']}: {found['kind']}: {found['reason'][:400]}")
            out += [f"      {_short(sql, 600)}" for sql in found["sql"]]
            if found["file"]:
                out.append(f"      written to {found['file']}")
        return out


def _short(text: str, most: int = 300) -> str:
    line = " ".join(text.split())
    return line if len(line) <= most else line[:most] + "…"


def write_finding(finding: Finding, seed: int, directory: Path) -> None:
    """The reproduction: what differs and the statements, small first."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"prove-{seed}-{finding.case.number}.sql"
    lines = [
        f"-- tenantgate prove --seed {seed} --case {finding.case.number}",
        f"-- {finding.verdict.kind.value}: {' '.join(finding.verdict.reason.split())}",
        "",
    ]
    lines += _statements(finding.smallest)
    if finding.smallest != finding.case:
        lines += [
            "",
            "-- as it was generated:",
            *(f"-- {' '.join(line.split())}" for line in _statements(finding.case)),
        ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    finding.file = str(path)


def _statements(case: Case) -> list[str]:
    out = []
    for step in (part for each in case.steps for part in (each, *each.chained)):
        out.append(step.sql + ("" if step.sql.rstrip().endswith(";") else ";"))
        if step.parameters:
            out.append(f"-- parameters (type OID, value): {step.parameters!r}")
        if step.copy_data is not None:
            out.append(f"-- data: {step.copy_data!r}")
    return out
