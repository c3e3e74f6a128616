"""Shapes: fast keys that never confuse two texts which PostgreSQL would read differently."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from policy.errors import StatementRefused
from policy.sql.parse import scan
from policy.sql.shape import Shape, literal_spans, matcher_of, shape_of

LITERALS = {"SCONST", "ICONST", "FCONST"}

_LITERALS = ["'a'", "'it''s'", "''", "'é'", "'--'", "1", "42", "2147483647", "2147483648", "0007", "1.5", "1e5", "1."]
_WORDS = ["select", "a", "b1", "é1", "x$1", "_9", "interval", "e", "u&", "n", "x", '"q"', '"q\'1"', '"a""b"', "😀"]
_SIGNS = [*",()+-/*=.;[]'\"\\%&", "--", "/*", "*/", "..", "::", "||", "$$", "$t$", "$1", "$2", ".5", "0x1F", "1_000"]
FRAGMENTS = st.sampled_from([*_LITERALS, *_WORDS, *_SIGNS, " ", "  ", "\n", "\t"])
TEXTS = st.lists(FRAGMENTS, max_size=12).map("".join)


def _tokens(text: str) -> list[tuple[str, str]] | None:
    """PostgreSQL's tokens: (name, own text, without what a literal says); None when it cannot read the text."""
    try:
        tokens = scan(text)
    except StatementRefused:
        return None
    names = (token.name for token in tokens.items)
    return [("literal" if n == "?" else n, "" if n in LITERALS else tokens.word(i)) for i, n in enumerate(names)]


def _filled(text: str, literals: list[str]) -> str:
    """The text with other literals in its literals' places."""
    out, at = [], 0
    for (start, end), literal in zip(literal_spans(text), literals, strict=True):
        out += [text[at:start], literal]
        at = end
    return "".join([*out, text[at:]])


@given(TEXTS, st.data())
@settings(max_examples=1500, deadline=None)
def test_texts_of_one_shape_are_the_same_tokens_for_postgresql(text: str, data: st.DataObject) -> None:
    shape = shape_of(text)
    if shape is None:
        return
    other = _filled(text, [data.draw(_like(literal)) for literal in shape.literals])
    filled = shape_of(other)
    assert filled is not None
    assert filled.key == shape.key
    assert _tokens(other) == _tokens(text)


def _like(literal: str) -> st.SearchStrategy[str]:
    """Another literal of the same kind."""
    if literal.startswith("'"):
        return st.text(alphabet="a'\\é1$- ", max_size=5).map(lambda s: "'" + s.replace("'", "''") + "'")
    if literal.isdigit() and int(literal) <= 2_147_483_647:
        return st.integers(0, 2_147_483_647).map(str)
    return st.sampled_from(["1.25", "3e10", "2147483648", "99999999999999999999"])


@given(st.text(max_size=30), st.text(max_size=30))
@settings(max_examples=500, deadline=None)
def test_different_keys_come_from_different_texts_and_equal_keys_from_equal_ones(a: str, b: str) -> None:
    one, other = shape_of(a), shape_of(b)
    if one is not None and other is not None and one == other:
        assert a == b


@given(TEXTS)
@settings(max_examples=500, deadline=None)
def test_every_literal_of_a_shaped_text_is_taken_out(text: str) -> None:
    shape = shape_of(text)
    if shape is None:
        return
    try:
        tokens = scan(text)
    except StatementRefused:
        return
    found = [(t.start, t.end) for t in tokens.items if t.name in LITERALS]
    spans = list(literal_spans(text))
    assert [text[a:b] for a, b in spans] == list(shape.literals)
    # PostgreSQL joins strings across a newline into one token
    assert {start for start, _ in found} <= {start for start, _ in spans}


@pytest.mark.parametrize(
    ("text", "key", "literals"),
    [
        ("SELECT 1", "SELECT 0", ("1",)),
        ("SELECT a1, b$2 FROM t9 WHERE x = 'it''s'", "SELECT a1, b$2 FROM t9 WHERE x = '", ("'it''s'",)),
        ("SELECT $1, 2147483648", "SELECT $1, 1", ("2147483648",)),
        ("SELECT - -1", "SELECT - -0", ("1",)),
        ("SELECT 'a'\n'b'", "SELECT '\n'", ("'a'", "'b'")),
        ('SELECT "a\'1"', 'SELECT "a\'1"', ()),
    ],
)
def test_shape(text: str, key: str, literals: tuple[str, ...]) -> None:
    assert shape_of(text) == Shape(key, literals)


UNREADABLE = (
    """E'a'|U&'a'|U&"a"|B'1'|x'1F'|N'a'|$$a$$|$t$a$t$|1 -- c|/* c */ 1|1a|1_000|0x1F|1..2|1.|.5|t.5|$1a|1.5.5|1e"""
)


@pytest.mark.parametrize("text", [*UNREADABLE.split("|"), "'open", '"open', "1\0"])
def test_what_could_be_read_in_two_ways_has_no_shape(text: str) -> None:
    assert shape_of(text) is None


def test_numbers_of_another_kind_and_strings_are_other_shapes() -> None:
    keys = {shape.key for literal in ("1", "1.5", "'1'", "99999999999") if (shape := shape_of(f"SELECT {literal}"))}
    assert len(keys) == 3


@given(TEXTS, TEXTS)
@example("SELECT a = 7", "SELECT a = 77777")
@example("SELECT a = 'x',7", "SELECT a = 'it''s',7")
@example("SELECT 7", "SELECT 7.5")
def test_a_matcher_gives_what_the_scanner_gives_or_nothing(known: str, text: str) -> None:
    matcher = matcher_of(known)
    for other in (text, known, known.replace("7", "42").replace("'x'", "'longer'")):
        found = matcher.match(other) if matcher is not None else None
        if found is not None:
            shape = shape_of(other)
            own = shape_of(known)
            assert shape is not None
            assert own is not None
            assert (shape.key, shape.literals) == (own.key, found)


def test_a_matcher_recognises_other_literals() -> None:
    matcher = matcher_of("SELECT a FROM t WHERE id = 5 AND name = 'x';")
    assert matcher is not None
    assert matcher.match("SELECT a FROM t WHERE id = 123 AND name = 'another';") == ("123", "'another'")
    assert matcher.match("SELECT a FROM t WHERE id = 123 AND name = 'another' ;") is None
    assert matcher_of("SELECT 1") is not None
    assert matcher_of("SELECT a FROM t") is None
