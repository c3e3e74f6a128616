"""make regression compares statement by statement, so a script must be cut as psql cuts it."""

from __future__ import annotations

import pytest

from tests.regression.compare import compare
from tests.regression.psql import Answer
from tests.regression.script import Piece, cut


@pytest.mark.parametrize(
    ("script", "pieces"),
    [
        ("SELECT 1; SELECT 2;\n-- end\n", ["SELECT 1;", "SELECT 2;"]),
        (
            "SELECT ';' || E'\\';' || $$;$$ || $a$;$$;$a$ || \";\";\nSELECT 2",
            ["SELECT ';' || E'\\';' || $$;$$", "SELECT 2"],
        ),
        ("/* ; /* ; */ */ SELECT 1 -- ;\n, 2;", ["SELECT 1 -- ; , 2;"]),
        (
            "CREATE RULE r AS ON INSERT TO t DO (SELECT 1; SELECT 2);",
            ["CREATE RULE r AS ON INSERT TO t DO (SELECT 1; S"],
        ),
        ("SELECT 1\\gset x_\nSELECT 2 \\; SELECT 3;", ["SELECT 1\\gset x_", "SELECT 2 \\; SELECT 3;"]),
        ("\\d t\nSELECT 1;", ["\\d t", "SELECT 1;"]),
        ("\\set q '\\\\q'\n\\pset null '\\\\N'\nSELECT 1;", ["\\set q '\\\\q'", "\\pset null '\\\\N'", "SELECT 1;"]),
        ("SELECT \\if false (1 \n\\else\n 2 \\endif\n; SELECT 3;", ["SELECT \\if false (1", "SELECT 3;"]),
        (
            "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT CASE WHEN true THEN 1 END; SELECT 2; END; SELECT 3;",
            ["CREATE FUNCTION f()", "SELECT 3;"],
        ),
        ("SET standard_conforming_strings TO off;\nSELECT 'a\\'';\nSELECT 1;", ["SET", "SELECT 'a\\'';", "SELECT 1;"]),
        ("COPY t FROM stdin;\n1;2\n\\.\nSELECT 1;", ["COPY t FROM stdin;", "SELECT 1;"]),
    ],
)
def test_a_script_is_cut_as_psql_does(script: str, pieces: list[str]) -> None:
    found = [piece.bare for piece in cut(script)]
    assert len(found) == len(pieces)
    assert all(bare.startswith(start) for bare, start in zip(found, pieces, strict=True))


def test_data_behind_copy_belongs_to_it() -> None:
    copied, after = cut("COPY t FROM stdin;\n1;2\n\\.\nSELECT 1;")
    assert copied.data == "1;2\n\\."
    assert after.line == 4


def test_of_data_there_are_none_where_copy_is_to_fail() -> None:
    pieces = list(cut("COPY v FROM stdin; -- a view\nSELECT 1;\nCOPY t FROM stdin; -- ok\n1\n\\.\n"))
    assert [(piece.bare, piece.data) for piece in pieces] == [
        ("COPY v FROM stdin;", ""),
        ("SELECT 1;", ""),
        ("COPY t FROM stdin;", "1\n\\."),
    ]


def test_what_hangs_on_a_setting_that_the_gateway_refuses_is_known() -> None:
    pieces = list(
        cut("SET standard_conforming_strings = off; SELECT 'a\\'b', E'\\''; RESET standard_conforming_strings;")
    )
    assert [piece.ambiguous for piece in pieces] == [False, True, False]


def test_verdicts() -> None:
    """Plain, through the gateway, and directly without what the gateway refused."""
    done, missing, denied = Answer("(1 row)", "00000"), Answer("ERROR:  a", "42P01"), Answer("ERROR:  b", "42501")
    cases = [
        (done, done, done, None, "equal"),
        (done, denied, missing, ("42501", "b"), "refused"),
        (missing, denied, missing, ("42501", "b"), "both"),
        (done, missing, done, None, "different"),
        (done, Answer("(2 rows)", "00000"), done, None, "different"),
        (None, None, None, None, "skipped"),
        (done, None, done, None, "different"),
    ]
    for plain, tenant, twin, refusal, verdict in cases:
        refusals = {} if refusal is None else {0: refusal}
        (outcome,) = compare("f", [Piece("SELECT 1;", 1)], [plain], [tenant], [twin], refusals)
        assert outcome.verdict == verdict
        assert outcome.accepted == (plain is done)
