"""Nobody writes changes in another's name, reads them, or goes without them."""

from __future__ import annotations

import psycopg
import pytest

from policy.change_tracking import mark_of
from tests.integration.changes.stage import KEY, PASSWORD, Connection, Shop

REFUSED = (
    psycopg.errors.InsufficientPrivilege, psycopg.errors.UndefinedTable, psycopg.errors.FeatureNotSupported,
    psycopg.errors.InvalidSchemaName, psycopg.errors.UndefinedFunction,
)  # fmt: skip


def directly(shop: Shop, target: str = "main") -> Connection:
    """As somebody who has stolen the password of the gateway's role."""
    database = shop.database if target == "main" else shop.umbrella
    conninfo = shop.server.conninfo(database, user=shop.roles[target], password=PASSWORD)
    return psycopg.connect(conninfo, autocommit=True)


def subjects(shop: Shop, database: str | None = None) -> set[tuple[str | None, str | None]]:
    return {row[5:7] for row in shop.changes(database)}


def test_a_comment_of_the_clients_is_not_believed(shop: Shop) -> None:
    mark = mark_of("globex", "boss", "0" * 16, shop.key.encode() if shop.key else None)
    with shop.connect() as acme:
        acme.execute(f"{mark}UPDATE orders SET note = 'x' WHERE id = 1".encode())
        acme.execute(f"/* */ {mark}UPDATE orders SET note = 'y' WHERE id = %s".encode(), (1,), prepare=True)
        acme.execute(f"UPDATE orders SET note = {mark} 'z' WHERE id = 1".encode())
        acme.execute(f"{mark};{mark}DELETE FROM orders".encode())
    assert subjects(shop) == {("acme", "ann")}
    assert len(shop.changes()) == 5


def test_settings_of_the_gateways_are_refused(shop: Shop) -> None:
    for tenant in ("acme", "umbrella"):
        with shop.connect(tenant) as client:
            for statement in ("SET tenantgate.author = 'x'", "SELECT set_config('tenantgate.author', 'x', false)"):
                with pytest.raises(REFUSED):
                    client.execute(statement.encode())


def test_a_session_leaves_nothing_to_the_next_on_its_backend(shop: Shop) -> None:
    with shop.connect() as acme, shop.connect("acme", "ben") as other:
        for number in range(4):
            acme.execute("BEGIN")
            acme.execute("UPDATE orders SET total = %s WHERE id = 1", (number,))
            acme.execute("COMMIT")
            other.execute("UPDATE orders SET total = %s WHERE id = 1", (number + 100,))
    assert [row[6] for row in shop.changes()] == ["ann", "ben"] * 4


def test_nobody_reads_or_writes_what_was_recorded(shop: Shop) -> None:
    statements = (
        "SELECT * FROM tenantgate.changes", "DELETE FROM tenantgate.changes", "SELECT * FROM tenantgate.tracked",
        "SELECT * FROM tenantgate.hash_key", "SELECT tenantgate.disarm(1::oid)",
        "SELECT tenantgate.record('public', 'orders', 'DELETE', '1', NULL, NULL, NULL, 'globex', 'x')",
        "SELECT tenantgate.hashed('4000')", "COPY tenantgate.changes TO STDOUT", "TRUNCATE tenantgate.changes",
    )  # fmt: skip
    for tenant in ("acme", "initech", "umbrella"):
        with shop.connect(tenant) as client:
            for statement in statements:
                with pytest.raises(REFUSED):
                    client.execute(statement.encode())
    for target in ("main", "own"):
        with directly(shop, target) as stolen:
            for statement in statements:
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    stolen.execute(statement.encode())


def test_a_stolen_password_names_nobody(shop: Shop) -> None:
    """Without a key the claim is believed, as the second lock's (docs/second-lock.md)."""
    claims = {"no mark": "", "without proof": mark_of("globex", "boss", "s", None)}
    claims["of another key"] = mark_of("globex", "boss", "s", KEY[::-1].encode())
    if shop.key is None:
        del claims["without proof"]
    with directly(shop) as stolen:
        stolen.execute("SELECT set_config('row_security', 'on', false)")
        for mark in claims.values():
            with pytest.raises(psycopg.Error):
                stolen.execute(f"{mark}INSERT INTO orders VALUES ('globex', 50, 'forged')".encode())
    assert shop.changes() == []


def test_triggers_stay_where_they_are(shop: Shop) -> None:
    """Also for who owns the table, in statements and in code."""
    statements = (
        "ALTER TABLE mine DISABLE TRIGGER tenantgate_changes", "ALTER TABLE mine DISABLE TRIGGER ALL",
        "ALTER TABLE mine DISABLE TRIGGER USER", "DROP TRIGGER tenantgate_changes ON mine",
        "ALTER TRIGGER tenantgate_changes ON mine RENAME TO x",
        "CREATE OR REPLACE TRIGGER tenantgate_changes AFTER INSERT ON mine FOR EACH ROW EXECUTE FUNCTION nothing()",
        "DO $$ BEGIN EXECUTE 'ALTER TABLE mine DISABLE TRIGGER tenantgate_changes'; END $$",
        "DO $$ BEGIN EXECUTE 'ALTER TABLE mine ENABLE REPLICA TRIGGER tenantgate_changes_told'; END $$",
        "DO $$ BEGIN EXECUTE 'DROP TRIGGER tenantgate_changes_truncate ON mine'; END $$",
        "DO $$ BEGIN EXECUTE 'DROP EVENT TRIGGER tenantgate_definitions'; END $$",
    )  # fmt: skip
    shop.superuser(f"GRANT CREATE ON SCHEMA public TO {shop.roles['own']}", shop.umbrella)
    with shop.connect("umbrella") as umbrella:
        umbrella.execute("CREATE TABLE mine (id int PRIMARY KEY)")
        umbrella.execute("CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$")
        shop.superuser(f"SELECT tenantgate.arm('mine'::regclass, NULL, '{{}}', '{shop.roles['own']}')", shop.umbrella)
        for statement in statements:
            with pytest.raises(psycopg.Error) as raised:
                umbrella.execute(statement.encode())
            assert raised.value.sqlstate == "42501", statement
        umbrella.execute("INSERT INTO mine VALUES (1)")
        umbrella.execute("DROP TABLE mine")
    assert [row[1] for row in shop.changes(shop.umbrella)] == ["INSERT", "DROP TABLE"]


def test_a_tracked_table_that_is_made_again_is_tracked(shop: Shop) -> None:
    shop.superuser(f"GRANT CREATE ON SCHEMA public TO {shop.roles['own']}", shop.umbrella)
    with shop.connect("umbrella") as umbrella:
        umbrella.execute("CREATE TABLE mine (id int PRIMARY KEY, n int)")
        shop.superuser(f"SELECT tenantgate.arm('mine'::regclass, NULL, '{{}}', '{shop.roles['own']}')", shop.umbrella)
        umbrella.execute("BEGIN")
        umbrella.execute("DROP TABLE mine")
        umbrella.execute("CREATE TABLE mine (other text PRIMARY KEY)")
        umbrella.execute("DO $$ BEGIN INSERT INTO mine VALUES ('x'); END $$")
        umbrella.execute("COMMIT")
        for statement in (
            "ALTER TABLE mine RENAME TO yours",
            "DO $$ BEGIN EXECUTE 'ALTER TABLE mine RENAME TO y'; END $$",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match="name of a tracked table"):
                umbrella.execute(statement.encode())
        umbrella.execute("DROP TABLE mine")
    found = shop.changes(shop.umbrella)
    assert [row[1] for row in found] == ["DROP TABLE", "CREATE TABLE", "INSERT", "DROP TABLE"]
    assert (found[1][3], found[2][4]) == (None, {"other": "x"})


def test_types_and_casts_of_a_tenants_run_nowhere(shop: Shop) -> None:
    """to_json() and casts to text would call them, as the triggers' owner."""
    shop.superuser(f"GRANT CREATE ON SCHEMA public TO {shop.roles['own']}", shop.umbrella)
    with shop.connect("umbrella") as umbrella:
        umbrella.execute("CREATE TYPE pair AS (a int, b int)")
        umbrella.execute("CREATE TABLE pairs (id int PRIMARY KEY, p pair)")
        for name in ("json", "jsonb", "text"):
            umbrella.execute(
                f"CREATE FUNCTION as_{name}(pair) RETURNS {name} LANGUAGE plpgsql AS"
                " $$ BEGIN RAISE EXCEPTION 'ran as %', current_user; END $$".encode()
            )
            umbrella.execute(f"CREATE CAST (pair AS {name}) WITH FUNCTION as_{name}(pair) AS IMPLICIT".encode())
        shop.superuser(f"SELECT tenantgate.arm('pairs'::regclass, NULL, '{{}}', '{shop.roles['own']}')", shop.umbrella)
        umbrella.execute("DO $$ BEGIN INSERT INTO pairs VALUES (1, ROW(2, 3)); END $$")
        assert shop.changes(shop.umbrella)[0][4] == {"id": "1", "p": "(2,3)"}
        umbrella.execute("DROP TABLE pairs")
        umbrella.execute("DROP TYPE pair CASCADE")


def test_names_that_a_tenant_chooses_run_nowhere(shop: Shop) -> None:
    """They stand in the source of a function that runs as the triggers' owner."""
    shop.superuser(f"GRANT CREATE ON SCHEMA public TO {shop.roles['own']}", shop.umbrella)
    names = (
        "$track$ LANGUAGE sql; DROP TABLE stock; --",
        "$make$",
        "x'); DROP TABLE stock; --",
        'q"uote',
        "%s %I",
        "b\\s",
    )
    columns = ", ".join('"' + name.replace('"', '""') + '" text' for name in names)
    with shop.connect("umbrella") as umbrella:
        umbrella.execute(f'CREATE TABLE "o\'d; --" (id int PRIMARY KEY, {columns})'.encode())
        shop.superuser(
            f"SELECT tenantgate.arm('\"o''d; --\"'::regclass, NULL, '{{}}', '{shop.roles['own']}')", shop.umbrella
        )
        umbrella.execute("DO $$ BEGIN INSERT INTO \"o'd; --\" SELECT 1, 'a', 'b', 'c', 'd', 'e', 'f'; END $$")
        umbrella.execute('TRUNCATE "o\'d; --"')
        umbrella.execute('DROP TABLE "o\'d; --"')
        assert umbrella.execute("SELECT count(*) FROM stock").fetchone() == (0,)
    inserted, truncated, _ = shop.changes(shop.umbrella)
    assert inserted[4] == {"id": "1", **dict(zip(names, "abcdef", strict=True))} == truncated[3]


def test_what_is_written_at_commit_has_no_author(shop: Shop) -> None:
    """Unless something of its transaction had one: a transaction is one session's."""
    shop.superuser(f"GRANT CREATE ON SCHEMA public TO {shop.roles['own']}", shop.umbrella)
    with shop.connect("umbrella", "uma") as umbrella:
        umbrella.execute("CREATE TABLE mine (id int PRIMARY KEY)")
        umbrella.execute(
            "CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN INSERT INTO stock VALUES (NEW.id, 1); RETURN NULL; END $$"
        )
        umbrella.execute(
            "CREATE CONSTRAINT TRIGGER later AFTER INSERT ON mine DEFERRABLE INITIALLY DEFERRED"
            " FOR EACH ROW EXECUTE FUNCTION nothing()"
        )
        umbrella.execute("BEGIN")
        umbrella.execute("INSERT INTO mine VALUES (1)")
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="who they are by"):
            umbrella.execute("COMMIT")
        umbrella.execute("BEGIN")
        umbrella.execute("INSERT INTO stock VALUES (2, 2)")
        umbrella.execute("INSERT INTO mine VALUES (3)")
        umbrella.execute("COMMIT")
        umbrella.execute("DROP TABLE mine")
        umbrella.execute("DROP FUNCTION nothing()")
    assert [(row[2], row[6]) for row in shop.changes(shop.umbrella)] == [("2", "uma"), ("3", "uma")]


def test_definitions_before_and_after(shop: Shop) -> None:
    shop.superuser(f"GRANT CREATE ON SCHEMA public TO {shop.roles['own']}", shop.umbrella)
    with shop.connect("umbrella", "uma") as umbrella:
        umbrella.execute("CREATE TABLE built (id int PRIMARY KEY, n int)")
        shop.superuser(f"SELECT tenantgate.arm('built'::regclass, NULL, '{{}}', '{shop.roles['own']}')", shop.umbrella)
        umbrella.execute("ALTER TABLE built ADD COLUMN more text DEFAULT 'm'")
        umbrella.execute("INSERT INTO built VALUES (1, 2)")
        umbrella.execute("DROP TABLE built")
    altered, inserted, dropped = shop.changes(shop.umbrella)
    assert (altered[1], altered[6]) == ("ALTER TABLE", "uma")
    assert [column["name"] for column in altered[3]["columns"]] == ["id", "n"]
    assert altered[4]["columns"][2] == {
        "name": "more", "type": "text", "not_null": False, "default": "'m'::text", "generated": "", "identity": "",
    }  # fmt: skip
    assert inserted[4] == {"id": "1", "n": "2", "more": "m"}
    assert (dropped[1], dropped[3], dropped[4]) == ("DROP TABLE", altered[4], None)
