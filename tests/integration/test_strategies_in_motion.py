"""Strategies in motion: policy reloads, suspended tenants, tables that come and go while sessions are open."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from tests.harness.demo_business import DemoGateway
from tests.integration.strategy import (
    DATABASE,
    SCHEMA,
    SHARED,
    STRATEGIES,
    Connection,
    Policy,
    Strategy,
    connect,
    may_create,
    one,
    sqlstate_of,
)


@pytest.fixture
def policy(gateway: DemoGateway) -> Iterator[Policy]:
    changed = Policy(gateway)
    yield changed
    changed.restore()


@pytest.fixture(params=STRATEGIES, ids=[s.name for s in STRATEGIES])
def strategy(request: pytest.FixtureRequest) -> Strategy:
    found: Strategy = request.param
    return found


@pytest.fixture(params=(SCHEMA, DATABASE), ids=["schema", "database"])
def own_space(request: pytest.FixtureRequest) -> Strategy:
    found: Strategy = request.param
    return found


def test_prepared_statements_follow_a_policy_reload(policy: Policy, strategy: Strategy) -> None:
    gateway = policy.gateway
    statement = "SELECT email, (SELECT count(*) FROM notes) FROM customers WHERE id = %s"
    with connect(gateway, strategy, ("analyst",)) as analyst:
        customer = one(analyst, "SELECT min(id) FROM customers")
        first = analyst.execute(statement, (customer,), prepare=True).fetchone()
        assert first is not None
        assert "***@" in first[0]
        analyst.execute("PREPARE mine (int) AS SELECT email FROM customers WHERE id = $1")
        policy.document["roles"]["analyst"]["masks"]["customers"]["email"] = "'hidden'"
        policy.document["roles"]["analyst"]["row_filters"]["notes"] = "false"
        policy.apply()
        assert analyst.execute(statement, (customer,), prepare=True).fetchone() == ("hidden", 0)
        with pytest.raises(psycopg.Error) as caught:
            analyst.execute(f"EXECUTE mine({customer})".encode())
        assert caught.value.sqlstate == "26000"
        policy.document["roles"]["analyst"]["permissions"] = ["table:orders:read"]
        policy.apply()
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            analyst.execute(statement, (customer,), prepare=True)


def opened(connection: Connection, declare: str, *commands: str) -> list[str]:
    """Declare the cursor `old`, and what the commands give. It is done again when the catalog was read anew in the
    meantime, after an earlier test's DDL: what was opened before that is not to be trusted."""
    for _ in range(20):
        connection.execute(declare.encode())
        try:
            results = [connection.execute(f"{command} FROM old".encode()) for command in commands]
            return [str(row[0]) if r.description and (row := r.fetchone()) else r.statusmessage or "" for r in results]
        except psycopg.errors.InvalidCursorName:
            connection.execute("CLOSE old")
    raise AssertionError("the policy never holds still")


def test_cursors_follow_a_policy_reload(policy: Policy, strategy: Strategy) -> None:
    """One that outlives its transaction shows what an older policy let through: it is closed to its owner, too."""
    query = "CURSOR WITH HOLD FOR SELECT email FROM customers ORDER BY id"
    with connect(policy.gateway, strategy, ("analyst",)) as analyst:
        first, moved, back = opened(analyst, f"DECLARE old SCROLL {query}", "FETCH", "MOVE 2", "FETCH BACKWARD 1")
        assert "***@" in first
        assert moved == "MOVE 2"
        assert "***@" in back
        policy.document["roles"]["analyst"]["masks"]["customers"]["email"] = "'hidden'"
        policy.apply()
        for statement in ("FETCH old", "FETCH PRIOR old", "MOVE LAST IN old", "FETCH ALL old"):
            assert sqlstate_of(analyst, statement) == "34000"
        assert sqlstate_of(analyst, f"DECLARE old {query}") == "42P03"  # it is still there
        assert sqlstate_of(analyst, "FETCH old") == "34000"
        analyst.execute("CLOSE old")
        assert opened(analyst, f"DECLARE old {query}", "FETCH") == ["hidden"]


def test_cursors_of_a_transaction_may_be_declared_again(policy: Policy, strategy: Strategy) -> None:
    with connect(policy.gateway, strategy, ("analyst",)) as analyst:
        for _ in range(2):
            with analyst.transaction():
                analyst.execute("DECLARE c CURSOR FOR SELECT id FROM customers ORDER BY id")
                assert len(analyst.execute("FETCH FORWARD 3 FROM c").fetchall()) == 3
                assert analyst.execute("FETCH RELATIVE 1 c").fetchone()
            policy.document["roles"]["analyst"]["masks"]["customers"]["email"] = "'hidden'"
            policy.apply()


def test_a_suspended_tenant_is_cut_off_at_once(policy: Policy, strategy: Strategy) -> None:
    gateway = policy.gateway
    with gateway.connect(strategy.person) as connection:
        connection.execute("SELECT 1")
        policy.document["tenants"][strategy.person.tenant]["status"] = "suspended"
        policy.apply()
        with pytest.raises(psycopg.OperationalError, match="suspended or gone") as caught:
            connection.execute("SELECT 1")
        assert caught.value.sqlstate == "57P01"
    with pytest.raises(psycopg.OperationalError, match="suspended"):
        gateway.connect(strategy.person)


@pytest.mark.parametrize("autocommit", [True, False], ids=["autocommit", "transaction"])
def test_a_new_table_can_be_used_at_once(gateway: DemoGateway, own_space: Strategy, autocommit: bool) -> None:
    with may_create(gateway, own_space), connect(gateway, own_space, ("owner",)) as owner:
        owner.autocommit = autocommit
        for round_ in range(3):
            owner.execute("CREATE TABLE tests_made (id int PRIMARY KEY, body text)")
            owner.commit()
            owner.execute(
                "INSERT INTO tests_made VALUES (%s, 'x') ON CONFLICT (id) DO UPDATE SET body = 'y'", (round_,)
            )
            assert owner.execute("SELECT t.* FROM tests_made t").fetchall() == [(round_, "x")]
            owner.commit()
            owner.execute("ALTER TABLE tests_made ADD COLUMN more int DEFAULT 7")
            owner.commit()
            assert owner.execute("SELECT more, id FROM tests_made", prepare=True).fetchall() == [(7, round_)]
            owner.commit()
            owner.execute("DROP TABLE tests_made")
            owner.commit()
            with pytest.raises(psycopg.errors.UndefinedTable):
                owner.execute("SELECT 1 FROM tests_made")
            owner.rollback()
        stored = gateway.server.execute("SELECT to_regclass('initech.tests_made')", own_space.database)
        assert stored == [(None,)]


def test_other_sessions_see_a_new_table_too(gateway: DemoGateway, own_space: Strategy) -> None:
    with (
        may_create(gateway, own_space),
        connect(gateway, own_space, ("owner",)) as owner,
        connect(gateway, own_space, ("app",)) as other,
    ):
        assert sqlstate_of(other, "SELECT 1 FROM tests_made") == "42P01"
        owner.execute("CREATE TABLE tests_made (id int)")
        owner.execute("SELECT 1")
        assert one(other, "SELECT count(*) FROM tests_made") == 0
        assert sqlstate_of(other, "DROP TABLE tests_made") == "42501"
        owner.execute("DROP TABLE tests_made")


def test_shared_tables_take_no_ddl(gateway: DemoGateway) -> None:
    with connect(gateway, SHARED, ("owner",)) as owner:
        for statement in (
            "CREATE TABLE t (id int)", "DROP TABLE orders", "ALTER TABLE orders ADD x int", "TRUNCATE notes",
            "CREATE INDEX ON orders (id)", "CREATE VIEW v AS SELECT * FROM orders", "DO 'BEGIN END'",
        ):  # fmt: skip
            with pytest.raises((psycopg.errors.InsufficientPrivilege, psycopg.errors.FeatureNotSupported)):
                owner.execute(statement.encode())


def test_what_a_session_prepared_outlives_tables_that_come(gateway: DemoGateway, strategy: Strategy) -> None:
    """Those of its own database, and of another tenant's, which are none of its business."""
    with connect(gateway, strategy, ("app",)) as app, may_create(gateway, DATABASE):
        app.execute("PREPARE mine (int) AS SELECT count(*) FROM customers WHERE id > $1")
        app.execute("DECLARE kept CURSOR WITH HOLD FOR SELECT id FROM customers")
        before = one(app, "EXECUTE mine(0)")
        with connect(gateway, DATABASE, ("owner",)) as owner:
            owner.execute("CREATE TABLE tests_came (id int)")
            owner.execute("DROP TABLE tests_came")
            owner.execute("CREATE TABLE tests_came (id int)")
        try:
            assert one(app, "EXECUTE mine(0)") == before
            assert one(app, "EXECUTE mine(1000000)") == 0
            assert app.execute("FETCH kept").fetchone() is not None
        finally:
            gateway.server.execute("DROP TABLE tests_came", DATABASE.database)


def test_what_would_be_sent_otherwise_now_is_not_executed(gateway: DemoGateway) -> None:
    """In shared tables a guard lists the columns that there are."""

    def change(column: str) -> None:
        gateway.server.execute(f"ALTER TABLE customers {column}", SHARED.database)
        with connect(gateway, SCHEMA, ("owner",)) as owner, may_create(gateway, SCHEMA):
            owner.execute("CREATE TABLE tests_came (id int)")  # the same database: its catalog is loaded again
            owner.execute("DROP TABLE tests_came")

    with connect(gateway, SHARED, ("analyst",)) as analyst:
        analyst.execute("PREPARE mine AS SELECT * FROM customers")
        analyst.execute("EXECUTE mine")
        change("ADD COLUMN tests_secret text")
        try:
            assert sqlstate_of(analyst, "EXECUTE mine") == "26000"
        finally:
            change("DROP COLUMN tests_secret")


def test_stored_code_is_for_a_tenant_that_is_alone_on_its_target(policy: Policy) -> None:
    gateway = policy.gateway
    statements = (
        "CREATE FUNCTION tests_twice(n int) RETURNS int LANGUAGE sql AS 'SELECT n * 2'",
        "CREATE PROCEDURE tests_note(t text) LANGUAGE plpgsql AS"
        " $$ BEGIN INSERT INTO tests_made VALUES (tests_twice(4), t); END $$",
    )
    with may_create(gateway, DATABASE):
        with connect(gateway, DATABASE, ("owner",)) as owner:
            assert [sqlstate_of(owner, each) for each in (*statements, "DO 'BEGIN END'")] == ["42501"] * 3
        policy.document["tenants"] = {"umbrella": policy.document["tenants"]["umbrella"]}
        del policy.document["assignments"]  # of the others
        policy.apply()
        with connect(gateway, DATABASE, ("app",)) as app:
            assert sqlstate_of(app, statements[0]) == "42501"
        with connect(gateway, DATABASE, ("owner",)) as owner:
            owner.execute("CREATE TABLE tests_made (id int, body text)")
            for statement in statements:
                owner.execute(statement.encode())
            owner.execute("CALL tests_note('called')")
            owner.execute("DO $$ BEGIN UPDATE tests_made SET body = body || '!'; END $$")
            assert owner.execute("SELECT id, body, tests_twice(id) FROM tests_made").fetchall() == [(8, "called!", 16)]
            for kind in ("PROCEDURE tests_note", "FUNCTION tests_twice", "TABLE tests_made"):
                owner.execute(f"DROP {kind}".encode())
