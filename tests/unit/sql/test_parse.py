"""Parsing: offsets in characters, error positions, bounds on what the parser is given."""

from __future__ import annotations

import pytest

from policy.errors import InvalidStatement, StatementRefused, UnsupportedStatement
from policy.sql.parse import MAX_TEXT_CHARS, ast, child_nodes, fingerprint_of, parse_statements, scan, walk


def test_statements_stand_where_the_client_wrote_them() -> None:
    text = "/* c */ SELECT 'ü' ; -- foo\n SELECT 2 /* d */;; SELECT 3 -- e"
    assert [text[s.start : s.end] for s in parse_statements(text)] == ["SELECT 'ü'", "SELECT 2", "SELECT 3"]


@pytest.mark.parametrize("text", ["", " ", " ; ", "-- nothing", "/* */;"])
def test_no_statement(text: str) -> None:
    assert parse_statements(text) == ()


@pytest.mark.parametrize(
    ("text", "position"),
    [("SELECT 1; frm", 11), ("SELECT 'üüü'; frm", 15), ("SELECT 'x", 8), ("SELECT (", 9), ("SELECT 1 /* x", 10)],
)
def test_syntax_errors_have_positions_in_characters(text: str, position: int) -> None:
    with pytest.raises(InvalidStatement) as error:
        parse_statements(text)
    assert (error.value.sqlstate, error.value.position) == ("42601", position)


@pytest.mark.parametrize("text", ["SELECT '\0'", "SELECT 1\0; DROP", "SELECT '\ud800'"])
def test_what_is_not_utf8_text_is_refused(text: str) -> None:
    with pytest.raises(InvalidStatement) as error:
        parse_statements(text)
    assert error.value.sqlstate == "22021"


BOMBS = {
    "operators": "SELECT 1" + "+1" * 40_000,
    "casts": "SELECT 1" + "::int" * 40_000,
    "set operations": "SELECT 1, 2" + " UNION SELECT 1, 2" * 40_000,
    "joins": "SELECT 1 FROM a" + " NATURAL JOIN a" * 40_000,
    "and": "SELECT a" + " AND a" * 40_000,
    "brackets": "SELECT " + "(" * 40_000,
    "sub-selects": "SELECT " + "(SELECT " * 20_000,
    "chains in brackets": "SELECT " + "(" * 900 + "1" + ("+1" * 100 + ")") * 900,
    "END as a name": "SELECT " + "(SELECT " * 200 + "1" + ("+1" * 2000 + " end, 1)") * 200,
    "CASE": "SELECT " + "CASE WHEN " * 10_000,
    "subscripts": "SELECT a" + "[1]" * 40_000,
}


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS.keys())
def test_what_is_too_deep_is_refused_before_the_parser_overflows_its_stack(bomb: str) -> None:
    with pytest.raises(StatementRefused) as error:
        parse_statements(bomb)
    assert error.value.sqlstate == "54001"


@pytest.mark.parametrize(
    "text",
    [
        "SELECT 1 IN (" + "1, " * 20_000 + "1)",
        "INSERT INTO t VALUES " + ", ".join(["(1, 'a', CASE WHEN true THEN 1 END)"] * 2000),
        "SELECT CASE " + "WHEN a = 1 THEN 2 " * 3000 + "END",
    ],
    ids=["in", "values", "case"],
)
def test_wide_statements_pass(text: str) -> None:
    assert len(parse_statements(text)) == 1


def test_a_text_may_not_be_too_long() -> None:
    with pytest.raises(UnsupportedStatement) as error:
        scan("SELECT '" + "x" * MAX_TEXT_CHARS + "'")
    assert error.value.sqlstate == "54000"


def test_walk_finds_every_node_once_and_children_can_be_left_out() -> None:
    node = parse_statements("SELECT a FROM b WHERE c = 1 UNION SELECT (SELECT 2) FROM d")[0].node
    found = [type(n).__name__ for n in walk(node)]
    assert found.count("RangeVar") == 2
    assert found.count("SelectStmt") == 4
    assert not [n for n in child_nodes(node, {"larg", "rarg"}) if isinstance(n, ast.SelectStmt)]


def test_fingerprints_do_not_depend_on_constants() -> None:
    assert fingerprint_of("SELECT a FROM b WHERE c = 1") == fingerprint_of("select a from b where c='x'")
    assert fingerprint_of("SELECT a FROM b") != fingerprint_of("SELECT a FROM c")


def test_clauses_are_found_at_their_own_depth() -> None:
    text = "SELECT o.where FROM t WHERE a IN (SELECT 1 WHERE true) ORDER BY 1"
    tokens = scan(text)
    where = tokens.find({"WHERE"}, 0)
    assert tokens.items[where].start == text.index("WHERE")
    assert tokens.word(tokens.find({"ORDER"}, where)) == "ORDER"
    assert tokens.name(tokens.find({"LIMIT"}, where)) == ""
    inner = tokens.index_at(text.index("(") + 1)
    assert tokens.name(tokens.find({"LIMIT"}, inner)) == "ASCII_41"
