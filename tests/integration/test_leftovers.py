"""What the owner's code and sequences leave on a backend, the next session does not find there; nor does that code take
a session's temporary table for the owner's.

One backend serves all sessions of the gateway here, one after the other (a second one reads the catalogs).
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import psycopg
import pytest

from tests.harness.gateway import GatewayProcess
from tests.harness.postgres import PostgresServer
from tests.harness.wire_client import SYNC, WireClient, bind, execute, parse

SCHEMA = """
CREATE TABLE orders (tenant_id text NOT NULL, id serial, note text);
CREATE TABLE logged (tenant_id text NOT NULL, id int, note text);
CREATE SEQUENCE numbers;
CREATE FUNCTION leave() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    CREATE TEMP TABLE IF NOT EXISTS staging (note text);
    INSERT INTO staging VALUES (NEW.note);
    PERFORM set_config('app.note', NEW.note, false), set_config('datestyle', 'German', false);
    PERFORM nextval('numbers');
    RETURN NEW; END $$;
CREATE TRIGGER leave BEFORE INSERT ON logged FOR EACH ROW EXECUTE FUNCTION leave();
CREATE TYPE colour AS ENUM ('red');
CREATE TABLE audited (note text, colour colour);
CREATE TABLE watched (tenant_id text NOT NULL, note text);
CREATE FUNCTION watch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO audited VALUES (NEW.note, 'red'::colour);
    RETURN NEW; END $$;
CREATE TRIGGER watch BEFORE INSERT ON watched FOR EACH ROW EXECUTE FUNCTION watch();
CREATE FUNCTION stage(what text) RETURNS void LANGUAGE plpgsql AS $$ BEGIN
    CREATE TEMP TABLE IF NOT EXISTS staging (note text);
    INSERT INTO staging VALUES (what); END $$;
CREATE FUNCTION staged() RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN
    CREATE TEMP TABLE IF NOT EXISTS staging (note text);
    RETURN (SELECT count(*) FROM staging); END $$;
GRANT ALL ON ALL TABLES IN SCHEMA public TO leaver; GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO leaver;
"""
POLICY = """
tenants:
  acme: {isolation: shared, target: main}
  globex: {isolation: shared, target: main}
roles:
  app: {permissions: ["table:*:write"]}
tables:
  main:
    orders: {tenant_column: tenant_id}
    logged: {tenant_column: tenant_id}
    watched: {tenant_column: tenant_id}
    numbers: {sequence: true}
    orders_id_seq: {sequence: true}
functions:
  main:
    stage: safe
    staged: safe
"""
Pair = tuple[WireClient, WireClient]


@pytest.fixture(scope="module")
def gateway(postgres: PostgresServer) -> Iterator[GatewayProcess]:
    password = secrets.token_urlsafe(12)
    postgres.execute(f"CREATE ROLE leaver LOGIN PASSWORD '{password}'")
    postgres.create_database("leftovers")
    with psycopg.connect(postgres.conninfo("leftovers"), autocommit=True) as connection:
        connection.execute(SCHEMA.encode())
    process = GatewayProcess(
        targets={
            "main": {
                "host": postgres.host, "port": postgres.port, "database": "leftovers", "user": "leaver",
                "password": password, "tls": "disable", "max_backends": 2,
            }
        },
        policy=POLICY,
    )  # fmt: skip
    process.start()
    yield process
    process.stop()


@pytest.fixture
def pair(gateway: GatewayProcess) -> Iterator[Pair]:
    """Sessions of acme and globex."""
    with WireClient(gateway.port) as acme, WireClient(gateway.port) as globex:
        for client, tenant in ((acme, "acme"), (globex, "globex")):
            client.tls()
            assert client.log_in("sue", tenant, gateway.issuer.token("sue", tenant, ("app",))).statuses == "I"
        yield acme, globex


def backend_of(client: WireClient) -> list[list[str | None]]:
    return client.query("SELECT pg_backend_pid()").rows


@pytest.mark.parametrize("leaving", ["INSERT INTO logged VALUES ('globex', 1, 'SECRET')", "SELECT stage('SECRET')"])
def test_what_the_owners_code_made(pair: Pair, leaving: str) -> None:
    acme, globex = pair
    for extended in (False, True):
        if extended:
            globex.send(parse("", leaving), bind("", ""), execute(), SYNC)
            assert not globex.receive().errors
        else:
            assert not globex.query(leaving).errors
        assert backend_of(acme) == backend_of(globex)
        assert not globex.query(leaving).errors
        assert acme.query("SELECT staged()").rows == [["0"]]
        assert not globex.query(leaving).errors
        assert acme.query("SELECT note FROM staging").sqlstates == ["42P01"]
        acme.query("DISCARD ALL")
        assert not globex.query(leaving).errors
        assert acme.query("SELECT current_setting('app.note', true), '2024-02-01'::date").rows == [[None, "2024-02-01"]]


def test_within_a_transaction_it_is_there(pair: Pair) -> None:
    acme, _ = pair
    assert acme.query("BEGIN; SELECT stage('x'); SELECT staged(); COMMIT").rows == [[""], ["1"]]


def test_settings_of_the_session_are_there_after_a_sweep(pair: Pair) -> None:
    acme, globex = pair
    acme.query("SET timezone TO 'Asia/Tokyo'")
    globex.query("SELECT stage('x')")
    assert acme.query("SHOW timezone").rows == [["Asia/Tokyo"]]
    acme.query("SELECT stage('x')")
    assert acme.query("SHOW timezone").rows == [["Asia/Tokyo"]]
    globex.query("INSERT INTO orders (note) VALUES ('x')")
    assert acme.query("SHOW timezone").rows == [["Asia/Tokyo"]]


@pytest.mark.parametrize("taken", ["SELECT nextval('orders_id_seq')", "INSERT INTO orders (note) VALUES ('x')"])
def test_numbers_of_sequences_that_others_took(pair: Pair, taken: str) -> None:
    """Another sequence's number, in a transaction that took one, was told, whoever had taken it."""
    acme, globex = pair
    assert not globex.query(taken).errors
    answer = acme.query("BEGIN; SELECT nextval('numbers'); SELECT currval('orders_id_seq')")
    assert answer.sqlstates == ["55000"]
    assert acme.query("ROLLBACK").statuses == "I"
    own = acme.query("BEGIN; SELECT nextval('numbers'); SELECT currval('numbers'); COMMIT").rows
    assert own[0] == own[1]


@pytest.mark.parametrize(
    "path",
    [
        "SHOW search_path", "SET search_path TO public", "SET SESSION search_path = 'public'", "SET SCHEMA 'public'",
        "SELECT set_config('search_path', 'public', false)", "RESET search_path", "RESET ALL",
        "BEGIN; SET LOCAL search_path TO public; COMMIT",
    ],
)  # fmt: skip
def test_the_owners_code_does_not_take_a_temporary_table_for_its_own(
    path: str, pair: Pair, postgres: PostgresServer
) -> None:
    """Whose name the session may not know, so that none is refused."""
    acme, _ = pair
    assert not acme.query("CREATE TEMP TABLE audited (note text, colour text); CREATE TEMP TABLE colour (a int)").errors
    assert not acme.query(path).errors
    assert acme.query("SHOW search_path").rows == [["public, pg_temp"]]
    assert not acme.query("INSERT INTO watched (note) VALUES ('x')").errors
    assert acme.query("SELECT count(*) FROM audited").rows == [["0"]]
    assert postgres.execute("DELETE FROM audited RETURNING note", "leftovers") == [("x",)]


@pytest.mark.parametrize("form", ["?", "public.?", "?[]", "_?"])
def test_the_row_type_of_an_unlisted_table_is_like_none(form: str, pair: Pair) -> None:
    acme, _ = pair
    told = []
    for name in ("audited", "missing"):
        (error,) = acme.query(f"SELECT NULL::{form.replace('?', name)}").errors
        told.append((error["C"], error["M"].replace(name, "?"), error.get("P"), error.get("H")))
    assert told[0] == told[1]
