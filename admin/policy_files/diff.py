"""What a plan changes, as people read it: each entity with the lines that come and go."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator

from admin.policy_files.yaml_text import yaml_text
from admin.services.documents import Difference, Plan

_COLOURS = {"+": "32", "-": "31", "~": "33"}
_CONTEXT = 1


def difference_lines(differences: Iterable[Difference], *, coloured: bool) -> Iterator[str]:
    """`+ roles.analyst` is made, `- …` goes, `~ …` changes; the lines of its body below."""
    for difference in differences:
        sign = "+" if difference.before is None else "-" if difference.after is None else "~"
        yield _coloured(sign, f"{sign} {_clean(difference.place)}", coloured)
        for line in _body_lines(difference):
            yield _coloured(line[:1], f"  {_clean(line)}", coloured)


def summary(plan: Plan) -> str:
    """How much comes, goes and changes, in one line."""
    made = sum(d.before is None for d in plan.differences)
    gone = sum(d.after is None for d in plan.differences)
    changed = len(plan.differences) - made - gone
    if not plan.differences:
        return f"No changes: the store is as the files say, at version {plan.version}."
    return f"{made} to make, {changed} to change, {gone} to take out, at version {plan.version}."


def _body_lines(difference: Difference) -> Iterator[str]:
    before, after = (
        [] if body is None else yaml_text(body).splitlines() for body in (difference.before, difference.after)
    )
    for line in difflib.unified_diff(before, after, lineterm="", n=_CONTEXT):
        if not line.startswith(("---", "+++", "@@")):
            yield f"{line[:1]} {line[1:]}"


def _coloured(sign: str, text: str, coloured: bool) -> str:
    colour = _COLOURS.get(sign) if coloured else None
    return f"\x1b[{colour}m{text}\x1b[0m" if colour else text


def _clean(text: str) -> str:
    """Without characters that a terminal would act on: bodies are what others wrote."""
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)
