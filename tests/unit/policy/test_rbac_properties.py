"""What must hold of any roles: denials only take, roles only add, inheriting is holding; cells and rows by SQLite.

A relation is asked for what it shows (row number to cells, `None` for a column that is not there) and for the rows that
each kind of statement may change, as the rules of SQL would apply it.
"""

from __future__ import annotations

import dataclasses
import sqlite3
import time
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policy.access import Access, TableAccess
from policy.builtin_roles import BUILTIN_ROLES
from policy.changes import EMPTY, Change, snapshot_with
from policy.model import Flag, Isolation, Role, TableClass, TableRule, Tenant
from policy.permissions import parse_permission
from policy.rbac import resolve_access
from policy.snapshot import Snapshot

_COLUMNS = ("id", "region", "card", "amount")
_ROWS = [(1, "eu", "1234", 1), (2, "us", "5678", 2), (3, None, "9999", 3), (4, "eu", None, 4)]
_KINDS = ("insert", "update", "delete")
_RULES = (
    TableRule("public", "orders", TableClass.TENANT, "tenant_id"),
    TableRule("public", "countries", TableClass.GLOBAL),
)
_KEYS = [("public", "orders"), ("public", "countries"), ("public", "other"), ("sales", "leads"), ("sales", "x")]

_GRANTS = [
    "table:orders:read",
    "table:orders:select",
    "table:orders:insert",
    "table:orders:update",
    "table:orders:delete",
    "table:orders:write",
    "table:orders:copy",
    "table:*:read",
    "table:*:insert",
    "table:public.*:delete",
    "table:sales.*:write",
    "column:orders.id:read",
    "column:orders.region:read",
    "column:orders.card:read",
    "database:*",
    "database:*:select",
    "database:*:write",
    "schema:*:ddl",
    "gateway:*:read",
    "gateway:*:admin",
]
_DENIALS = [
    "table:orders:read",
    "table:orders:insert",
    "table:orders:update",
    "table:orders:delete",
    "table:orders:write",
    "table:orders:*",
    "table:orders:copy",
    "table:*:delete",
    "table:sales.*:*",
    "table:*:*",
    "column:orders.card:read",
    "column:orders.id:read",
    "function:f:call",
    "function:*:call",
    "database:*:explain",
    "database:*:call",
    "database:*:copy",
    "database:*:write",
    "database:*",
    "schema:*:ddl",
    "gateway:*:read",
    "gateway:*:admin",
]
_FILTERS = st.sampled_from([None, "region = 'eu'", "region = 'us'", "amount > 1", "region IS NULL"])
_MASKS = st.dictionaries(st.sampled_from(["card", "amount"]), st.sampled_from(["NULL", "'x'", "substr(card, 2)"]))


@st.composite
def _role(draw: st.DrawFn, name: str, *, denies: bool = True) -> Role:
    row_filter = draw(_FILTERS)
    granted = draw(st.sets(st.sampled_from(_GRANTS), max_size=3))
    denied = draw(st.sets(st.sampled_from(_DENIALS), max_size=2)) if denies else set[str]()
    hidden = draw(st.sets(st.sampled_from(["card", "region"]), max_size=1)) if denies else set[str]()
    return Role(
        name,
        frozenset(map(parse_permission, granted)),
        {} if row_filter is None else {"public.orders": row_filter},
        {"public.orders": draw(_MASKS)},
        {"public.orders": frozenset(hidden)},
        deny=frozenset(map(parse_permission, denied)),
    )


def _roles(names: str, *, denies: bool = True) -> st.SearchStrategy[tuple[Role, ...]]:
    return st.tuples(*(_role(name, denies=denies) for name in names))


def _snapshot(*roles: Role, flags: Mapping[str, bool] | None = None, deny: str = "") -> Snapshot:
    changes = [Change("role", role.name, role) for role in roles]
    changes.append(Change("tables", "main", _RULES))
    changes.append(Change("flag", "own", Flag("own", frozenset({parse_permission(deny)} if deny else ()))))
    for isolation in Isolation:
        schema = "own" if isolation is Isolation.SCHEMA else None
        tenant = Tenant(isolation.value, isolation, f"{isolation.value}-target", "v", schema=schema, flags=flags or {})
        target = "main" if isolation is Isolation.SHARED else tenant.target
        changes.append(Change("tenant", tenant.id, dataclasses.replace(tenant, target=target)))
    return snapshot_with(EMPTY, 1, changes)


def _access(snapshot: Snapshot, isolation: Isolation, *names: str, read_only: str = "") -> Access:
    return resolve_access(snapshot, snapshot.tenants[isolation.value], frozenset(names), read_only=read_only)


def _table(access: Access, schema: str, name: str) -> TableAccess:
    own = access.isolation is Isolation.SCHEMA
    return access.table("" if own else schema, name).with_columns(_COLUMNS)


def _rows(sql: str, where: str | None) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE orders (id INTEGER, region TEXT, card TEXT, amount INTEGER)")
    connection.executemany("INSERT INTO orders VALUES (?, ?, ?, ?)", _ROWS)
    found = connection.execute(sql + (f" WHERE {where}" if where else "")).fetchall()
    connection.close()
    return found


def _shown(table: TableAccess) -> dict[int, dict[str, object]]:
    """By the number of the row: the cells of the columns that are there."""
    if not table.read:
        return {}
    columns = [column for column in _COLUMNS if column not in table.denied]
    cells = ", ".join(f"({table.masks[c]})" if c in table.masks else c for c in columns)
    rows = _rows(f"SELECT id{', ' + cells if cells else ''} FROM orders", table.filter_for_reading)
    return {row[0]: dict(zip(columns, row[1:], strict=True)) for row in rows}


def _changeable(table: TableAccess, kind: str) -> set[int]:
    access = table.for_write(kind)
    return {row[0] for row in _rows("SELECT id FROM orders", access.row_filter)} if access.write else set()


def _is_true(row: int, column: str, cell: object) -> bool:
    return bool(cell == _ROWS[row - 1][_COLUMNS.index(column)])


def _assert_within(less: Access, more: Access, *, columns: bool = True) -> None:
    """`less` gives nothing that `more` does not. columns=False: but for columns that are not there in `more`."""
    for flag in ("ddl", "code", "gateway_read", "explain", "call"):
        assert getattr(less, flag) <= getattr(more, flag), flag
    for key in _KEYS:
        small, large = _table(less, *key), _table(more, *key)
        assert (small.read, small.copy) <= (large.read or not small.read, large.copy or not small.copy)
        for kind in _KINDS:
            assert _changeable(small, kind) <= _changeable(large, kind)
        shown, all_shown = _shown(small), _shown(large)
        assert shown.keys() <= all_shown.keys()
        for row, cells in shown.items():
            for column, cell in cells.items():
                assert not columns or column in all_shown[row]
                if _is_true(row, column, cell) and cell is not None and column in all_shown[row]:
                    assert _is_true(row, column, all_shown[row][column])


@given(_roles("abc"), st.sets(st.sampled_from(_DENIALS), min_size=1, max_size=2), st.sampled_from(list(Isolation)))
@settings(max_examples=50, deadline=None)
def test_adding_a_denial_never_enlarges(roles: tuple[Role, ...], denied: set[str], isolation: Isolation) -> None:
    """In a role that is held, in one that is inherited, and by a flag that is off."""
    more = _access(_snapshot(*roles), isolation, "a", "b", "c")
    stricter = dataclasses.replace(roles[0], deny=roles[0].deny | set(map(parse_permission, denied)))
    _assert_within(_access(_snapshot(stricter, *roles[1:]), isolation, "a", "b", "c"), more)
    denying = Role("d", frozenset(), deny=frozenset(map(parse_permission, denied)))
    inheriting = dataclasses.replace(roles[0], inherits=("d",))
    _assert_within(_access(_snapshot(inheriting, denying, *roles[1:]), isolation, "a", "b", "c"), more)
    switched = _snapshot(*roles, flags={"own": False}, deny=next(iter(denied)))
    _assert_within(_access(switched, isolation, "a", "b", "c"), more)


_TAKEN = {  # by word: whether a relation can be read, the kinds of change, and COPY, of which nothing may be left
    "read": (True, ["update", "delete"], True), "insert": (False, ["insert"], False),
    "update": (False, ["update"], False), "delete": (False, ["delete"], False), "write": (False, [*_KINDS], False),
    "copy": (False, [], True), "*": (True, [*_KINDS], True),
}  # fmt: skip
_COVERED = {"orders": _KEYS[:1], "*": _KEYS, "sales.*": _KEYS[3:]}


@given(_roles("ab"), st.sampled_from(_DENIALS), st.sampled_from(list(Isolation)))
@settings(max_examples=80, deadline=None)
def test_what_is_denied_is_given_by_nobody(roles: tuple[Role, ...], denied: str, isolation: Isolation) -> None:
    every = Role("all", frozenset(map(parse_permission, ("database:*", "gateway:*:admin"))))
    denying = Role("d", frozenset(), deny=frozenset({parse_permission(denied)}))
    access = _access(_snapshot(*roles, every, denying), isolation, "a", "b", "all", "d")
    kind, name, action = (*denied.split(":"), "*")[:3]
    assert not access.code or kind == "gateway"
    assert not (access.ddl and denied in ("schema:*:ddl", "database:*"))
    assert not (access.explain and denied in ("database:*:explain", "database:*"))
    assert not (access.call and denied in ("database:*:call", "database:*"))
    assert not (access.gateway_read and denied == "gateway:*:read")
    assert kind != "function" or access.denies_function("", "f")
    if kind == "column":
        orders = _table(access, *_KEYS[0])
        assert orders.is_denied(name.rpartition(".")[2]) or not (orders.read or orders.write)
    read, kinds, copy = _TAKEN.get(action, (False, [], False)) if kind in ("table", "database") else (False, [], False)
    for schema, table in _COVERED.get(name, ()):
        if isolation is Isolation.SCHEMA and schema != "public":
            continue
        found = _table(access, schema, table)
        assert not (found.read and read)
        assert not (found.copy and copy)
        assert not any(_changeable(found, each) for each in kinds)


@given(_roles("abc"), _role("d", denies=False), st.sampled_from(list(Isolation)))
@settings(max_examples=70, deadline=None)
def test_adding_a_role_never_narrows_but_by_its_denials(
    roles: tuple[Role, ...], added: Role, isolation: Isolation
) -> None:
    snapshot = _snapshot(*roles, added)
    _assert_within(_access(snapshot, isolation, "a", "b", "c"), _access(snapshot, isolation, "a", "b", "c", "d"))


@given(_roles("abcd"), st.sampled_from(list(Isolation)))
@settings(max_examples=50, deadline=None)
def test_inheriting_is_holding(roles: tuple[Role, ...], isolation: Isolation) -> None:
    """a inherits b and c, c inherits d: the access is that of who holds all four, to the last word."""
    a, b, c, d = roles
    tree = (dataclasses.replace(a, inherits=("b", "c")), b, dataclasses.replace(c, inherits=("d",)), d)
    inherited = _access(_snapshot(*tree), isolation, "a")
    assert inherited == _access(_snapshot(*roles), isolation, "a", "b", "c", "d")


@given(_roles("ab"), st.sampled_from(["copy", "ddl", "code", "lanes"]), st.sampled_from(list(Isolation)))
@settings(max_examples=40, deadline=None)
def test_a_flag_that_is_off_and_a_tenant_that_is_read_only_never_enlarge(
    roles: tuple[Role, ...], flag: str, isolation: Isolation
) -> None:
    more = _access(_snapshot(*roles), isolation, "a", "b")
    _assert_within(_access(_snapshot(*roles, flags={flag: False}), isolation, "a", "b"), more)
    read_only = _access(_snapshot(*roles), isolation, "a", "b", read_only="for a test")
    _assert_within(read_only, more)
    assert not (read_only.ddl)
    assert not (read_only.code)
    for key in _KEYS:
        assert not any(_changeable(_table(read_only, *key), kind) for kind in _KINDS)
        assert _shown(_table(read_only, *key)) == _shown(_table(more, *key))


@given(_roles("abc", denies=False), st.sampled_from(list(Isolation)))
@settings(max_examples=70, deadline=None)
def test_roles_together_are_the_union_of_each(roles: tuple[Role, ...], isolation: Isolation) -> None:
    """Rows by kind of statement, and cells: one that is shown as it is, is shown so by a role; and the other way."""
    snapshot = _snapshot(*roles)
    key = ("public", "orders")
    together = _table(_access(snapshot, isolation, "a", "b", "c"), *key)
    alone = [_table(_access(snapshot, isolation, name), *key) for name in "abc"]
    for kind in _KINDS:
        assert _changeable(together, kind) == set().union(*(_changeable(table, kind) for table in alone))
    shown, each = _shown(together), [_shown(table) for table in alone]
    assert shown.keys() == set().union(*each)
    assert together.copy is any(table.copy for table in alone)
    for row, cells in shown.items():
        views = [(view[row], table) for view, table in zip(each, alone, strict=True) if row in view]
        for column in _COLUMNS:
            open_ = any(column in view and column not in table.masks for view, table in views)
            assert not open_ or _is_true(row, column, cells[column])
            if column in cells:
                assert cells[column] is None or cells[column] in [view.get(column) for view, _ in views]


@given(_roles("ab"), st.sampled_from(list(Isolation)))
@settings(max_examples=40, deadline=None)
def test_the_id_tells_apart_what_a_plan_could(roles: tuple[Role, ...], isolation: Isolation) -> None:
    """Equal ids, equal access; no tenant's value is in it."""
    snapshot = _snapshot(*roles)
    accesses = [_access(snapshot, isolation, *names) for names in ((), ("a",), ("b",), ("a", "b"))]
    for one in accesses:
        for other in accesses:
            assert (one.id == other.id) is (dataclasses.replace(one, id=other.id) == other)


def test_kinds_of_statements_with_filters_of_their_own() -> None:
    eu = Role("a", frozenset({parse_permission("table:orders:update")}), {"public.orders": "region = 'eu'"})
    us = Role("b", frozenset({parse_permission("table:orders:delete")}), {"public.orders": "region = 'us'"})
    new = Role("c", frozenset({parse_permission("table:orders:insert")}))
    table = _table(_access(_snapshot(eu, us, new), Isolation.SHARED, "a", "b", "c"), "public", "orders")
    assert {kind: _changeable(table, kind) for kind in _KINDS} == {
        "insert": {1, 2, 3, 4}, "update": {1, 4}, "delete": {2},
    }  # fmt: skip
    assert set(_shown(table)) == {1, 2, 4}
    assert table.for_write("delete").filter_for_reading == table.filter_for_reading


@pytest.mark.parametrize("name", sorted(BUILTIN_ROLES))
def test_built_in_roles(name: str) -> None:
    expected = {  # read, insert, copy, ddl
        "super_admin": "ricd", "tenant_admin": "ricd", "database_admin": "ricd", "developer": "ricd", "analyst": "rc",
        "read_only": "r", "auditor": "", "service": "ric",
    }  # fmt: skip
    access = _access(_snapshot(), Isolation.DATABASE, f"/{name}")
    table = _table(access, "public", "orders")
    found = [("r", table.read), ("i", table.for_write("insert").write), ("c", table.copy), ("d", access.ddl)]
    assert "".join(letter for letter, given in found if given) == expected[name]
    assert access.gateway_read is (name == "super_admin")
    assert not _table(
        _access(_snapshot(), Isolation.DATABASE, name), "public", "orders"
    ).read  # the bare name is nobody


def test_a_thousand_roles_are_resolved_soon() -> None:
    roles = [
        Role(
            f"r{i}",
            frozenset(map(parse_permission, (f"table:t{i}:write", f"table:s{i}.*:read", "table:shared:select"))),
            {f"public.t{i}": "a = 1", "public.shared": f"region = '{i}'"},
            {f"public.t{i}": {"card": "NULL"}},
            inherits=(f"r{i // 2}",) if i else (),
            deny=frozenset({parse_permission(f"table:d{i}:*")}),
        )
        for i in range(1000)
    ]
    snapshot = _snapshot(*roles)
    started = time.process_time()
    access = _access(snapshot, Isolation.SHARED, *(role.name for role in roles))
    assert time.process_time() - started < 20  # of the processor; some 0.5 s
    assert len(access.tables) > 2000
    assert _access(snapshot, Isolation.SHARED, "r999").table("public", "t499").read
