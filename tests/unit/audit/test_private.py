"""Statements whose values the log does not keep: what counts as reached, and what is left of their texts."""

from __future__ import annotations

import pytest

from policy.model import TableClass, TableRule
from policy.snapshot import Snapshot
from policy.sql.plan import Plan, StatementKind
from proxy.audit.private import Private, blanked

RULES = (
    TableRule("public", "customers", TableClass.TENANT, "tenant_id", column_tags={"card": frozenset({"pii"})}),
    TableRule("public", "notes", TableClass.TENANT, "tenant_id", tags=frozenset({"phi"})),
    TableRule("public", "orders", TableClass.TENANT, "tenant_id", tags=frozenset({"crm"})),
)
SNAPSHOT = Snapshot(1, {}, {}, {"main": RULES})


def plan(command: str = "SELECT", relations: tuple[str, ...] = (), columns: tuple[str, ...] = ()) -> Plan:
    return Plan(StatementKind.READ, command, (), "", relations=relations, columns=columns)


@pytest.mark.parametrize(
    ("statement", "private"),
    [
        (plan(relations=("public.customers",), columns=("public.customers.card",)), True),
        (plan(relations=("initech.customers",), columns=("initech.customers.card",)), True),
        (plan(relations=("public.customers",), columns=("public.customers.name",)), False),
        (plan(relations=("public.customers",)), True),
        (plan(relations=("public.notes",), columns=("public.notes.id",)), True),
        (plan(relations=("public.orders",), columns=("public.orders.id",)), False),
        (plan(relations=("public.orders",)), False),
        (plan(), False),
        (plan("EXECUTE"), True),
        (None, True),
    ],
)
def test_what_can_reach_a_tagged_column_is_private(statement: Plan | None, private: bool) -> None:
    assert Private((), ("pii", "phi"), SNAPSHOT).reached_by(statement) is private
    assert not Private((), (), SNAPSHOT).reached_by(statement)
    assert not Private((), ("other",), SNAPSHOT).any


def test_columns_are_named_with_their_schema_or_without() -> None:
    reached = plan(relations=("public.customers",), columns=("public.customers.card",))
    assert Private(("customers.card",), (), Snapshot(1, {}, {}, {})).reached_by(reached)
    assert Private(("public.customers.card",), (), Snapshot(1, {}, {}, {})).reached_by(reached)
    assert not Private(("other.customers.card",), (), Snapshot(1, {}, {}, {})).reached_by(reached)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("SELECT 'a''b', 4000, -1.5e3, x1, $1 FROM \"t'9\"", "SELECT '***', 0, -0, x1, $1 FROM \"t'9\""),
        ("", ""),
        ("SELECT E'a\\'secret'", "(not kept: 19 characters with values of private columns)"),
        ("SELECT $$secret$$", "(not kept: 17 characters with values of private columns)"),
        ("SELECT 1 -- secret", "(not kept: 18 characters with values of private columns)"),
    ],
)
def test_texts_keep_no_literal(text: str, kept: str) -> None:
    assert blanked(text) == kept
