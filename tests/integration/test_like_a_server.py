"""A tenant that has its database, and its target, to itself: drivers find what they find on a server of their own.

The stage is that of the drivers' own test suites (tests/compat).
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from policy.errors import InvalidStatement
from proxy.postgres.encodings import CODECS, decode_text, encode_text
from proxy.postgres.wire import messages
from tests.compat.stage import Way, stage
from tests.harness.wire_client import SYNC, WireClient, bind, execute, parse

Connection = psycopg.Connection[tuple[Any, ...]]


@pytest.fixture(scope="module")
def ways() -> Iterator[tuple[Way, Way]]:
    with stage(max_backends=4) as both:
        yield both


@pytest.fixture
def way(ways: tuple[Way, Way]) -> Way:
    return ways[1]


@pytest.fixture
def direct(ways: tuple[Way, Way]) -> Iterator[Connection]:
    with psycopg.connect(ways[0].dsn, autocommit=True) as connection:
        yield connection


@pytest.fixture
def client(way: Way) -> Iterator[Connection]:
    with psycopg.connect(way.dsn, autocommit=True) as connection:
        yield connection


@pytest.fixture
def wire(way: Way) -> Iterator[WireClient]:
    with WireClient(way.port) as client:
        client.log_in(way.user, way.database, way.password)
        yield client


def rows(connection: Connection, statement: str) -> list[tuple[Any, ...]]:
    return connection.execute(statement).fetchall()  # the driver encodes it


def test_a_statement_that_was_skipped_is_prepared_for_the_next_request(wire: WireClient) -> None:
    """The second time that a text comes it gets a name that backends keep, here in a request that fails before it."""
    insert = parse("", "INSERT INTO skipped VALUES ($1)") + bind("", "", "1") + execute()
    assert wire.query("CREATE TABLE skipped (s text)").sqlstates == []
    wire.send(
        insert, parse("", "SELECT no_such_function($1)"), bind("", "", "1"), execute(), insert, SYNC, insert, SYNC
    )
    answer = wire.receive(2)
    assert answer.sqlstates == ["42883"]
    assert answer.tags.endswith("EZ12CZ")
    assert wire.query("SELECT count(*) FROM skipped").rows == [["1"]]
    wire.query("DROP TABLE skipped")


def test_a_session_sees_its_own_prepared_statements_and_no_others(way: Way, client: Connection) -> None:
    with psycopg.connect(way.dsn, autocommit=True) as other:
        for _ in range(3):
            other.execute("SELECT 'of another session', %s", (1,), prepare=True)
    client.execute("SELECT %s::int", (1,), prepare=True)
    client.execute("PREPARE by_hand AS SELECT 1")
    shown = "SELECT statement, from_sql FROM pg_prepared_statements ORDER BY from_sql"
    assert rows(client, shown) == [("SELECT $1::int", False), ("PREPARE by_hand AS SELECT 1", True)]
    client.execute("DEALLOCATE ALL")
    assert rows(client, shown) == []


def test_prepared_statements_within_a_pipeline(client: Connection) -> None:
    with client.pipeline():
        client.execute("SELECT %s::int", (1,), prepare=True)
        cursor = client.execute("SELECT count(*) FROM pg_prepared_statements")
        assert cursor.fetchone() == (1,)


def test_an_execute_that_failed_does_not_hide_the_statement(wire: WireClient) -> None:
    wire.send(parse("seven", "SELECT 7"), SYNC)
    assert wire.receive().tags == "1Z"
    assert wire.query("BEGIN; SELECT 1/0").sqlstates == ["22012"]
    assert wire.query("EXECUTE seven").sqlstates == ["25P02"]
    wire.query("ROLLBACK")
    assert wire.query("EXECUTE seven").rows == [["7"]]


def test_cursors_of_the_session(client: Connection) -> None:
    with client.transaction(), client.cursor("open") as cursor:
        cursor.execute("SELECT 1")
        assert ("open",) in rows(client, "SELECT name FROM pg_cursors")
    assert rows(client, "SELECT name FROM pg_cursors WHERE name <> ''") == []


def test_libpq_asks_how_passwords_are_encrypted(client: Connection) -> None:
    assert client.pgconn.encrypt_password(b"secret", b"somebody").startswith(b"SCRAM-SHA-256$")


def test_two_phase_commit(way: Way, client: Connection) -> None:
    assert rows(client, "SHOW max_prepared_transactions") == [("10",)]
    client.execute("CREATE TABLE two_phase (n int)")
    client.execute("BEGIN; SET TimeZone = 'Asia/Tokyo'; INSERT INTO two_phase VALUES (1); PREPARE TRANSACTION 'first'")
    client.execute("BEGIN; INSERT INTO two_phase VALUES (2); PREPARE TRANSACTION 'second'")
    assert rows(client, "SHOW TimeZone") == [("Asia/Tokyo",)]
    with psycopg.connect(way.dsn, autocommit=True) as other:
        found = "SELECT gid FROM pg_prepared_xacts ORDER BY 1"
        assert rows(other, found) == [("first",), ("second",)]
        other.execute("COMMIT PREPARED 'first'")
        other.execute("ROLLBACK PREPARED 'second'")
        assert rows(other, "SELECT n FROM two_phase") == [(1,)]
        assert rows(other, found) == []
    client.execute("DROP TABLE two_phase")


def test_schemas_extensions_and_range_types(client: Connection) -> None:
    client.execute("CREATE SCHEMA s; CREATE EXTENSION hstore SCHEMA s; CREATE TYPE s.words AS RANGE (SUBTYPE = text)")
    assert rows(client, "SELECT 'a=>1'::s.hstore OPERATOR(s.->) 'a', '[a,c)'::s.words @> 'b'::text") == [("1", True)]
    client.execute("DROP SCHEMA s CASCADE")


def test_copy_follows_a_table_that_this_transaction_changed(client: Connection) -> None:
    client.execute("CREATE TABLE changing (a int)")
    with client.transaction():
        client.execute("ALTER TABLE changing ADD b int")
        with client.cursor().copy("COPY changing (a, b) FROM STDIN") as copy:
            copy.write_row((1, 2))
        with client.cursor().copy("COPY changing TO STDOUT") as copy:
            assert list(copy.rows()) == [("1", "2")]
    client.execute("DROP TABLE changing")


def test_tables_may_be_called_pg(client: Connection) -> None:
    client.execute("CREATE TABLE pg_pipeline (n int)")
    client.execute("INSERT INTO pg_pipeline VALUES (1)")
    assert rows(client, "SELECT n FROM pg_pipeline") == [(1,)]
    client.execute("DROP TABLE pg_pipeline")


# Client encodings


def test_codecs_read_what_the_target_reads(direct: Connection) -> None:
    """Character by character, and ASCII in every encoding that there is."""
    direct.execute(
        "CREATE FUNCTION pg_temp.read(b bytea, e name) RETURNS text LANGUAGE plpgsql AS"
        " 'BEGIN RETURN convert_from(b, e); EXCEPTION WHEN OTHERS THEN RETURN NULL; END'"
    )
    read = "SELECT s, pg_temp.read(s, %s) FROM unnest(%s::bytea[]) AS u(s)"
    for encoding, codec in CODECS.items():
        sequences = [bytes([one]) for one in range(0x80, 0x100)]
        if encoding.startswith("EUC"):
            sequences += [bytes([one, two]) for one in range(0xA1, 0xFF) for two in range(0xA1, 0xFF)]
        if encoding == "EUC_JP":
            sequences += [b"\x8e" + bytes([one]) for one in range(0xA1, 0xE0)]
            sequences += [bytes([0x8F, one, two]) for one in range(0xA1, 0xFF) for two in range(0xA1, 0xFF)]
        for sequence, there in direct.execute(read, (encoding, sequences)).fetchall():
            try:
                here = decode_text(sequence, codec)
            except InvalidStatement:
                continue  # refused
            assert there in (here, None), (encoding, sequence)
            assert (
                encode_text(here, codec) == sequence
                or there is None
                or decode_text(encode_text(here, codec), codec) == here
            ), (encoding, sequence)
    ascii_text = bytes(range(1, 0x80))
    known = [name for number in range(64) for (name,) in rows(direct, f"SELECT pg_encoding_to_char({number})") if name]
    for encoding in known:
        if encoding not in ("SQL_ASCII", "MULE_INTERNAL"):
            assert direct.execute(read, (encoding, [ascii_text])).fetchone() == (ascii_text, ascii_text.decode())


def test_a_session_in_latin1(way: Way, client: Connection) -> None:
    with psycopg.connect(way.dsn, autocommit=True, client_encoding="latin1") as session:
        assert session.info.parameter_status("client_encoding") == "LATIN1"
        session.execute('CREATE TABLE "Straße" ("é" text)')
        session.execute("INSERT INTO \"Straße\" VALUES ('ü'), (%s)", ("ö",), prepare=True)
        for _ in range(3):  # on a shared name from the second time on
            assert rows(session, 'SELECT "é" FROM "Straße" ORDER BY 1') == [("ö",), ("ü",)]
        cursor = session.execute('TABLE "Straße"')
        assert cursor.description is not None
        assert cursor.description[0].name == "é"
        with pytest.raises(psycopg.errors.UndefinedTable, match='"Überall"'):
            session.execute('TABLE "Überall"')
        with pytest.raises(psycopg.errors.FeatureNotSupported, match=r"CREATE DATABASE is not supported"):
            session.execute("CREATE DATABASE über")
        assert rows(client, 'SELECT "é" FROM "Straße" ORDER BY 1') == [("ö",), ("ü",)]
        with pytest.raises(psycopg.errors.UntranslatableCharacter):  # a value that the encoding lacks
            session.execute("SELECT chr(8364)")
        session.execute('DROP TABLE "Straße"')


def test_an_encoding_holds_from_its_transaction_on(client: Connection) -> None:
    same = "SELECT 'é' = chr(233)"
    assert rows(client, same) == [(True,)]
    with client.transaction(force_rollback=True):
        client.execute("SET client_encoding TO latin9")
        assert rows(client, same) == [(True,)]
        assert rows(client, "SELECT '€' = chr(8364)") == [(True,)]
    assert rows(client, same) == [(True,)]
    client.execute("SELECT set_config('client_encoding', %s, false)", ("win1252",))
    assert rows(client, "SELECT '€' = chr(8364)") == [(True,)]
    client.execute("DISCARD ALL")
    assert client.info.parameter_status("client_encoding") == "UTF8"
    assert rows(client, same) == [(True,)]


def test_texts_sent_ahead_of_an_encoding_are_read_in_it(wire: WireClient) -> None:
    latin1 = "SELECT 'é' = chr(233)".encode("latin1")
    change, back = messages.encode_query(b"BEGIN; SET client_encoding TO latin1"), messages.encode_query(b"ROLLBACK")
    utf8 = messages.encode_query("SELECT 'é' = chr(233)".encode())
    wire.send(change, messages.encode_query(latin1), back, utf8)
    answer = wire.receive(4)
    assert answer.sqlstates == []
    assert answer.rows == [["t"], ["t"]]
    set_it = parse("", "SET client_encoding TO latin1") + bind("", "") + execute()
    wire.send(set_it, messages.encode_parse(b"", latin1), bind("", ""), execute(), SYNC)
    assert wire.receive().sqlstates == ["0A000"]  # in one request nobody can tell
    wire.send(set_it, SYNC, messages.encode_parse(b"", latin1), bind("", ""), execute(), SYNC)
    assert wire.receive(2).rows == [["t"]]


def test_an_encoding_that_is_not_read_takes_ascii_texts(client: Connection) -> None:
    client.execute("SET client_encoding TO SJIS")
    wire_text = b"SELECT '" + "表".encode("sjis") + b"'"  # its second byte is a backslash
    with pytest.raises(psycopg.errors.CharacterNotInRepertoire):
        client.execute(wire_text)
    assert client.execute(b"SELECT octet_length(%b)", ("表",)).fetchone() == (3,)


def test_settings_that_come_with_the_login(way: Way) -> None:
    with psycopg.connect(way.dsn, options="-c client_min_messages=error -c bytea_output=escape") as session:
        assert rows(session, "SELECT current_setting('client_min_messages'), '\\x61'::bytea::text") == [("error", "a")]
    with pytest.raises(psycopg.OperationalError, match=r"invalid value for parameter bytea_output"):
        psycopg.connect(way.dsn, options="-c bytea_output=base64")


def test_a_client_that_leaves_before_it_logs_in_gets_no_answer(way: Way) -> None:
    with socket.create_connection(("127.0.0.1", way.port), timeout=10) as connection:
        connection.sendall(b"X\0\0\0\4")  # Terminate: node-postgres, when it is ended while it connects
        assert connection.recv(100) == b""


def test_notices_about_its_own_statements(client: Connection) -> None:
    seen: list[str | None] = []
    client.add_notice_handler(lambda notice: seen.append(notice.severity_nonlocalized))
    client.execute("SET client_min_messages TO debug1")
    client.execute("CREATE TEMP TABLE noticed (n int PRIMARY KEY)")
    assert "DEBUG" in seen
