"""The plan cache: one plan for all literals of a shape, bounded, apart for each policy and catalog version."""

from __future__ import annotations

import dataclasses
import gc
import tracemalloc

import pytest

from policy.access import Access, TableAccess
from policy.model import Isolation, Principal, TableClass, TableRule, Tenant
from policy.sql.catalog import Catalog, Column, Relation
from proxy.plans import cache as cache_module
from proxy.plans.cache import MAX_KEPT_CHARACTERS, PlanCache, PlanScope
from proxy.plans.errors import CompilationFailed
from proxy.plans.room import PlanRoom
from proxy.session import Template, client_position, slot_values

TENANT = Tenant("acme", Isolation.SHARED, "main", "acme")
KEY = ("public", "orders")
ORDERS = Relation(20000, "public", "orders", "r", (Column("id", 23, "integer"), Column("t", 25, "text")))
CATALOG = Catalog(1, "shop", 180000, {KEY: ORDERS})
ACCESS = Access(
    "a", Isolation.SHARED, "main", TableAccess(), {KEY: TableAccess(read=True, write=True)},
    {KEY: TableRule("public", "orders", TableClass.TENANT, "t")},
)  # fmt: skip


def scope(limit_bytes: int = 1 << 20) -> PlanScope:
    return PlanScope(ACCESS, CATALOG, "", PlanRoom(limit_bytes))


def test_one_plan_serves_all_literals_of_a_shape() -> None:
    subject = scope()
    first, literals = subject.plan("SELECT id FROM orders WHERE id = 1")
    again, others = subject.plan("SELECT id FROM orders WHERE id = 42")
    assert first is again
    assert (literals, others) == (("1",), ("42",))
    assert (subject.hits, subject.misses) == (1, 1)


def test_denials_are_kept_too() -> None:
    subject = scope()
    denied, _ = subject.plan("SELECT pg_read_file('x')")
    assert denied.denial is not None
    assert subject.plan("SELECT pg_read_file('x')")[0] is denied


def test_a_plan_of_a_shape_holds_no_literal_of_who_sent_it_first() -> None:
    compiled, _ = scope().plan("SELECT 'se''cret' FROM orders WHERE id = 31415 AND t = 'secret'")
    assert compiled.by_shape
    assert "secret" not in repr(compiled)
    assert "cret" not in repr(compiled)
    assert "31415" not in repr(compiled)


def test_a_position_is_right_for_literals_of_another_length() -> None:
    first, second = "SELECT 'ab', 12 + idd FROM orders", "SELECT 'abcdef', 123456 + idd FROM orders"
    subject = scope()
    values = slot_values(Principal("alice", frozenset({"acme"}), frozenset(), "jwt"), TENANT, "")
    subject.plan(first)
    compiled, literals = subject.plan(second)
    assert subject.hits == 1
    sent = Template(compiled, values).text(literals)
    position = client_position(compiled, sent.index("idd") + 1, values, literals)
    assert position == second.index("idd") + 1


def test_plans_are_bounded_in_bytes_over_all_scopes() -> None:
    room = PlanRoom(20_000)
    scopes = [PlanScope(ACCESS, CATALOG, "", room) for _ in range(2)]
    for number in range(50):
        scopes[number % 2].plan(f"SELECT id AS c{number} FROM orders")
        assert room.bytes <= 20_000
    assert len(room) == sum(map(len, scopes))
    assert 2 < len(room) < 25
    assert room.evicted == 50 - len(room)
    assert scopes[1].has("SELECT id AS c49 FROM orders")
    assert not scopes[0].has("SELECT id AS c0 FROM orders")


def test_texts_that_come_once_do_not_push_out_what_is_used() -> None:
    subject = scope(20_000)
    for number in range(100):
        subject.plan("SELECT id FROM orders WHERE id = 1")
        subject.plan(f"SELECT pg_read_file('x{number}')")
    assert subject.misses == 101


def test_a_form_takes_room_too_and_is_made_once() -> None:
    room = PlanRoom(1 << 20)
    subject = PlanScope(ACCESS, CATALOG, "", room)
    compiled, _ = subject.plan("SELECT id FROM orders WHERE id = 1")
    before = room.bytes
    form = subject.form(compiled)
    assert form is not None
    assert subject.form(compiled) is form
    assert room.bytes > before
    subject.clear()
    assert (room.bytes, len(room), len(subject)) == (0, 0, 0)


def test_the_bytes_of_plans_are_about_what_python_allocates() -> None:
    texts = [
        f"SELECT o.id AS a{n}, t, count(*) FROM orders o WHERE id IN (1, 2, 3) AND t LIKE 'x%' GROUP BY 1, 2"
        for n in range(60)
    ] + [f"INSERT INTO orders (id) SELECT id + {n}::int8 FROM orders -- {n}" for n in range(60)]
    scope().plan(texts[0])  # what all plans share is there
    room = PlanRoom(64 << 20)
    subject = PlanScope(ACCESS, CATALOG, "", room)
    gc.collect()
    tracemalloc.start()
    try:
        for text in texts:
            subject.plan(text)
        gc.collect()
        allocated = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert len(room) == len(texts)
    assert 0.8 < room.bytes / allocated < 1.6


def test_long_texts_are_not_kept() -> None:
    subject = scope()
    subject.plan("SELECT 1 /* " + "x" * MAX_KEPT_CHARACTERS + " */")
    assert len(subject) == 0


def test_a_compilers_bug_refuses_the_statement(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise KeyError("bug")

    monkeypatch.setattr(cache_module, "compile_query", broken)
    with pytest.raises(CompilationFailed) as caught:
        scope().plan("SELECT 1")
    assert not caught.value.public


def test_scopes_are_apart_by_version_and_old_ones_are_forgotten() -> None:
    plans = PlanCache(1 << 20)
    old = plans.scope(ACCESS, CATALOG, "")
    assert plans.scope(dataclasses.replace(ACCESS), CATALOG, "") is old
    held = plans.scope(dataclasses.replace(ACCESS, id="another"), CATALOG, "")
    newer = plans.scope(ACCESS, dataclasses.replace(CATALOG, version=2), "")
    assert len({id(old), id(held), id(newer)}) == 3
    plans.prune({id(held)})
    assert plans.scopes() == (held,)


def test_counts_do_not_fall_when_scopes_are_forgotten() -> None:
    plans = PlanCache(1 << 20)
    for version in (1, 2):
        for _ in range(3):
            plans.scope(dataclasses.replace(ACCESS, id=str(version)), CATALOG, "").plan("SELECT id FROM orders")
    assert (plans.hits, plans.misses, len(plans.room)) == (4, 2, 2)
    plans.prune(set())
    assert (plans.hits, plans.misses, len(plans.room), plans.room.bytes) == (4, 2, 0, 0)
