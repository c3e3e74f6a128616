"""A tenant's schema or database written to a directory, as `pg_dump` would: definitions as SQL, rows as CSV by COPY.

All of one moment (REPEATABLE READ). `psql -f load.sql` in an empty database makes it again. Where there is what the
export does not know how to write (functions, triggers, types, partitions …), pg_dump writes all of it to `dump.sql`,
too; without pg_dump it is listed in the manifest as left out: whoever deletes on the strength of an export asks for
that list to be empty.
"""

from __future__ import annotations

import shutil
from collections.abc import Awaitable, Callable
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

from admin.places.dump import Dump, DumpFailed
from admin.places.export_files import Export, ExportFiles, make_private, settle, table_sql
from admin.places.export_sql import (
    COLUMNS,
    CONSTRAINTS,
    INDEXES,
    LEFT_OUT,
    SEQUENCES,
    TABLES,
    VIEWS,
    in_schema,
)
from admin.places.place import Place
from admin.places.server import Connect, Session
from admin.provision.steps import ident, literal, qualified

Then = Callable[[Session, Export], Awaitable[None]]


async def export_place(
    place: Place, connect: Connect, parent: Path, name: str, then: Then | None = None, dump: Dump | None = None
) -> Export:
    """Write the place below `parent` as `name`; one that is there already from a run before is made anew.

    then: is done in the same transaction when the files are on the disk, while nobody else can change the tables: what
    it deletes is what was exported. dump: writes what the export cannot. Raises PlaceFailed; OSError when the directory
    cannot be written.
    """
    final, partial = parent / name, parent / f"{name}.partial"
    make_private(partial)
    async with connect(place.database) as session:
        tables = await session.rows(TABLES.format(place=in_schema(place.schema)))
        await session.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        if then is not None and tables:
            names = ", ".join(qualified(*row) for row in tables)
            await session.execute(f"LOCK TABLE {names} IN EXCLUSIVE MODE")
        written = await _Writer(place, session, partial, dump).write()
        settle(partial)
        shutil.rmtree(final, ignore_errors=True)
        partial.rename(final)
        export = replace(written, directory=final)
        if then is not None:
            await then(session, export)
        await session.execute("COMMIT")
    return export


class _Writer:
    """Writes one export; lives as long as that takes."""

    def __init__(self, place: Place, session: Session, directory: Path, dump: Dump | None) -> None:
        self._place = place
        self._dump = dump
        self._session = session
        self._directory = directory
        self._files = ExportFiles(session, directory)

    async def write(self) -> Export:
        files, columns = self._files, await self._rows(COLUMNS)
        tables = {key: list(group) for key, group in groupby(columns, key=lambda row: (row[0], row[1]))}
        sequences, constraints = await self._rows(SEQUENCES), await self._rows(CONSTRAINTS)
        indexes, views = await self._rows(INDEXES), await self._rows(VIEWS)
        left_out = tuple(f"{kind} {schema}.{name}" for kind, schema, name in await self._rows(LEFT_OUT))
        schemas = sorted({*(key[0] for key in tables), *(s[0] for s in sequences), *(v[0] for v in views)})
        files.sql(
            "schema.sql",
            [*map(_schema, schemas), *filter(None, map(_sequence, sequences)), *map(table_sql, tables.values())],
        )
        copies = [await files.copy(rows, f"ONLY {qualified(*key)}") for key, rows in tables.items()]
        files.sql(
            "rest.sql",
            [
                *filter(None, map(_position, sequences)),
                *(row[2] for row in constraints),
                *(row[2] for row in indexes),
                *map(_view, views),
            ],
        )
        files.sql(
            "load.sql",
            ["\\set ON_ERROR_STOP on", "BEGIN;", "\\ir schema.sql", *copies, "\\ir rest.sql", "COMMIT;"],
            end="",
        )
        dumped, why = left_out, ""
        if left_out and self._dump is not None:
            left_out, why = await self._dump_all(self._dump, left_out)
        self._manifest(left_out, [name for name in dumped if name not in left_out])
        return Export(self._directory, files.rows, len(tables), left_out, why)

    async def _dump_all(self, dump: Dump, left_out: tuple[str, ...]) -> tuple[tuple[str, ...], str]:
        """What is still left out, and why. pg_dump of a schema has no extensions."""
        snapshot = (await self._session.rows("SELECT pg_export_snapshot()"))[0][0]
        try:
            await dump(self._place, snapshot, self._directory / "dump.sql")
        except DumpFailed as error:
            return left_out, f"pg_dump: {error.message}"
        rest = () if self._place.whole else tuple(name for name in left_out if name.startswith("extension "))
        return rest, ""

    async def _rows(self, sql: str) -> list[tuple[Any, ...]]:
        return await self._session.rows(sql.format(place=in_schema(self._place.schema)))

    def _manifest(self, left_out: tuple[str, ...], dumped: list[str]) -> None:
        place = self._place
        self._files.manifest(
            {
                "tenant": place.tenant,
                "target": place.target,
                "database": place.database,
                "schema": place.schema,
                "left_out": left_out,
                "only_in_dump_sql": dumped,
                "how_to_load": f"cd here; psql -d an_empty_database -f {'dump.sql' if dumped else 'load.sql'}",
            }
        )


def _schema(name: str) -> str:
    return f"CREATE SCHEMA IF NOT EXISTS {ident(name)}"


def _sequence(row: tuple[Any, ...]) -> str | None:
    """An identity column makes its own."""
    schema, name, kind, start, increment, least, most, cycle, *_, table, _column_name = row
    if table is not None:
        return None
    sql = f"CREATE SEQUENCE {qualified(schema, name)} AS {kind} INCREMENT {increment} MINVALUE {least} MAXVALUE {most}"
    return f"{sql} START {start}{' CYCLE' if cycle else ''}"


def _position(row: tuple[Any, ...]) -> str | None:
    schema, name, *_, last, called, table, column = row
    if last is None:
        return None
    sequence = literal(qualified(schema, name))
    if table is not None:
        sequence = f"pg_get_serial_sequence({literal(qualified(schema, table))}, {literal(column)})"
    return f"SELECT setval({sequence}, {last}, {'true' if called else 'false'})"


def _view(row: tuple[Any, ...]) -> str:
    schema, name, definition, kind = row
    materialized = "MATERIALIZED " if kind == "m" else ""
    return f"CREATE {materialized}VIEW {qualified(schema, name)} AS {definition.rstrip().rstrip(';')}"
