"""What evidence is: a table of figures, where it comes from, its exceptions, or that it is missing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

MISSING, EXCEPTIONS, SHOWN = "missing", "exceptions", "shown"
WORDS: Final = {
    MISSING: "evidence is missing",
    EXCEPTIONS: "evidence with exceptions",
    SHOWN: "evidence without exceptions",
}

Cell = str | int | float


@dataclass(frozen=True, slots=True)
class Figure:
    """One piece of evidence. source: where it comes from, in words that let somebody ask the same again.

    `missing` says why there is none: it is a finding, as each exception is.
    """

    title: str
    source: str
    headers: Sequence[str] = ()
    rows: Sequence[Sequence[Cell]] = ()
    total: int | None = None
    exceptions: Sequence[str] = field(default=())
    missing: str | None = None

    @property
    def state(self) -> str:
        return MISSING if self.missing is not None else EXCEPTIONS if self.exceptions else SHOWN

    def as_json(self) -> dict[str, object]:
        return {
            "title": self.title,
            "source": self.source,
            "state": self.state,
            "headers": list(self.headers),
            "rows": [list(row) for row in self.rows],
            "total": self.total,
            "exceptions": list(self.exceptions),
            "missing": self.missing,
        }
