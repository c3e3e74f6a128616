"""COPY FROM where it has to go by way of a temporary table: what becomes of it is what becomes of a plain COPY.

The oracle is PostgreSQL's own COPY into the same table of a database of its own, directly.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
from psycopg.pq import ExecStatus

from proxy.postgres.wire import messages
from tests.harness.gateway import GatewayProcess
from tests.harness.postgres import PostgresServer
from tests.harness.wire_client import SYNC, WireClient, bind, describe, execute, parse

SCHEMA = """
CREATE DOMAIN code AS varchar(3) CHECK (VALUE <> 'bad');
CREATE SEQUENCE numbers;
CREATE TABLE sales (
    tenant_id text NOT NULL, id int GENERATED ALWAYS AS IDENTITY, region text DEFAULT 'EMEA' NOT NULL,
    amount numeric(6,2), code code, twice numeric GENERATED ALWAYS AS (amount * 2) STORED,
    number int DEFAULT nextval('numbers'), tags text[], UNIQUE (tenant_id, id), CHECK (amount < 5000)
);
CREATE TABLE seen (what text);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO public.seen VALUES (concat_ws(' ', TG_WHEN, TG_LEVEL, CASE TG_LEVEL WHEN 'ROW' THEN NEW.region END));
    IF TG_LEVEL = 'ROW' AND NEW.amount = 13 THEN RETURN NULL; END IF;
    RETURN NEW; END $$;
CREATE TRIGGER a BEFORE INSERT ON sales FOR EACH ROW EXECUTE FUNCTION note();
CREATE TRIGGER b AFTER INSERT ON sales FOR EACH ROW EXECUTE FUNCTION note();
CREATE TRIGGER c AFTER INSERT ON sales FOR EACH STATEMENT EXECUTE FUNCTION note();
INSERT INTO sales (tenant_id, region) VALUES ('globex', 'GLOBEX-SECRET');
TRUNCATE seen;
GRANT ALL ON ALL TABLES IN SCHEMA public TO copier; GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO copier;
"""
POLICY = """
tenants:
  acme: {isolation: shared, target: main}
  own: {isolation: database, target: main, database: copy_own}
roles:
  app: {permissions: ["table:*:write"]}
  seller: {permissions: ["table:*:write"], row_filters: {sales: "region IN ('EMEA', 'APAC')"}}
tables:
  main: {sales: {tenant_column: tenant_id}, numbers: {sequence: true}}
"""
ROWS = "SELECT id, region, amount, code, twice, number, tags FROM sales WHERE tenant_id <> 'globex' ORDER BY id, number"


@dataclass(slots=True)
class World:
    server: PostgresServer
    gateway: GatewayProcess

    def connect(self, tenant: str, *roles: str) -> psycopg.Connection[Any]:
        token = self.gateway.issuer.token("sue", tenant, roles)
        return psycopg.connect(self.gateway.conninfo("sue", token, tenant), autocommit=True)

    def direct(self, database: str) -> psycopg.Connection[Any]:
        return psycopg.connect(self.server.conninfo(database), autocommit=True)


@pytest.fixture(scope="module", params=["postgres", "postgres_tls"])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    server: PostgresServer = request.getfixturevalue(request.param)
    password = secrets.token_urlsafe(12)
    server.execute(f"CREATE ROLE copier LOGIN PASSWORD '{password}'")
    for name in ("copy_shared", "copy_own", "copy_plain"):
        server.create_database(name)
        with psycopg.connect(server.conninfo(name), autocommit=True) as connection:
            connection.execute(SCHEMA.encode())
    process = GatewayProcess(
        targets={
            "main": {
                "host": server.host, "port": server.port, "database": "copy_shared", "user": "copier",
                "password": password, "tls": "disable",
            }
        },
        policy=POLICY,
    )  # fmt: skip
    process.start()
    yield World(server, process)
    process.stop()


Copy = Callable[[psycopg.Connection[Any], str, bytes], int]


def simply(connection: psycopg.Connection[Any], copy: str, data: bytes) -> int:
    """The rows counted of a COPY by a Query message."""
    with connection.cursor() as cursor:
        with cursor.copy(copy.encode()) as stream:
            stream.write(data)
        return cursor.rowcount


def extended(connection: psycopg.Connection[Any], copy: str, data: bytes) -> int:
    """The same by Parse, Bind and Execute, as libpq's PQexecParams has it."""
    pq = connection.pgconn
    result = pq.exec_params(copy.encode(), None)
    if result.status == ExecStatus.COPY_IN:
        pq.put_copy_data(data)
        pq.put_copy_end()
        result = pq.get_result() or result
        assert pq.get_result() is None
    if result.status != ExecStatus.COMMAND_OK:
        raise psycopg.errors.error_from_result(result)
    return result.command_tuples or 0


def outcome(connection: psycopg.Connection[Any], copy: str, data: bytes, way: Copy = simply) -> list[object]:
    """Rows that were counted, or the error; then the table's rows and what triggers saw; all rolled back."""
    found: list[object] = []
    with connection.transaction(force_rollback=True):
        try:
            with connection.transaction():
                found.append(way(connection, copy, data))
        except psycopg.Error as error:
            found += [error.sqlstate, error.diag.message_primary, error.diag.column_name, error.diag.table_name]
            if not isinstance(error, psycopg.IntegrityError):  # found when all data are there: no line is told
                found.append(error.diag.context)
        found.append(connection.execute(ROWS).fetchall())
        found.append(connection.execute("SELECT what FROM seen").fetchall())
    return found


BINARY = b"PGCOPY\n\xff\r\n\0" + bytes(8)
COPIES = [
    ("(tenant_id, region, amount) FROM STDIN", b"t\tEMEA\t1\nt\tAPAC\t2\n"),
    ("(tenant_id, amount) FROM STDIN", b"t\t3\nt\t4\nt\t13\n"),
    ("(tenant_id, id, region, number) FROM STDIN", b"t\t70\tEMEA\t9\nt\t71\tAPAC\t\\N\n"),
    ("FROM STDIN", b"t\t70\tEMEA\t9\tabc\t9\t{x}\n"),
    (
        "(amount, tenant_id, tags) FROM STDIN WITH (FORMAT csv, HEADER, DELIMITER ';')",
        b'amount;tenant_id;tags\n1.005;t;"{a,b}"\n;t;\n',
    ),
    ("(tenant_id) FROM STDIN", b""),
    ("(tenant_id, amount, code) FROM STDIN", b"t\t1\tabc\nt\t2\tbad\n"),
    ("(tenant_id, code) FROM STDIN", b"t\tabcd\n"),
    ("(tenant_id, amount) FROM STDIN", b"t\t1\nt\tx\n"),
    ("(tenant_id, amount) FROM STDIN", b"t\t1\t2\n"),
    ("(tenant_id, region, amount) FROM STDIN", b"t\tEMEA\n"),
    ("(tenant_id, id) FROM STDIN", b"t\t1\nt\t1\n"),
    ("(tenant_id, amount) FROM STDIN", b"t\t5000\n"),
    ("(tenant_id, amount) FROM STDIN", b"\\N\t1\n"),
    ("(tenant_id, amount) FROM STDIN (FORMAT binary)", BINARY + b"\0\x02\0\0\0\x01t\xff\xff\xff\xff\xff\xff"),
    ("(tenant_id, amount) FROM STDIN (NULL 'x', DELIMITER '|')", b"t|x\nt|5\n"),
]


@pytest.mark.parametrize("way", [simply, extended])
def test_it_does_what_copy_does(world: World, way: Copy) -> None:
    """In a database of the tenant's own its errors are told as they are."""
    with (
        world.direct("copy_plain") as plain,
        world.direct("copy_own") as own,
        world.connect("own", "seller") as through,
    ):
        for copy, data in COPIES:
            for connection in (plain, own):  # sequences do not roll back
                connection.execute("ALTER SEQUENCE numbers RESTART; ALTER TABLE sales ALTER id RESTART")
            wanted = outcome(plain, f"COPY sales {copy}", data, way)
            assert outcome(through, f"COPY sales {copy}", data, way) == wanted, copy


@pytest.mark.parametrize("copied", [simply, extended])
def test_rows_are_stamped_and_pass_the_filter(world: World, copied: Copy) -> None:
    with world.connect("acme", "seller") as acme, world.direct("copy_shared") as direct:
        try:
            assert copied(acme, "COPY sales (region, amount) FROM STDIN", b"EMEA\t1\nAPAC\t2\n") == 2
            assert copied(acme, "COPY sales (amount, tenant_id) FROM STDIN", b"3\tacme\n") == 1
            for row in (b"EMEA\t7\nCHINA\t7\n", b"\\N\t7\n"):
                with pytest.raises(psycopg.errors.InsufficientPrivilege, match="violates the row filter"):
                    copied(acme, "COPY sales (region, amount) FROM STDIN", row)
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match="own tenant"):
                copied(acme, "COPY sales (tenant_id, amount) FROM STDIN", b"acme\t7\nglobex\t7\n")
            with acme.transaction(force_rollback=True):
                assert copied(acme, "COPY sales (amount) FROM STDIN", b"4\n") == 1
                with pytest.raises(psycopg.DataError), acme.transaction():
                    copied(acme, "COPY sales (amount) FROM STDIN", b"5\nx\n")
                assert copied(acme, "COPY sales (amount) FROM STDIN", b"6\n") == 1
                assert acme.execute("SELECT count(*) FROM sales").fetchone() == (5,)
            acme.execute("SET default_transaction_read_only TO on")
            with pytest.raises(psycopg.errors.ReadOnlySqlTransaction, match="cannot execute COPY FROM in a read-only"):
                copied(acme, "COPY sales (amount) FROM STDIN", b"6\n")
            rows = direct.execute("SELECT tenant_id, region, amount FROM sales WHERE tenant_id <> 'globex'").fetchall()
            assert sorted(rows) == [("acme", "APAC", 2), ("acme", "EMEA", 1), ("acme", "EMEA", 3)]
        finally:
            direct.execute("DELETE FROM sales WHERE tenant_id = 'acme'")


def test_on_the_wire(world: World) -> None:
    """Several in one query string, and one that the client gives up."""
    with WireClient(world.gateway.port) as client, world.direct("copy_shared") as direct:
        client.tls()
        token = world.gateway.issuer.token("sue", "acme", ("seller",))
        assert client.log_in("sue", "acme", token).statuses == "I"
        copy = "COPY sales (amount) FROM STDIN"
        client.send(
            messages.encode_query(f"SELECT 1; {copy}; {copy}; SELECT 2".encode()),
            messages.encode_copy_data(b"1\n"), messages.COPY_DONE,
            messages.encode_copy_data(b"2\n3\n"), messages.COPY_DONE,
        )  # fmt: skip
        answer = client.receive()
        assert answer.tags == "TDCGCGCTDCZ"
        tags = [message[5:-1] for tag, message in answer.messages if tag == "C"]
        assert tags == [b"SELECT 1", b"COPY 1", b"COPY 2", b"SELECT 1"]
        client.send(messages.encode_query(copy.encode()), messages.encode_copy_data(b"4\n"), b"f\0\0\0\x05\0")
        assert client.receive().sqlstates == ["57014"]
        assert client.query("SELECT count(*) FROM sales").rows == [["3"]]
        assert client.query("SELECT * FROM tenantgate_copy").sqlstates == ["42P01"]
        direct.execute("DELETE FROM sales WHERE tenant_id = 'acme'")


def test_on_the_wire_by_the_extended_protocol(world: World) -> None:
    """In the order of tokio-postgres, whose Sync behind Execute the server ignores; more of them before one Sync, one
    that the client gives up, one that fails, and statements behind it."""
    with WireClient(world.gateway.port) as client, world.direct("copy_shared") as direct:
        client.tls()
        token = world.gateway.issuer.token("sue", "acme", ("seller",))
        assert client.log_in("sue", "acme", token).statuses == "I"
        client.send(parse("c", "COPY sales (region, amount) FROM STDIN"), describe("S", "c"), SYNC)
        assert client.receive().tags == "1tnZ"
        data = messages.encode_copy_data
        try:
            client.send(bind("", "c"), execute(), SYNC)
            assert client.receive(until="G").tags == "2G"
            client.send(data(b"EMEA\t1\n"), data(b"APAC\t2\n"), messages.COPY_DONE, SYNC)
            answer = client.receive()
            assert answer.tags == "CZ"
            assert answer.messages[0][1][5:-1] == b"COPY 2"
            one = (bind("", "c"), execute(), data(b"EMEA\t3\n"), messages.COPY_DONE)
            client.send(*one, *one, parse("", "SELECT count(*) FROM sales"), bind("", ""), execute(), SYNC)
            answer = client.receive()
            assert answer.tags == "2GC2GC12DCZ"
            assert answer.rows == [["4"]]
            client.send(bind("", "c"), execute(), data(b"EMEA\t4\n"), b"f\0\0\0\x05\0", SYNC)
            assert client.receive().sqlstates == ["57014"]
            # one transaction: as the second's row does not pass the filter, the first's is not there, either
            client.send(*one, bind("", "c"), execute(), data(b"CHINA\t5\n"), messages.COPY_DONE, *one[:2], SYNC)
            answer = client.receive()
            assert answer.tags == "2GC2GEZ"
            assert answer.sqlstates == ["42501"]
            assert "tenantgate_copy" not in str(answer.errors)
            assert client.query("SELECT count(*) FROM sales").rows == [["4"]]
            assert client.query("SELECT * FROM tenantgate_copy").sqlstates == ["42P01"]
            client.send(*one, SYNC)
            assert client.receive().tags == "2GCZ"
            own = "SELECT tenant_id, amount FROM sales WHERE tenant_id <> 'globex' ORDER BY amount"
            rows = direct.execute(own).fetchall()
            assert rows == [("acme", 1), ("acme", 2), ("acme", 3), ("acme", 3), ("acme", 3)]
        finally:
            direct.execute("DELETE FROM sales WHERE tenant_id = 'acme'")


def test_the_audit_has_one_copy(world: World) -> None:
    with world.connect("acme", "seller") as acme, world.direct("copy_shared") as direct:
        try:
            assert extended(acme, "COPY sales (amount, region) FROM STDIN", b"41\tEMEA\n42\tEMEA\n") == 2
            with pytest.raises(psycopg.DataError):
                extended(acme, "COPY sales (amount, region) FROM STDIN", b"43\tEMEA\nx\tEMEA\n")
            copies: list[tuple[str, int]] = []
            until = time.monotonic() + 60
            while len(copies) < 2 and time.monotonic() < until:
                events = world.gateway.audit_events()
                mine = [e for e in events if "(amount, region)" in e.get("statement", "")]
                copies = [(e["outcome"], e["rows"]) for e in mine]
            assert copies == [("ok", 2), ("error", 0)]
        finally:
            direct.execute("DELETE FROM sales WHERE tenant_id = 'acme'")
