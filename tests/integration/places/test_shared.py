"""A tenant's rows of shared tables: all of them and nobody else's go, after they are in files, or none do."""

from __future__ import annotations

import asyncio
import json
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from admin.places.errors import PlaceFailed, PlaceRefused
from admin.places.server import Login
from admin.places.shared import SharedRows, take_rows
from tests.fix_places import HOME
from tests.harness.missing import missing
from tests.harness.postgres import PostgresServer
from tests.integration.places.faults import Faulty

_TABLES = """
CREATE SCHEMA s;
CREATE TABLE s.customers (t text, id int, name text, "Odd, one" text, boss int, first_order int,
  PRIMARY KEY (t, id), FOREIGN KEY (t, boss) REFERENCES s.customers ON DELETE RESTRICT);
CREATE TABLE s.orders (t text, id serial, customer int, PRIMARY KEY (t, id),
  FOREIGN KEY (t, customer) REFERENCES s.customers ON DELETE CASCADE);
ALTER TABLE s.customers ADD FOREIGN KEY (t, first_order) REFERENCES s.orders (t, id);
CREATE TABLE s.parts (t text, n int) PARTITION BY RANGE (n);
CREATE TABLE s.parts_1 PARTITION OF s.parts FOR VALUES FROM (0) TO (10);
CREATE TABLE s.unlisted (t text);
CREATE VIEW s.seen AS SELECT * FROM s.orders;
INSERT INTO s.customers VALUES ('a', 1, 'x', E',"\\n'), ('a', 2, NULL, ''), ('b', 1, 'theirs', 'a');
UPDATE s.customers SET boss = 1 WHERE id = 2;
INSERT INTO s.orders (t, id, customer) SELECT t, n, 1 FROM generate_series(1, 40) n, unnest('{a,b}'::text[]) t;
UPDATE s.customers SET first_order = 7 WHERE id = 1;
INSERT INTO s.parts SELECT t, n FROM generate_series(1, 3) n, unnest('{a,b}'::text[]) t;
INSERT INTO s.unlisted VALUES ('a');
"""
_NAMES = ("customers", "orders", "parts", "seen", "gone")
ROWS = SharedRows("acme", "main", HOME, "a", "aa11", tuple(("s", name, "t") for name in _NAMES))


@pytest.fixture
def shop(server: PostgresServer) -> Iterator[PostgresServer]:
    server.execute(_TABLES, HOME)
    yield server
    server.execute("DROP SCHEMA s CASCADE", HOME)


def counts(server: PostgresServer, tenant: str) -> list[int]:
    return [
        server.execute(f"SELECT count(*) FROM s.{name} WHERE t = '{tenant}'", HOME)[0][0]
        for name in ("customers", "orders", "parts", "unlisted")
    ]


async def test_all_rows_of_one_tenant_go_into_files_and_load_again(
    shop: PostgresServer, login: Login, tmp_path: Path
) -> None:
    psql = shop.bin_dir / "psql"
    if not psql.exists():
        missing("psql", "apt-get install postgresql-client")
    look = [f"SELECT * FROM s.{name} WHERE t = 'a' ORDER BY 1, 2" for name in ("customers", "orders", "parts")]
    before = [shop.execute(sql, HOME) for sql in look]
    steps, export = await take_rows(ROWS, login.connect, tmp_path, "acme-1")
    assert [step.text.rpartition("-- ")[2] for step in steps] == ["2 rows", "40 rows", "3 rows"]
    assert export is not None
    assert (export.rows, export.tables, export.directory.name) == (45, 3, "acme-1")
    assert (counts(shop, "a"), counts(shop, "b")) == ([0, 0, 0, 1], [1, 40, 3, 0])
    assert [path.name for path in tmp_path.iterdir()] == ["acme-1"]
    manifest = json.loads((export.directory / "manifest.json").read_text())
    assert sorted(table["table"] for table in manifest["tables"]) == ["s.customers", "s.orders", "s.parts"]
    copy = shop.create_database("shared_copy")
    try:
        subprocess.run(
            [psql, "-X", "-q", "-d", shop.conninfo(copy), "-f", "load.sql"], cwd=export.directory, check=True
        )
        assert [shop.execute(sql, copy) for sql in look] == before
    finally:
        shop.drop_database(copy)


async def test_rows_of_others_are_neither_deleted_nor_changed(
    shop: PostgresServer, login: Login, tmp_path: Path
) -> None:
    """By whichever action of a foreign key, and the tenant's own are there still."""
    before = counts(shop, "a"), counts(shop, "b")
    for action, told in (
        ("CASCADE", "would go or change"),
        ("SET NULL", "would go or change"),
        ("RESTRICT", "violates"),
    ):
        shop.execute(
            "CREATE TABLE s.notes (t text, ot text, oid int, FOREIGN KEY (ot, oid) REFERENCES s.orders"
            f" ON DELETE {action}); INSERT INTO s.notes VALUES ('b', 'a', 3)",
            HOME,
        )
        for rows in (ROWS, SharedRows("acme", "main", HOME, "a", "aa11", (*ROWS.tables, ("s", "notes", "t")))):
            with pytest.raises(PlaceRefused, match=told):
                await take_rows(rows, login.connect, tmp_path, "acme-1")
            assert (counts(shop, "a"), counts(shop, "b")) == before
        assert shop.execute("SELECT ot FROM s.notes", HOME) == [("a",)]
        shop.execute("DROP TABLE s.notes", HOME)


@pytest.mark.parametrize("exported", [True, False])
async def test_whatever_fails_the_next_one_takes_what_is_left(
    shop: PostgresServer, login: Login, tmp_path: Path, exported: bool
) -> None:
    parent = tmp_path if exported else None
    for at in range(1, 30):
        before = counts(shop, "a")
        faulty = Faulty(login.connect, at, lost=True)
        try:
            await take_rows(ROWS, faulty.connect, parent, "acme-1")
            break
        except PlaceFailed:
            assert counts(shop, "a") in (before, [0, 0, 0, 1])
    assert at > 8
    assert counts(shop, "a") == [0, 0, 0, 1]
    assert counts(shop, "b") == [1, 40, 3, 0]
    if exported:
        manifests = [json.loads(path.read_text()) for path in tmp_path.glob("*/manifest.json")]
        assert 45 in [manifest["rows"] for manifest in manifests]


async def test_what_a_session_writes_meanwhile_goes_too(shop: PostgresServer, login: Login, tmp_path: Path) -> None:
    """Until its gateway has heard, and then it does not write any more."""
    stop, written = threading.Event(), [0]

    def write() -> None:
        with psycopg.connect(shop.conninfo(HOME), autocommit=True) as session:
            while not stop.is_set() and written[0] < 200:
                session.execute("INSERT INTO s.parts VALUES ('a', 5)")
                written[0] += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        while written[0] < 20:
            await asyncio.sleep(0.01)
        _, export = await take_rows(ROWS, login.connect, tmp_path, "acme-1")
    finally:
        stop.set()
        writer.join()
    left = counts(shop, "a")[2]
    found = [json.loads(path.read_text())["rows"] for path in tmp_path.glob("*/manifest.json")]
    assert export is not None
    assert export.rows == sum(found) == 45 + written[0] - left
