"""MERGE on a real server: acme's rows end as in a database of acme's alone, the others' stay as they are."""

from __future__ import annotations

from dataclasses import replace

import psycopg
import pytest

from policy.access import TableAccess
from policy.errors import AccessDenied, StatementRefused
from policy.sql.rules.row_check import ROW_MARKER
from policy.sql.rules.stamp import MARKER
from tests.harness.postgres import PostgresServer
from tests.integration.two_shops import Connection, acme_only, check_same_as_alone, run, shop, state
from tests.unit.sql.shop import CATALOG, DDL, MASKED, ROWS, rewritten, shared_access

__all__ = ["acme_only", "shop"]

SAME_AS_ALONE = [
    "MERGE INTO orders o USING notes n ON o.id = n.id WHEN MATCHED THEN UPDATE SET status = n.body"
    " WHEN NOT MATCHED THEN INSERT (id, status) VALUES (n.id, n.author)",
    "MERGE INTO orders AS o USING (VALUES (1, 5), (30, 6)) AS v(id, amount) ON o.id = v.id"
    " WHEN MATCHED THEN UPDATE SET amount = o.amount + v.amount"
    " WHEN NOT MATCHED THEN INSERT (id, amount) VALUES (v.id, v.amount) RETURNING merge_action(), o.*, v.id",
    "MERGE INTO orders USING (SELECT 2 AS id) s ON orders.id = s.id WHEN MATCHED THEN DELETE RETURNING *",
    "MERGE INTO orders o USING (SELECT 2 AS id) s ON o.id = s.id AND o.tenant_id = 'acme' WHEN MATCHED THEN DELETE"
    " WHEN NOT MATCHED THEN INSERT (tenant_id, id) VALUES ('acme', s.id)",
    "MERGE INTO orders o USING notes n ON o.id = n.id WHEN NOT MATCHED BY SOURCE THEN DELETE",
    "MERGE INTO orders o USING notes n ON o.id = n.id WHEN NOT MATCHED BY SOURCE AND o.amount > 1 THEN DELETE"
    " WHEN MATCHED THEN DO NOTHING WHEN NOT MATCHED THEN DO NOTHING RETURNING merge_action(), o.id, n.id",
    "MERGE INTO orders o USING notes n ON o.id = n.id WHEN NOT MATCHED BY SOURCE THEN UPDATE SET status = 'gone'"
    " WHEN MATCHED AND n.author = 'ann' THEN UPDATE SET (status, amount) = (n.body, 1)"
    " WHEN MATCHED AND n.author = 'bob' THEN UPDATE SET (status, amount) = (SELECT author, id FROM notes WHERE id = 2)"
    " RETURNING merge_action(), o.status",
    "MERGE INTO orders o USING (VALUES (1), (77)) v(id) ON o.id = v.id WHEN NOT MATCHED BY TARGET THEN INSERT"
    " VALUES (DEFAULT, v.id, 3) WHEN NOT MATCHED BY SOURCE THEN DELETE",
    "MERGE INTO orders o USING (VALUES (1), (77)) v(id) ON o.id = v.id WHEN NOT MATCHED THEN INSERT"
    " VALUES ('acme', v.id, 3)",
    "MERGE INTO notes n USING orders o ON n.id = o.id WHEN NOT MATCHED THEN INSERT (id, body) OVERRIDING USER VALUE"
    " VALUES (o.id, 'x') WHEN MATCHED AND o.status LIKE 'op%' THEN UPDATE SET body = upper(body), author = DEFAULT",
    "MERGE INTO drafts d USING (SELECT id FROM orders) s ON d.id = s.id"
    " WHEN MATCHED AND CASE WHEN s.id = 1 THEN true ELSE false END THEN UPDATE SET snapshot = CASE WHEN s.id = 1"
    " THEN 'one' ELSE 'more' END, tenant_id = 'acme' WHEN NOT MATCHED AND s.id IS DISTINCT FROM 2 THEN"
    " INSERT (id, snapshot) VALUES (s.id, CASE s.id WHEN 3 THEN 'three' END) RETURNING d.*",
    "MERGE INTO drafts d USING orders o JOIN notes n ON n.id = o.id ON d.id = o.id AND CASE WHEN d.id = 1 THEN true END"
    " WHEN MATCHED THEN UPDATE SET snapshot = n.body WHEN NOT MATCHED THEN INSERT (id, snapshot) VALUES (o.id, n.body)",
    "WITH w AS (SELECT id FROM orders WHERE status = 'open') MERGE INTO notes n USING w ON n.id = w.id"
    " WHEN MATCHED THEN DELETE",
    "WITH m AS (MERGE INTO notes n USING orders o ON n.id = o.id WHEN MATCHED THEN UPDATE SET author = 'm'"
    " RETURNING n.id, merge_action() AS a) SELECT * FROM m",
    "MERGE INTO ONLY orders o USING orders s ON o.id = s.id + 1 WHEN MATCHED THEN UPDATE SET amount = s.amount",
    "MERGE INTO orders o USING countries c ON o.status = c.code WHEN NOT MATCHED BY SOURCE AND 1 / (o.id - 30) = 0"
    " THEN UPDATE SET amount = 9",
    "MERGE INTO orders o USING (SELECT 1 AS id) s ON o.id = s.id AND 10 / (o.id - 30) IS NOT NULL"
    " WHEN MATCHED THEN DELETE",
    "MERGE INTO orders o USING notes n ON o.id = n.id AND lower(o.status) = o.status AND o.id BETWEEN 1 AND 5 AND"
    " (o.amount, n.id) IS NOT NULL WHEN NOT MATCHED BY SOURCE THEN DELETE"
    " WHEN NOT MATCHED THEN INSERT (id) VALUES (n.id)"
    " WHEN MATCHED THEN UPDATE SET status = upper(n.body)",
    "MERGE INTO orders o USING (SELECT x.id + 2 AS id, upper(x.body) AS body FROM notes x"
    " WHERE length(x.body) > 2) n ON o.id = n.id WHEN NOT MATCHED BY SOURCE THEN DELETE"
    " WHEN NOT MATCHED THEN INSERT (id, status) VALUES (n.id, n.body) RETURNING o.*",
    "MERGE INTO drafts d USING orders o ON false WHEN NOT MATCHED AND o.amount > 15 THEN"
    " INSERT (tenant_id, id, snapshot) VALUES ('acme', 100 + o.id, 'x')",
]  # fmt: skip


@pytest.mark.parametrize("sql", SAME_AS_ALONE)
def test_a_merge_has_the_effect_that_it_has_alone(sql: str, shop: Connection, acme_only: Connection) -> None:
    check_same_as_alone(sql, shop, acme_only)


@pytest.mark.parametrize(
    "sql",
    [
        "MERGE INTO orders o USING (SELECT 1 AS id) s ON o.id = s.id WHEN MATCHED THEN UPDATE SET tenant_id = 'globex'",
        "MERGE INTO orders o USING (SELECT 1 AS id) s ON o.id = s.id"
        " WHEN MATCHED THEN UPDATE SET (amount, tenant_id) = (1, 'globex')",
        "MERGE INTO orders o USING (SELECT 9 AS id) s ON o.id = s.id"
        " WHEN NOT MATCHED THEN INSERT (id, tenant_id) VALUES (s.id, 'globex')",
        "MERGE INTO orders o USING (SELECT 9 AS id, 'globex' AS t) s ON o.id = s.id"
        " WHEN NOT MATCHED THEN INSERT VALUES (s.t, s.id)",
    ],
)
def test_a_row_cannot_be_another_tenants(sql: str, shop: Connection) -> None:
    with pytest.raises(psycopg.errors.UndefinedObject, match=MARKER):
        run(shop, rewritten(sql))
    shop.rollback()


@pytest.mark.parametrize(
    "sql",
    [
        "MERGE INTO notes n USING (SELECT 1 AS x) s ON n.body::int = s.x WHEN MATCHED THEN DELETE",
        "MERGE INTO notes n USING (SELECT 1 AS x) s ON 1 / (n.id - 101) > 5 WHEN MATCHED THEN DO NOTHING",
        "MERGE INTO notes n USING (SELECT -1 AS x) s ON n.id = s.x WHEN NOT MATCHED BY SOURCE"
        " AND (n.body || '1')::int > 0 THEN DELETE",
        "MERGE INTO notes n USING (SELECT -1 AS x) s ON n.id = s.x WHEN NOT MATCHED BY SOURCE"
        " AND 1 / (n.id - 101) < 5 THEN UPDATE SET body = 'x' RETURNING n.id",
        "MERGE INTO notes n USING (SELECT 101 AS x) s ON n.id = s.x WHEN MATCHED AND n.body::int > 0 THEN DELETE"
        " WHEN NOT MATCHED THEN INSERT (body) VALUES ('own')",
    ],
)
def test_conditions_tell_nothing_of_other_tenants_rows(sql: str, shop: Connection, acme_only: Connection) -> None:
    outcomes = []
    for connection, text in ((acme_only, sql), (shop, rewritten(sql))):
        try:
            outcomes.append(str(run(connection, text)))
        except psycopg.Error as error:
            outcomes.append(f"{error.sqlstate} {error.diag.message_primary}")
        connection.rollback()
    assert outcomes[0] == outcomes[1]


def test_equality_of_keys_keeps_its_index(shop: Connection) -> None:
    """What is leakproof needs no barrier: the tenant test and the client's own stand side by side."""
    sql = rewritten("MERGE INTO orders o USING (SELECT 1 AS id) s ON o.id = s.id WHEN MATCHED THEN DELETE")
    assert "CASE" not in sql


def test_what_leaks_gets_the_barrier_and_the_rest_the_index(shop: Connection) -> None:
    sql = rewritten(
        "UPDATE orders SET status = 'x' WHERE id = 2 AND lower(status) = 'paid' AND id BETWEEN 1 AND 3 AND 4 / id > 1"
    )
    assert sql.count("CASE") == 2
    shop.execute("SET LOCAL enable_seqscan = off")
    plan = "\n".join(row[0] for row in shop.execute(f"EXPLAIN {sql}".encode()))
    assert "(id = 2)" in plan.split("Filter")[0]
    assert run(shop, sql)[0] == "UPDATE 1"
    shop.rollback()


def test_row_filters_hold_for_old_and_new_rows(shop: Connection) -> None:
    access = shared_access(orders=TableAccess(read=True, write=True, row_filter="status = 'open'"))
    merge = "MERGE INTO orders o USING (SELECT {} AS id) s ON o.id = s.id WHEN MATCHED THEN {} WHEN NOT MATCHED THEN {}"
    before = state(shop, own=True)["orders"]
    for key, matched, missing in (
        (1, "UPDATE SET status = 'paid'", "DO NOTHING"),
        (9, "DO NOTHING", "INSERT (id, status) VALUES (s.id, 'paid')"),
        (9, "DO NOTHING", "INSERT (id, status) VALUES (s.id, 'op' || s.id)"),
    ):
        with pytest.raises(psycopg.errors.UndefinedObject, match=ROW_MARKER):
            run(shop, rewritten(merge.format(key, matched, missing), access))
        shop.rollback()
    hidden = rewritten(merge.format(2, "DELETE", "DO NOTHING"), access)
    assert run(shop, hidden)[0] == "MERGE 0"
    assert state(shop, own=True)["orders"] == before
    added = rewritten(merge.format(9, "DELETE", "INSERT (id) VALUES (s.id)"), access)
    assert run(shop, added)[0] == "MERGE 1"
    everything = rewritten(
        "MERGE INTO orders o USING (SELECT -1 AS id) s ON o.id = s.id WHEN NOT MATCHED BY SOURCE THEN DELETE"
        " RETURNING o.id",
        access,
    )
    assert run(shop, everything)[1] == [(1,), (3,), (9,)]
    with pytest.raises(AccessDenied, match="cannot be checked"):
        rewritten(merge.format(9, "DELETE", "INSERT DEFAULT VALUES"), access)
    shop.rollback()


@pytest.mark.parametrize(
    "sql",
    [
        "MERGE INTO orders o USING notes n ON lower(o.status) = n.body WHEN NOT MATCHED BY SOURCE THEN DELETE"
        " WHEN NOT MATCHED THEN DO NOTHING",
        "MERGE INTO countries c USING orders o ON c.code = o.status WHEN MATCHED THEN DELETE",
        "MERGE INTO v_orders v USING orders o ON v.id = o.id WHEN MATCHED THEN DELETE",
        "MERGE INTO pg_class c USING orders o ON true WHEN MATCHED THEN DELETE",
        "MERGE INTO unknown u USING orders o ON true WHEN MATCHED THEN DELETE",
        "MERGE INTO cards c USING orders o ON c.card = o.status WHEN MATCHED THEN DELETE",
        "MERGE INTO cards c USING orders o ON c.id = o.id WHEN MATCHED THEN UPDATE SET holder = c.card",
        "MERGE INTO cards c USING orders o ON c.id = o.id WHEN MATCHED AND left(c.card, 1) = '4' THEN DELETE",
        "MERGE INTO cards c USING orders o ON c.id = o.id WHEN MATCHED THEN DELETE RETURNING *",
        "MERGE INTO drafts d USING orders o ON d.id = o.id WHEN NOT MATCHED THEN INSERT (id) VALUES (o.id)",
        "MERGE INTO orders o USING notes n ON true WHEN NOT MATCHED THEN INSERT (id, tenant_id) VALUES (1, NULL)",
        "MERGE INTO orders o USING notes n ON true WHEN NOT MATCHED THEN INSERT (id) VALUES (1, 2)",
    ],
)
def test_what_may_not_be_merged_is_refused(sql: str, shop: Connection) -> None:
    with pytest.raises((StatementRefused, psycopg.Error)):
        run(shop, rewritten(sql, shared_access(cards=MASKED)))
    shop.rollback()


def test_postgresql_15_merges_as_far_as_it_can(postgres_tls: PostgresServer) -> None:
    old = replace(CATALOG, server_version=150000)
    postgres_tls.create_database("merge_15")
    with psycopg.connect(postgres_tls.conninfo("merge_15")) as connection:
        connection.execute(DDL + ROWS)
        before = state(connection, own=False)
        for sql in SAME_AS_ALONE:
            if not any(word in sql for word in ("BY SOURCE", "BY TARGET", "RETURNING", "WITH m")):
                assert run(connection, rewritten(sql, catalog=old))[0].startswith("MERGE"), sql
        with pytest.raises(StatementRefused, match="newer PostgreSQL"):
            rewritten(SAME_AS_ALONE[1], catalog=old)
        assert state(connection, own=False) == before
        connection.rollback()
    postgres_tls.drop_database("merge_15")
