"""What names can be used at a place in a query: columns of FROM items, level by level. Pure values."""

from __future__ import annotations

from dataclasses import dataclass, field

from admin.prove.model import Table


@dataclass(frozen=True, slots=True)
class Col:
    """A column that can be written as `text` (`o.id`, or any expression that GROUP BY names)."""

    text: str
    family: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class Source:
    """One FROM item under its name. `key`: columns that tell its rows apart, none when that is not known.

    row: its name may stand for the whole row. table: it is a plain reference to this one.
    """

    alias: str
    columns: tuple[Col, ...]
    key: tuple[str, ...] = ()
    row: bool = True
    table: Table | None = None


@dataclass(slots=True)
class Scope:
    """One query level, and those around it."""

    sources: list[Source] = field(default_factory=list)
    parent: Scope | None = None
    columns: list[Col] = field(default_factory=list)

    def add(self, source: Source) -> None:
        self.sources.append(source)
        self.columns += source.columns

    def of(self, family: str) -> list[Col]:
        return [column for column in self.columns if column.family == family]

    def outer(self, family: str) -> list[Col]:
        found: list[Col] = []
        scope = self.parent
        while scope is not None:
            found += scope.of(family)
            scope = scope.parent
        return found


@dataclass(frozen=True, slots=True)
class Query:
    """A query's text and what it gives. total: its rows come in one possible order."""

    text: str
    columns: tuple[tuple[str, str], ...]  # name, family
    total: bool = False
