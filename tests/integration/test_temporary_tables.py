"""Temporary tables: what a session puts there is its own, and what it takes from others is the tenant's."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from tests.harness.demo_business import DemoGateway
from tests.integration.strategy import SHARED, STRATEGIES, Strategy, connect, one, others, sqlstate_of
from tests.integration.two_shops import Connection, acme_only, run, shop, state
from tests.unit.sql.shop import rewritten

__all__ = ["acme_only", "shop"]

# One after the other in one transaction; the oracle is the database with acme's rows alone.
SESSION = [
    "CREATE TEMP TABLE scratch (id int PRIMARY KEY, note text NOT NULL DEFAULT 'x', made date DEFAULT '2024-01-01')",
    "INSERT INTO scratch (id) SELECT id FROM orders",
    "INSERT INTO scratch VALUES (1, 'again') ON CONFLICT (id) DO UPDATE SET note = excluded.note || scratch.id",
    "CREATE INDEX scratch_note ON scratch (lower(note))",
    "ANALYZE scratch",
    "SELECT s.id, o.status, s.note FROM scratch s LEFT JOIN orders o USING (id) WHERE s.note LIKE '%' ORDER BY 1",
    "UPDATE scratch SET note = (SELECT status FROM orders WHERE orders.id = scratch.id) WHERE id > 1 RETURNING *",
    "UPDATE orders o SET status = s.note FROM scratch s WHERE s.id = o.id AND length(s.note) > 2 RETURNING o.id",
    "DELETE FROM orders o USING scratch WHERE scratch.id = o.id AND scratch.id = 3",
    "MERGE INTO scratch s USING notes n ON n.id = s.id WHEN MATCHED THEN UPDATE SET note = n.body"
    " WHEN NOT MATCHED BY SOURCE THEN DELETE RETURNING merge_action(), s.id",
    "MERGE INTO notes n USING scratch s ON n.id = s.id WHEN MATCHED THEN UPDATE SET author = s.note",
    "CREATE TEMP TABLE copied ON COMMIT DROP AS SELECT id, amount * 2 AS double FROM orders WHERE 10 / (id - 30) < 0",
    "SELECT * FROM copied ORDER BY id",
    "SELECT n.id + 100 AS id, n.body AS text INTO TEMPORARY taken FROM notes n UNION ALL SELECT 7, 'seven'",
    "TABLE taken",
    "WITH t AS (DELETE FROM taken WHERE id = 7 RETURNING *) INSERT INTO notes (body) SELECT text FROM t",
    "CREATE TEMP TABLE alike (LIKE orders INCLUDING ALL)",
    "INSERT INTO alike SELECT tenant_id, id, amount FROM orders",
    "SELECT id, cents FROM alike ORDER BY 1",
    "ALTER TABLE scratch ADD COLUMN extra int DEFAULT 3, DROP COLUMN made",
    "SELECT * FROM pg_temp.scratch ORDER BY 1",
    "INSERT INTO orders (id, status) TABLE taken",
    "CREATE TEMP TABLE staged AS SELECT tenant_id, id + 200 AS id, snapshot FROM drafts",
    "INSERT INTO drafts SELECT * FROM staged",
    "INSERT INTO drafts TABLE staged ON CONFLICT (tenant_id, id) DO UPDATE SET snapshot = 'again' RETURNING *",
    "TRUNCATE scratch, alike",
    "SELECT count(*) FROM scratch, (SELECT count(*) FROM alike) a",
    "DROP TABLE IF EXISTS scratch, no_such_table, pg_temp.alike CASCADE",
]


def test_a_session_with_temporary_tables(shop: Connection, acme_only: Connection) -> None:
    foreign = state(shop, own=False)
    for sql in SESSION:
        assert run(shop, rewritten(sql)) == run(acme_only, sql), sql
    assert state(shop, own=True) == state(acme_only, own=True)
    assert state(shop, own=False) == foreign
    shop.rollback()
    acme_only.rollback()


def test_a_join_with_a_temporary_table_tells_nothing_of_other_tenants_rows(
    shop: Connection, acme_only: Connection
) -> None:
    """Its columns are not known, so the guards are barriers."""
    attack = "SELECT n.id FROM notes n, probe p WHERE 1 / (n.id - p.id) >= p.zero ORDER BY 1"
    probe = "CREATE TEMP TABLE probe AS SELECT 101 AS id, 0 AS zero"
    run(acme_only, probe)
    run(shop, rewritten(probe))
    assert run(shop, rewritten(attack)) == run(acme_only, attack) == ("SELECT 2", [(1,), (2,)])
    with pytest.raises(psycopg.errors.DivisionByZero):
        run(shop, attack)
    shop.rollback()
    acme_only.rollback()


@pytest.mark.parametrize("strategy", STRATEGIES, ids=lambda s: s.name)
def test_a_temporary_table_is_the_sessions_own(strategy: Strategy, gateway: DemoGateway) -> None:
    before = others(gateway, strategy)
    with connect(gateway, strategy, ("app",)) as first, connect(gateway, strategy, ("app",)) as second:
        first.execute("CREATE TEMP TABLE scratch AS SELECT id FROM orders")
        assert one(first, "SELECT count(*) FROM scratch") == one(first, "SELECT count(*) FROM orders")
        with first.cursor().copy("COPY scratch FROM STDIN") as copy:
            copy.write("-1\n")
        assert one(first, "SELECT count(*) FROM scratch WHERE id < 0") == 1
        first.execute("INSERT INTO scratch VALUES (%s), (%s)", (-2, -3), prepare=True)
        with pytest.raises(psycopg.errors.UndefinedTable, match='relation "scratch" does not exist'):
            second.execute("SELECT * FROM scratch")
        assert sqlstate_of(second, "DROP TABLE scratch") in ("42P01", "3F000")
    with connect(gateway, strategy, ("app",)) as third:
        assert sqlstate_of(third, "SELECT * FROM scratch") == "42P01"
    assert others(gateway, strategy) == before


def test_names_of_the_database_stay_its_own(gateway: DemoGateway) -> None:
    with connect(gateway, SHARED, ("app",)) as connection:
        for name in ("orders", "notes", "pg_class", "pg_temp.notes"):
            assert sqlstate_of(connection, f"CREATE TABLE {name} AS SELECT 1 AS id".replace("TABLE", "TEMP TABLE")) in (
                "42P07",
                "42P16",
            )
        for statement in ("DROP TABLE orders", "ALTER TABLE orders ADD x int", "CREATE INDEX ON orders (id)"):
            assert sqlstate_of(connection, statement) == "0A000"
        assert sqlstate_of(connection, "TRUNCATE notes") == "0A000"
        assert sqlstate_of(connection, "SELECT * FROM no_such_table") == "42P01"


def test_an_unlisted_table_and_none_are_told_apart_by_nothing(gateway: DemoGateway) -> None:
    gateway.server.execute("CREATE TABLE public.unlisted (id int)", SHARED.database)
    try:
        with connect(gateway, SHARED, ("app",)) as connection:
            messages: list[Any] = []
            for name in ("unlisted", "nonesuch"):
                with pytest.raises(psycopg.errors.UndefinedTable) as caught:
                    connection.execute(f"SELECT * FROM {name}".encode())
                messages.append((caught.value.sqlstate, str(caught.value).replace(name, "?")))
            assert messages[0] == messages[1]
            for name in ("unlisted", "nonesuch"):  # a temporary table may have either's name
                connection.execute(f"CREATE TEMP TABLE {name} AS SELECT 1 AS id".encode())
                assert one(connection, f"SELECT id FROM {name}") == 1
    finally:
        gateway.server.execute("DROP TABLE public.unlisted", SHARED.database)


def test_rows_of_a_temporary_table_are_counted_and_checked(shop: Connection) -> None:
    run(shop, rewritten("CREATE TEMP TABLE few AS SELECT 'acme' AS t, 7 AS id"))
    run(shop, rewritten("CREATE TEMP TABLE many AS SELECT 'acme' AS t, 7 AS id, 'c' AS c, 'h' AS h, 'x' AS x"))
    run(shop, rewritten("CREATE TEMP TABLE foreign_rows AS SELECT 'globex' AS t, 7 AS id, 'c' AS c, 'h' AS h"))
    foreign = state(shop, own=False)
    for name, error in (("few", "42601"), ("many", "42601"), ("foreign_rows", "42704")):
        shop.execute("SAVEPOINT s")
        with pytest.raises(psycopg.Error) as caught:
            run(shop, rewritten(f"INSERT INTO cards TABLE {name}"))
        assert caught.value.sqlstate == error
        shop.execute("ROLLBACK TO s")
    assert state(shop, own=False) == foreign
    shop.rollback()
