"""A statement is made smaller while it still shows the fault."""

from __future__ import annotations

from admin.prove.shrink import shrink, smaller_statements
from admin.prove.steps import Case, Step

SQL = """
SELECT a.id, count(*) AS n FROM orders a JOIN customers b ON a.id = b.id AND lower(b.name) = 'x'
WHERE a.total > 7 AND (a.status = 'bad' OR b.id IN (1, 2)) GROUP BY a.id ORDER BY 1, 2 LIMIT 3
"""


async def test_what_does_not_matter_is_left_out() -> None:
    async def differs(case: Case) -> bool:
        return all("FROM orders" in step.sql for step in case.steps[-1:]) and "'bad'" in case.steps[-1].sql

    case = Case(1, (Step("SELECT 1"), Step(SQL)), "simple")
    smallest = await shrink(case, 1, differs)
    (step,) = smallest.steps
    assert len(step.sql) < len(SQL) / 3
    assert "'bad'" in step.sql


def test_kept_fields_stay() -> None:
    for text in smaller_statements(SQL, ("sortClause",)):
        assert "ORDER BY 1, 2" in text


def test_what_does_not_parse_has_nothing_smaller() -> None:
    assert list(smaller_statements("SELECT FROM WHERE")) == []
