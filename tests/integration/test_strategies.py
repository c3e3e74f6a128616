"""All three isolation strategies through the gateway, by psycopg: the same statements as tenants with shared tables,
with a schema and with a database of their own, against what the server itself says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.types.json import Jsonb

from admin.demo.dataset import COLUMNS
from tests.harness.demo_business import DemoGateway
from tests.integration.strategy import (
    DATABASE,
    SHARED,
    STRATEGIES,
    Connection,
    Strategy,
    connect,
    one,
    others,
    own_notes,
    sqlstate_of,
)

MARK = "tests/strategies"
COUNTRIES = "countries"


@pytest.fixture(params=STRATEGIES, ids=[s.name for s in STRATEGIES])
def strategy(request: pytest.FixtureRequest) -> Strategy:
    found: Strategy = request.param
    return found


@pytest.fixture
def client(gateway: DemoGateway, strategy: Strategy) -> Iterator[Connection]:
    with gateway.connect(strategy.person, autocommit=True) as connection:
        yield connection
    gateway.server.execute(f"DELETE FROM {strategy.schema}.notes WHERE author = '{MARK}'", strategy.database)


@pytest.fixture
def reference(gateway: DemoGateway, strategy: Strategy) -> Iterator[Connection]:
    """The server itself, where the tables' names stand for the tenant's own rows only."""
    with psycopg.connect(gateway.server.conninfo(strategy.database), autocommit=True) as connection:
        for table, columns in {**COLUMNS, COUNTRIES: ("code", "name", "region", "currency")}.items():
            rows = "true" if table == COUNTRIES else strategy.rows
            connection.execute(
                f"CREATE TEMP VIEW {table} AS SELECT {', '.join(columns)} FROM {strategy.schema}.{table} WHERE {rows}"
            )
        yield connection


def _reads() -> dict[str, str]:
    """Name and text of each statement in strategies.sql."""
    text = Path(__file__).with_name("strategies.sql").read_text(encoding="utf-8")
    blocks = (block.partition("\n") for block in text.split("\n\n") if ";" in block)
    return {name.removeprefix("-- "): statement.strip().removesuffix(";") for name, _, statement in blocks}


READS = _reads()


@pytest.mark.parametrize("statement", READS.values(), ids=READS.keys())
def test_reads_answer_as_from_the_tenants_own_rows(client: Connection, reference: Connection, statement: str) -> None:
    expected = reference.execute(statement.removesuffix(" FOR UPDATE")).fetchall()
    assert expected, "the statement says nothing about these data"
    assert client.execute(statement).fetchall() == expected
    assert client.execute(statement, prepare=True).fetchall() == expected


def test_parameters_of_many_types(client: Connection, reference: Connection) -> None:
    statement = """SELECT id, total, %(text)s::text, %(json)s::jsonb, %(list)s::int[], %(none)s::text,
            %(bytes)s::bytea FROM orders WHERE total > %(total)s AND region = ANY(%(regions)s)
        AND ordered_at < now() + %(span)s::interval ORDER BY id LIMIT 5"""
    values = {
        "text": "it's; --", "json": Jsonb({"a": [1, None]}), "list": [1, 2], "none": None, "bytes": b"\0\xff",
        "total": 10.5, "regions": ["EMEA", "AMER", "APAC"], "span": "1 day",
    }  # fmt: skip
    expected = reference.execute(statement, values).fetchall()
    assert expected
    for binary in (False, True):
        for prepare in (False, True):
            assert client.execute(statement, values, prepare=prepare, binary=binary).fetchall() == expected


def test_insert_update_delete_with_returning(gateway: DemoGateway, strategy: Strategy, client: Connection) -> None:
    before = others(gateway, strategy)
    row = client.execute(
        "INSERT INTO notes (author, body) VALUES (%s, 'one'), (%s, 'two') RETURNING id, body", (MARK, MARK)
    ).fetchall()
    assert [body for _, body in row] == ["one", "two"]
    first, second = (number for number, _ in row)
    update = "UPDATE notes SET body = body || '!' WHERE author = %s AND id = %s RETURNING notes.id, body AS changed"
    assert client.execute(update, (MARK, first)).fetchall() == [(first, "one!")]
    insert = "INSERT INTO notes (author, body) SELECT author, upper(body) FROM notes WHERE author = %s RETURNING body"
    assert sorted(client.execute(insert, (MARK,)).fetchall()) == [("ONE!",), ("TWO",)]
    moved = client.execute(
        "WITH gone AS (DELETE FROM notes WHERE id = %s RETURNING body) SELECT body FROM gone", (second,)
    )
    assert moved.fetchall() == [("two",)]
    joined = "UPDATE notes n SET body = c.name FROM customers c WHERE c.id = %s AND n.id = %s RETURNING n.body = c.name"
    assert client.execute(joined, (one(client, "SELECT min(id) FROM customers"), first)).fetchall() == [(True,)]
    delete = "DELETE FROM notes n USING customers c WHERE n.author = %s AND c.id = (SELECT min(id) FROM customers)"
    assert client.execute(delete, (MARK,)).rowcount == 3
    assert others(gateway, strategy) == before
    assert own_notes(gateway, strategy, f"author = '{MARK}'") == 0


def test_on_conflict(gateway: DemoGateway, strategy: Strategy, client: Connection) -> None:
    before = others(gateway, strategy)
    insert = "INSERT INTO notes (id, author, body) VALUES (%s, %s, %s) ON CONFLICT "
    target = "(tenant_id, id)" if strategy is SHARED else "(id)"
    key = 900_001
    for number, action in ((1, "DO NOTHING"), (0, "DO NOTHING")):
        assert client.execute(insert + action, (key, MARK, "first")).rowcount == number
    upsert = (
        insert + target + " DO UPDATE SET body = excluded.body || notes.body WHERE notes.author = %s RETURNING body"
    )
    assert client.execute(upsert, (key, MARK, "second", MARK)).fetchall() == [("secondfirst",)]
    assert client.execute(upsert, (key, MARK, "third", "somebody else")).fetchall() == []
    assert own_notes(gateway, strategy, f"id = {key} AND body = 'secondfirst'") == 1
    assert others(gateway, strategy) == before


@pytest.mark.parametrize("options", ["", "(FORMAT csv, HEADER)", "(FORMAT binary)"], ids=["text", "csv", "binary"])
def test_copy_out_and_in(gateway: DemoGateway, strategy: Strategy, client: Connection, options: str) -> None:
    before = others(gateway, strategy)
    values = [(910_001, MARK, "tab\there"), (910_002, MARK, 'comma, "quote" \\. and \n line'), (910_003, MARK, "ü")]
    with client.cursor().copy("COPY notes (id, author, body) FROM STDIN") as copy:
        for value in values:
            copy.write_row(value)
    selected = f"SELECT id, author, body FROM notes WHERE author = '{MARK}' ORDER BY id"
    with client.cursor().copy(f"COPY ({selected}) TO STDOUT {options}") as copy:
        data = b"".join(bytes(chunk) for chunk in copy)
    assert client.execute("DELETE FROM notes WHERE author = %s", (MARK,)).rowcount == 3
    with client.cursor().copy(f"COPY notes (id, author, body) FROM STDIN {options}") as copy:
        for position in range(0, len(data), 7):  # the rows' borders are not the messages' borders
            copy.write(data[position : position + 7])
    stored = client.execute("SELECT id, author, body FROM notes WHERE author = %s ORDER BY id", (MARK,)).fetchall()
    assert stored == values
    assert own_notes(gateway, strategy, f"author = '{MARK}'") == 3
    assert others(gateway, strategy) == before


def test_copy_a_whole_table_out(client: Connection, reference: Connection, strategy: Strategy) -> None:
    with client.cursor().copy("COPY orders (id, total) TO STDOUT") as copy:
        rows = sorted(copy.rows())
    expected = reference.execute("SELECT id::text, total::text FROM orders").fetchall()
    assert rows == sorted(expected)


# Roles: row filters and masks


def test_masks_and_row_filters(gateway: DemoGateway, strategy: Strategy, reference: Connection) -> None:
    with connect(gateway, strategy, ("analyst",)) as analyst:
        masked = analyst.execute("SELECT email, right(card, 4) = right(card, 8) FROM customers").fetchall()
        assert all("***@" in email for email, _ in masked)
        found = analyst.execute("SELECT count(*) FROM customers WHERE card LIKE '4%' OR email LIKE '%@%@%'").fetchone()
        assert found == (0,), "the mask is below WHERE"
        visible = analyst.execute("SELECT count(*), min(visibility), max(visibility) FROM notes").fetchall()
        expected = "SELECT count(*), min(visibility), max(visibility) FROM notes WHERE visibility = 'team'"
        assert visible == reference.execute(expected).fetchall()
        assert one(reference, "SELECT count(*) FROM notes WHERE visibility <> 'team'") > 0
        for write in ("DELETE FROM notes", "UPDATE orders SET total = 0", "INSERT INTO notes (body) VALUES ('x')"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                analyst.execute(write)
        with analyst.cursor().copy("COPY (SELECT email FROM customers) TO STDOUT") as copy:
            assert all("***@" in email for (email,) in copy.rows())


def test_a_row_filter_by_a_claim(gateway: DemoGateway, strategy: Strategy, reference: Connection) -> None:
    with connect(gateway, strategy, ("sales",), region="EMEA") as sales:
        counted = sales.execute("SELECT DISTINCT region FROM orders").fetchall()
        assert counted == [("EMEA",)]
        assert one(sales, "SELECT count(*) FROM orders") == one(
            reference, "SELECT count(*) FROM orders WHERE region = 'EMEA'"
        )
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            sales.execute("SELECT * FROM notes")
    with connect(gateway, strategy, ("sales",), region="EMEA' OR true --") as sales:
        assert one(sales, "SELECT count(*) FROM orders") == 0
    with connect(gateway, strategy, ("sales",)) as sales:
        assert one(sales, "SELECT count(*) FROM orders") == 0, "no claim, no rows"


# Other tenants' data

REFUSED = frozenset({"42501", "0A000", "42P01", "3F000", "3D000", "42883", "22023"})

FOREIGN = {
    "shared": [
        "SELECT * FROM initech.orders", "SELECT * FROM shop.initech.orders", "SELECT * FROM umbrella.public.orders",
        "INSERT INTO notes (tenant_id, body) VALUES ('globex', 'x')", "UPDATE notes SET tenant_id = 'globex'",
        "INSERT INTO initech.notes (body) VALUES ('x')", "COPY initech.orders TO STDOUT", "SET search_path = initech",
        "TABLE initech.orders", "DELETE FROM initech.orders",
    ],
    "schema": [
        "SELECT * FROM public.orders", "SELECT * FROM shop.public.orders", "SELECT * FROM umbrella.public.orders",
        "INSERT INTO public.notes (tenant_id, body) VALUES ('initech', 'x')", "COPY public.orders TO STDOUT",
        "SET search_path = public", "SET search_path TO initech, public",
        "SELECT o.id FROM orders o JOIN public.orders p ON true", "DELETE FROM public.orders",
        "CREATE VIEW v AS SELECT * FROM public.orders", "ALTER TABLE notes SET SCHEMA public",
    ],
    "database": [
        "SELECT * FROM shop.public.orders", "SELECT * FROM initech.orders", "SELECT * FROM pg_stat_replication",
        "SELECT * FROM dblink('dbname=shop', 'SELECT 1') AS t(i int)", "COPY shop.public.orders TO STDOUT",
        "COPY notes TO '/tmp/notes'", "COPY notes FROM PROGRAM 'id'", "SELECT pg_read_file('PG_VERSION')",
        "SET ROLE postgres", "CREATE EXTENSION dblink", "ALTER DATABASE umbrella SET search_path = x",
        "SELECT pg_terminate_backend(1)", "SELECT rolpassword FROM pg_authid",
    ],
}  # fmt: skip


def test_nothing_of_others_can_be_named(gateway: DemoGateway, strategy: Strategy, client: Connection) -> None:
    before = others(gateway, strategy)
    for statement in FOREIGN[strategy.name]:
        for prepare in (False, True):
            assert sqlstate_of(client, statement, prepare=prepare) in REFUSED, statement
    assert others(gateway, strategy) == before


CATALOGS = (
    "SELECT datname FROM pg_database",
    "SELECT datname, query FROM pg_stat_activity",
    "SELECT datname FROM pg_stat_database",
    "SELECT nspname FROM pg_namespace",
    "SELECT schema_name FROM information_schema.schemata",
    "SELECT n.nspname || '.' || relname || reltuples FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace",
    "SELECT table_catalog || table_schema || '.' || table_name FROM information_schema.tables",
    "SELECT schemaname || '.' || tablename || coalesce(tableowner, '') FROM pg_tables",
    "SELECT adrelid::text FROM pg_attrdef",
    "SELECT conname FROM pg_constraint",
    "SELECT indexdef FROM pg_indexes",
    "SELECT sequencename FROM pg_sequences",
)


@pytest.mark.parametrize("statement", CATALOGS)
def test_catalogs_do_not_tell_of_others(strategy: Strategy, client: Connection, statement: str) -> None:
    if sqlstate_of(client, statement) in REFUSED:
        return
    shown = repr(client.execute(statement.encode()).fetchall())
    hidden = {
        "shared": ("initech", "umbrella"),
        "schema": ("umbrella", "public.orders", "globex"),
        "database": ("initech", "shop'"),
    }
    for name in hidden[strategy.name]:
        assert name not in shown, shown[:400]


def test_the_token_decides_not_the_database(gateway: DemoGateway, strategy: Strategy) -> None:
    for other in ("acme", "globex", "initech", "umbrella", "shop", "postgres", "template1"):
        if other in (strategy.person.tenant, strategy.database if strategy is DATABASE else ""):
            continue
        with pytest.raises(psycopg.OperationalError) as caught:
            gateway.connect(strategy.person, other)
        assert f'database "{other}" does not exist' in str(caught.value)
