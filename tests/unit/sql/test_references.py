"""References: where relations are named, and PostgreSQL's scoping of CTEs."""

from __future__ import annotations

import pytest

from policy.sql.parse import parse_statements, scan
from policy.sql.references import Place, Reference, References, collect_references


def _collect(sql: str) -> References:
    tokens = scan(sql)
    return collect_references(parse_statements(sql, tokens)[0].node, tokens)


def _names(sql: str) -> list[tuple[str, bool]]:
    """(as written, is a CTE), in the order of the text."""
    found = sorted(_collect(sql).all, key=lambda r: r.start)
    return [(r.written, r.cte is not None) for r in found]


def _one(sql: str) -> Reference:
    (found,) = _collect(sql).all
    return found


@pytest.mark.parametrize(
    ("sql", "names"),
    [
        ("WITH t AS (SELECT * FROM t) SELECT * FROM t", [("t", False), ("t", True)]),
        ("WITH a AS (SELECT * FROM b), b AS (SELECT * FROM a) SELECT 1", [("b", False), ("a", True)]),
        ("WITH RECURSIVE a AS (SELECT * FROM b), b AS (SELECT * FROM b) SELECT 1", [("b", True), ("b", True)]),
        ("WITH t AS (SELECT 1) SELECT * FROM public.t, t", [("public.t", False), ("t", True)]),
        ("WITH t AS (SELECT 1) DELETE FROM t USING t x", [("t", False), ("t", True)]),
        ("WITH t AS (SELECT 1) UPDATE t SET a = 1 FROM t x", [("t", False), ("t", True)]),
        ("WITH t AS (SELECT 1) INSERT INTO t SELECT * FROM t", [("t", False), ("t", True)]),
        ("WITH t AS (SELECT 1) SELECT (SELECT 1 FROM t WHERE EXISTS (SELECT FROM t))", [("t", True), ("t", True)]),
        ("SELECT * FROM (WITH t AS (SELECT 1) SELECT * FROM t) x, t", [("t", True), ("t", False)]),
        ("WITH t AS (SELECT 1) SELECT * FROM t UNION SELECT * FROM t", [("t", True), ("t", True)]),
        ("(WITH t AS (SELECT 1) SELECT * FROM t) UNION SELECT * FROM t", [("t", True), ("t", False)]),
        ("WITH t AS (SELECT 1) SELECT * FROM u WHERE a IN (WITH t AS (SELECT * FROM t) SELECT * FROM t)",
         [("u", False), ("t", True), ("t", True)]),
        ('WITH "T" AS (SELECT 1) SELECT * FROM t, "T"', [("t", False), ("T", True)]),
        ("WITH w AS (INSERT INTO t SELECT * FROM w RETURNING *) SELECT * FROM w",
         [("t", False), ("w", False), ("w", True)]),
        ("WITH t AS (SELECT 1) MERGE INTO t USING t s ON true WHEN MATCHED THEN DELETE", [("t", False), ("t", True)]),
        ("PREPARE p AS WITH t AS (SELECT 1) SELECT * FROM t, u", [("t", True), ("u", False)]),
        ("SELECT ARRAY(SELECT 1 FROM a), CASE WHEN EXISTS (SELECT FROM b) THEN 1 END ORDER BY (SELECT 1 FROM c)",
         [("a", False), ("b", False), ("c", False)]),
        ("SELECT * FROM generate_series(1, (SELECT count(*) FROM a)) x", [("a", False)]),
        ("SELECT * FROM a WINDOW w AS (ORDER BY (SELECT 1 FROM b)) LIMIT (SELECT 1 FROM c)",
         [("a", False), ("b", False), ("c", False)]),
        ("INSERT INTO a VALUES ((SELECT 1 FROM b)) ON CONFLICT (x) DO UPDATE SET y = (SELECT 1 FROM c)"
         " RETURNING (SELECT 1 FROM d)",
         [("a", False), ("b", False), ("c", False), ("d", False)]),
        ("VALUES ((SELECT 1 FROM a))", [("a", False)]),
        ("SELECT 1 FROM a FOR UPDATE OF a", [("a", False)]),
    ],
)  # fmt: skip
def test_names_and_ctes(sql: str, names: list[tuple[str, bool]]) -> None:
    assert _names(sql) == names


def test_a_name_cut_at_63_bytes_is_the_cte_of_that_name() -> None:
    long = "x" * 70
    assert _names(f"WITH {long} AS (SELECT 1) SELECT * FROM {'x' * 63}") == [("x" * 63, True)]


@pytest.mark.parametrize(
    ("sql", "written"),
    [
        ("SELECT * FROM orders o", "orders"),
        ("SELECT * FROM a.b AS o (x, y)", "a.b"),
        ("SELECT * FROM ONLY a.b o", "ONLY a.b"),
        ("SELECT * FROM only (a . b) o", "only (a . b)"),
        ("SELECT * FROM a /* x */ . /* y */ b *, (SELECT 1) z", "a /* x */ . /* y */ b *"),
        ('SELECT \'é\', "ü" FROM "Zürich"', '"Zürich"'),
        ("SELECT * FROM U&\"d\\0061t\" UESCAPE '\\' x", "U&\"d\\0061t\" UESCAPE '\\'"),
        ("UPDATE ONLY a SET b = 1", "ONLY a"),
        ("COPY a.b (c) FROM STDIN", "a.b"),
        ("SELECT * FROM a.b.c", "a.b.c"),
    ],
)
def test_span_of_the_name(sql: str, written: str) -> None:
    found = _one(sql)
    assert sql[found.start : found.end] == written


@pytest.mark.parametrize(
    ("sql", "nullable"),
    [
        ("SELECT * FROM a LEFT JOIN b ON true", ["b"]),
        ("SELECT * FROM a RIGHT JOIN b ON true", ["a"]),
        ("SELECT * FROM a FULL JOIN b ON true, c", ["a", "b"]),
        ("SELECT * FROM a LEFT JOIN (b JOIN c ON true) ON true JOIN d ON true", ["b", "c"]),
        ("SELECT * FROM (a JOIN b ON true) LEFT JOIN c ON true", ["c"]),
    ],
)
def test_nullable_sides_of_outer_joins(sql: str, nullable: list[str]) -> None:
    assert [r.name for r in _collect(sql).all if r.nullable] == nullable


@pytest.mark.parametrize(
    ("sql", "place"),
    [
        ("SELECT * FROM t", Place.FROM),
        ("DELETE FROM t", Place.TARGET),
        ("COPY t TO STDOUT", Place.COPY),
        ("TRUNCATE t", Place.OTHER),
        ("SELECT 1 INTO t", Place.OTHER),
        ("LOCK t", Place.OTHER),
    ],
)
def test_place(sql: str, place: Place) -> None:
    assert _one(sql).place is place


def test_a_long_chain_of_set_operations_is_walked_without_recursion() -> None:
    sql = "SELECT 1 FROM t" + " UNION ALL SELECT 1 FROM t" * 800
    assert len(_collect(sql).all) == 801


def test_sources_of_a_multi_column_assignment_are_counted_once() -> None:
    assert _names("UPDATE a SET (x, y) = (SELECT 1, 2 FROM b)") == [("a", False), ("b", False)]
