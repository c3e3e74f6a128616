"""An export is what was there: loaded by psql elsewhere it gives the same rows, keys, sequences and views."""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path

import pytest

from admin.places.dump import PgDump
from admin.places.errors import PlaceFailed
from admin.places.export import export_place
from admin.places.export_files import Export
from admin.places.making import make_place, remove_place
from admin.places.server import Login, Session
from tests.fix_places import HOME
from tests.harness.missing import missing
from tests.harness.postgres import PostgresServer
from tests.integration.places.conftest import place
from tests.integration.places.faults import Faulty

_TABLES = """
SET ROLE exported_owner; SET search_path = exported;
CREATE TABLE customers (
  id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL COLLATE "C", note text, "Odd Name" numeric(8,2),
  twice int GENERATED ALWAYS AS (2 * length(name)) STORED, blob bytea, CHECK (name <> ''));
CREATE TABLE orders (id serial PRIMARY KEY, customer int NOT NULL REFERENCES customers ON DELETE CASCADE,
  at timestamptz DEFAULT '2026-01-01', UNIQUE (customer, at));
CREATE INDEX ON orders (at DESC) WHERE customer > 0;
CREATE TABLE nothing ();
CREATE VIEW totals AS SELECT c.name, count(o.id) FROM customers c LEFT JOIN orders o ON o.customer = c.id GROUP BY 1;
INSERT INTO customers (name, note, "Odd Name", blob) VALUES
  ('a', NULL, 1.5, '\\x00ff'), ('b', '', NULL, NULL), (E'"q",\n;', '\\N', 0, '');
INSERT INTO orders (customer, at) SELECT 1 + n % 3, timestamptz '2026-01-01' + n * interval '1 h'
  FROM generate_series(1, 50) n;
"""
_LOOK = (
    "SELECT * FROM exported.customers ORDER BY id",
    "SELECT * FROM exported.orders ORDER BY id",
    "SELECT * FROM exported.totals ORDER BY 1",
    "SELECT conname, contype::text, pg_get_constraintdef(oid) FROM pg_constraint"
    " WHERE connamespace = 'exported'::regnamespace ORDER BY 1",
    "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'exported' ORDER BY 1",
    "SELECT sequencename, last_value FROM pg_sequences WHERE schemaname = 'exported' ORDER BY 1",
)


async def test_loaded_elsewhere_it_is_the_same(server: PostgresServer, login: Login, tmp_path: Path) -> None:
    psql = server.bin_dir / "psql"
    if not psql.exists():
        missing("psql", "apt-get install postgresql-client")
    where = place("exported")
    await make_place(where, login.connect)
    server.execute(_TABLES, HOME)
    export = await export_place(where, login.connect, tmp_path, "exported-1")
    assert (export.rows, export.tables, export.left_out) == (53, 3, ())
    expected = [server.execute(sql, HOME) for sql in _LOOK]
    await remove_place(where, login.connect)

    copy = server.create_database("places_copy")
    try:
        subprocess.run(
            [psql, "-X", "-q", "-d", server.conninfo(copy), "-f", "load.sql"], cwd=export.directory, check=True
        )
        assert [server.execute(sql, copy) for sql in _LOOK] == expected
    finally:
        server.drop_database(copy)
    assert export.directory.stat().st_mode & 0o777 == 0o700
    manifest = json.loads((export.directory / "manifest.json").read_text())
    for table in manifest["tables"]:
        assert hashlib.sha256((export.directory / table["file"]).read_bytes()).hexdigest() == table["sha256"]


async def test_what_it_cannot_write_it_lists(server: PostgresServer, login: Login, tmp_path: Path) -> None:
    where = place("partly", whole=True)
    await make_place(where, login.connect)
    try:
        server.execute(
            "CREATE TYPE mood AS ENUM ('ok'); CREATE TABLE p (a int) PARTITION BY RANGE (a);"
            "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';"
            "CREATE TABLE t (a int); CREATE TRIGGER tr BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f()",
            "partly",
        )
        export = await export_place(where, login.connect, tmp_path, "partly")
        assert export.left_out == (
            "function public.f", "partitioned table public.p", "trigger public.tr", "type public.mood",
        )  # fmt: skip
    finally:
        await remove_place(where, login.connect)


_RICH = """
CREATE TYPE mood AS ENUM ('ok', 'bad'); CREATE TABLE p (a int, m mood) PARTITION BY RANGE (a);
CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (9);
CREATE FUNCTION twice() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.a := 2 * NEW.a; RETURN NEW; END';
CREATE TRIGGER tr BEFORE INSERT ON p FOR EACH ROW EXECUTE FUNCTION twice();
INSERT INTO p VALUES (1, 'ok'), (3, 'bad');
"""


@pytest.mark.parametrize("whole", [True, False])
async def test_what_it_cannot_write_pg_dump_does(
    server: PostgresServer, login: Login, tmp_path: Path, whole: bool
) -> None:
    programs = [server.bin_dir / name for name in ("psql", "pg_dump")]
    if not all(program.exists() for program in programs):
        missing("pg_dump", "apt-get install postgresql-client")
    psql, pg_dump = programs
    where = place("rich", whole=whole)
    await make_place(where, login.connect)
    schema = "public" if whole else "rich"
    server.execute(f"SET search_path = {schema}; {_RICH}", where.database)
    if whole:
        server.execute("SELECT lo_from_bytea(0, 'large')", where.database)

    async def drop(session: Session, export: Export) -> None:
        await session.execute(f"DROP SCHEMA {schema} CASCADE")

    try:
        dump = PgDump(str(pg_dump), login).dump
        export = await export_place(where, login.connect, tmp_path, "rich", drop, dump)
        assert (export.left_out, export.why_left_out) == ((), "")
        manifest = json.loads((export.directory / "manifest.json").read_text())
        assert f"trigger {schema}.tr" in manifest["only_in_dump_sql"]
        assert "dump.sql" in manifest["how_to_load"]
    finally:
        await remove_place(where, login.connect)
    copy = server.create_database("rich_copy")
    try:
        subprocess.run(
            [psql, "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", server.conninfo(copy), "-f", "dump.sql"],
            cwd=export.directory, check=True,
        )  # fmt: skip
        server.execute(f"INSERT INTO {schema}.p VALUES (2, 'ok')", copy)
        assert server.execute(f"SELECT a, m::text FROM {schema}.p ORDER BY a", copy) == [
            (2, "ok"), (4, "ok"), (6, "bad"),
        ]  # fmt: skip
        objects = server.execute("SELECT convert_from(lo_get(oid), 'utf8') FROM pg_largeobject_metadata", copy)
        assert objects == ([("large",)] if whole else [])
    finally:
        server.drop_database(copy)


@pytest.mark.parametrize("program", ["/bin/false", "/nowhere/pg_dump"])
async def test_a_pg_dump_that_cannot_leaves_the_list(
    server: PostgresServer, login: Login, tmp_path: Path, program: str
) -> None:
    where = place("poor")
    await make_place(where, login.connect)
    try:
        server.execute("CREATE TYPE poor.mood AS ENUM ('ok')", HOME)
        export = await export_place(where, login.connect, tmp_path, "poor", dump=PgDump(program, login).dump)
        assert export.left_out == ("type poor.mood",)
        assert export.why_left_out.startswith("pg_dump: ")
        assert not (export.directory / "dump.sql").exists()
    finally:
        await remove_place(where, login.connect)


async def test_one_that_fails_has_no_name_and_the_next_is_whole(
    server: PostgresServer, login: Login, tmp_path: Path
) -> None:
    where = place("retried")
    await make_place(where, login.connect)
    try:
        server.execute("CREATE TABLE retried.t AS SELECT 1 AS a", HOME)
        faulty = Faulty(login.connect, 10)
        with pytest.raises(PlaceFailed):
            await export_place(where, faulty.connect, tmp_path, "retried")
        assert not (tmp_path / "retried").exists()
        assert (await export_place(where, login.connect, tmp_path, "retried")).rows == 1
        assert [path.name for path in tmp_path.iterdir()] == ["retried"]
    finally:
        await remove_place(where, login.connect)
