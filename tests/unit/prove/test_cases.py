"""Generated cases: the same from the same seed, and SQL for PostgreSQL's own parser, of every kind."""

from __future__ import annotations

import re

import pglast

from admin.prove.cases import Wish, make_case
from tests.unit.prove.sample import SCHEMA

MANY = 600


def test_a_case_can_be_made_again() -> None:
    for number in range(40):
        assert make_case(SCHEMA, 7, number) == make_case(SCHEMA, 7, number)
    assert make_case(SCHEMA, 7, 1) != make_case(SCHEMA, 8, 1)


def test_every_statement_is_grammatical() -> None:
    for number in range(MANY):
        for step in make_case(SCHEMA, 1, number).steps:
            pglast.parse_sql(step.sql)


def test_parameters_are_numbered_without_gaps() -> None:
    for number in range(MANY):
        for step in make_case(SCHEMA, 2, number).steps:
            used = {int(n) for n in re.findall(r"\$(\d+)", re.sub(r"\$q\$.*?\$q\$", "", step.sql))}
            assert used == set(range(1, len(step.parameters or ()) + 1))
            assert "\1" not in step.sql


def test_reads_and_writes_are_what_is_wished_for() -> None:
    writes = re.compile(r"\b(INSERT|UPDATE|DELETE|MERGE|COPY \S+ (\(.*\) )?FROM)\b")
    for number in range(100):
        reads = make_case(SCHEMA, 3, number, Wish(writes=False))
        assert not reads.writes
        assert make_case(SCHEMA, 3, number, Wish(reads=False)).writes
    text = " ".join(s.sql for n in range(300) for s in make_case(SCHEMA, 3, n, Wish(reads=False)).steps)
    assert {"INSERT", "UPDATE", "DELETE", "MERGE"} <= {match[1] for match in writes.finditer(text)}


def test_the_grammar_is_covered() -> None:
    text = " ".join(step.sql for number in range(4 * MANY) for step in make_case(SCHEMA, 4, number).steps)
    wanted = """
    LATERAL|UNION ALL|INTERSECT|EXCEPT|WITH RECURSIVE|MATERIALIZED|GROUPING SETS|ROLLUP|CUBE|DISTINCT ON|OVER \\(|
    WITHIN GROUP|FILTER \\(WHERE|FULL JOIN|NATURAL|USING \\(|CROSS JOIN|TABLE |VALUES|LIMIT|WITH TIES|FOR UPDATE|
    FOR SHARE|EXISTS|= ANY|IN \\(SELECT|ROWS FROM|WITH ORDINALITY|ON CONFLICT|DO UPDATE|RETURNING|MERGE|DEFAULT VALUES|
    OVERRIDING|FROM STDIN|TO STDOUT|PREPARE|EXECUTE|DECLARE|FETCH|SAVEPOINT|EXPLAIN|ONLY |IS DISTINCT FROM|CASE WHEN|
    USING|TABLESAMPLE|COLLATE|GROUPS|WINDOW w
    """
    missing = [each.strip() for each in wanted.split("|") if not re.search(each.strip(), text)]
    assert missing == []
