"""The check of the outcome: whatever a rule might get wrong is found before anything is sent."""

from __future__ import annotations

from functools import partial

import pytest

from policy.errors import UnsupportedStatement
from policy.sql import crosscheck
from policy.sql.context import Context
from policy.sql.crosscheck import COUNTS, cross_check
from policy.sql.parse import parse_statements, scan
from policy.sql.plan import ClientText, Slot, SlotKind
from policy.sql.references import collect_references
from policy.sql.rewrite import Edit, splice, with_literal_slots
from policy.sql.rules.select import guard_sources
from policy.sql.verify import verify
from tests.unit.sql.sample import CATALOG, SHARED

SQL = "SELECT o.id, (SELECT count(*) FROM customers) FROM orders o WHERE o.id = 1 FOR UPDATE"


def _context(sql: str = SQL) -> Context:
    tokens = scan(sql)
    statement = parse_statements(sql, tokens)[0]
    return Context(SHARED, CATALOG, "", sql, tokens, statement, collect_references(statement.node, tokens))


def _verify(context: Context, edits: list[Edit]) -> None:
    verify(splice(context.text, context.statement.start, context.statement.end, edits), context)


def test_an_untouched_outcome_passes() -> None:
    context = _context()
    guard_sources(context)
    _verify(context, context.edits)


@pytest.mark.parametrize("index", range(5))
def test_a_guard_that_is_missing_is_found(index: int) -> None:
    context = _context()
    guard_sources(context)
    assert len(context.edits) == 4
    if index == 4:
        context.edits = []
        with pytest.raises(UnsupportedStatement):
            _verify(context, context.edits)
        return
    with pytest.raises(UnsupportedStatement, match="could not be verified"):
        _verify(context, [edit for i, edit in enumerate(context.edits) if i != index])


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("OPERATOR(pg_catalog.=)", "="),
        ('"tenant_id"', '"note"'),
        (" AND (", " OR ("),
        ('"public"."customers"', '"globex"."orders"'),
        ('"customers"', '"orders"'),
        (" WHERE ", " WHERE true OR "),
        ("(SELECT", "(SELECT DISTINCT"),
    ],
)
def test_a_guard_that_was_changed_is_found(old: str, new: str) -> None:
    context = _context()
    guard_sources(context)
    assert any(old in p for e in context.edits for p in e.pieces if isinstance(p, str))
    changed = [
        Edit(
            e.start,
            e.end,
            tuple(p.replace(old, new) if isinstance(p, str) else p for p in e.pieces),
            e.closing,
            e.other,
        )
        for e in context.edits
    ]
    with pytest.raises(UnsupportedStatement):
        _verify(context, changed)


def test_a_guard_in_the_wrong_place_is_found() -> None:
    context = _context("SELECT id FROM orders, customers WHERE true")
    guard_sources(context)
    first, second = context.edits
    swapped = [Edit(first.start, first.end, second.pieces), Edit(second.start, second.end, first.pieces)]
    with pytest.raises(UnsupportedStatement):
        _verify(context, swapped)


@pytest.mark.parametrize(
    "extra",
    [Edit(7, 7, ("1, ",)), Edit(0, 0, ("SELECT 1; ",)), Edit(7, 11, ("o.total",)), Edit(7, 11, ("o.id AS x",))],
    ids=["column", "statement", "other column", "name"],
)
def test_a_change_that_no_rule_told_of_is_found(extra: Edit) -> None:
    context = _context()
    guard_sources(context)
    with pytest.raises(UnsupportedStatement):
        _verify(context, [*context.edits, extra])


def test_edits_may_not_overlap() -> None:
    with pytest.raises(UnsupportedStatement):
        splice("abcdef", 0, 6, [Edit(1, 4, ("x",)), Edit(3, 5, ("y",))])
    with pytest.raises(UnsupportedStatement):
        splice("abcdef", 0, 3, [Edit(1, 4, ("x",))])


def test_edits_at_one_offset_nest() -> None:
    text = "a c b"
    enclosing = [(2, 3, "(", ")"), (2, 3, "[", "]"), (2, 5, "<", ">"), (0, 3, "{", "}")]
    edits = [Edit(start, start, (before,), other=end) for start, end, before, _ in enclosing]
    edits += [Edit(end, end, (after,), closing=True, other=start) for start, end, _, after in enclosing]
    edits.append(Edit(2, 2, ("+",)))
    spliced = splice(text, 0, 5, edits)
    assert "".join(p.text if isinstance(p, ClientText) else str(p) for p in spliced) == "{a +<[(c)]} b>"


def test_literals_become_slots_wherever_the_client_text_went() -> None:
    pieces = with_literal_slots(splice("a = 'x' + 12", 0, 12, [Edit(0, 1, ("b",))]), [(4, 7), (10, 12)])
    literal = partial(Slot, SlotKind.LITERAL)
    assert pieces == ("b", ClientText(" = ", 1), literal(index=0), ClientText(" + ", 7), literal(index=1))


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM orders o JOIN public.customers c ON true WHERE EXISTS (SELECT 1 FROM countries)",
        'WITH t AS (SELECT * FROM orders) SELECT * FROM t, "orders", ORDERS FOR UPDATE OF t',
        "INSERT INTO orders (id) SELECT id FROM customers ON CONFLICT DO NOTHING RETURNING id",
        "UPDATE orders o SET total = 1 FROM customers c WHERE c.id = o.id",
        "DELETE FROM orders USING customers",
        "SELECT * FROM generate_series(1, 2) g, unnest(ARRAY[1]) u (x)",
        "SELECT 1 FROM ONLY orders",
        "TABLE orders",
    ],
)
def test_both_parsers_see_the_same_relations(sql: str) -> None:
    agreed = COUNTS.agreed
    cross_check(_context(sql))
    assert COUNTS.agreed == agreed + 1


def test_a_disagreement_of_the_parsers_is_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    context = _context("SELECT * FROM orders")
    names = crosscheck._names_by_sqlglot("SELECT * FROM orders, customers")
    monkeypatch.setattr(crosscheck, "_names_by_sqlglot", lambda sql: names)
    differed = COUNTS.differed
    with pytest.raises(UnsupportedStatement, match="ambiguous"):
        cross_check(context)
    assert COUNTS.differed == differed + 1


def test_what_sqlglot_cannot_parse_is_counted() -> None:
    unparsed = COUNTS.unparsed
    cross_check(_context("SELECT id FROM orders ORDER BY id USING <"))
    assert COUNTS.unparsed == unparsed + 1
