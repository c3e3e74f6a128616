"""A tenant's schema or database written to a directory, as `pg_dump` would: definitions as SQL, rows as CSV by COPY.

All of one moment (REPEATABLE READ). `psql -f load.sql` in an empty database makes it again. What the export does not
know how to write (functions, triggers, types, partitions …) is listed in its manifest as left out: whoever deletes on
the strength of an export asks for that list to be empty. The directory has its name only when it is whole.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from admin.places.export_sql import (
    COLUMNS,
    CONSTRAINTS,
    INDEXES,
    LEFT_OUT,
    SEQUENCES,
    VIEWS,
    in_schema,
)
from admin.places.place import Place
from admin.places.server import Connect, Session
from admin.provision.steps import ident, literal, qualified

_CHUNK_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Export:
    """What was written where. left_out: objects that are not in it, each as `kind schema.name`."""

    directory: Path
    rows: int
    tables: int
    left_out: tuple[str, ...]


Then = Callable[[Session, Export], Awaitable[None]]


async def export_place(place: Place, connect: Connect, parent: Path, name: str, then: Then | None = None) -> Export:
    """Write the place below `parent` as `name`; one that is there already from a run before is made anew.

    then: is done in the same transaction when the files are on the disk, while nobody else can use the tables: what it
    deletes is what was exported. Raises PlaceFailed; OSError when the directory cannot be written.
    """
    final, partial = parent / name, parent / f"{name}.partial"
    _make_private(partial)
    async with connect(place.database) as session:
        tables = await session.rows(COLUMNS.format(place=in_schema(place.schema)))
        await session.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        if then is not None and tables:
            names = dict.fromkeys(qualified(row[0], row[1]) for row in tables)
            await session.execute(f"LOCK TABLE {', '.join(names)} IN ACCESS EXCLUSIVE MODE")
        written = await _Writer(place, session, partial).write()
        _settle(partial)
        shutil.rmtree(final, ignore_errors=True)
        partial.rename(final)
        export = Export(final, written.rows, written.tables, written.left_out)
        if then is not None:
            await then(session, export)
        await session.execute("COMMIT")
    return export


def _make_private(directory: Path) -> None:
    """Empty, and for its owner alone: a tenant's rows are nobody else's to read."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    for each in (directory, directory / "data"):
        each.mkdir(mode=0o700)


def _settle(directory: Path) -> None:
    """On the disk before anything is deleted because of it."""
    for path in (*directory.rglob("*"), directory):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


class _Writer:
    """Writes one export; lives as long as that takes."""

    def __init__(self, place: Place, session: Session, directory: Path) -> None:
        self._place = place
        self._session = session
        self._directory = directory
        self._files: list[dict[str, object]] = []

    async def write(self) -> Export:
        columns = await self._rows(COLUMNS)
        tables = {key: list(group) for key, group in groupby(columns, key=lambda row: (row[0], row[1]))}
        sequences, constraints = await self._rows(SEQUENCES), await self._rows(CONSTRAINTS)
        indexes, views = await self._rows(INDEXES), await self._rows(VIEWS)
        left_out = tuple(f"{kind} {schema}.{name}" for kind, schema, name in await self._rows(LEFT_OUT))
        schemas = sorted({*(key[0] for key in tables), *(s[0] for s in sequences), *(v[0] for v in views)})
        self._text(
            "schema.sql",
            [*map(_schema, schemas), *filter(None, map(_sequence, sequences)), *map(_table, tables.values())],
        )
        copies = [await self._copy(number, key, rows) for number, (key, rows) in enumerate(tables.items(), 1)]
        self._text(
            "rest.sql",
            [
                *filter(None, map(_position, sequences)),
                *(row[2] for row in constraints),
                *(row[2] for row in indexes),
                *map(_view, views),
            ],
        )
        self._text(
            "load.sql",
            ["\\set ON_ERROR_STOP on", "BEGIN;", "\\ir schema.sql", *copies, "\\ir rest.sql", "COMMIT;"],
            end="",
        )
        rows = sum(int(str(file["rows"])) for file in self._files)
        self._manifest(rows, left_out)
        return Export(self._directory, rows, len(tables), left_out)

    async def _rows(self, sql: str) -> list[tuple[Any, ...]]:
        return await self._session.rows(sql.format(place=in_schema(self._place.schema)))

    def _text(self, name: str, statements: Iterable[str], end: str = ";") -> None:
        text = "".join(f"{statement}{end}\n" for statement in statements)
        (self._directory / name).write_text(text, encoding="utf-8")

    async def _copy(self, number: int, key: tuple[str, str], columns: list[tuple[Any, ...]]) -> str:
        """One table's rows to a file; the line of load.sql that reads it."""
        file = f"data/{number:04d}.csv"
        names = ", ".join(ident(row[2]) for row in columns if row[2] is not None and not row[6])
        table = qualified(*key)
        query = f"SELECT {names} FROM ONLY {table}"  # noqa: S608
        await self._session.copy_out(query, self._directory / file)
        count = (await self._session.rows(f"SELECT count(*) FROM ONLY {table}"))[0][0]  # noqa: S608
        self._files.append(
            {"table": ".".join(key), "file": file, "rows": count, "sha256": _digest(self._directory / file)}
        )
        listed = f"({names}) " if names else ""
        return f"\\copy {table} {listed}FROM {literal(file)} WITH (FORMAT csv, HEADER)"

    def _manifest(self, rows: int, left_out: tuple[str, ...]) -> None:
        place = self._place
        manifest = {
            "tenant": place.tenant,
            "target": place.target,
            "database": place.database,
            "schema": place.schema,
            "rows": rows,
            "tables": self._files,
            "left_out": left_out,
            "how_to_load": "cd here; psql -d an_empty_database -f load.sql",
        }
        (self._directory / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def _schema(name: str) -> str:
    return f"CREATE SCHEMA IF NOT EXISTS {ident(name)}"


def _table(columns: list[tuple[Any, ...]]) -> str:
    """The columns alone: constraints come when the rows are in."""
    lines = [_column(*row[2:]) for row in columns if row[2] is not None]
    return f"CREATE TABLE {qualified(columns[0][0], columns[0][1])} ({', '.join(lines)})"


def _column(
    name: str, kind: str, not_null: bool, identity: str, generated: str, default: str | None, collation: str | None
) -> str:
    parts = [ident(name), kind]
    if collation:
        parts.append(f"COLLATE {collation}")
    if generated:
        parts.append(f"GENERATED ALWAYS AS ({default}) STORED")
    elif identity:
        parts.append(f"GENERATED {'ALWAYS' if identity == 'a' else 'BY DEFAULT'} AS IDENTITY")
    elif default is not None:
        parts.append(f"DEFAULT {default}")
    if not_null:
        parts.append("NOT NULL")
    return " ".join(parts)


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
