"""The store's schema: made, and brought up to date, by Alembic migrations (migrations/versions)."""

from __future__ import annotations

import sqlite3
from functools import cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from admin.services.errors import StoreUnavailable
from admin.store.engine import Store, shown, store_url, unavailable

_MIGRATIONS = Path(__file__).parent / "migrations"


async def open_store(url: str) -> Store:
    """A store that is ready. A SQLite file that is not there yet is made. Raises StoreUnavailable."""
    store = Store(store_url(url))
    try:
        if store.is_new_file:
            await upgrade(store)
        elif store.is_sqlite:
            _check_file(store)
        await check(store)
    except BaseException:
        await store.close()
        raise
    return store


def _check_file(store: Store) -> None:
    """Raises StoreUnavailable. The driver's thread would say on standard error, too, that it cannot open a file."""
    try:
        connection = sqlite3.connect(f"{Path(store.url.database or '').absolute().as_uri()}?mode=rw", uri=True)
        try:
            connection.execute("PRAGMA schema_version")
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise unavailable(store.url, error) from error


async def upgrade(store: Store) -> tuple[str | None, str | None]:
    """Run what migrations are missing; the revisions before and after. Raises StoreUnavailable."""
    before = await revision(store)
    async with store.connecting() as connection:
        await connection.run_sync(_upgrade)
        await connection.commit()
    return before, await revision(store)


async def check(store: Store) -> None:
    """Raises StoreUnavailable when the schema is another than this program's."""
    found, wanted = await revision(store), newest_revision()
    if found != wanted:
        state = "is empty" if found is None else f"has schema {found}, this program needs {wanted}"
        hint = f"Run: tenantgate store upgrade --store {shown(store.url)}"
        raise StoreUnavailable(f"the store {shown(store.url)} {state}", hint=hint)


async def revision(store: Store) -> str | None:
    """The schema's revision; None: an empty database."""
    async with store.connecting() as connection:
        return await connection.run_sync(lambda sync: MigrationContext.configure(sync).get_current_revision())


@cache
def newest_revision() -> str | None:
    return ScriptDirectory.from_config(_config()).get_current_head()


def _upgrade(connection: Connection) -> None:
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.set_main_option("path_separator", "os")
    return config
