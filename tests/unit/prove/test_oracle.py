"""What counts as the same, and what does not."""

from __future__ import annotations

import pytest

from admin.prove.oracle import Kind, judge
from admin.prove.steps import Case, Outcome, Result, Step

TEXT = (("c", 25, -1),)
NUMERIC = (("c", 1700, -1),)


def rows(*values: bytes, columns: tuple[tuple[str, int, int], ...] = TEXT, tag: str = "") -> Outcome:
    result = Result(columns, [(value,) for value in values], tag or f"SELECT {len(values)}")
    return Outcome([result], None, "I")


def error(sqlstate: str, message: str = "", *, own: bool = False) -> Outcome:
    fields = {"C": sqlstate, "M": message} | ({} if own else {"R": "somewhere"})
    return Outcome([], fields, "I")


def kind(ours: Outcome, theirs: Outcome, *, ordered: bool = False, foreign: frozenset[str] = frozenset()) -> Kind:
    case = Case(1, (Step("SELECT 'known'", ordered=ordered),), "simple")
    return judge(case, [ours], [theirs], foreign).kind


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (rows(b"a", b"b"), rows(b"b", b"a")),
        (rows(b"1.0", columns=NUMERIC), rows(b"1.00", columns=NUMERIC)),
        (error("22012"), error("22012")),
        (error("42501", own=True), error("23514")),
        (rows(b"(1)", columns=(("c", 2249, -1),)), rows(b"(1)", columns=(("c", 16500, -1),))),
    ],
)
def test_the_same(ours: Outcome, theirs: Outcome) -> None:
    assert kind(ours, theirs) is Kind.SAME


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (rows(b"a"), rows(b"a", b"a")),
        (rows(b"a"), rows(b"b")),
        (rows(b"a"), rows(b"a", columns=(("d", 25, -1),))),
        (rows(b"a"), rows(b"a", columns=(("c", 1043, -1),))),
        (rows(b"a"), rows(b"a", columns=(("c", 25, 14),))),
        (rows(b"a", tag="UPDATE 1"), rows(b"a", tag="UPDATE 2")),
        (rows(b"a"), error("42703")),
        (error("42703"), rows(b"a")),
        (error("23505"), rows(b"a")),
    ],
)
def test_different(ours: Outcome, theirs: Outcome) -> None:
    assert kind(ours, theirs) is Kind.DIFFERENT


def test_order_counts_where_it_is_settled() -> None:
    ours, theirs = rows(b"a", b"b"), rows(b"b", b"a")
    assert kind(ours, theirs, ordered=True) is Kind.DIFFERENT


def test_a_refusal_and_an_error_that_the_plan_may_explain() -> None:
    assert kind(error("0A000", own=True), rows(b"a")) is Kind.REFUSED
    assert kind(error("22012"), rows(b"a")) is Kind.UNDECIDED
    assert kind(error("23505"), error("23503")) is Kind.UNDECIDED


def test_a_strangers_value_in_an_error() -> None:
    foreign = frozenset({"GLOBEX-SECRET", "known"})
    told = error("22P02", 'invalid input syntax for type integer: "GLOBEX-SECRET"')
    assert kind(told, told, foreign=foreign) is Kind.LEAK
    assert kind(error("22P02", '"known"'), error("22P02"), foreign=foreign) is Kind.SAME
