"""PostgreSQL's tokens of a text, and finding one's way in them.

Trees say where most nodes begin but not where they end; clauses are found by walking tokens at one bracket depth.
Knows nothing of the grammar beyond brackets.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Container, Iterable
from dataclasses import dataclass, field

OPEN = frozenset({"ASCII_40", "ASCII_91"})
CLOSE = frozenset({"ASCII_41", "ASCII_93"})


@dataclass(frozen=True, slots=True)
class Token:
    """`name` is the grammar's (`SELECT`, `IDENT`, `SCONST`, `ASCII_40` for an opening bracket); `end` is exclusive."""

    name: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Tokens:
    """All tokens of a text in order, comments left out."""

    text: str
    items: tuple[Token, ...]
    _starts: list[int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_starts", [token.start for token in self.items])

    def index_at(self, offset: int) -> int:
        """Index of the first token that starts at or after `offset` (len(items) when there is none)."""
        return bisect_left(self._starts, offset)

    def name(self, index: int) -> str:
        """Token name, "" outside of the text."""
        return self.items[index].name if 0 <= index < len(self.items) else ""

    def word(self, index: int) -> str:
        """The token's own characters, "" outside of the text."""
        if not 0 <= index < len(self.items):
            return ""
        token = self.items[index]
        return self.text[token.start : token.end]

    def closing(self, index: int) -> int:
        """Index of the bracket that closes the one at `index`."""
        depth = 0
        for i in range(index, len(self.items)):
            name = self.items[i].name
            if name in OPEN:
                depth += 1
            elif name in CLOSE:
                depth -= 1
                if depth == 0:
                    return i
        return len(self.items)

    def opening(self, index: int) -> int:
        """Index of the bracket that is closed by the one at `index`; -1 when there is none."""
        depth = 0
        for i in range(index, -1, -1):
            name = self.items[i].name
            if name in CLOSE:
                depth += 1
            elif name in OPEN:
                depth -= 1
                if depth == 0:
                    return i
        return -1

    def find(self, names: Container[str], index: int) -> int:
        """First token from `index` on, at the same bracket depth, whose name is in `names`.

        A keyword after a dot is a column's name and is passed over. Stops at the bracket that closes this depth, at a
        semicolon or at the end, and returns that index then: compare `name(result)` with what was looked for.
        """
        i = index
        while i < len(self.items):
            name = self.items[i].name
            if name in CLOSE or name == "ASCII_59":
                return i
            if name in names and self.name(i - 1) != "ASCII_46":
                return i
            i = self.closing(i) + 1 if name in OPEN else i + 1
        return len(self.items)

    def find_past_case(self, names: Iterable[str], index: int) -> int:
        """As `find`, but passes over CASE … END as over brackets."""
        wanted = {"CASE", *names}
        found = self.find(wanted, index)
        while self.name(found) == "CASE":
            found = self.find(wanted, self._end_of_case(found) + 1)
        return found

    def _end_of_case(self, index: int) -> int:
        depth, i = 0, index
        while True:
            i = self.find({"CASE", "END_P"}, i)
            if self.name(i) not in ("CASE", "END_P"):
                return i
            depth += 1 if self.name(i) == "CASE" else -1
            if depth == 0:
                return i
            i += 1

    def end_before(self, index: int) -> int:
        """Offset just after the token before `index`: where a clause ends that the token at `index` follows."""
        return self.items[index - 1].end if index > 0 else 0

    def qualified_name_end(self, index: int) -> int:
        """Index just after a (dotted) name that begins at `index`; U&"…" UESCAPE '…' counts as one part."""
        i = self._after_part(index)
        while self.name(i) == "ASCII_46":
            i = self._after_part(i + 1)
        return i

    def _after_part(self, index: int) -> int:
        if self.name(index) == "UIDENT" and self.name(index + 1) == "UESCAPE":
            return index + 3
        return index + 1
