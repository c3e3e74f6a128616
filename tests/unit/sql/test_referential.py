"""Referential actions that could reach rows of others: which writes are refused, also several keys away."""

from __future__ import annotations

from dataclasses import replace

import pytest

from policy.access import Access
from policy.errors import AccessDenied
from policy.model import Isolation, TableClass, TableRule
from policy.sql.catalog import Catalog, Column, ForeignKey, Relation
from tests.unit.sql.shop import FULL, plan_of

COLUMNS = tuple(
    Column(name, 23, "integer") if name != "tenant_id" else Column(name, 25, "text")
    for name in ("tenant_id", "id", "parent_id", "note")
)
NAMES = ("a", "b", "c", "countries", "unlisted", "part")


def key(child: str, parent: str, columns: str, parent_columns: str, **actions: object) -> ForeignKey:
    made = ForeignKey(
        f"{child}_fk", ("public", child), tuple(columns.split()), ("public", parent), tuple(parent_columns.split())
    )
    return replace(made, **actions)  # type: ignore[arg-type]


def catalog(*keys: ForeignKey) -> Catalog:
    relations = {}
    for oid, name in enumerate(NAMES, 1):
        own = tuple(k for k in keys if k.parent == ("public", name))
        relations["public", name] = Relation(oid, "public", name, "r", COLUMNS, referenced_by=own)
    return Catalog(1, "x", 180000, relations, schemas=frozenset({"public"}))


def changed(base: Catalog, name: str, **fields: object) -> Catalog:
    relation = replace(base.relations["public", name], **fields)  # type: ignore[arg-type]
    return replace(base, relations={**base.relations, ("public", name): relation})


RULES = {("public", name): TableRule("public", name, TableClass.TENANT, "tenant_id") for name in "abc"} | {
    ("public", "countries"): TableRule("public", "countries", TableClass.GLOBAL)
}
SHARED = Access("x", Isolation.SHARED, "main", FULL, {}, RULES)
WITHOUT = ("parent_id", "id")
WITH = ("tenant_id parent_id", "tenant_id id")


def refusal(sql: str, known: Catalog, access: Access = SHARED, schema: str = "") -> AccessDenied:
    with pytest.raises(AccessDenied) as caught:
        plan_of(sql, access, known, schema)
    assert caught.value.sqlstate == "42501"
    return caught.value


@pytest.mark.parametrize("action", ["cascade", "set null", "set default"])
def test_a_key_without_the_tenant_column(action: str) -> None:
    known = catalog(key("b", "a", *WITHOUT, on_delete=action))
    refused = refusal("DELETE FROM a WHERE id = 1", known)
    assert "DELETE on table a" in refused.message
    assert "b_fk" in (refused.detail or "")
    assert action.upper() in (refused.detail or "")
    assert "include the tenant column in the foreign key b_fk" in (refused.hint or "")
    assert refusal("WITH d AS (DELETE FROM a RETURNING id) SELECT * FROM d", known).position == 24
    plan_of("UPDATE a SET id = 2", SHARED, known)
    plan_of("DELETE FROM b", SHARED, known)


@pytest.mark.parametrize("action", ["no action", "restrict"])
def test_keys_that_only_check(action: str) -> None:
    known = catalog(key("b", "a", *WITHOUT, on_delete=action, on_update=action))
    plan_of("DELETE FROM a", SHARED, known)
    plan_of("UPDATE a SET id = 2", SHARED, known)


@pytest.mark.parametrize("action", ["cascade", "set null", "set default"])
def test_a_key_with_the_tenant_column_stays_within_the_tenant(action: str) -> None:
    known = catalog(key("b", "a", *WITH, on_delete=action, on_update=action))
    plan_of("DELETE FROM a", SHARED, known)
    plan_of("UPDATE a SET id = 2", SHARED, known)


def test_the_tenant_column_has_to_meet_the_tenant_column() -> None:
    known = catalog(key("b", "a", "note tenant_id", "tenant_id note", on_delete="cascade"))
    refusal("DELETE FROM a", known)


@pytest.mark.parametrize("child", ["countries", "unlisted"])
def test_a_child_that_is_nobodys(child: str) -> None:
    refusal("DELETE FROM a", catalog(key(child, "a", *WITH, on_delete="cascade")))


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE a SET id = 2 WHERE id = 1",
        "UPDATE a SET note = 1, id = 2",
        "UPDATE a SET (note, id) = (1, 2)",
        "INSERT INTO a (id) VALUES (1) ON CONFLICT (tenant_id, id) DO UPDATE SET id = 2",
        "WITH u AS (UPDATE a SET id = id + 1 RETURNING id) SELECT * FROM u",
    ],
)
def test_an_update_of_a_key_that_others_follow(sql: str) -> None:
    known = catalog(key("b", "a", *WITHOUT, on_update="cascade"))
    assert "UPDATE on table a" in refusal(sql, known).message


def test_an_update_of_other_columns_is_fine() -> None:
    known = catalog(key("b", "a", *WITHOUT, on_update="cascade", on_delete="cascade"))
    plan_of("UPDATE a SET note = 1 WHERE id = 2", SHARED, known)
    plan_of("INSERT INTO a (id) VALUES (1) ON CONFLICT (tenant_id, id) DO UPDATE SET note = 2", SHARED, known)


def test_a_generated_column_changes_with_any_other() -> None:
    known = catalog(key("b", "a", *WITHOUT, on_update="cascade"))
    generated = tuple(replace(c, generated="stored", default_sql="note") if c.name == "id" else c for c in COLUMNS)
    refusal("UPDATE a SET note = 1", changed(known, "a", columns=generated))


def test_keys_further_away_are_followed() -> None:
    known = catalog(
        key("b", "a", *WITH, on_delete="cascade", on_update="cascade"),
        key("c", "b", *WITHOUT, on_delete="cascade"),
    )
    assert "c_fk" in (refusal("DELETE FROM a", known).detail or "")
    plan_of("UPDATE a SET id = 1", SHARED, known)
    set_null = catalog(
        key("b", "a", *WITH, on_delete="set null"), key("c", "b", "note", "parent_id", on_update="cascade")
    )
    assert "c_fk" in (refusal("DELETE FROM a", set_null).detail or "")


def test_keys_that_go_in_circles_end() -> None:
    known = catalog(key("b", "a", *WITH, on_delete="cascade"), key("a", "b", *WITH, on_delete="cascade"))
    plan_of("DELETE FROM a", SHARED, known)


def test_a_default_that_is_another_tenants() -> None:
    known = catalog(key("b", "a", *WITH, on_delete="set default"))
    columns = (replace(COLUMNS[0], has_default=True, default_sql="'globex'::text"), *COLUMNS[1:])
    refusal("DELETE FROM a", changed(known, "b", columns=columns))
    some = catalog(key("b", "a", *WITH, on_delete="set default", set_columns=("parent_id",)))
    plan_of("DELETE FROM a", SHARED, changed(some, "b", columns=columns))


def test_a_default_that_runs_code() -> None:
    known = catalog(key("b", "a", *WITH, on_delete="set default", set_columns=("note",)))
    columns = (*COLUMNS[:3], replace(COLUMNS[3], has_default=True, default_sql="newest_secret()"))
    known = replace(changed(known, "b", columns=columns), user_functions=frozenset({"newest_secret"}))
    refusal("DELETE FROM a", known)


def test_partitions_and_what_they_are_a_part_of() -> None:
    known = changed(catalog(key("b", "part", *WITHOUT, on_delete="cascade")), "part", parents=(("public", "a"),))
    refusal("DELETE FROM a", changed(known, "a", has_children=True))
    above = changed(catalog(key("c", "a", *WITHOUT, on_delete="cascade")), "b", parents=(("public", "a"),))
    refusal("DELETE FROM b", above)
    inside = changed(catalog(key("part", "a", *WITH, on_delete="cascade")), "part", parents=(("public", "b"),))
    plan_of("DELETE FROM a", SHARED, inside)


def test_an_older_server_deletes_when_a_row_moves_to_another_partition() -> None:
    known = changed(catalog(key("b", "a", *WITHOUT, on_delete="cascade")), "a", kind="p")
    plan_of("UPDATE a SET note = 1", SHARED, known)
    refusal("UPDATE a SET note = 1", replace(known, server_version=140005))


def test_the_other_strategies() -> None:
    known = catalog(key("b", "a", *WITHOUT, on_delete="cascade", on_update="cascade"))
    schema = Access("s", Isolation.SCHEMA, "main", FULL, {}, {})
    plan_of("DELETE FROM a", schema, known, "public")
    foreign = replace(known.relations["public", "a"].referenced_by[0], child=("globex", "b"))
    known = changed(known, "a", referenced_by=(foreign,))
    known = replace(known, relations={**known.relations, ("globex", "b"): known.relations["public", "b"]})
    refusal("DELETE FROM a", known, schema, "public")
    refusal("MERGE INTO a USING b ON a.id = b.id WHEN MATCHED THEN DELETE", known, schema, "public")
    plan_of("DELETE FROM a", Access("d", Isolation.DATABASE, "main", FULL, {}, {}), known)
