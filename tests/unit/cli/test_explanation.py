"""The caret below the place of an error."""

from __future__ import annotations

import pytest

from admin.cli.explanation import caret_lines


@pytest.mark.parametrize(
    ("text", "position", "expected"),
    [
        ("SELECT x", 8, ("LINE 1: SELECT x", " " * 15 + "^")),
        ("SELECT\n\tx y\nFROM z", 9, ("LINE 2:  x y", " " * 9 + "^")),
        ("a\nb", 3, ("LINE 2: b", " " * 8 + "^")),
        ("abc", 99, ("LINE 1: abc", " " * 11 + "^")),
        ("", 1, ("LINE 1: ", " " * 8 + "^")),
    ],
)
def test_the_caret_is_below_the_place(text: str, position: int, expected: tuple[str, str]) -> None:
    assert caret_lines(text, position) == expected


def test_long_lines_are_cut_around_the_place() -> None:
    line, caret = caret_lines("a" * 500 + "X" + "b" * 500, 501)
    assert line[caret.index("^")] == "X"
    assert len(line) < 130
    assert line.startswith("LINE 1: ...")
    assert line.endswith("...")
