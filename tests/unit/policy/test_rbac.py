"""Combining roles: hand-written cases, and properties against an oracle that looks at each role alone.

The oracle evaluates filters and masks with SQLite on a small table: what a set of roles shows must be, cell by cell,
the union of what its roles show.
"""

from __future__ import annotations

import dataclasses
import sqlite3
from collections.abc import Iterable, Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policy.access import NO_ACCESS, Access, TableAccess
from policy.actions import GRANTED
from policy.model import Isolation, Permission, Role, TableClass, TableRule, Tenant
from policy.permissions import parse_permission
from policy.rbac import may_read_gateway, resolve_access, unknown_roles
from policy.snapshot import Snapshot

RULES = (
    TableRule("public", "orders", TableClass.TENANT, "tenant_id"),
    TableRule("sales", "leads", TableClass.TENANT, "tenant_id"),
    TableRule("public", "countries", TableClass.GLOBAL),
    TableRule("public", "exports", TableClass.DENIED),
)


def _role(
    name: str,
    *permissions: str,
    filters: Mapping[str, str] | None = None,
    masks: Mapping[str, Mapping[str, str]] | None = None,
) -> Role:
    return Role(name, frozenset(map(parse_permission, permissions)), filters or {}, masks or {})


def _snapshot(*roles: Role) -> Snapshot:
    tenants = {t.id: t for t in (_tenant(isolation) for isolation in Isolation)}
    return Snapshot(1, tenants, {role.name: role for role in roles}, {"main": RULES})


def _tenant(isolation: Isolation, name: str = "") -> Tenant:
    schema = "own" if isolation is Isolation.SCHEMA else None
    return Tenant(name or isolation.value, isolation, "main", "value-of-tenant", schema=schema)


def _access(*roles: Role, isolation: Isolation = Isolation.SHARED, held: Iterable[str] | None = None) -> Access:
    names = frozenset(role.name for role in roles) if held is None else frozenset(held)
    return resolve_access(_snapshot(*roles), _tenant(isolation), names)


@pytest.mark.parametrize("isolation", list(Isolation))
def test_no_roles_or_unknown_ones_are_no_access(isolation: Isolation) -> None:
    role = _role("owner", "database:*", "gateway:*:read")
    for held in ([], ["nobody"]):
        access = _access(role, isolation=isolation, held=held)
        assert access.table("public", "orders") == NO_ACCESS
        assert (access.ddl, access.gateway_read) == (False, False)


def test_unknown_roles_are_told() -> None:
    assert unknown_roles(_snapshot(_role("a")), frozenset({"a", "c", "b"})) == ("b", "c")


@pytest.mark.parametrize(
    ("permission", "read", "write"),
    [
        ("table:orders:read", True, False),
        ("table:orders:write", True, True),
        ("table:orders:admin", True, True),
        ("table:orders:*", True, True),
        ("table:orders:copy", False, False),
        ("table:public.orders:read", True, False),
        ("table:public.*:write", True, True),
        ("table:*:read", True, False),
        ("database:*", True, True),
        ("database:*:read", True, False),
        ("database:*:admin", True, True),
        ("table:sales.orders:read", False, False),
        ("table:sales.*:read", False, False),
        ("table:order:read", False, False),
        ("schema:*:ddl", False, False),
        ("gateway:*:read", False, False),
    ],
)
def test_what_a_permission_grants(permission: str, read: bool, write: bool) -> None:
    for isolation in Isolation:
        table = _access(_role("r", permission), isolation=isolation).table("public", "orders")
        assert (table.read, table.write) == (read, write), isolation
        assert table.copy == (read or permission.endswith(":copy"))
        assert table.reasons == (("r",) if table != NO_ACCESS else ())


def test_names_match_exactly() -> None:
    access = _access(_role("r", 'table:"Orders":read'), isolation=Isolation.DATABASE)
    assert access.table("public", "Orders").read
    for schema, name in [("public", "orders"), ("sales", "Orders"), ("public", "Orders "), ("", "Orders")]:
        assert not access.table(schema, name).read


def test_a_quoted_dot_is_no_schema() -> None:
    access = _access(_role("r", 'table:"sales.leads":read'))
    assert access.table("public", "sales.leads").read
    assert not access.table("sales", "leads").read


def test_patterns_of_a_schema() -> None:
    access = _access(_role("r", "table:sales.*:read"))
    assert access.table("sales", "leads").read
    assert access.table("sales", "made_tomorrow").read
    assert not access.table("public", "orders").read


def test_a_schema_pattern_keeps_the_filter_of_a_named_table() -> None:
    role = _role("r", "table:sales.*:read", filters={"sales.leads": "a = 1"})
    access = _access(role)
    assert access.table("sales", "leads").row_filter == "a = 1"
    assert access.table("sales", "other").row_filter is None


def test_in_the_schema_strategy_plain_names_are_the_tenants_own() -> None:
    role = _role("r", "table:orders:read", "table:sales.*:read", filters={"public.orders": "a = 1"})
    access = _access(role, isolation=Isolation.SCHEMA)
    assert access.table("", "orders").row_filter == "a = 1"
    assert access.table("", "leads") == NO_ACCESS
    assert access.rules == {}


def test_classification_limits_every_role() -> None:
    access = _access(_role("r", "database:*"))
    assert access.table("public", "countries") == TableAccess(read=True, copy=True, reasons=("r",))
    assert access.table("public", "exports") == NO_ACCESS
    assert access.table("public", "orders").write
    assert set(access.rules) == {(rule.schema, rule.name) for rule in RULES}


@pytest.mark.parametrize(
    ("isolation", "permission", "ddl"),
    [
        (Isolation.SHARED, "schema:*:ddl", False),
        (Isolation.SHARED, "database:*", False),
        (Isolation.SCHEMA, "schema:*:ddl", True),
        (Isolation.SCHEMA, "database:*", True),
        (Isolation.DATABASE, "database:*", True),
        (Isolation.DATABASE, "database:*:admin", False),
        (Isolation.DATABASE, "table:*:admin", False),
    ],
)
def test_ddl(isolation: Isolation, permission: str, ddl: bool) -> None:
    assert _access(_role("r", permission), isolation=isolation).ddl is ddl


def test_stored_code_is_for_who_is_alone_on_the_target_and_limited_by_nothing() -> None:
    own, other = _tenant(Isolation.DATABASE), _tenant(Isolation.SCHEMA)
    writer = _role("w", "table:*:write", "schema:*:ddl")
    reader = _role("r", "table:*:read", "schema:*:ddl")
    limited = _role("l", "table:*:write", "schema:*:ddl", filters={"orders": "id > 1"})
    denied = Role(
        "d",
        frozenset(map(parse_permission, ("table:*:write", "schema:*:ddl"))),
        {},
        {},
        {"orders": frozenset({"card"})},
    )
    masked = _role("m", "table:*:write", "schema:*:ddl", masks={"orders": {"card": "NULL"}})
    user = _role("u", "table:*:write")

    def code(role: Role, *tenants: Tenant) -> bool:
        snapshot = Snapshot(1, {t.id: t for t in tenants}, {role.name: role}, {})
        return resolve_access(snapshot, tenants[0], frozenset({role.name})).code

    assert code(writer, own)
    assert code(writer, other)
    assert code(writer, own, dataclasses.replace(other, target="elsewhere"))
    assert not code(writer, own, other)
    assert not code(writer, _tenant(Isolation.SHARED))
    assert [code(role, own) for role in (reader, limited, masked, denied, user)] == [False] * 5


def test_the_admin_console() -> None:
    snapshot = _snapshot(_role("operator", "gateway:*:read"), _role("owner", "database:*"))
    assert may_read_gateway(snapshot, frozenset({"operator"}))
    assert not may_read_gateway(snapshot, frozenset({"owner", "nobody"}))


class TestCombination:
    eu = _role("eu", "table:orders:read", filters={"orders": "region = 'eu'"})
    us = _role("us", "table:orders:read", filters={"orders": "region = 'us'"})
    every = _role("every", "table:*:read")

    def test_filters_are_joined_by_or(self) -> None:
        assert _access(self.eu, self.us).table("public", "orders").row_filter == "(region = 'eu') OR (region = 'us')"

    def test_a_role_that_reads_all_rows_removes_the_filter(self) -> None:
        assert _access(self.eu, self.every).table("public", "orders").row_filter is None

    def test_a_filter_without_a_permission_neither_grants_nor_limits(self) -> None:
        only_filter = _role("only_filter", filters={"orders": "false"})
        assert _access(only_filter).table("public", "orders") == NO_ACCESS
        assert _access(only_filter, self.every).table("public", "orders").row_filter is None

    def test_who_reads_all_and_writes_some_writes_only_those(self) -> None:
        writer = _role("writer", "table:orders:write", filters={"orders": "region = 'eu'"})
        table = _access(writer, self.every).table("public", "orders")
        assert table.write
        assert table.row_filter == "region = 'eu'"
        assert table.filter_for_reading is None

    def test_masks_need_the_consent_of_every_reading_role(self) -> None:
        masked = _role("masked", "table:orders:read", masks={"orders": {"card": "NULL", "name": "'x'"}})
        other = _role("other", "table:orders:read", masks={"orders": {"card": "right(card, 4)"}})
        assert _access(masked).table("public", "orders").masks == {"card": "NULL", "name": "'x'"}
        assert _access(masked, self.every).table("public", "orders").masks == {}
        assert _access(masked, other).table("public", "orders").masks == {"card": "right(card, 4)"}

    def test_a_role_with_a_filter_unmasks_its_own_rows_only(self) -> None:
        masked = _role("masked", "table:orders:read", masks={"orders": {"card": "NULL"}})
        table = _access(masked, self.eu).table("public", "orders")
        assert table.row_filter is None
        assert table.masks == {"card": """CASE WHEN region = 'eu' THEN "card" ELSE NULL END"""}


class TestIdentity:
    roles = (_role("a", "table:orders:read"), _role("b", "table:orders:write"))

    def test_it_does_not_depend_on_the_tenant_or_the_order_of_things(self) -> None:
        snapshot = _snapshot(*self.roles)
        turned = Snapshot(2, {}, dict(sorted(snapshot.roles.items(), reverse=True)), {"main": tuple(reversed(RULES))})
        names = frozenset({"a", "b"})
        first = resolve_access(snapshot, _tenant(Isolation.SHARED, "one"), names)
        second = resolve_access(turned, _tenant(Isolation.SHARED, "two"), names | {"unknown"})
        assert first.id == second.id
        assert "value-of-tenant" not in repr(first)

    def test_it_differs_with_all_that_a_plan_depends_on(self) -> None:
        more = _role("c", "table:orders:read", filters={"orders": "a = 1"})
        mask = _role("d", "table:orders:read", masks={"orders": {"a": "NULL"}})
        ddl = _role("e", "table:orders:read", "schema:*:ddl")
        sales = _role("f", "table:orders:read", "table:sales.*:read")
        all_roles = (*self.roles, more, mask, ddl, sales)
        ids = {_access(*all_roles, isolation=i, held=[r.name]).id for i in Isolation for r in all_roles}
        assert len(ids) == len(all_roles) * len(Isolation)
        snapshot = _snapshot(*self.roles)
        other_rules = dataclasses.replace(snapshot, tables={"main": RULES[1:]})
        tenant, names = _tenant(Isolation.SHARED), frozenset({"a"})
        assert resolve_access(snapshot, tenant, names).id != resolve_access(other_rules, tenant, names).id
        elsewhere = dataclasses.replace(tenant, target="eu")
        assert resolve_access(snapshot, tenant, names).id != resolve_access(snapshot, elsewhere, names).id


# Properties

_FILTERS = st.sampled_from([None, "region = 'eu'", "region = 'us'", "amount > 1", "region IS NULL"])
_MASKS = st.dictionaries(st.sampled_from(["card", "amount"]), st.sampled_from(["NULL", "'x'", "substr(card, 2)"]))
_WORDS = (
    "table:orders:read table:orders:write table:*:read table:*:write table:public.*:read table:sales.*:write "
    "table:orders:copy database:* database:*:read schema:*:ddl gateway:*:read"
)
_PERMISSIONS = st.sets(st.sampled_from(_WORDS.split()), max_size=2)


@st.composite
def _roles(draw: st.DrawFn) -> tuple[Role, ...]:
    roles = []
    for name in "abcd"[: draw(st.integers(1, 4))]:
        row_filter = draw(_FILTERS)
        filters = {} if row_filter is None else {"orders": row_filter}
        roles.append(_role(name, *draw(_PERMISSIONS), filters=filters, masks={"orders": draw(_MASKS)}))
    return tuple(roles)


_ROWS = [(1, "eu", "1234", 1), (2, "us", "5678", 2), (3, None, "9999", 3), (4, "eu", None, 4)]
_COLUMNS = ("region", "card", "amount")


def _shown(table: TableAccess) -> dict[int, tuple[object, ...]]:
    """What a relation shows: row number to its cells."""
    if not table.read:
        return {}
    cells = ", ".join(f"({table.masks[c]}) AS {c}" if c in table.masks else c for c in _COLUMNS)
    return {row[0]: row[1:] for row in _query(f"SELECT id, {cells} FROM orders", table.filter_for_reading)}


def _writable(table: TableAccess) -> set[int]:
    return {row[0] for row in _query("SELECT id FROM orders", table.row_filter)} if table.write else set()


def _query(sql: str, where: str | None) -> list[tuple[int, ...]]:
    with sqlite3.connect(":memory:") as connection:
        connection.execute("CREATE TABLE orders (id INTEGER, region TEXT, card TEXT, amount INTEGER)")
        connection.executemany("INSERT INTO orders VALUES (?, ?, ?, ?)", _ROWS)
        rows: list[tuple[int, ...]] = connection.execute(sql + (f" WHERE {where}" if where else "")).fetchall()
    connection.close()
    return rows


@given(_roles(), st.sampled_from(list(Isolation)))
@settings(max_examples=150, deadline=None)
def test_roles_together_show_the_union_of_what_each_shows(roles: tuple[Role, ...], isolation: Isolation) -> None:
    schema = "" if isolation is Isolation.SCHEMA else "public"
    together = _access(*roles, isolation=isolation).table(schema, "orders")
    alone = [_access(role, isolation=isolation).table(schema, "orders") for role in roles]
    shown = _shown(together)
    each = [_shown(table) for table in alone]
    assert set(shown) == set().union(*each)
    assert _writable(together) == set().union(*map(_writable, alone))
    for row, cells in shown.items():
        for column, cell in enumerate(cells):
            candidates = [view[row][column] for view in each if row in view]
            assert cell in candidates
            true_value = _ROWS[row - 1][1:][column]
            if true_value in candidates:
                unmasked = any(_COLUMNS[column] not in t.masks and row in v for t, v in zip(alone, each, strict=True))
                assert cell == true_value or not unmasked
            assert cell is not None or all(candidate is None for candidate in candidates) or true_value is None


@given(_roles(), st.sampled_from(list(Isolation)))
@settings(max_examples=100, deadline=None)
def test_adding_a_role_never_removes_access(roles: tuple[Role, ...], isolation: Isolation) -> None:
    less = _access(*roles, isolation=isolation, held=[role.name for role in roles[:-1]])
    more = _access(*roles, isolation=isolation)
    assert more.ddl >= less.ddl
    assert more.gateway_read >= less.gateway_read
    for schema, name in [("public", "orders"), ("", "orders"), ("sales", "leads"), ("public", "countries"), ("x", "y")]:
        old, new = less.table(schema, name), more.table(schema, name)
        assert new.read >= old.read
        assert new.write >= old.write
        assert new.copy >= old.copy
        if name == "orders":
            assert set(_shown(new)) >= set(_shown(old))
            assert _writable(new) >= _writable(old)


_PARTS = st.sampled_from(["table", "database", "schema", "gateway", "Table", "", "*", "read", "write", "admin", "ddl"])


@given(
    kind=_PARTS | st.text(max_size=8),
    name=st.sampled_from(["*", "public.orders", "orders", "", "a.b.c", '"']),
    action=_PARTS | st.text(max_size=8),
)
@settings(max_examples=300, deadline=None)  # fmt: skip
def test_words_that_nobody_knows_grant_nothing(kind: str, name: str, action: str) -> None:
    """Also for permissions that no document let through."""
    role = Role("r", frozenset({Permission(kind, name, action)}))
    access = _access(role, isolation=Isolation.DATABASE)
    tables = kind == "table" and action in GRANTED
    database = kind == "database" and name == "*" and action in GRANTED
    columns = kind == "column" and name == "a.b.c" and action == "read"
    if not (tables or database or columns):
        assert access.default == NO_ACCESS
        assert all(table == NO_ACCESS for table in (*access.tables.values(), *access.schemas.values()))
    if (kind, name, action) not in {("schema", "*", "ddl"), ("database", "*", "*")}:
        assert not access.ddl
    if (kind, name) != ("gateway", "*") or action not in {"read", "admin"}:
        assert not access.gateway_read


@pytest.mark.parametrize("isolation", list(Isolation))
def test_a_column_that_one_role_denies_is_denied(isolation: Isolation) -> None:
    """Whatever the other roles show, and also when the role itself grants nothing; no mask is left of it."""
    deny = Role("deny", frozenset(), denied_columns={"orders": frozenset({"card"})})
    reader = _role("reader", "table:*:read", masks={"orders": {"card": "NULL", "note": "NULL"}})
    key = ("" if isolation is Isolation.SCHEMA else "public", "orders")
    both, alone = _access(deny, reader, isolation=isolation), _access(deny, isolation=isolation)
    assert both.table(*key).denied == {"card"}
    assert set(both.table(*key).masks) == {"note"}
    assert alone.table(*key) == NO_ACCESS
    assert both.id != _access(deny, reader, isolation=isolation, held=["reader"]).id
