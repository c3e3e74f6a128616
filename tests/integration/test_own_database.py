"""A tenant alone on its target does in its database what its login role may, and leaves nothing to the next session."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from tests.harness.demo_business import DemoGateway
from tests.integration.strategy import (
    DATABASE,
    SCHEMA,
    SHARED,
    Connection,
    Policy,
    Strategy,
    connect,
    may_create,
    one,
    sqlstate_of,
)


@pytest.fixture
def alone(gateway: DemoGateway) -> Iterator[DemoGateway]:
    policy = Policy(gateway)
    policy.document["tenants"] = {"umbrella": policy.document["tenants"]["umbrella"]}
    del policy.document["assignments"]  # of the others
    policy.apply()
    with may_create(gateway, DATABASE):
        gateway.server.execute("GRANT CREATE ON DATABASE umbrella TO tenantgate", DATABASE.database)
        yield gateway
        gateway.server.execute("DROP SCHEMA IF EXISTS tests_own CASCADE", DATABASE.database)
        gateway.server.execute("REVOKE CREATE ON DATABASE umbrella FROM tenantgate", DATABASE.database)
    policy.restore()


@pytest.fixture
def owner(alone: DemoGateway) -> Iterator[Connection]:
    with connect(alone, DATABASE, ("owner",)) as connection:
        yield connection


def run(connection: Connection, *statements: str) -> None:
    for statement in statements:
        connection.execute(statement.encode())


def test_schemas_types_operators_rules_and_row_policies(owner: Connection) -> None:
    run(
        owner,
        "CREATE SCHEMA tests_own CREATE TABLE made (id int, body text)",
        "CREATE TYPE tests_own.span AS RANGE (SUBTYPE = int4)",
        "CREATE DOMAIN tests_own.small AS int",
        "ALTER DOMAIN tests_own.small ADD CHECK (VALUE < 10)",
        "CREATE FUNCTION tests_own.joined(a int, b int) RETURNS text LANGUAGE sql AS $$ SELECT a || '-' || b $$",
        "CREATE OPERATOR tests_own.<#> (FUNCTION = tests_own.joined, LEFTARG = int, RIGHTARG = int)",
        "CREATE AGGREGATE tests_own.total(int) (SFUNC = int4pl, STYPE = int, INITCOND = 0)",
        "CREATE TABLE tests_own.log (id int)",
        "CREATE RULE noted AS ON INSERT TO tests_own.made DO ALSO INSERT INTO tests_own.log VALUES (NEW.id)",
        "CREATE STATISTICS tests_own.both ON id, body FROM tests_own.made",
        "INSERT INTO tests_own.made VALUES (1, 'one'), (2, 'two')",
        "ALTER TABLE tests_own.made ENABLE ROW LEVEL SECURITY",
        "ALTER TABLE tests_own.made FORCE ROW LEVEL SECURITY",
        "CREATE POLICY first ON tests_own.made USING (id = 1)",
        "REINDEX TABLE tests_own.made",
    )
    assert one(owner, "SELECT 7 OPERATOR(tests_own.<#>) 8") == "7-8"
    assert one(owner, "SELECT tests_own.total(id) FROM tests_own.log") == 3
    assert one(owner, "SELECT count(*) FROM tests_own.made") == 1
    assert one(owner, "SELECT tests_own.span(1, 3)::text") == "[1,3)"
    assert sqlstate_of(owner, "SELECT 11::tests_own.small") == "23514"
    run(
        owner,
        "DROP POLICY first ON tests_own.made",
        "DROP RULE noted ON tests_own.made",
        "DROP OPERATOR tests_own.<#> (int, int)",
        "DROP AGGREGATE tests_own.total(int)",
        "COMMENT ON SCHEMA tests_own IS 'x'",
        "DROP SCHEMA tests_own CASCADE",
    )


def test_a_search_path_is_its_sessions_own(alone: DemoGateway, owner: Connection) -> None:
    run(owner, "CREATE SCHEMA tests_own", "CREATE TABLE tests_own.orders (id text)", "SET search_path TO tests_own")
    backend = one(owner, "SELECT pg_backend_pid()")
    run(owner, "INSERT INTO orders VALUES ('mine')")
    with connect(alone, DATABASE, ("owner",)) as other:
        assert one(other, "SELECT pg_backend_pid()") != backend
        assert one(other, "SELECT count(*) FROM orders") != 1
    for _ in range(3):
        assert one(owner, "SELECT id FROM orders") == "mine"
    with owner.cursor().copy("COPY orders TO STDOUT") as copied:
        assert b"".join(map(bytes, copied)) == b"mine\n"
    owner.close()
    for _ in range(3):
        with connect(alone, DATABASE, ("owner",)) as next_one:
            assert one(next_one, "SHOW search_path") == "public"


def with_path(gateway: DemoGateway, strategy: Strategy, role: str, path: str) -> Connection:
    person = strategy.person
    token = gateway.issuer.token(person.name, person.tenant, (role,))
    options = "-c search_path=" + path.replace(" ", "\\ ")
    conninfo = gateway.conninfo(person.name, token, person.tenant)
    return psycopg.connect(conninfo, options=options, autocommit=True)


def test_a_search_path_may_come_with_the_login(alone: DemoGateway, owner: Connection) -> None:
    run(owner, "CREATE SCHEMA tests_own", "CREATE TABLE tests_own.orders (id text)")
    run(owner, "INSERT INTO tests_own.orders VALUES ('mine')")
    statement = "SELECT * FROM orders LIMIT 1"
    with with_path(alone, DATABASE, "owner", 'tests_own, "Not here", public') as session:
        for number in range(4):
            assert one(owner, statement) != "mine"
            assert one(session, statement) == "mine"
            assert session.execute(statement.encode(), prepare=number > 1).fetchone() == ("mine",)
            assert len(owner.execute(statement.encode(), prepare=number > 1).fetchone() or ()) > 1
        path = one(session, "SHOW search_path")
        assert path == 'tests_own, "Not here", public'
        for end in ("RESET search_path", "RESET ALL", "DISCARD ALL", "SET search_path TO DEFAULT"):
            run(session, "SET search_path TO public")
            assert one(session, statement) != "mine"
            run(session, end)
            assert one(session, "SHOW search_path") == path
            assert one(session, statement) == "mine"
    for _ in range(3):
        with connect(alone, DATABASE, ("owner",)) as next_one:
            assert one(next_one, "SHOW search_path") == "public"


def test_a_text_that_is_prepared_again_means_what_the_path_says_now(owner: Connection) -> None:
    """Within a transaction, where a statement that is stale could not be run again. pgJDBC's suite does so."""
    run(owner, "CREATE SCHEMA tests_own", "CREATE TABLE tests_own.orders (id text)")
    run(owner, "INSERT INTO tests_own.orders VALUES ('mine')")
    changes = (
        ("SET search_path TO tests_own, public", "SET search_path TO public"),
        ("SELECT set_config('search_path', 'tests_own', false)", "RESET search_path"),
        ("SET LOCAL search_path TO tests_own", "SET LOCAL search_path TO DEFAULT"),
        ("SAVEPOINT one; SET LOCAL search_path TO tests_own", "ROLLBACK TO one"),
    )
    for change, (own, back) in enumerate(changes):
        with owner.transaction():
            for number in range(6):
                run(owner, own if number % 2 == 0 else back)
                name = f"{change} {number}".encode()
                owner.pgconn.prepare(name, b"SELECT * FROM orders LIMIT 1")
                columns = owner.pgconn.describe_prepared(name).nfields
                found = owner.pgconn.exec_prepared(name, [])
                assert found.status == psycopg.pq.ExecStatus.TUPLES_OK, found.error_message
                assert (found.nfields, found.get_value(0, 0) == b"mine") == (columns, number % 2 == 0)
                assert (columns == 1) is (number % 2 == 0)


@pytest.mark.parametrize(
    ("strategy", "role", "path"),
    [
        (DATABASE, "app_rw", "pg_catalog"),  # who may not SET it
        (SCHEMA, "owner", "shop"),
        (SCHEMA, "owner", "initech, public"),
        (SHARED, "owner", "initech"),
        (SHARED, "owner", "public, initech"),
    ],
)
def test_nobody_else_may_bring_another_search_path(
    gateway: DemoGateway, strategy: Strategy, role: str, path: str
) -> None:
    with pytest.raises(psycopg.OperationalError, match="invalid value for parameter search_path"):
        with_path(gateway, strategy, role, path)


def test_a_schemas_tenant_may_name_its_schema(gateway: DemoGateway) -> None:
    with with_path(gateway, SCHEMA, "owner", "initech") as session:
        assert one(session, "SELECT count(*) FROM orders") == one(session, "SELECT count(*) FROM initech.orders")


def test_a_temporary_table_may_hide_one_of_the_database(alone: DemoGateway, owner: Connection) -> None:
    run(owner, "CREATE TEMP TABLE orders (id text)", "INSERT INTO orders VALUES ('mine')")
    assert one(owner, "SELECT id FROM orders") == "mine"
    with owner.cursor().copy("COPY orders TO STDOUT") as copied:
        assert b"".join(map(bytes, copied)) == b"mine\n"
    with connect(alone, DATABASE, ("owner",)) as other:
        assert one(other, "SELECT count(*) FROM orders") > 1
    run(owner, "DROP TABLE orders")
    assert one(owner, "SELECT count(*) FROM orders") > 1


def test_settings_of_ones_own_follow_the_session(alone: DemoGateway, owner: Connection) -> None:
    run(owner, "SET enable_seqscan = off", "SET work_mem = '1MB'", "SET app.customer = 'x'")
    assert one(owner, "SHOW app.customer") == "x"
    assert one(owner, "SELECT current_setting('App.Customer')") == "x"
    assert one(owner, "SELECT set_config('app.order', '7', false) || current_setting('work_mem')") == "71MB"
    for name in ("tenantgate.tenant", "TenantGate.Mask_Key", "data_directory"):
        assert sqlstate_of(owner, f"SELECT current_setting('{name}')") == "42501"
    for name, value in (("enable_seqscan", "off"), ("work_mem", "1MB")):
        assert one(owner, f"SHOW {name}") == value
        with connect(alone, DATABASE, ("owner",)) as other:
            assert one(other, f"SHOW {name}") != value
    run(owner, "RESET ALL")
    assert one(owner, "SHOW enable_seqscan") == "on"


def test_a_table_may_be_called_like_one_of_the_server(owner: Connection) -> None:
    run(owner, "CREATE SCHEMA tests_own", "CREATE TABLE tests_own.pg_things (id int)", "SET search_path TO tests_own")
    run(owner, "INSERT INTO tests_own.pg_things VALUES (1)", "CREATE TABLE pg_others AS SELECT 2 AS id")
    assert one(owner, "SELECT id FROM tests_own.pg_things") == 1
    assert sqlstate_of(owner, "SELECT * FROM pg_stat_activity_of_all") == "42501"


def test_an_error_in_a_functions_body_points_into_it(alone: DemoGateway, owner: Connection) -> None:
    """The body is a literal, so the text that reaches the server has a slot there."""
    for schema in ("a", "tests_own"):  # the second text is compiled for another one's literals
        statement = f"CREATE FUNCTION f(t text DEFAULT '{schema}') RETURNS int LANGUAGE sql AS 'not even SQL'"
        with pytest.raises(psycopg.errors.SyntaxError) as caught:
            run(owner, statement)
        assert caught.value.diag.statement_position == str(statement.index("not even") + 1)
