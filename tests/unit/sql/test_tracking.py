"""Which statements say who they are by, and which are refused where nobody would write their changes down."""

from __future__ import annotations

from types import MappingProxyType

import pytest

from policy.access import Access, TableAccess
from policy.change_tracking import MARK_BEGINS, mark_of
from policy.model import Isolation, TableClass, TableRule
from policy.second_lock import setting_value
from policy.sql.catalog import ROWS, ROWS_AND_TRUNCATE, UNTRACKED, Catalog, Column, ForeignKey, Relation
from policy.sql.compile import compile_query
from policy.sql.plan import CompiledQuery, Slot, SlotKind, SlotValues, render

_COLUMNS = (Column("tenant_id", 25, "text", not_null=True), Column("id", 23, "integer"), Column("note", 25, "text"))
_KEY = ForeignKey("k", ("public", "orders"), ("tenant_id", "id"), ("public", "parents"), ("tenant_id", "id"), "cascade")
_PLAIN_KEY = ForeignKey("p", ("public", "orders"), ("tenant_id", "id"), ("public", "quiet"), ("tenant_id", "id"))
_RULES = {
    ("public", name): TableRule("public", name, TableClass.TENANT, "tenant_id", track=name == "orders")
    for name in ("orders", "other", "parents", "quiet", "busy")
}
_ALL = TableAccess(read=True, write=True, copy=True)
_ACCESS = Access(
    "x", Isolation.SHARED, "main", _ALL, MappingProxyType({}), MappingProxyType(_RULES),
    tracked=frozenset({("public", "orders")}),
)  # fmt: skip


def _relation(
    name: str, *, tracked: int = UNTRACKED, triggers: bool = False, keys: tuple[ForeignKey, ...] = ()
) -> Relation:
    return Relation(
        oid=hash(name), schema="public", name=name, kind="r", columns=_COLUMNS, primary_key=("tenant_id", "id"),
        unique_keys=(("tenant_id", "id"),), has_triggers=triggers, referenced_by=keys, tracked=tracked,
    )  # fmt: skip


def compiled(sql: str, tracked: int = ROWS_AND_TRUNCATE) -> CompiledQuery:
    relations = (
        _relation("orders", tracked=tracked), _relation("other"), _relation("parents", keys=(_KEY,)),
        _relation("quiet", keys=(_PLAIN_KEY,)), _relation("busy", triggers=True),
    )  # fmt: skip
    return compile_query(sql, _ACCESS, Catalog(1, "d", 180000, {("public", r.name): r for r in relations}))


MARKED = (
    "INSERT INTO orders (id) VALUES (1)", "UPDATE orders SET note = 'x'", "DELETE FROM orders WHERE id = 1",
    "MERGE INTO orders o USING other t ON o.id = t.id WHEN MATCHED THEN DELETE", "COPY orders (id) FROM STDIN",
    "WITH w AS (DELETE FROM orders RETURNING id) SELECT * FROM w", "BEGIN; DELETE FROM orders; COMMIT",
    "PREPARE p AS DELETE FROM orders", "EXECUTE p", "DELETE FROM parents", "UPDATE busy SET note = 'x'",
    "EXPLAIN DELETE FROM orders", "INSERT INTO orders (id) VALUES (1) ON CONFLICT (tenant_id, id) DO NOTHING",
)  # fmt: skip
UNMARKED = (
    "SELECT * FROM orders", "SELECT * FROM orders FOR UPDATE", "UPDATE other SET note = 'x'", "DELETE FROM quiet",
    "BEGIN", "SET search_path = public", "COPY orders TO STDOUT", "COPY other (id) FROM STDIN", "SHOW search_path",
    "INSERT INTO other (id) SELECT id FROM orders", "CREATE TEMP TABLE t (a int)", "LISTEN x", "SELECT pg_sleep(0)",
)  # fmt: skip


@pytest.mark.parametrize("sql", MARKED)
def test_what_can_change_a_tracked_table_is_marked(sql: str) -> None:
    query = compiled(sql)
    assert query.denial is None
    assert query.plans[0].pieces[0] == Slot(SlotKind.AUTHOR)
    assert not any(plan.shareable or plan.preparable for plan in query.plans if plan.marked)


@pytest.mark.parametrize("sql", UNMARKED)
def test_all_else_is_as_it_was(sql: str) -> None:
    query = compiled(sql)
    assert query.denial is None
    assert not any(plan.marked for plan in query.plans)
    assert Slot(SlotKind.AUTHOR) not in query.plans[0].pieces


@pytest.mark.parametrize("sql", MARKED)
def test_without_triggers_it_is_refused(sql: str) -> None:
    denial = compiled(sql, UNTRACKED).denial
    assert denial is not None
    assert denial.sqlstate == "55000"
    assert "tenantgate provision" in str(denial.hint)


def test_rows_alone_do_not_do_for_what_may_be_truncated_by_code() -> None:
    assert compiled("DELETE FROM orders", ROWS).denial is None
    assert compiled("EXECUTE p", ROWS).denial is not None


@pytest.mark.parametrize("before", ["", " ", "/* a */ ", "-- a\n", ";", "/* /* */ */"])
def test_a_clients_own_comment_is_not_sent_in_front(before: str) -> None:
    own = mark_of("globex", "boss", "s", None)
    for sql in (f"{before}{own}UPDATE other SET note = 'x'", f"{before}{own}UPDATE orders SET note = 'x'"):
        query = compiled(sql)
        values = SlotValues("'acme'", '"public"', "'ann'", {}, author=mark_of("acme", "ann", "s", None))
        sent = "; ".join(render(plan, values, ("'x'",)) for plan in query.plans)
        assert not sent.startswith(own)
        assert sent.startswith(MARK_BEGINS) is ("orders" in sql)


def test_nothing_ends_a_mark_early() -> None:
    mark = mark_of("a*/b", "x/*\n'\"; DROP TABLE t --é", "s", b"k" * 32)
    assert mark.count("/*") == mark.count("*/") == 1
    assert mark.isascii()
    claim = bytes.fromhex(mark[len(MARK_BEGINS) : -len("*/ ")]).decode()
    assert claim == setting_value(claim[64:], b"k" * 32)


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE TRIGGER tenantgate_changes AFTER INSERT ON orders FOR EACH ROW EXECUTE FUNCTION f()",
        "DROP TRIGGER tenantgate_changes ON orders", "ALTER TRIGGER tenantgate_changes ON orders RENAME TO x",
        "ALTER TRIGGER x ON orders RENAME TO tenantgate_changes", "ALTER TABLE orders DISABLE TRIGGER ALL",
        "ALTER TABLE orders DISABLE TRIGGER USER", "ALTER TABLE orders ENABLE REPLICA TRIGGER tenantgate_changes",
    ],
)  # fmt: skip
def test_triggers_of_the_gateways_are_nobodys(sql: str) -> None:
    own = Access(
        "y", Isolation.DATABASE, "main", _ALL, MappingProxyType({}), MappingProxyType({}), ddl=True, code=True,
        tracked=frozenset({("public", "orders")}),
    )  # fmt: skip
    catalog = Catalog(1, "d", 180000, {("public", "orders"): _relation("orders", tracked=ROWS_AND_TRUNCATE)})
    denial = compile_query(sql, own, catalog).denial
    assert denial is not None
    assert "triggers of the gateway" in denial.message
    assert compile_query("ALTER TABLE orders DISABLE TRIGGER mine", own, catalog).denial is None
