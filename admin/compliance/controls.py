"""Frameworks as data: `controls/NAME.yaml`. A control says what it asks for and which evidence is to be shown for it.

framework: soc2
title: …
controls:
  - id: CC6.1
    title: …
    asks: …
    answer: how TenantGate helps with it
    beyond: what this report cannot show
    evidence:
      - figure: count                 # of the audit log: evidence.py
        title: Logins that were refused
        where: {event: login, outcome: refused}
        by: [subject]
        exception: {above: 20, says: "{subject} was refused {events} times"}
      - figure: transport             # a figure of its own: facts.py, integrity.py
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Final

import yaml

from policy.errors import TenantGateError

FRAMEWORKS: Final = ("soc2", "hipaa", "gdpr", "iso27001")


class UnknownFramework(TenantGateError):
    """There are no controls of this name."""

    kind = "compliance"


@dataclass(frozen=True, slots=True)
class Control:
    """evidence: the entries as the file has them; each names its `figure`."""

    id: str
    title: str
    asks: str
    answer: str
    beyond: str
    evidence: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, slots=True)
class Framework:
    name: str
    title: str
    controls: tuple[Control, ...]


def load_framework(name: str) -> Framework:
    """The controls of soc2, hipaa, gdpr or iso27001. Raises UnknownFramework."""
    if name not in FRAMEWORKS:
        raise UnknownFramework(f"there is no framework {name!r}", hint=f"One of {', '.join(FRAMEWORKS)}.")
    text = files("admin.compliance").joinpath("controls", f"{name}.yaml").read_text(encoding="utf-8")
    document = yaml.safe_load(text)
    controls = tuple(
        Control(
            str(each["id"]), each["title"], each["asks"].strip(), each["answer"].strip(), each["beyond"].strip(),
            tuple(each["evidence"]),
        )
        for each in document["controls"]
    )  # fmt: skip
    return Framework(document["framework"], document["title"], controls)
