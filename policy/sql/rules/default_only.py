"""Columns that the policy keeps for their defaults (`default_only`): no statement gives a value for one.

A key that is unique over all tenants tells who may choose its values which ones the others have (corpus DML-042). Where
the value comes from a sequence or a function, nobody needs to choose it. The value is refused unseen, whatever it is:
an answer that depended on it would tell again.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from policy.errors import AccessDenied
from policy.sql import parse
from policy.sql.parse import Node
from policy.sql.references import Reference
from policy.sql.resolve import Resolved
from policy.sql.rules.insert_layout import is_star

ast: Any = parse.ast


def check_not_given(columns: Iterable[str], reference: Reference, resolved: Resolved) -> None:
    """Refuse (42501) values for such columns. columns: those that the statement gives one for."""
    if resolved.rule is None:
        return
    given = sorted(resolved.rule.default_only.intersection(columns))
    if given:
        raise AccessDenied(
            f"column {given[0]} of {resolved.name} only takes its default",
            detail="Its values are unique across tenants, or tell of other rows.",
            hint=f"Leave {given[0]} out or write DEFAULT, and read what it became with RETURNING {given[0]}.",
            position=reference.position,
        )


def given_in_rows(columns: list[str], rows: Iterable[tuple[Node, ...]]) -> set[str]:
    """The columns that a row of VALUES gives another value than DEFAULT for; all where a row cannot be counted."""
    given: set[str] = set()
    for row in rows:
        if any(is_star(value) for value in row):
            return set(columns)
        values = zip(columns, row, strict=False)
        given.update(name for name, value in values if not isinstance(value, ast.SetToDefault))
    return given
