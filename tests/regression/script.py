"""A psql script, cut into what psql sends or does one at a time, so that each piece's answer can be told apart.

As psql's own scanner (psqlscan.l, psqlscanslash.l, mainloop.c) it knows strings, dollar quotes, comments, brackets,
bodies in BEGIN ATOMIC, backslash commands, and the lines behind COPY … FROM STDIN. It knows nothing of SQL beyond that.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_SENDING = re.compile(r"\\(g|gx|gset|gexec|gdesc|crosstabview|watch|bind)\b")
_RESET = re.compile(r"\\r(eset)?\b")
_COPY_IN = re.compile(r"(\\)?copy\b(?!\s*\(select).*\bfrom\s+(stdin|pstdin)\b", re.I | re.S)
_END_OF_DATA = re.compile(r"^\\\.$", re.M)
_ANOTHER = re.compile(r"^\\?copy\b[^;]*\bfrom\s+stdin", re.M | re.I)
_CREATES_CODE = re.compile(r"create\s+(or\s+replace\s+)?(function|procedure)\b", re.I)
_COMMAND = re.compile(r"""(?:'(?:[^'\n\\]|\\.)*'|\\(?!\\)|[^\\\n])*(?:\\\\)?""")
_DOLLAR = re.compile(r"\$([A-Za-z_\x80-\uffff][\w\x80-\uffff]*)?\$")
_WORD = re.compile(r"[A-Za-z_\x80-\uffff][\w$\x80-\uffff]*")


@dataclass(frozen=True, slots=True)
class Piece:
    """One statement with what ends it (`;`, `\\gset` …) and its COPY data, or one backslash command."""

    text: str
    line: int
    is_command: bool = False
    ambiguous: bool = False  # its strings end elsewhere where standard_conforming_strings is not off
    data: str = ""  # the lines behind COPY … FROM STDIN, with the `\\.`

    @property
    def bare(self) -> str:
        """Without leading comments, on one line: to show and to compare with what the audit log has."""
        return " ".join(without_comments(self.text).split())


def without_comments(text: str) -> str:
    """The text without comments before its first word."""
    while True:
        text = text.lstrip()
        if text.startswith("--"):
            text = text.partition("\n")[2]
        elif text.startswith("/*"):
            text = text[_comment_end(text, 0) :]
        else:
            return text


def cut(text: str) -> Iterator[Piece]:
    """All pieces of a script in order; blank text and comments alone are none."""
    start = position = 0
    depth = atomic = 0
    depths: list[int] = []  # at each open \\if, as psql keeps them
    begun = False  # something has been seen in this piece
    old_strings = ambiguous = False
    while position < len(text):
        char = text[position]
        if char == "-" and text.startswith("--", position):
            position = _line_end(text, position)
        elif char == "/" and text.startswith("/*", position):
            position = _comment_end(text, position)
        elif char == "'":
            plain = position == 0 or text[position - 1] not in "eE&"
            end = _string_end(text, position, escapes=old_strings and plain)
            ambiguous = ambiguous or (old_strings and plain and "\\" in text[position:end])
            position = end
            begun = True
        elif char == '"':
            position = text.find('"', position + 1) + 1 or len(text)
            begun = True
        elif char == "$" and (dollar := _DOLLAR.match(text, position)) and not _follows_word(text, position):
            closed = text.find(dollar.group(), dollar.end())
            position = len(text) if closed < 0 else closed + len(dollar.group())
            begun = True
        elif char == "\\":
            end = _command_end(text, position)
            depth = _branch(text[position:end], depth, depths)
            if text.startswith("\\;", position):
                position += 2
            elif not begun:
                yield from _piece(text, start, end, is_command=True)
                start = position = _after_data(text, start, end)
            elif _SENDING.match(text, position) or _RESET.match(text, position):
                yield from _piece(text, start, end, ambiguous=ambiguous)
                start = position = _after_data(text, start, end)
                depth = atomic = 0
                begun = ambiguous = False
            else:
                position = end
        elif word := _WORD.match(text, position):
            atomic = _nesting(word.group().lower(), atomic, text, start, position)
            position = word.end()
            begun = True
        elif char == ";" and depth == 0 and atomic == 0:
            yield from _piece(text, start, position + 1, ambiguous=ambiguous)
            own = without_comments(text[start:position]).lower()
            if own.startswith(("set", "reset")) and "standard_conforming_strings" in own:
                old_strings = own.rstrip("; ").endswith("off")
            start = position = _after_data(text, start, position + 1)
            begun = ambiguous = False
        else:
            depth = max(depth + {"(": 1, ")": -1}.get(char, 0), 0)
            begun = begun or not char.isspace()
            position += 1
    yield from _piece(text, start, len(text))


def _piece(text: str, start: int, end: int, *, is_command: bool = False, ambiguous: bool = False) -> Iterator[Piece]:
    own = text[start:end]
    if without_comments(own).strip(" \t\n;") == "":
        return
    line = text.count("\n", 0, start + len(own) - len(without_comments(own))) + 1
    data = text[_line_end(text, end) : _after_data(text, start, end)].lstrip("\n")
    yield Piece(own.strip("\n"), line, is_command, ambiguous, data)


def _after_data(text: str, start: int, end: int) -> int:
    """Where the next piece begins: behind the `\\.` of COPY data, when this piece is followed by such."""
    if not _COPY_IN.match(without_comments(text[start:end])):
        return end
    found = _END_OF_DATA.search(text, end)
    if found is None or _ANOTHER.search(text, end, found.start()):
        return end  # it is to fail before any data are read
    return found.end()


def _nesting(word: str, atomic: int, text: str, start: int, position: int) -> int:
    """How deep in BEGIN … END and CASE … END of a body without quotes (psql counts these only behind CREATE)."""
    if word == "begin" and _CREATES_CODE.match(without_comments(text[start:position])):
        return atomic + 1
    if atomic and word in ("case", "end"):
        return atomic + (1 if word == "case" else -1)
    return atomic


def _line_end(text: str, position: int) -> int:
    end = text.find("\n", position)
    return len(text) if end < 0 else end


def _comment_end(text: str, position: int) -> int:
    depth = 0
    for mark in re.compile(r"/\*|\*/").finditer(text, position):
        depth += 1 if mark.group() == "/*" else -1
        if depth == 0:
            return mark.end()
    return len(text)


def _branch(command: str, depth: int, depths: list[int]) -> int:
    """The depth of brackets behind a backslash command: each branch of \\if begins as the first did."""
    word = command.split()[0]
    if word == "\\if":
        depths.append(depth)
    elif depths and word in ("\\elif", "\\else"):
        return depths[-1]
    elif depths and word == "\\endif":
        return depths.pop()
    return depth


def _string_end(text: str, position: int, *, escapes: bool) -> int:
    escapes = escapes or (position > 0 and text[position - 1] in "eE" and not _follows_word(text, position - 1))
    index = position + 1
    while index < len(text):
        if text[index] == "\\" and escapes:
            index += 2
        elif text[index] == "'":
            return index + 1
        else:
            index += 1
    return len(text)


def _follows_word(text: str, position: int) -> bool:
    return position > 0 and (text[position - 1].isalnum() or text[position - 1] in "_$")


def _command_end(text: str, position: int) -> int:
    """A backslash command goes to the end of its line; `\\\\` outside of quotes ends it earlier."""
    found = _COMMAND.match(text, position + 1)
    return len(text) if found is None else found.end()
