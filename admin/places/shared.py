"""A tenant's rows in shared tables: exported, and deleted from all of them by one statement, so that foreign keys
ask for no order. A round is one transaction of one moment. Rounds are repeated until one finds nothing: a session of
the tenant may have written until its gateway had heard, a second at most after the tenant is `deleting`.

Rows of others are never touched: where a foreign key would change them, nothing is deleted.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import time
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from itertools import count, groupby
from pathlib import Path

from admin.places.errors import PlaceFailed, PlaceRefused
from admin.places.export_files import Column, Export, ExportFiles, make_private, settle, table_sql
from admin.places.export_sql import SHARED_COLUMNS
from admin.places.server import Connect, Session
from admin.provision.steps import Step, ident, literal, qualified
from policy.model import TableClass, Tenant
from policy.snapshot import Snapshot

_HEARD_S = 2.0  # after which every gateway knows that the tenant is being deleted
_ROUNDS = 20
_AGAIN = frozenset({"40001", "40P01"})  # serialization failure, deadlock
_OF_THE_SERVER = ("08", "53", "57", "58")  # connection, resources, operator, system: not of what was asked


@dataclass(frozen=True, slots=True)
class SharedRows:
    """Where a tenant's rows are. tables: (schema, table, tenant column) of the classified ones; value: what stands in
    these columns; mark: of the work that removes them."""

    tenant: str
    target: str
    database: str
    value: str
    mark: str
    tables: tuple[tuple[str, str, str], ...]

    @property
    def shown(self) -> str:
        return f"rows in {len(self.tables)} shared table(s)"


@dataclass(frozen=True, slots=True)
class _Table:
    """One that is there."""

    oid: int
    name: str
    column: str
    value: str

    def rows(self, alias: str = "") -> str:
        """The condition on the tenant's, as the gateway has it. alias: with its dot."""
        return f"{alias}{ident(self.column)} OPERATOR(pg_catalog.=) {literal(self.value)}"


def shared_rows(snapshot: Snapshot, tenant: Tenant, *, home: str, mark: str) -> SharedRows:
    """home: the target's own database."""
    rules = snapshot.tables.get(tenant.target, ())
    tables = tuple(
        (rule.schema, rule.name, rule.tenant_column)
        for rule in rules
        if rule.table_class is TableClass.TENANT and rule.tenant_column is not None
    )
    return SharedRows(tenant.id, tenant.target, tenant.database or home, tenant.value, mark, tables)


async def take_rows(
    rows: SharedRows, connect: Connect, parent: Path | None, name: str
) -> tuple[list[Step], Export | None]:
    """Delete them all; parent: a directory in which they are written as `name` before, what comes later as `name-2` …

    Raises PlaceRefused when nothing was deleted and they stay; PlaceFailed when it must be gone on with; OSError when
    the directory cannot be written.
    """
    began, done, exports = time.monotonic(), list[Step](), list[Export]()
    for _ in range(_ROUNDS):
        heard = time.monotonic() - began >= _HEARD_S
        try:
            steps, export = await _round(rows, connect, parent, name)
        except PlaceFailed as error:
            if error.sqlstate in _AGAIN:
                continue
            if done or isinstance(error, PlaceRefused) or error.sqlstate[:2] in _OF_THE_SERVER:
                raise
            message = f"{error.message}; nothing was deleted"
            raise PlaceRefused(message, error.statement, sqlstate=error.sqlstate, hint=error.hint) from None
        except OSError as error:
            if done:
                raise PlaceFailed(f"the export cannot be written: {error.strerror}") from None
            raise
        done += steps
        exports += [] if export is None else [export]
        if not steps and heard:
            whole = Export(exports[0].directory, sum(e.rows for e in exports), exports[0].tables) if exports else None
            return done, whole
        if not steps:
            await asyncio.sleep(began + _HEARD_S - time.monotonic())
    raise PlaceFailed(f"rows of tenant {rows.tenant} keep coming", hint="Does somebody write past the gateway?")


async def _round(
    rows: SharedRows, connect: Connect, parent: Path | None, name: str
) -> tuple[list[Step], Export | None]:
    """One transaction: what was exported is what was deleted. No step: there was no row."""
    partial = None if parent is None else parent / f"{name}.partial"
    async with connect(rows.database) as session:
        await session.execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SET LOCAL row_security = off")
        tables = await _tables(session, rows)
        await _check_others(session, tables)
        files = None if partial is None else await _write(session, rows, tables, partial)
        steps = await _delete(session, tables)
        export = None
        if files is not None and parent is not None and partial is not None:
            export = _named(parent, name, partial, files.rows, len(tables))
        await session.execute("COMMIT")
    return steps, export


def _named(parent: Path, name: str, partial: Path, rows: int, tables: int) -> Export | None:
    """An export is never written over: a process that is gone may have deleted what is in it."""
    final = next(
        path for number in count(1) if not (path := parent / (name if number == 1 else f"{name}-{number}")).exists()
    )
    if not rows and final.name != name:
        shutil.rmtree(partial)
        return None
    partial.rename(final)
    return Export(final, rows, tables)


# -- looking -------------------------------------------------------------------------------------------------------


_THERE = """
SELECT c.oid, n.nspname, c.relname, c.relkind::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'f') AND (n.nspname, c.relname) IN ({wanted}) ORDER BY 2, 3
"""


async def _tables(session: Session, rows: SharedRows) -> list[_Table]:
    """Those of the classified relations that are tables and are there, by name."""
    if not rows.tables:
        return []
    columns = {(schema, name): column for schema, name, column in rows.tables}
    wanted = ", ".join(f"({literal(schema)}, {literal(name)})" for schema, name in columns)
    found = await session.rows(_THERE.format(wanted=wanted))
    if foreign := [f"{row[1]}.{row[2]}" for row in found if row[3] == "f"]:
        hint = "Delete its rows there, then the tenant with data=keep."
        raise PlaceRefused(f"{foreign[0]} is a foreign table, which no transaction here spans", hint=hint)
    return [_Table(oid, qualified(schema, name), columns[schema, name], rows.value) for oid, schema, name, _ in found]


_REFERENCES = """
SELECT k.conname, k.conrelid, k.confrelid, k.confdeltype::text, k.conrelid::regclass::text,
  (SELECT array_agg(a.attname::text ORDER BY u.n) FROM unnest(k.conkey) WITH ORDINALITY u(at, n)
   JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.at),
  (SELECT array_agg(a.attname::text ORDER BY u.n) FROM unnest(k.confkey) WITH ORDINALITY u(at, n)
   JOIN pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = u.at)
FROM pg_constraint k WHERE k.contype = 'f' AND k.conparentid = 0 AND k.confrelid IN ({oids})
"""


async def _references(session: Session, tables: list[_Table]) -> list[Column]:
    """Foreign keys that refer to the tables."""
    if not tables:
        return []
    return await session.rows(_REFERENCES.format(oids=", ".join(str(table.oid) for table in tables)))


async def _check_others(session: Session, tables: list[_Table]) -> None:
    """Raises PlaceRefused where deleting would, by a foreign key's action, delete or change rows that are not the
    tenant's. Where the key has no action, the server itself refuses."""
    known = {table.oid: table for table in tables}
    for constraint, child, parent, action, shown, columns, keys in await _references(session, tables):
        if action not in "cnd":
            continue
        joined = " AND ".join(f"o.{ident(c)} = t.{ident(k)}" for c, k in zip(columns, keys, strict=True))
        table, foreign = known[parent], f" AND ({known[child].rows('o.')}) IS NOT TRUE" if child in known else ""
        where = f"{table.rows('t.')}{foreign}"
        sql = f"SELECT EXISTS (SELECT FROM {shown} o JOIN {table.name} t ON {joined} WHERE {where})"  # noqa: S608
        if (await session.rows(sql, long=True))[0][0]:
            hint = "Classify that table if its rows are the tenant's, or delete them first."
            message = f"rows of {shown} that are not known to be the tenant's would go or change by {constraint}"
            raise PlaceRefused(f"{message}; nothing was deleted", sql, hint=hint)


# -- writing and deleting ------------------------------------------------------------------------------------------


async def _write(session: Session, rows: SharedRows, tables: list[_Table], directory: Path) -> ExportFiles:
    """One file per table; loading begins with the tables that others refer to."""
    make_private(directory)
    files = ExportFiles(session, directory)
    oids = ", ".join(str(table.oid) for table in tables) or "0"
    found = await session.rows(SHARED_COLUMNS.format(oids=oids))
    columns = {qualified(*key): list(group) for key, group in groupby(found, key=lambda row: (row[0], row[1]))}
    definitions, copies = [], []
    for table in await _parents_first(session, tables):
        definitions.append(table_sql(columns[table.name], plain=True))
        copies.append(await files.copy(columns[table.name], f"{table.name} WHERE {table.rows()}"))
    schemas = [f"CREATE SCHEMA IF NOT EXISTS {ident(schema)}" for schema in sorted({row[0] for row in found})]
    files.sql("schema.sql", [*schemas, *definitions])
    files.sql("load.sql", ["\\set ON_ERROR_STOP on", "BEGIN;", "\\ir schema.sql", *copies, "COMMIT;"], end="")
    files.manifest(
        {
            "tenant": rows.tenant, "target": rows.target, "database": rows.database, "schema": None,
            "tenant_value": rows.value, "left_out": ["keys", "defaults", "other definitions of shared tables"],
            "how_to_load": "cd here; psql -d a_database -f load.sql: into its tables of these names, or new plain ones",
        }
    )  # fmt: skip
    settle(directory)
    return files


async def _parents_first(session: Session, tables: list[_Table]) -> list[_Table]:
    """By name where they refer to each other in a circle."""
    known = {table.oid: table for table in tables}
    graph: dict[int, set[int]] = {table.oid: set() for table in tables}
    for _, child, parent, *_ in await _references(session, tables):
        if child in known and child != parent:
            graph[child].add(parent)
    with contextlib.suppress(CycleError):
        return [known[oid] for oid in TopologicalSorter(graph).static_order()]
    return tables


async def _delete(session: Session, tables: list[_Table]) -> list[Step]:
    """One statement for all: references are checked at its end, when all of it is gone."""
    if not tables:
        return []
    deletes = [f"DELETE FROM {table.name} WHERE {table.rows()}" for table in tables]  # noqa: S608
    parts = ", ".join(f"d{number} AS ({sql} RETURNING 1)" for number, sql in enumerate(deletes))
    counts = ", ".join(f"(SELECT count(*) FROM d{number})" for number in range(len(deletes)))  # noqa: S608
    gone = (await session.rows(f"WITH {parts} SELECT {counts}", long=True))[0]
    return [
        Step(sql, f"{rows} rows", shown=f"{sql}  -- {rows} rows")
        for sql, rows in zip(deletes, gone, strict=True)
        if rows
    ]
