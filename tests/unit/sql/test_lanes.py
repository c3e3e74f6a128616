"""Which statements may share a backend, and what they look like with parameters in place of values."""

from __future__ import annotations

import pytest

from policy.sql.compile import compile_query
from policy.sql.lanes import literal_type, parameter_form
from policy.sql.plan import Slot, SlotKind
from tests.unit.sql.sample import CATALOG, SHARED


def form_of(text: str) -> tuple[str, list[object]] | None:
    """The text with parameters (`{0}` for a literal that stays), and what they stand for: literal numbers or slots."""
    form = parameter_form(compile_query(text, SHARED, CATALOG))
    if form is None:
        return None
    pieces = [piece if isinstance(piece, str) else f"{{{piece.index}}}" for piece in form.pieces]
    return " ".join("".join(pieces).split()), [_stands_for(slot) for slot in form.parameters]


def _stands_for(slot: Slot) -> object:
    return slot.index if slot.kind is SlotKind.LITERAL else slot.kind.value


def test_literals_and_the_tenant_become_parameters() -> None:
    found = form_of("SELECT id FROM orders WHERE id = 5 AND status = 'open'")
    assert found is not None
    text, parameters = found
    assert sorted(map(str, parameters)) == ["0", "1", "tenant"]
    assert "'open'" not in text
    assert "acme" not in text


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("SELECT id, status FROM orders ORDER BY 2, 1 LIMIT 10", ["{0}", "{1}"]),
        ("SELECT status, count(*) FROM orders GROUP BY 1", ["GROUP BY 1"]),
        ("SELECT id FROM orders WHERE extract('year' FROM now()) = 2024", ["{0}"]),
        ("SELECT total::numeric(10, 2) FROM orders", ["{0}", "{1}"]),
        ("SELECT id FROM orders WHERE date '2024-01-01' < now() AND id = 3", ["{0}"]),
        ("SELECT now() - interval '1 day' FROM orders WHERE id = 3", ["{0}"]),
    ],
)
def test_what_is_no_value_stays(text: str, kept: list[str]) -> None:
    found = form_of(text)
    assert found is not None
    for literal in kept:
        assert literal in found[0]


@pytest.mark.parametrize(
    "text",
    [
        "SELECT pg_backend_pid()",
        "SELECT pg_sleep(1)",
        "SELECT setseed(0.5)",
        "SELECT current_setting('TimeZone')",
        "SELECT set_config('TimeZone', 'UTC', false)",
        "SELECT pg_advisory_lock(1)",
        "SELECT relname FROM pg_class",
        "SELECT id FROM nowhere_known",
        "SELECT 1; SELECT 2",
        "SHOW TimeZone",
        "BEGIN",
        "EXPLAIN SELECT 1",
        "DECLARE c CURSOR FOR SELECT 1",
    ],
)
def test_what_writes_waits_or_belongs_to_a_session_does_not_share(text: str) -> None:
    compiled = compile_query(text, SHARED, CATALOG)
    assert not any(plan.shareable for plan in compiled.plans if len(compiled.plans) == 1)
    assert parameter_form(compiled) is None


@pytest.mark.parametrize(
    "text",
    [
        "UPDATE orders SET status = 'x' WHERE id = 3",
        "DELETE FROM orders WHERE id = 3",
        "INSERT INTO orders (id, status) VALUES (3, 'x')",
        "SELECT id FROM orders WHERE id = 3 FOR UPDATE",
        "WITH gone AS (DELETE FROM orders RETURNING id) SELECT * FROM gone",
    ],
)
def test_what_writes_or_locks_is_prepared_but_never_shares_a_backend(text: str) -> None:
    (plan,) = compile_query(text, SHARED, CATALOG).plans
    assert plan.preparable
    assert not plan.shareable
    found = form_of(text)
    assert found is not None
    assert "tenant" in found[1]


def test_a_negative_number_is_the_negation_of_a_parameter() -> None:
    """The parser folds `-3` into one constant; -2147483648 is an int4, the negation of 2147483648 an int8."""
    found = form_of("SELECT id FROM orders WHERE id = -3")
    assert found is not None
    assert "id = - $" in found[0]
    assert form_of("SELECT id FROM orders WHERE id = -2147483648") is None
    for text in ("SELECT id FROM orders ORDER BY -1", "SELECT total::numeric(3, -1) FROM orders"):
        kept = form_of(text)
        assert kept is not None
        assert "{0}" in kept[0]


def test_what_on_conflict_finds_its_index_by_stays() -> None:
    found = form_of("INSERT INTO orders (id) VALUES (3) ON CONFLICT (tenant_id, id) WHERE id > 5 DO NOTHING")
    assert found is not None
    assert "id > {1}" in found[0]


def test_parameters_of_the_client_are_not_mixed_with_ours() -> None:
    assert form_of("SELECT id FROM orders WHERE id = $1") is None


def test_too_many_literals_have_no_form() -> None:
    assert form_of("SELECT id FROM orders WHERE id IN (" + ", ".join(map(str, range(100))) + ")") is None


@pytest.mark.parametrize(
    ("literal", "oid"),
    [
        ("'text'", 0), ("0", 23), ("2147483647", 23), ("2147483648", 20), ("9223372036854775807", 20),
        ("9223372036854775808", 1700), ("1.5", 1700), ("1e3", 1700),
    ],
)  # fmt: skip
def test_literals_have_the_types_of_postgresqls_parser(literal: str, oid: int) -> None:
    assert literal_type(literal) == oid


def test_a_long_statement_has_no_form() -> None:
    """Finding the form parses it several times, on the event loop."""
    columns = ", ".join(f"id AS c{number}" for number in range(500))
    assert parameter_form(compile_query(f"SELECT {columns} FROM orders", SHARED, CATALOG)) is None
