"""What became of each piece of a file: the verdict of three runs on it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tests.regression.psql import Answer
from tests.regression.script import Piece

# What no two runs have in common, on whatever way.
_NOISE = (
    (re.compile(r"\b(\d{2}:\d{2}:\d{2}\.\d+)\b"), "<time>"),
    (re.compile(r"\bpg_temp_\d+\b"), "pg_temp_N"),
    (re.compile(r"\bpg_toast_\d+(_index)?\b"), "pg_toast_N"),
    (re.compile(r"(actual time|Time|Planning Time|Execution Time)[=:] ?[\d.]+(\.\.[\d.]+)?"), "<duration>"),
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """equal: the same through the gateway as directly. refused: by the gateway, and `accepted` says whether PostgreSQL
    takes it. both: an error on both ways, of other words. different: anything else. skipped: nobody ran it."""

    file: str
    line: int
    statement: str
    verdict: str
    accepted: bool = False  # PostgreSQL takes it, when all before it ran, too
    sqlstate: str = ""
    reason: str = ""
    direct: str = ""
    gateway: str = ""

    def as_json(self) -> dict[str, Any]:
        return {key: value for key, value in asdict(self).items() if value not in ("", False)}


def compare(
    file: str,
    pieces: Sequence[Piece],
    plain: Sequence[Answer | None],
    tenant: Sequence[Answer | None],
    twin: Sequence[Answer | None],
    refusals: Mapping[int, tuple[str, str]],
) -> list[Outcome]:
    found = []
    for number, piece in enumerate(pieces):
        alone, ours, theirs = plain[number], tenant[number], twin[number]
        accepted = alone is not None and not alone.failed
        verdict, state, reason = _verdict(ours, theirs, refusals.get(number), accepted)
        show = verdict not in ("equal", "skipped")
        found.append(
            Outcome(
                file, piece.line, piece.bare[:2000], verdict, accepted, state, reason,
                direct=theirs.text[:4000] if show and theirs is not None else "",
                gateway=ours.text[:4000] if show and ours is not None else "",
            )
        )  # fmt: skip
    return found


def _verdict(
    ours: Answer | None, theirs: Answer | None, refusal: tuple[str, str] | None, accepted: bool
) -> tuple[str, str, str]:
    if ours is None and theirs is None:
        return "skipped", "", ""
    if ours is None or theirs is None:
        return "different", "", "one way did not come here"
    if normal(ours.text) == normal(theirs.text) and ours.sqlstate == theirs.sqlstate:
        return "equal", "", ""
    if refusal is not None:
        if not accepted and theirs.failed:
            return "both", *refusal
        return "refused", *refusal
    if ours.failed and theirs.failed:
        return "both", ours.sqlstate, _message(ours.text)
    return "different", ours.sqlstate, _message(ours.text)


def normal(text: str) -> str:
    for pattern, name in _NOISE:
        text = pattern.sub(name, text)
    return text


def _message(text: str) -> str:
    return next((line for line in text.splitlines() if line.startswith(("ERROR:", "FATAL:"))), "")
