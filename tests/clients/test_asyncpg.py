"""asyncpg through the gateway: binary extended protocol throughout, prepared statements, binary COPY, its pool."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from io import BytesIO
from typing import Any

import asyncpg
import pytest

from admin.demo.people import ALICE, BOB, CAROL, DAVE, Person
from tests.clients.own_rows import orders_of
from tests.harness.demo_business import DemoGateway

AUTHOR = "asyncpg"
COUNT = "SELECT count(*) FROM notes WHERE author = $1"
INSERT = "INSERT INTO notes (customer_id, author, body) VALUES ($1, $2, $3)"


def options(gateway: DemoGateway, person: Person) -> dict[str, Any]:
    return {
        "host": gateway.host,
        "port": gateway.port,
        "user": person.name,
        "password": gateway.tokens[person.name],
        "database": person.tenant,
        "ssl": ssl.create_default_context(cafile=str(gateway.ca_file)),
        "timeout": 10,
    }


@pytest.fixture
async def alice(gateway: DemoGateway) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(**options(gateway, ALICE))
    yield connection
    await connection.execute("DELETE FROM notes WHERE author = $1", AUTHOR)
    await connection.close()


async def test_prepared_statements(alice: Any) -> None:
    statement = await alice.prepare("SELECT id, total, ordered_at FROM orders WHERE id = $1")
    assert [p.name for p in statement.get_parameters()] == ["int4"]
    assert [a.name for a in statement.get_attributes()] == ["id", "total", "ordered_at"]
    for id_ in range(1, 9):
        row = await statement.fetchrow(id_)
        assert row["id"] == id_


async def test_many_statements_are_kept_and_closed(alice: Any) -> None:
    for n in range(150):  # more than asyncpg's own cache of 100 holds
        assert await alice.fetchval(f"SELECT id + {n} FROM orders WHERE id = $1", 1) == 1 + n


async def test_rollback_then_commit(alice: Any) -> None:
    transaction = alice.transaction()
    await transaction.start()
    await alice.execute(INSERT, 1, AUTHOR, "gone")
    await transaction.rollback()
    assert await alice.fetchval(COUNT, AUTHOR) == 0
    async with alice.transaction():
        await alice.execute(INSERT, 1, AUTHOR, "kept")
        with pytest.raises(asyncpg.DivisionByZeroError):
            async with alice.transaction():  # a savepoint
                await alice.execute("SELECT 1/0")
    assert await alice.fetchval(COUNT, AUTHOR) == 1


async def test_executemany_and_cursor(alice: Any) -> None:
    await alice.executemany(INSERT, [(1, AUTHOR, f"line {n}") for n in range(120)])
    async with alice.transaction():
        bodies = [row["body"] async for row in alice.cursor("SELECT body FROM notes WHERE author = $1", AUTHOR)]
    assert len(bodies) == 120


async def test_copy_both_ways(gateway: DemoGateway, alice: Any) -> None:
    out = BytesIO()
    await alice.copy_from_query("SELECT id, name FROM products WHERE id <= $1", 10, output=out, format="csv")
    assert len(out.getvalue().decode().splitlines()) == 10
    out = BytesIO()
    await alice.copy_from_table("products", columns=["id", "name"], output=out)
    assert len(out.getvalue().splitlines()) == await alice.fetchval("SELECT count(*) FROM products")
    rows = [(n, AUTHOR, f"line {n}") for n in range(1, 301)]
    columns = ["customer_id", "author", "body"]
    assert await alice.copy_records_to_table("notes", records=rows, columns=columns) == "COPY 300"
    stored = gateway.server.execute(
        "SELECT tenant_id, count(*) FROM notes WHERE author = %s GROUP BY 1", "shop", (AUTHOR,)
    )
    assert stored == [("acme", 300)]


async def test_cancel(alice: Any) -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    with pytest.raises(TimeoutError):  # asyncpg sends a CancelRequest when its time is up
        await alice.execute("SELECT pg_sleep(20)", timeout=0.3)
    assert loop.time() - began < 10
    assert await alice.fetchval("SELECT 1") == 1


@pytest.mark.parametrize(
    ("statement", "error"),
    [
        ("SELECT 1/0", asyncpg.DivisionByZeroError),
        ("SELEC 1", asyncpg.PostgresSyntaxError),
        ("SELECT nothing FROM orders", asyncpg.UndefinedColumnError),
        ("SELECT * FROM no_such_table", asyncpg.UndefinedTableError),
        ("UPDATE orders SET tenant_id = 'globex' WHERE id = 1", asyncpg.InsufficientPrivilegeError),
    ],
)
async def test_errors_have_their_class(alice: Any, statement: str, error: type[Exception]) -> None:
    for run in (alice.execute, alice.fetch):  # simple and extended protocol
        with pytest.raises(error):
            await run(statement)
        assert await alice.fetchval("SELECT $1::int", 2) == 2


async def test_pool_resets_between_users(gateway: DemoGateway) -> None:
    async with asyncpg.create_pool(**options(gateway, ALICE), min_size=1, max_size=3) as pool:
        counts = await asyncio.gather(*(pool.fetchval("SELECT count(*) FROM orders") for _ in range(12)))
    assert set(counts) == {orders_of(gateway, ALICE)}


@pytest.mark.parametrize("person", [BOB, CAROL, DAVE], ids=lambda person: person.tenant)
async def test_sees_its_own_rows(gateway: DemoGateway, person: Person) -> None:
    connection = await asyncpg.connect(**options(gateway, person))
    assert await connection.fetchval("SELECT count(*) FROM orders") == orders_of(gateway, person)
    transaction = connection.transaction()
    await transaction.start()
    await connection.execute(INSERT, 1, AUTHOR, "rolled back")
    assert await connection.fetchval(COUNT, AUTHOR) == 1
    await transaction.rollback()
    assert await connection.fetchval(COUNT, AUTHOR) == 0
    await connection.close()
