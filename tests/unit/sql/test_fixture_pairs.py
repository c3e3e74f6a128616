"""Fixture pairs: what statements become, and why others are refused (tests/unit/sql/cases/*.sql).

In a file, `-- title [access]` begins a case; a line of `=>` separates the client's text from what is sent, and in
`*__denied.sql` from `SQLSTATE message`. Runs of blanks count as one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from policy.access import Access
from policy.sql.plan import render
from policy.sql.shape import shape_of
from tests.unit.sql import sample

CASES = Path(__file__).parent / "cases"
ACCESS: dict[str, Access] = {
    "shared": sample.SHARED,
    "analyst": sample.ANALYST,
    "schema": sample.SCHEMA,
    "schema-ddl": sample.SCHEMA_DDL,
    "schema-code": sample.SCHEMA_CODE,
    "database": sample.DATABASE,
    "database-ddl": sample.DATABASE_DDL,
    "database-code": sample.DATABASE_CODE,
}
_TITLE = re.compile(r"^-- (.+?)(?: \[([a-z-]+)\])?$", re.MULTILINE)


def _cases(denied: bool) -> Iterator[object]:
    for path in sorted(CASES.glob("*.sql")):
        if path.stem.endswith("__denied") == denied:
            yield from _cases_of(path)


def _cases_of(path: Path) -> Iterator[object]:
    _, *parts = _TITLE.split(path.read_text())
    for title, access, body in zip(parts[::3], parts[1::3], parts[2::3], strict=True):
        text, expected = body.split("\n=>\n")
        yield pytest.param(text.strip(), expected.strip(), ACCESS[access or "shared"], id=f"{path.stem}: {title}")


def _blanks(text: str) -> str:
    return re.sub(r"\s+", " ", text).replace("( ", "(").replace(" )", ")").strip()


@pytest.mark.parametrize(("text", "expected", "access"), list(_cases(denied=False)))
def test_statement_becomes(text: str, expected: str, access: Access) -> None:
    assert _blanks(sample.becomes(text, access)) == _blanks(expected)


@pytest.mark.parametrize(("text", "expected", "access"), list(_cases(denied=True)))
def test_statement_is_refused(text: str, expected: str, access: Access) -> None:
    error = sample.denial(text, access)
    assert f"{error.sqlstate} {error.message}" == expected
    assert error.hint or error.sqlstate in ("42P01", "42601"), "a refusal should say what would be accepted"
    assert 0 < error.position <= len(text) + 1


@pytest.mark.parametrize(("text", "expected", "access"), list(_cases(denied=False)))
def test_plans_by_shape_serve_other_literals(text: str, expected: str, access: Access) -> None:
    """A plan kept by shape, rendered with another text's literals, is what that text compiles to."""
    if not sample.compiled(text, access).by_shape:
        return
    other = re.sub(r"'[^']*'", "'other'", re.sub(r"\b7\b", "1234", text))
    shape = shape_of(other)
    assert shape is not None
    plans = sample.compiled(text, access).plans
    rendered = "; ".join(render(plan, sample.VALUES, shape.literals) for plan in plans)
    assert rendered == sample.becomes(other, access)
