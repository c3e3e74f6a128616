"""The shape of a query string: its text with the literals taken out.

Two texts of one shape are the same tokens but for what their literals say, so a plan made for one serves the other
with its own literals spliced in. The scanner is PostgreSQL's (scan.l) for the part that it accepts; whatever could be
read in two ways has no shape: comments, dollar quotes, E'' U&'' B'' X'' N'' strings, numbers that touch a letter or a
dot. Whitespace and the spelling of everything else stay in the key.

In a key a lone `'` stands for a string and a digit for a number (`0`: an integer of 32 bits, `1`: any other). Neither
can be mistaken for anything else, since strings and numbers are always taken out.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

MAX_SHAPED_CHARS: Final = 16_384

# PostgreSQL's identifiers take every byte from 0x80 on, so \w would not do.
_START: Final = r"A-Za-z_\x80-\U0010ffff"
_WORD: Final = "0-9$" + _START

# Everything before the next literal, then the literal. Possessive throughout: one pass, no way back.
_SCANNER: Final = re.compile(
    rf"""
    ((?:
        [^'"$0-9{_START}\-/.\0]++
      | [{_START}][{_WORD}]*+ (?! ' | &['"] )
      | -(?!-) | /(?!\*) | \.(?![0-9])
      | \$[0-9]++ (?![{_WORD}])
      | "[^"\0]*+ (?: "" [^"\0]*+ )*+ "
    )*)
    (?: ('[^'\0]*+ (?: '' [^'\0]*+ )*+ ')
      | ([0-9]{{1,9}} (?![{_WORD}.]))
      | ([0-9]++ (?:\.[0-9]++)? (?:[eE][+-]?[0-9]++)? (?![{_WORD}.]))
      | \Z
      | (.)
    )
    """,
    re.VERBOSE | re.DOTALL,
)
_STRING: Final = 2
_INTEGER: Final = 3
_NUMBER: Final = 4
_UNREADABLE: Final = 5

_LARGEST_INTEGER: Final = 2_147_483_647


class Shape(NamedTuple):
    """`key` names the shape; `literals` are the client's, as written, in order."""

    key: str
    literals: tuple[str, ...]


def shape_of(text: str) -> Shape | None:
    """Take the literals out. None when the text has no shape and has to be looked up as it is."""
    if len(text) > MAX_SHAPED_CHARS:
        return None
    key: list[str] = []
    literals: list[str] = []
    for kept, string, integer, number, unreadable in _SCANNER.findall(text):
        if string:
            key += (kept, "'")
            literals.append(string)
        elif integer:
            key += (kept, "0")
            literals.append(integer)
        elif number:
            key += (kept, _kind_of(number))
            literals.append(number)
        elif unreadable:
            return None
        else:
            key.append(kept)
    return Shape("".join(key), tuple(literals))


def _kind_of(number: str) -> str:
    """Ten digits may or may not fit an integer; PostgreSQL's scanner decides by value."""
    return "0" if number.isdigit() and int(number) <= _LARGEST_INTEGER else "1"


def literal_spans(text: str) -> tuple[tuple[int, int], ...]:
    """Offsets of the literals that `shape_of` takes out of a text, in the same order; the text must have a shape."""
    return tuple(
        match.span(match.lastindex)
        for match in _SCANNER.finditer(text)
        if match.lastindex is not None and _STRING <= match.lastindex <= _NUMBER
    )


def without_literals(text: str) -> str:
    """A text of the same shape whose literals are as long and say nothing; the text must have a shape."""
    out: list[str] = []
    at = 0
    for start, end in literal_spans(text):
        blank = "'" + "x" * (end - start - 2) + "'" if text[start] == "'" else "1" * (end - start)
        out += (text[at:start], blank)
        at = end
    return "".join([*out, text[at:]])


class ShapeMatcher:
    """Recognises further texts of one shape without a scan; what it is not sure of it leaves to `shape_of`.

    Made of a text whose literals are strings and integers of 32 bits. A text matches when it has the same characters
    around literals of the same kinds, so its tokens are the same, too.
    """

    __slots__ = ("_kinds", "_parts")

    def __init__(self, parts: list[str], kinds: str) -> None:
        self._parts = parts
        self._kinds = kinds

    def match(self, text: str) -> tuple[str, ...] | None:
        """The literals of `text` as `shape_of` gives them, or None."""
        parts = self._parts
        if not text.startswith(parts[0]):
            return None
        at = len(parts[0])
        literals: list[str] = []
        for number, kind in enumerate(self._kinds, 1):
            part = parts[number]
            if kind == "'":
                end = text.find("'", at + 1) + 1
                if not end or not text.startswith("'", at) or text.startswith("'", end):
                    return None
            else:
                end = text.find(part, at) if part else len(text)
            literal = text[at:end]
            if kind == "0" and not (0 < len(literal) < 10 and literal.isascii() and literal.isdigit()):
                return None
            if "\0" in literal or not text.startswith(part, end):
                return None
            literals.append(literal)
            at = end + len(part)
        return tuple(literals) if at == len(text) else None


def matcher_of(text: str) -> ShapeMatcher | None:
    """A matcher for texts of this one's shape; None when it has no literals that one could tell apart easily."""
    shape = shape_of(text)
    if shape is None or not shape.literals:
        return None
    parts: list[str] = []
    kinds: list[str] = []
    at = 0
    for start, end in literal_spans(text):
        literal = text[start:end]
        kinds.append("'" if literal[0] == "'" else "0" if len(literal) < 10 and literal.isdigit() else "1")
        parts.append(text[at:start])
        at = end
    parts.append(text[at:])
    return None if "1" in kinds else ShapeMatcher(parts, "".join(kinds))
