"""Random choices of one case, and the constants that they lead to: values that occur in the data, written in many ways.

Everything comes from one seed, so that a case can be made again. Pure.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from typing import TypeVar

from pglast.keywords import COL_NAME_KEYWORDS, RESERVED_KEYWORDS, TYPE_FUNC_NAME_KEYWORDS

from admin.prove.model import PARAMETER_OID, TYPE_OF, Column, Schema
from policy.sql.plan import quote_identifier, quote_literal

T = TypeVar("T")

_PLAIN = re.compile(r"[a-z_][a-z0-9_]*")
_MARK = re.compile(r"\x01(\d+)\x01")
_NUMBER = re.compile(r"\d+(\.\d+)?")
_KEYWORDS = frozenset({*RESERVED_KEYWORDS, *COL_NAME_KEYWORDS, *TYPE_FUNC_NAME_KEYWORDS})

PARAMETER_SHARE, NULL_SHARE, STRANGE_SHARE, SAMPLE_SHARE = 0.5, 0.02, 0.1, 0.8

_GENERIC = {
    "int": ("0", "1", "2", "7", "42"),
    "numeric": ("0", "0.5", "10", "99.95", "1000"),
    "float": ("0.5", "2"),
    "text": ("", "a", "x%", "O''Brien", "naïve", "A", "10"),
    "bool": ("true", "false"),
    "date": ("2025-03-01", "2026-01-15"),
    "timestamp": ("2025-03-01 00:00:00", "2026-01-15 12:30:00"),
    "timestamptz": ("2025-03-01 00:00:00+00", "2026-01-15 12:30:00+02"),
    "interval": ("1 day", "2 hours"),
    "jsonb": ('{"n": 1}', '[1, 2, "x"]', "{}"),
    "json": ('{"n": 1}',),
    "uuid": ("00000000-0000-0000-0000-000000000001",),
    "bytea": ("\\x00ff",),
    "text[]": ("{a,b}", "{}"),
    "int[]": ("{1,2,3}", "{}"),
}


class Draw:
    """The random source of one case. `parameters`: None while constants are literals."""

    def __init__(self, seed: str, schema: Schema, number: int = 0) -> None:
        self._number = number
        self._random = random.Random(seed)  # noqa: S311  a test generator
        self.schema = schema
        self.parameters: list[tuple[int, str | None]] | None = None
        self._names = 0
        self._columns: dict[str, list[Column]] = {}
        for table in schema.tables:
            for column in table.columns:
                self._columns.setdefault(column.family, []).append(column)

    def chance(self, share: float) -> bool:
        return self._random.random() < share

    def pick(self, items: Sequence[T]) -> T:
        return self._random.choice(items)

    def weighted(self, *choices: tuple[float, T]) -> T:
        return self._random.choices([c[1] for c in choices], [c[0] for c in choices])[0]

    def number(self, low: int, high: int) -> int:
        return self._random.randint(low, high)

    def some(self, items: Sequence[T], least: int, most: int) -> list[T]:
        """From `least` to `most` different items, in random order."""
        count = min(len(items), self.number(least, most))
        return self._random.sample(list(items), count)

    def name(self, prefix: str = "t") -> str:
        """A name that is new in this case."""
        self._names += 1
        return f"{prefix}{self._names}"

    def session_name(self, prefix: str) -> str:
        """A name that is new in this run: it may outlive the case."""
        return f"{self.name(prefix)}_{self._number}"

    def ident(self, name: str) -> str:
        """An identifier, quoted when it must be and at times when not."""
        plain = _PLAIN.fullmatch(name) is not None and name not in _KEYWORDS
        return quote_identifier(name) if not plain or self.chance(0.05) else name

    @property
    def families(self) -> list[str]:
        return sorted(self._columns)

    def text_of(self, family: str, column: Column | None = None) -> str | None:
        """A value as text, None for NULL: of this column's, of any column's of the family, or a usual one."""
        if self.chance(NULL_SHARE):
            return None
        chosen = column or self.pick(self._columns.get(family) or [_nothing(family)])
        if chosen.strange and self.chance(STRANGE_SHARE):
            return self.pick(chosen.strange)
        if chosen.samples and self.chance(SAMPLE_SHARE):
            return self.pick(chosen.samples)
        if family in self.schema.enums:
            return self.pick(self.schema.enums[family])
        generic = _GENERIC.get(family)
        if generic is None:
            return self.pick(chosen.samples) if chosen.samples else None
        return self.pick(generic)

    def constant(self, family: str, column: Column | None = None, *, bare: bool = False) -> str:
        """SQL of a value. bare: the context settles its type, so that an untyped literal will do."""
        return self.written(self.text_of(family, column), family, bare=bare)

    def written(self, text: str | None, family: str, *, bare: bool = False) -> str:
        """A value as a literal or a parameter."""
        if self.parameters is not None and self.chance(PARAMETER_SHARE):
            return self._parameter(text, family, bare)
        if text is None:
            return "NULL" if bare else f"NULL::{self.type_of(family)}"
        if family in ("int", "numeric") and _NUMBER.fullmatch(text):
            return text
        if family == "bool" and text in ("true", "false"):
            return text
        literal = self._quoted(text)
        if bare and self.chance(0.7):
            return literal
        typ = self.type_of(family)
        if self.chance(0.2):
            return f"CAST({literal} AS {typ})"
        if family in ("date", "timestamp", "timestamptz", "interval") and self.chance(0.3):
            return f"({typ} {literal})"
        return f"{literal}::{typ}"

    def _parameter(self, text: str | None, family: str, bare: bool) -> str:
        assert self.parameters is not None
        oid = PARAMETER_OID.get(family, 0)
        if bare and self.chance(0.4):
            return self.parameter(0, text)
        if oid and self.chance(0.7):
            return self.parameter(oid, text)
        return f"{self.parameter(0, text)}::{self.type_of(family)}"

    def parameter(self, oid: int, text: str | None) -> str:
        """A mark in the text that `settle` makes a `$n` of."""
        assert self.parameters is not None
        self.parameters.append((oid, text))
        return f"\1{len(self.parameters)}\1"

    def settle(self, sql: str) -> tuple[str, tuple[tuple[int, str | None], ...]]:
        """The text with `$n` for its parameters, and these: expressions that were thrown away took theirs with them."""
        given = self.parameters or []
        numbers: dict[str, int] = {}

        def dollar(match: re.Match[str]) -> str:
            return f"${numbers.setdefault(match[1], len(numbers) + 1)}"

        text = _MARK.sub(dollar, sql)
        self.parameters = None
        return text, tuple(given[int(number) - 1] for number in numbers)

    def _quoted(self, text: str) -> str:
        if self.chance(0.03) and "$" not in text:
            return f"$q${text}$q$"
        if self.chance(0.03) and "\\" not in text:
            return "E" + quote_literal(text)
        return quote_literal(text)

    def type_of(self, family: str) -> str:
        return TYPE_OF.get(family) or family.removeprefix("enum ").removeprefix("other ")


def _nothing(family: str) -> Column:
    return Column("", family, family)
