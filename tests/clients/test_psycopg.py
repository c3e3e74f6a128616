"""psycopg 3 through the gateway: prepared statements, transactions, cursors, pipelines, COPY, cancel, errors."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg import errors

from admin.demo.people import ALICE, ANA, BOB, CAROL, DAVE, Person
from tests.clients.own_rows import orders_of
from tests.harness.demo_business import DemoGateway

Connection = psycopg.Connection[tuple[Any, ...]]
AUTHOR = "psycopg"


@pytest.fixture
def alice(gateway: DemoGateway) -> Iterator[Connection]:
    with gateway.connect(ALICE) as connection:
        yield connection
        connection.rollback()
        connection.execute("DELETE FROM notes WHERE author = %s", (AUTHOR,))


def count_notes(connection: Connection) -> int:
    row = connection.execute("SELECT count(*) FROM notes WHERE author = %s", (AUTHOR,)).fetchone()
    assert row is not None
    count: int = row[0]
    return count


def insert_note(connection: Connection, body: str) -> None:
    connection.execute("INSERT INTO notes (customer_id, author, body) VALUES (%s, %s, %s)", (1, AUTHOR, body))


def fail_in_a_savepoint(connection: Connection) -> None:
    with connection.transaction():
        insert_note(connection, "inner")
        connection.execute("SELECT 1/0")


@pytest.mark.parametrize("binary", [False, True])
def test_prepared_statements(alice: Connection, binary: bool) -> None:
    with alice.cursor(binary=binary) as cursor:
        for id_ in range(1, 9):
            cursor.execute("SELECT id, total, ordered_at FROM orders WHERE id = %s", (id_,), prepare=True)
            assert [row[0] for row in cursor.fetchall()] == [id_]


def test_rollback_then_commit(gateway: DemoGateway, alice: Connection) -> None:
    insert_note(alice, "gone")
    alice.rollback()
    assert count_notes(alice) == 0
    insert_note(alice, "kept")
    alice.commit()
    with gateway.connect(ALICE) as other:
        assert count_notes(other) == 1


def test_savepoints(alice: Connection) -> None:
    with alice.transaction():
        insert_note(alice, "outer")
        with pytest.raises(errors.DivisionByZero):
            fail_in_a_savepoint(alice)
        assert count_notes(alice) == 1


def test_server_side_cursor(alice: Connection) -> None:
    with alice.cursor("items") as cursor:
        cursor.itersize = 100
        cursor.execute("SELECT order_id, line_no FROM order_items")
        seen = sum(1 for _ in cursor)
    row = alice.execute("SELECT count(*) FROM order_items").fetchone()
    assert row == (seen,)


def test_pipeline(alice: Connection) -> None:
    with alice.pipeline():
        cursors = [alice.execute("SELECT id FROM orders WHERE id = %s", (id_,)) for id_ in range(1, 30)]
    assert [cursor.fetchall() for cursor in cursors] == [[(id_,)] for id_ in range(1, 30)]


def test_executemany_with_returning(alice: Connection) -> None:
    with alice.cursor() as cursor:
        rows = [(1, AUTHOR, f"line {n}") for n in range(25)]
        cursor.executemany("INSERT INTO notes (customer_id, author, body) VALUES (%s, %s, %s)", rows)
        assert cursor.rowcount == 25
    assert count_notes(alice) == 25


def test_copy_out(alice: Connection) -> None:
    with alice.cursor().copy("COPY (SELECT id, name FROM products ORDER BY id) TO STDOUT") as copy:
        rows = list(copy.rows())
    assert [int(row[0]) for row in rows] == list(range(1, len(rows) + 1))


@pytest.mark.parametrize("form", ["text", "binary"])
def test_copy_in_is_stamped_with_the_tenant(gateway: DemoGateway, alice: Connection, form: str) -> None:
    statement = f"COPY notes (customer_id, author, body) FROM STDIN (FORMAT {form})"
    with alice.cursor().copy(statement) as copy:
        copy.set_types(["int4", "text", "text"])
        for n in range(1, 301):
            copy.write_row((n, AUTHOR, f"line {n}\twith a tab and a \\ backslash"))
    alice.commit()
    stored = gateway.server.execute(
        "SELECT tenant_id, count(*), max(body) FROM notes WHERE author = %s GROUP BY 1", "shop", (AUTHOR,)
    )
    assert stored == [("acme", 300, "line 99\twith a tab and a \\ backslash")]


def test_cancel(alice: Connection) -> None:
    def soon() -> None:
        time.sleep(0.3)
        alice.cancel_safe()

    canceller = threading.Thread(target=soon)
    canceller.start()
    began = time.monotonic()
    with pytest.raises(errors.QueryCanceled):
        alice.execute("SELECT pg_sleep(20)")
    canceller.join()
    assert time.monotonic() - began < 10
    alice.rollback()
    assert alice.execute("SELECT 1").fetchone() == (1,)


@pytest.mark.parametrize(
    ("statement", "error"),
    [
        ("SELECT 1/0", errors.DivisionByZero),
        ("SELEC 1", errors.SyntaxError),
        ("SELECT nothing FROM orders", errors.UndefinedColumn),
        ("SELECT * FROM no_such_table", errors.UndefinedTable),
        ("UPDATE orders SET tenant_id = 'globex' WHERE id = 1", errors.InsufficientPrivilege),
        ("INSERT INTO orders (customer_id, region) VALUES (999999, 'x')", errors.ForeignKeyViolation),
        ("LOCK TABLE orders", errors.Error),
    ],
)
def test_an_error_aborts_the_transaction(alice: Connection, statement: str, error: type[Exception]) -> None:
    alice.execute("SELECT 1")
    with pytest.raises(error):
        alice.execute(statement)
    with pytest.raises(errors.InFailedSqlTransaction):
        alice.execute("SELECT 1")
    alice.rollback()
    assert alice.execute("SELECT 2").fetchone() == (2,)


def test_mask_and_missing_permission(gateway: DemoGateway) -> None:
    with gateway.connect(ANA, autocommit=True) as ana:
        rows = ana.execute("SELECT card FROM customers WHERE id <= 5").fetchall()
        assert len(rows) == 5
        assert all(str(card).startswith("**** **** **** ") for (card,) in rows)
        with pytest.raises(errors.InsufficientPrivilege):
            ana.execute("DELETE FROM customers WHERE id = 1")


def test_another_tenants_database_is_refused(gateway: DemoGateway) -> None:
    with pytest.raises(psycopg.OperationalError, match="FATAL"):
        gateway.connect(ALICE, "globex")


@pytest.mark.parametrize("person", [BOB, CAROL, DAVE], ids=lambda person: person.tenant)
def test_sees_its_own_rows(gateway: DemoGateway, person: Person) -> None:
    with gateway.connect(person) as connection:
        assert connection.execute("SELECT count(*) FROM orders").fetchone() == (orders_of(gateway, person),)
        insert_note(connection, "rolled back")
        assert count_notes(connection) == 1
        connection.rollback()
        assert count_notes(connection) == 0


def test_time_outs_of_the_connection_string_hold_and_survive_reset(gateway: DemoGateway) -> None:
    options = "-c statement_timeout=7s -c jit=off -c DateStyle=German"
    with gateway.connect(ALICE, autocommit=True, options=options) as alice:
        for statement in (
            "SELECT 1",
            "RESET ALL",
            "SET statement_timeout = 1",
            "RESET statement_timeout",
            "DISCARD ALL",
        ):
            alice.execute(statement.encode())
        shown = [
            alice.execute(f"SHOW {name}".encode()).fetchone() for name in ("statement_timeout", "jit", "datestyle")
        ]
        assert shown == [("7s",), ("off",), ("German, DMY",)]
