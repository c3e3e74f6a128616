"""Printing what is wrong with configuration and policy: each finding with its key and a hint."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TextIO

from policy.problems import Problem


def print_findings(problems: Iterable[Problem], warnings: Iterable[Problem], out: TextIO) -> None:
    """One block per finding, errors first; coloured on a terminal."""
    for label, colour, findings in (("error", "31", problems), ("warning", "33", warnings)):
        head = f"\x1b[{colour}m{label}\x1b[0m" if out.isatty() else label
        for key, message, hint in findings:
            print(f"{head}: {_clean(key)}: {_clean(message)}", file=out)
            if hint:
                print(f"    hint: {_clean(hint)}", file=out)


def _clean(text: str) -> str:
    """Without characters that a terminal would act on: names come from files that others wrote."""
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)
