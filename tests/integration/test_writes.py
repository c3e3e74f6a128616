"""Rewritten writes on a real server: acme's rows end as in a database of acme's alone, the others' stay as they are."""

from __future__ import annotations

from dataclasses import replace

import psycopg
import pytest

from policy.access import TableAccess
from policy.errors import StatementRefused
from policy.sql.rules.stamp import MARKER
from tests.integration.two_shops import Connection, acme_only, check_same_as_alone, run, shop, state
from tests.unit.sql.shop import CATALOG, MASKED, rewritten, shared_access

__all__ = ["acme_only", "shop"]


SAME_AS_ALONE = [
    # INSERT
    "INSERT INTO orders (id, amount) VALUES (7, 1.5), (8, DEFAULT) RETURNING *",
    "INSERT INTO orders (id, tenant_id, amount) VALUES (7, 'acme', 1), (8, DEFAULT, 2) RETURNING *",
    "INSERT INTO orders VALUES ('acme', 9, 3, DEFAULT, DEFAULT) RETURNING cents",
    "INSERT INTO orders AS o (id) VALUES (9) RETURNING o.tenant_id, o.id",
    "INSERT INTO notes (body) VALUES ('it''s -- fine'), ('two') RETURNING body",
    "INSERT INTO notes (id, body) OVERRIDING SYSTEM VALUE SELECT id + 10, status FROM orders RETURNING id",
    "INSERT INTO orders (id, amount) SELECT id + 10, amount * 2 FROM orders WHERE status = 'open' RETURNING id, amount",
    "INSERT INTO orders (id, amount) SELECT id + 10, amount FROM orders WHERE 10 / (id - 30) < 0",
    "INSERT INTO orders (id, status) SELECT 41, 'x' UNION ALL SELECT 42, 'y' UNION (SELECT 43, 'z' ORDER BY 1)",
    "INSERT INTO orders (id, amount) VALUES (51, 1) UNION ALL VALUES (52, 2), (53, 3)",
    "INSERT INTO orders (id, amount) (SELECT id + 60, amount FROM orders ORDER BY id LIMIT 2)",
    "INSERT INTO orders (id, amount) WITH c AS (SELECT id FROM orders) (SELECT id + 60, 1 FROM c)",
    "WITH c AS (SELECT id FROM orders) INSERT INTO orders (id) SELECT id + 60 FROM c RETURNING id",
    "INSERT INTO orders (id, tenant_id, amount) SELECT id + 70, tenant_id, amount FROM orders",
    "INSERT INTO orders (tenant_id, id) SELECT DISTINCT tenant_id, 80 FROM orders ORDER BY tenant_id",
    "INSERT INTO orders (tenant_id, id, amount, status) SELECT o.tenant_id, id + 80 AS n, amount, 'x' u FROM orders o",
    "INSERT INTO cards SELECT tenant_id, id + 5, 'x', status FROM orders",
    "INSERT INTO cards (tenant_id, id) SELECT * FROM (SELECT tenant_id, id + 9 FROM orders) s",
    "INSERT INTO cards (tenant_id, id) SELECT * FROM unnest(ARRAY['acme', 'acme'], ARRAY[91, 92])",
    "WITH c AS (SELECT 7 AS id, status FROM orders WHERE id = 1) INSERT INTO drafts (id, snapshot) TABLE c",
    "INSERT INTO drafts SELECT 'acme', id + 3, status IS DISTINCT FROM 'open' FROM orders",
    "INSERT INTO drafts (id, snapshot) SELECT count(*) + 7, string_agg(status, ',') FROM orders GROUP BY status",
    "INSERT INTO notes (body) SELECT max(amount)::text FROM orders HAVING count(*) > 2",
    "INSERT INTO notes (author, body) SELECT c.code, c.name FROM countries c",
    "INSERT INTO drafts (id, snapshot) SELECT DISTINCT ON (status) id + 7, status FROM orders ORDER BY status, id",
    "INSERT INTO drafts (id, snapshot) SELECT ALL id + 7, status AS from FROM orders",
    "INSERT INTO notes (body) SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY status) FROM orders",
    "INSERT INTO orders (id) WITH RECURSIVE a(x) AS (VALUES (71) UNION ALL SELECT x + 1 FROM a WHERE x < 75)"
    " SEARCH DEPTH FIRST BY x SET o SELECT x FROM a",
    "INSERT INTO orders (id) WITH values AS (SELECT 71 AS x) SELECT x FROM values",
    "INSERT INTO orders (id) ((SELECT 81) UNION (SELECT 82 EXCEPT SELECT 83)) INTERSECT SELECT 82",
    "INSERT INTO orders /* c */ ( id /* ( */ ) VALUES /* , */ ( 81 -- x\n ) RETURNING /* on */ id",
    "INSERT INTO orders (id) (VALUES (81), (82)) ON CONFLICT DO NOTHING",
    "WITH i AS (INSERT INTO notes (body) VALUES ('x') RETURNING body) SELECT * FROM i",
    "WITH d AS (DELETE FROM notes WHERE author = 'bob' RETURNING body) INSERT INTO notes (body) SELECT body FROM d",
    # ON CONFLICT
    "INSERT INTO orders (id, amount) VALUES (1, 5) ON CONFLICT (tenant_id, id) DO NOTHING RETURNING id",
    "INSERT INTO orders (id, amount) VALUES (1, 5), (30, 6) ON CONFLICT (tenant_id, id) DO UPDATE"
    " SET amount = orders.amount + excluded.amount, status = DEFAULT RETURNING *",
    "INSERT INTO orders AS o (id, amount) VALUES (2, 5) ON CONFLICT ON CONSTRAINT orders_pkey DO UPDATE"
    " SET amount = excluded.amount WHERE o.status = 'paid' OR true RETURNING id",
    "INSERT INTO orders (tenant_id, id, amount) VALUES ('acme', 2, 5) ON CONFLICT (id, tenant_id) DO UPDATE"
    " SET (amount, status) = (excluded.amount, 'new'), tenant_id = excluded.tenant_id",
    "INSERT INTO orders (id, amount) VALUES (1, 5) ON CONFLICT DO NOTHING",
    # UPDATE
    "UPDATE orders SET amount = 0.01",
    "UPDATE orders SET status = 'x' WHERE id = -1 OR true RETURNING *",
    "UPDATE ONLY orders AS o SET status = o.status || '!', amount = DEFAULT WHERE o.id = 1 RETURNING o.*",
    "UPDATE orders SET tenant_id = 'acme', status = 'y' WHERE id IS DISTINCT FROM 1",
    "UPDATE orders SET tenant_id = DEFAULT, status = 'y'",
    "UPDATE orders SET status = n.body FROM notes n WHERE n.id = orders.id RETURNING orders.id, n.author",
    "UPDATE orders SET status = (SELECT string_agg(body, ',' ORDER BY id) FROM notes) WHERE id = 1 RETURNING status",
    "UPDATE orders SET (status, amount) = (SELECT author, 5 FROM notes WHERE notes.id = orders.id) WHERE id < 3",
    "UPDATE orders SET status = 'z' WHERE (10 / (id - 30)) IS NOT NULL",
    "UPDATE notes SET body = upper(body) WHERE body LIKE 'pub%' AND author IN (SELECT author FROM notes)",
    "UPDATE orders SET (tenant_id, amount, status) = ('acme', amount + 1, DEFAULT) WHERE id < 3",
    "UPDATE orders SET (amount, tenant_id) = ROW(CASE WHEN id = 1 THEN 1 ELSE 2 END, DEFAULT), status = 'r'",
    "UPDATE public.orders SET status = 'q' WHERE public.orders.id = 2",
    "WITH u AS (UPDATE orders SET amount = 1 RETURNING id) SELECT count(*) FROM u",
    # DELETE
    "DELETE FROM orders",
    "DELETE FROM orders * WHERE id = 1",
    "DELETE FROM ONLY (orders) WHERE id = 1",
    "DELETE FROM orders o USING notes n WHERE n.id = o.id AND n.author = 'ann' RETURNING o.id, n.body",
    "DELETE FROM notes WHERE tenant_id <> 'acme' RETURNING body",
    "DELETE FROM notes WHERE tenant_id IS NULL OR body LIKE 'GLOBEX%'",
    "DELETE FROM orders WHERE id IN (SELECT max(id) FROM orders) RETURNING id",
    "WITH gone AS (DELETE FROM orders WHERE id = 1 RETURNING *) DELETE FROM notes USING gone WHERE notes.id = gone.id",
]  # fmt: skip


@pytest.mark.parametrize("sql", SAME_AS_ALONE)
def test_a_write_has_the_effect_that_it_has_alone(sql: str, shop: Connection, acme_only: Connection) -> None:
    check_same_as_alone(sql, shop, acme_only)


FOREIGN = [
    "INSERT INTO orders (tenant_id, id) VALUES ('globex', 77)",
    "INSERT INTO orders (id, tenant_id) VALUES (77, 'acme'), (78, 'glo' || 'bex')",
    "INSERT INTO orders VALUES ('ACME', 77)",
    "INSERT INTO orders (id, tenant_id) SELECT 77, 'globex'",
    "INSERT INTO orders (id, tenant_id) SELECT 77, 'acme' UNION SELECT 78, 'acme '",
    "INSERT INTO orders (tenant_id, id) SELECT * FROM unnest(ARRAY['acme', 'globex'], ARRAY[91, 92])",
    "INSERT INTO notes (tenant_id, body) SELECT nullif('a', 'a'), 'x'",
    "UPDATE orders SET tenant_id = 'globex' WHERE id = 1",
    "UPDATE orders SET tenant_id = lower('GLOBEX') WHERE id = 1",
    "INSERT INTO orders (id) VALUES (1) ON CONFLICT (tenant_id, id) DO UPDATE SET tenant_id = 'globex'",
    "WITH u AS (UPDATE orders SET tenant_id = 'globex' RETURNING 1) SELECT * FROM u",
    "UPDATE orders SET (amount, tenant_id) = (1, 'globex')",
    "UPDATE orders SET (tenant_id, amount) = ROW(lower('GLOBEX'), amount) WHERE id = 1",
    "INSERT INTO orders (id) VALUES (1) ON CONFLICT (tenant_id, id) DO UPDATE SET (tenant_id, id) = ('globex', 5)",
    "WITH f AS (SELECT 1, 'globex') INSERT INTO orders (id, tenant_id) TABLE f",
]


@pytest.mark.parametrize("sql", FOREIGN)
def test_another_tenants_value_raises_what_the_data_plane_knows(sql: str, shop: Connection) -> None:
    with pytest.raises(psycopg.errors.UndefinedObject, match=MARKER):
        run(shop, rewritten(sql))
    shop.rollback()


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE notes SET (author, tenant_id, body) = ROW(z.*, 'acme', w.*)"
        " FROM (SELECT) z, (SELECT 'globex', 'moved') w WHERE id = 1",
        "INSERT INTO notes (author, tenant_id, body) VALUES ((NULL::nothing).*, 'acme', {two}.*)",
        "INSERT INTO notes (id, tenant_id, author, body) VALUES (7, (NULL::nothing).*, {two}.*, 'acme')",
        "INSERT INTO notes VALUES ((NULL::nothing).*, 'acme', 5, {two}.*)",
        "INSERT INTO notes (author, tenant_id, body) SELECT (NULL::nothing).*, 'acme', {two}.*",
        "INSERT INTO orders (id) VALUES (1) ON CONFLICT (tenant_id, id) DO UPDATE"
        " SET (status, tenant_id, amount) = ROW((NULL::nothing).*, 'acme', {two}.*)",
        "MERGE INTO notes n USING (SELECT -1 AS id) s ON n.id = s.id WHEN NOT MATCHED THEN"
        " INSERT (author, tenant_id, body) VALUES ((NULL::nothing).*, 'acme', {two}.*)",
    ],
)
def test_an_expression_of_no_columns_moves_nothing_into_the_tenants_place(sql: str, shop: Connection) -> None:
    """`t.*` is as many values as t has columns; of none, what follows is one place further to the left."""
    two = '(jsonb_populate_record(NULL::countries, \'{"code": "globex", "name": "moved"}\'))'
    foreign = state(shop, own=False)
    run(shop, rewritten("CREATE TEMP TABLE nothing ()"))
    shop.execute("SAVEPOINT s")
    try:
        run(shop, rewritten(sql.format(two=two) if "{two}" in sql else sql))
    except (StatementRefused, psycopg.Error):
        shop.execute("ROLLBACK TO s")
    assert state(shop, own=False) == foreign
    shop.rollback()


def test_an_expression_of_no_columns_hides_no_default(shop: Connection) -> None:
    sql = "INSERT INTO drafts (snapshot, id) VALUES ((NULL::nothing).*, DEFAULT, 5) RETURNING snapshot"
    with pytest.raises(StatementRefused, match="calls a function that is not allowed"):
        rewritten(sql)


def test_a_foreign_value_that_no_row_meets_raises_nothing(shop: Connection) -> None:
    assert run(shop, rewritten("UPDATE orders SET tenant_id = 'globex' WHERE id = -1")) == ("UPDATE 0", [])
    shop.rollback()


def test_a_uuid_tenant(shop: Connection) -> None:
    tenant = "6f1cc8a2-9c6b-4c59-8c22-0f6b6a3e1a11"
    run(shop, rewritten("INSERT INTO units (id, name) VALUES (1, 'a')", tenant=tenant))
    upper = f"INSERT INTO units VALUES ('{tenant.upper()}', 2, 'b')"
    run(shop, rewritten(upper, tenant=tenant))
    assert run(shop, rewritten("UPDATE units SET name = 'c' RETURNING id", tenant=tenant))[1] == [(1,), (2,)]
    other = "00000000-0000-0000-0000-000000000001"
    assert run(shop, rewritten("DELETE FROM units RETURNING id", tenant=other))[1] == []
    shop.rollback()


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE notes SET author = 'x' WHERE has_schema_privilege('public', 'usage') AND 1 / (id - 101) IS NOT NULL",
        "DELETE FROM notes WHERE 1 / (id - 101) > 5",
        "UPDATE notes SET author = 'x' WHERE body::regtype IS NOT NULL OR true",
        "INSERT INTO drafts (id, snapshot) SELECT id, body FROM notes WHERE 1 / (id - 101) < 5 AND id < 3"
        " ON CONFLICT (tenant_id, id) DO UPDATE SET snapshot = 'y'"
        " WHERE 1 / length(replace(drafts.snapshot, 'GLOBEX', '')) >= 0",
    ],
)
def test_a_failing_condition_tells_nothing_of_other_tenants_rows(
    sql: str, shop: Connection, acme_only: Connection
) -> None:
    outcomes = []
    for connection, text in ((acme_only, sql), (shop, rewritten(sql))):
        try:
            outcomes.append(str(run(connection, text)))
        except psycopg.Error as error:
            outcomes.append(f"{error.sqlstate} {error.diag.message_primary}")
        connection.rollback()
    assert outcomes[0] == outcomes[1]


def test_the_plain_form_would_have_told(shop: Connection) -> None:
    """The attack is real: without the CASE the function meets the other tenant's row."""
    with pytest.raises(psycopg.errors.InvalidSchemaName, match="GLOBEX-SECRET"):
        run(shop, "DELETE FROM notes WHERE has_schema_privilege(body, 'usage') AND tenant_id = 'acme'")
    shop.rollback()


def test_row_filters_confine_writes(shop: Connection) -> None:
    access = shared_access(orders=MASKED.__class__(read=True, write=True, row_filter="status = 'open'"))
    assert run(shop, rewritten("UPDATE orders SET amount = 1 RETURNING id", access))[1] == [(1,), (3,)]
    assert run(shop, rewritten("DELETE FROM orders WHERE id < 3 RETURNING id", access))[1] == [(1,)]
    upsert = "INSERT INTO orders (id) VALUES (2) ON CONFLICT (tenant_id, id) DO UPDATE SET amount = 7 RETURNING id"
    assert run(shop, rewritten(upsert, access))[1] == []
    shop.rollback()


@pytest.mark.parametrize(
    "declared",
    ["", " FOR UPDATE", " ORDER BY id FOR UPDATE", " AND lower(status) <> 'x' ORDER BY id DESC FOR NO KEY UPDATE"],
)
def test_the_row_on_which_a_cursor_stands(declared: str, shop: Connection, acme_only: Connection) -> None:
    statements = (
        f"DECLARE c CURSOR FOR SELECT * FROM orders WHERE amount > 0{declared}",
        "MOVE 1 IN c",
        "FETCH NEXT FROM c",
        "UPDATE orders SET status = 'here' WHERE CURRENT OF c RETURNING id, status",
        "FETCH NEXT FROM c",
        "DELETE FROM orders WHERE CURRENT OF c RETURNING *",
    )
    foreign = state(shop, own=False)
    assert [run(shop, rewritten(sql)) for sql in statements] == [run(acme_only, sql) for sql in statements]
    assert state(shop, own=True) == state(acme_only, own=True)
    assert state(shop, own=False) == foreign
    shop.rollback()
    acme_only.rollback()


def test_a_cursor_that_would_lock_a_sub_selects_rows_is_refused() -> None:
    """Of a sub-select all rows are locked, and WHERE CURRENT OF would take the last of them."""
    two = "SELECT * FROM orders o JOIN notes n ON lower(o.status) = lower(n.body)"
    assert "OFFSET 0" in rewritten(f"DECLARE c CURSOR FOR {two}")
    for lock in ("FOR UPDATE", "FOR SHARE OF o"):
        with pytest.raises(StatementRefused, match="cannot be locked by this cursor"):
            rewritten(f"DECLARE c CURSOR FOR {two} {lock}")


def test_the_row_of_a_cursor_in_a_table_with_partitions_is_refused() -> None:
    """The cursor has the tenant's partitions only, and PostgreSQL's error would name another."""
    orders = replace(CATALOG.relations["public", "orders"], has_children=True)
    catalog = replace(CATALOG, relations={**CATALOG.relations, ("public", "orders"): orders})
    with pytest.raises(StatementRefused, match="CURRENT OF"):
        rewritten("DELETE FROM orders WHERE CURRENT OF c", catalog=catalog)


def test_a_cursor_that_reads_more_than_is_written() -> None:
    access = shared_access(orders=TableAccess(True, True, row_filter="status = 'open'", read_filter="true"))
    for sql in ("UPDATE orders SET amount = 1 WHERE CURRENT OF c", "DELETE FROM orders WHERE CURRENT OF c"):
        with pytest.raises(StatementRefused, match="CURRENT OF"):
            rewritten(sql, access)


def test_copy_out_gives_own_rows_and_masks(shop: Connection) -> None:
    def copied(sql: str) -> bytes:
        with shop.cursor().copy(rewritten(sql)) as copy:
            return b"".join(bytes(chunk) for chunk in copy)

    assert copied("COPY orders TO STDOUT").count(b"\n") == 3
    assert (
        copied("COPY public.orders (id, status) TO STDOUT (FORMAT csv, HEADER)")
        == b"id,status\n1,open\n2,paid\n3,open\n"
    )
    assert copied("COPY cards (card) TO STDOUT") == b"****1111\n"
    assert copied("COPY orders (id) TO STDOUT DELIMITERS '|' WITH NULL AS ''") == b"1\n2\n3\n"
    assert copied("COPY BINARY orders (id) TO STDOUT").startswith(b"PGCOPY")
    assert copied("COPY (SELECT count(*) FROM orders) TO STDOUT") == b"3\n"
    assert copied("COPY (DELETE FROM orders RETURNING id) TO STDOUT (FORMAT csv)") == b"1\n2\n3\n"
    shop.rollback()


def test_copy_in_names_the_stamped_columns(shop: Connection) -> None:
    with shop.cursor().copy(rewritten("COPY orders (id, amount) FROM STDIN")) as copy:
        copy.write(b"91\t1.5\tacme\n")  # as the stream comes out of the stamping
    with shop.cursor().copy(rewritten("COPY cards FROM STDIN (FORMAT csv)")) as copy:
        copy.write(b"acme,92,c,h\n")
    assert run(shop, "SELECT tenant_id FROM orders WHERE id = 91")[1] == [("acme",)]
    assert run(shop, "SELECT tenant_id FROM cards WHERE id = 92")[1] == [("acme",)]
    shop.rollback()


def test_the_attack_list_changes_nothing(shop: Connection) -> None:
    """What is not refused runs, fails or does nothing, and nobody else's rows change."""
    attacks = [
        "INSERT INTO notes (id, tenant_id, body) VALUES (101, 'acme', 'o') ON CONFLICT (id) DO UPDATE SET body = 'o'",
        "INSERT INTO orders (id) VALUES (1) ON CONFLICT (tenant_id, id) DO UPDATE SET tenant_id = 'b'",
        "UPDATE notes SET \"tenant_id\" = 'globex'",
        "UPDATE notes SET U&\"tenant\\005fid\" = 'globex' WHERE id = 1",
        "UPDATE notes SET (body, tenant_id) = ROW('planted', 'glo' || 'bex') WHERE id = 1",
        "UPDATE v_orders SET status = 'x'",
        "DELETE FROM countries",
        "INSERT INTO notes (tenant_id, body) VALUES (NULL, 'x')",
        "COPY orders TO '/tmp/x'",
        "MERGE INTO orders o USING notes n ON o.id = n.id WHEN MATCHED THEN DELETE",
        "UPDATE orders SET status = 'x' WHERE CURRENT OF c",
    ]
    before = state(shop, own=False)
    for attack in attacks:
        try:
            run(shop, rewritten(attack))
        except (StatementRefused, psycopg.Error):
            shop.rollback()
            continue
        assert state(shop, own=False) == before, attack
        shop.rollback()
    assert state(shop, own=False) == before
