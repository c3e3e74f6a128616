"""The files of an export: SQL, rows as CSV by COPY, and a manifest with a digest of each. The directory has its name
only when it is whole and on the disk; it is its owner's alone, since a tenant's rows are nobody else's to read."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from admin.places.server import Session
from admin.provision.steps import ident, literal, qualified

_CHUNK_BYTES = 1024 * 1024
Column = tuple[Any, ...]
"""A row of export_sql.COLUMNS."""


@dataclass(frozen=True, slots=True)
class Export:
    """What was written where. left_out: objects that are not in it, each as `kind schema.name`; why_left_out: of
    pg_dump, which was asked for them."""

    directory: Path
    rows: int
    tables: int
    left_out: tuple[str, ...] = ()
    why_left_out: str = ""


class ExportFiles:
    """Writes one export; lives as long as that takes."""

    def __init__(self, session: Session, directory: Path) -> None:
        self._session = session
        self._directory = directory
        self._tables: list[dict[str, object]] = []
        self.rows = 0

    def sql(self, name: str, statements: Iterable[str], end: str = ";") -> None:
        text = "".join(f"{statement}{end}\n" for statement in statements)
        (self._directory / name).write_text(text, encoding="utf-8")

    async def copy(self, columns: list[Column], source: str) -> str:
        """One table's rows to a file; the line of load.sql that reads it. source: what comes after FROM."""
        file = f"data/{len(self._tables) + 1:04d}.csv"
        key = columns[0][0], columns[0][1]
        names = ", ".join(ident(row[2]) for row in columns if row[2] is not None and not row[6])
        await self._session.copy_out(f"SELECT {names} FROM {source}", self._directory / file)  # noqa: S608
        count = int((await self._session.rows(f"SELECT count(*) FROM {source}", long=True))[0][0])  # noqa: S608
        self.rows += count
        digest = _digest(self._directory / file)
        self._tables.append({"table": ".".join(key), "file": file, "rows": count, "sha256": digest})
        listed = f"({names}) " if names else ""
        return f"\\copy {qualified(*key)} {listed}FROM {literal(file)} WITH (FORMAT csv, HEADER)"

    def manifest(self, about: Mapping[str, object]) -> None:
        manifest = {**about, "rows": self.rows, "tables": self._tables}
        (self._directory / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")


def make_private(directory: Path) -> None:
    """Empty, for its owner alone."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    for each in (directory, directory / "data"):
        each.mkdir(mode=0o700)


def settle(directory: Path) -> None:
    """On the disk before anything is deleted because of it."""
    for path in (*directory.rglob("*"), directory):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def table_sql(columns: list[Column], *, plain: bool = False) -> str:
    """CREATE TABLE with the columns alone: constraints come when the rows are in. plain: without defaults, which need
    what is elsewhere, and where there is none of that name yet."""
    lines = [_column(*row[2:], plain=plain) for row in columns if row[2] is not None]
    unless = "IF NOT EXISTS " if plain else ""
    return f"CREATE TABLE {unless}{qualified(columns[0][0], columns[0][1])} ({', '.join(lines)})"


def _column(
    name: str, kind: str, not_null: bool, identity: str, generated: str, default: str | None, collation: str | None,
    *, plain: bool,
) -> str:  # fmt: skip
    parts = [ident(name), kind]
    if collation:
        parts.append(f"COLLATE {collation}")
    if generated:
        parts.append(f"GENERATED ALWAYS AS ({default}) STORED")
    elif identity:
        parts.append(f"GENERATED {'ALWAYS' if identity == 'a' else 'BY DEFAULT'} AS IDENTITY")
    elif default is not None and not plain:
        parts.append(f"DEFAULT {default}")
    if not_null:
        parts.append("NOT NULL")
    return " ".join(parts)


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()
