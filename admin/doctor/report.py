"""The findings for people, worst first, and for machines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TextIO

from admin.doctor.findings import Finding, Severity

_COLOURS = {Severity.CRITICAL: "1;31", Severity.HIGH: "31", Severity.MEDIUM: "33", Severity.LOW: "2"}


def print_report(findings: Sequence[Finding], out: TextIO) -> None:
    """A line for each finding, its SQL below; a count at the end."""
    width = max((len(finding.object) for finding in findings), default=0)
    place = ("", "")
    for finding in sorted(findings, key=lambda f: (f.target, f.database)):  # stable: worst first within each
        if (finding.target, finding.database) != place:
            place = finding.target, finding.database
            print(f"{_clean(f'target {place[0]}, database {place[1]}')}", file=out)
        word = finding.severity.word.ljust(8)
        word = f"\x1b[{_COLOURS[finding.severity]}m{word}\x1b[0m" if out.isatty() else word
        print(f"  {word}  {_clean(finding.object).ljust(min(width, 48))}  {_clean(finding.why)}", file=out)
        for statement in finding.sql:
            print(f"            {_clean(statement)};", file=out)
    print(summary(findings), file=out)


def summary(findings: Sequence[Finding]) -> str:
    counts = [(sum(f.severity is severity for f in findings), severity.word) for severity in reversed(Severity)]
    return ", ".join(f"{count} {word}" for count, word in counts if count) or "nothing found"


def as_dict(finding: Finding) -> dict[str, object]:
    return {
        "severity": finding.severity.word,
        "check": finding.check,
        "target": finding.target,
        "database": finding.database,
        "object": finding.object,
        "why": finding.why,
        "sql": list(finding.sql),
    }


def _clean(text: str) -> str:
    """Without characters that a terminal would act on: names come from the database."""
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)
