"""The plan cache: one plan for all literals of a shape, bounded, apart for each policy and catalog version."""

from __future__ import annotations

import dataclasses

import pytest

from policy.access import Access, TableAccess
from policy.model import Isolation, TableClass, TableRule
from policy.sql.catalog import Catalog, Column, Relation
from proxy.plans import cache as cache_module
from proxy.plans.cache import MAX_KEPT_CHARACTERS, CompilationFailed, PlanCache, PlanScope

KEY = ("public", "orders")
ORDERS = Relation(20000, "public", "orders", "r", (Column("id", 23, "integer"), Column("t", 25, "text")))
CATALOG = Catalog(1, "shop", 180000, {KEY: ORDERS})
ACCESS = Access(
    "a", Isolation.SHARED, "main", TableAccess(), {KEY: TableAccess(read=True, write=True)},
    {KEY: TableRule("public", "orders", TableClass.TENANT, "t")},
)  # fmt: skip


def scope(capacity: int = 100) -> PlanScope:
    return PlanScope(ACCESS, CATALOG, "", capacity)


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


def test_no_plan_holds_a_tenants_value() -> None:
    compiled, _ = scope().plan("INSERT INTO orders (id) VALUES (1)")
    assert "acme" not in repr(compiled)


def test_the_number_of_plans_is_bounded() -> None:
    subject = scope(capacity=10)
    for number in range(50):
        subject.plan(f"SELECT id AS c{number} FROM orders")
    assert len(subject) <= 20


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
    plans = PlanCache(100)
    old = plans.scope(ACCESS, 1, CATALOG, "")
    assert plans.scope(ACCESS, 1, CATALOG, "") is old
    held = plans.scope(ACCESS, 2, CATALOG, "")
    newer = plans.scope(ACCESS, 3, dataclasses.replace(CATALOG, version=2), "")
    assert len({id(old), id(held), id(newer)}) == 3
    plans.prune({id(held)})
    assert plans.scopes() == (held,)
