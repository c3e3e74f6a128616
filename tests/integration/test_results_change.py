"""A client that described a prepared statement reads its results by that: if they change it is told, on any backend.

PostgreSQL fails such a statement with 0A000 until it is prepared again, and drivers go by that.
"""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from tests.compat.stage import Way, stage
from tests.harness.wire_client import SYNC, Answer, WireClient, bind, close, describe, execute, parse

READ = "SELECT a, b FROM altered"


@pytest.fixture(scope="module")
def both() -> Iterator[tuple[Way, Way]]:
    with stage(direct_superuser=False, max_backends=4) as ways:
        yield ways


@pytest.fixture
def way(both: tuple[Way, Way]) -> Way:
    return both[1]


@pytest.fixture
def past(both: tuple[Way, Way]) -> Iterator[psycopg.Connection]:
    """Who alters tables without the gateway's knowing."""
    with psycopg.connect(both[0].dsn, autocommit=True) as connection:
        yield connection


@pytest.fixture
def owner(way: Way) -> Iterator[psycopg.Connection]:
    with psycopg.connect(way.dsn, autocommit=True) as connection:
        connection.execute("CREATE TABLE altered (a int, b int)")
        connection.execute("INSERT INTO altered VALUES (1, 2)")
        yield connection
        connection.execute("DROP TABLE altered")


@pytest.fixture
def wire(way: Way, owner: psycopg.Connection) -> Iterator[WireClient]:
    """A session that has prepared READ as "known", and was told what it returns."""
    with WireClient(way.port) as client:
        client.log_in(way.user, way.database, way.password)
        client.send(parse("known", READ), describe("S", "known"), SYNC)
        assert client.receive().sqlstates == []
        yield client


def run(wire: WireClient) -> Answer:
    wire.send(bind("", "known"), execute(), SYNC)
    return wire.receive()


@pytest.mark.parametrize("runs_before", [0, 5])
@pytest.mark.parametrize("elsewhere", [False, True])
def test_a_statement_with_other_results_fails_until_prepared_again(
    way: Way, owner: psycopg.Connection, wire: WireClient, runs_before: int, elsewhere: bool
) -> None:
    """With some runs before it the statement is on a lane; elsewhere: on a backend that never had it."""
    for _ in range(runs_before):
        assert run(wire).rows == [["1", "2"]]
    owner.execute("ALTER TABLE altered ALTER b TYPE text")
    with psycopg.connect(way.dsn) as holder:
        if elsewhere:
            holder.execute("SELECT 1")
        for _ in range(4):
            answer = run(wire)
            assert (answer.sqlstates, answer.rows) == (["0A000"], [])
            assert b"RRevalidateCachedQuery\0" in answer.messages[0][1]  # asyncpg and pgJDBC know it by that
    wire.send(close("S", "known"), parse("known", READ), describe("S", "known"), SYNC)
    assert wire.receive().sqlstates == []
    for _ in range(4):
        assert run(wire).rows == [["1", "2"]]


def test_within_a_transaction_and_a_pipeline(owner: psycopg.Connection, wire: WireClient) -> None:
    owner.execute("ALTER TABLE altered ALTER b TYPE text")
    assert wire.query("BEGIN").sqlstates == []
    assert run(wire).sqlstates == ["0A000"]
    assert run(wire).sqlstates == ["25P02"]
    assert wire.query("ROLLBACK").sqlstates == []
    one = parse("", "INSERT INTO altered VALUES (3, 4)") + bind("", "") + execute()
    wire.send(one, bind("", "known"), execute(), one, SYNC)  # the request fails as a whole
    assert wire.receive().sqlstates == ["0A000"]
    assert wire.query("SELECT count(*) FROM altered").rows == [["1"]]


def test_results_that_stay_the_same_go_on(owner: psycopg.Connection, wire: WireClient) -> None:
    assert run(wire).rows == [["1", "2"]]
    owner.execute("ALTER TABLE altered ADD c int")
    for _ in range(4):
        answer = run(wire)
        assert (answer.tags, answer.rows) == ("2DCZ", [["1", "2"]])
    owner.execute("DROP TABLE altered; CREATE TABLE altered (b int, a int)")
    owner.execute("INSERT INTO altered VALUES (2, 1)")
    assert run(wire).rows == [["1", "2"]]
    owner.execute("ALTER TABLE altered DROP b")
    assert run(wire).sqlstates == ["42703"]


def test_a_client_that_describes_what_it_runs_sees_no_error(owner: psycopg.Connection, way: Way) -> None:
    with psycopg.connect(way.dsn, autocommit=True) as client:
        for _ in range(3):
            assert client.execute(READ, prepare=True).fetchall() == [(1, 2)]
        owner.execute("ALTER TABLE altered ALTER b TYPE text")
        client.execute("SELECT 1")
        assert client.execute(READ, prepare=True).fetchall() == [(1, "2")]


def test_in_the_transaction_that_alters(owner: psycopg.Connection, wire: WireClient) -> None:
    assert run(wire).rows == [["1", "2"]]
    assert wire.query("BEGIN; ALTER TABLE altered ALTER b TYPE text").sqlstates == []
    assert run(wire).sqlstates == ["0A000"]
    assert wire.query("ROLLBACK").sqlstates == []
    for _ in range(3):
        assert run(wire).rows == [["1", "2"]]
    assert wire.query("BEGIN; ALTER TABLE altered ADD c int").sqlstates == []
    assert run(wire).rows == [["1", "2"]]
    assert wire.query("COMMIT").sqlstates == []
    assert run(wire).rows == [["1", "2"]]


def test_a_text_is_prepared_anew_after_its_own_transaction_altered_a_table(owner: psycopg.Connection, way: Way) -> None:
    """As migrations do, with a driver that prepares nothing by name, and with one that sends texts."""
    with psycopg.connect(way.dsn) as client, psycopg.ClientCursor(client) as texts:
        for _ in range(4):
            assert client.execute("SELECT * FROM altered WHERE a = %s", (1,)).fetchall() == [(1, 2)]
            assert texts.execute("SELECT * FROM altered WHERE a = %s", (1,)).fetchall() == [(1, 2)]
        for column in "cd":
            client.execute(f"ALTER TABLE altered ADD {column} int")
            for _ in range(3):
                row = client.execute("SELECT * FROM altered WHERE a = %s", (1,)).fetchone()
                assert row is not None
                assert len(row) == 3 + "cd".index(column)
                assert texts.execute("SELECT * FROM altered WHERE a = %s", (1,)).fetchall() == [row]
        client.rollback()
        assert client.execute("SELECT * FROM altered WHERE a = %s", (1,)).fetchall() == [(1, 2)]


def test_a_type_that_comes_and_goes(way: Way) -> None:
    with psycopg.connect(way.dsn) as client:
        for _ in range(4):
            client.execute("CREATE TYPE mood AS ENUM ('sad')")
            assert client.execute("SELECT 'sad'::mood::text, %s::int", (1,)).fetchall() == [("sad", 1)]
            assert client.execute("SELECT NULL::mood, %s::int", (1,)).fetchall() == [(None, 1)]
            client.rollback()


@pytest.fixture
def reader(way: Way, owner: psycopg.Connection) -> Iterator[WireClient]:
    """A session with a backend of its own, where READ has run as "known" and as the unnamed statement."""
    with WireClient(way.port) as client:
        client.log_in(way.user, way.database, way.password)
        assert client.query("CREATE TEMPORARY TABLE keeps_the_backend ()").sqlstates == []
        client.send(parse("known", READ), SYNC)
        assert client.receive().sqlstates == []
        for _ in range(4):
            assert asked(client, described=True).rows == [["1", "2"]]
            client.send(parse("", READ), bind("", ""), execute(), SYNC)
            assert client.receive().rows == [["1", "2"]]
        yield client


def asked(client: WireClient, *, described: bool) -> Answer:
    client.send(bind("", "known"), describe("P", "") if described else b"", execute(), SYNC)
    return client.receive()


@pytest.mark.parametrize("described", [False, True])
def test_what_is_altered_past_the_gateway_is_healed(
    reader: WireClient, past: psycopg.Connection, described: bool
) -> None:
    for kind in ("text", "int USING b::int", "bigint"):
        past.execute(f"ALTER TABLE altered ALTER b TYPE {kind}")
        answer = asked(reader, described=described)
        assert (answer.sqlstates, answer.rows) == ([], [["1", "2"]])
        assert answer.tags == ("2TDCZ" if described else "2DCZ")
        past.execute(f"ALTER TABLE altered ADD {kind[:3]} int")
        reader.send(parse("", READ), bind("", ""), describe("P", ""), execute(), SYNC)
        assert reader.receive().tags == "12TDCZ"


def test_a_statement_that_is_new_to_its_session_is_told_its_results_as_they_are(
    reader: WireClient, past: psycopg.Connection
) -> None:
    """Its text is known to the backend, so no Parse reaches it."""
    for kind, oid in (("text", 25), ("int USING b::int", 23)):
        past.execute(f"ALTER TABLE altered ALTER b TYPE {kind}")
        reader.send(parse(kind, READ), describe("S", kind), SYNC)
        answer = reader.receive()
        assert answer.tags == "1tTZ"
        assert answer.messages[2][1][-12:-8] == oid.to_bytes(4, "big")
        reader.send(bind("", kind), execute(), SYNC)
        assert reader.receive().rows == [["1", "2"]]


def test_where_something_has_run_before_it_is_told(reader: WireClient, past: psycopg.Connection) -> None:
    """As PostgreSQL does: a transaction cannot be run again here, nor what the request has done before."""
    past.execute("ALTER TABLE altered ALTER b TYPE text")
    write = parse("", "INSERT INTO altered VALUES (3, 4)") + bind("", "") + execute()
    reader.send(write, bind("", "known"), execute(), SYNC)
    assert reader.receive().sqlstates == ["0A000"]
    assert past.execute("SELECT count(*) FROM altered").fetchone() == (1,)
    assert asked(reader, described=True).rows == [["1", "2"]]
    past.execute("ALTER TABLE altered ALTER b TYPE int USING b::int")
    assert reader.query("BEGIN").sqlstates == []
    assert asked(reader, described=True).sqlstates == ["0A000"]
    assert asked(reader, described=True).sqlstates == ["25P02"]
    assert reader.query("ROLLBACK").sqlstates == []
    assert asked(reader, described=True).rows == [["1", "2"]]


def test_what_the_client_was_told_of_is_not_healed(wire: WireClient, past: psycopg.Connection) -> None:
    assert wire.query("CREATE TEMPORARY TABLE keeps_the_backend ()").sqlstates == []
    assert run(wire).rows == [["1", "2"]]
    past.execute("ALTER TABLE altered ALTER b TYPE text")
    for _ in range(2):
        assert run(wire).sqlstates == ["0A000"]
    wire.send(close("S", "known"), parse("known", READ), describe("S", "known"), SYNC)
    assert wire.receive().sqlstates == []
    assert run(wire).rows == [["1", "2"]]
