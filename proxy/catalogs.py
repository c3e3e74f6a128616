"""The catalogs of all databases in use: loaded once per (target, database), looked at again from time to time.

A catalog that was loaded again and is the same keeps its version, so plans stay. A database that cannot be
reached keeps the catalog it had.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from collections.abc import Callable

from policy.errors import TenantGateError
from policy.sql.catalog import Catalog
from proxy.config import TargetConfig
from proxy.postgres.backend import connect_backend
from proxy.postgres.catalog_loader import load_catalog

logger = logging.getLogger(__name__)

CatalogKey = tuple[str, str]  # target name, database


class Catalogs:
    """`on_change` is called when a catalog that sessions may hold got a new version."""

    __slots__ = ("_catalogs", "_loading", "_on_change", "_version")

    def __init__(self, on_change: Callable[[], None]) -> None:
        self._catalogs: dict[CatalogKey, Catalog] = {}
        self._loading: dict[CatalogKey, asyncio.Task[Catalog]] = {}
        self._on_change = on_change
        self._version = 0

    def __getitem__(self, key: CatalogKey) -> Catalog:
        return self._catalogs[key]

    def known(self, target: str, database: str) -> Catalog | None:
        """The catalog that was loaded last."""
        return self._catalogs.get((target, database))

    async def get(self, target: TargetConfig, database: str) -> Catalog:
        """The catalog, loaded when it is not there yet. Raises TargetUnavailable."""
        known = self._catalogs.get((target.name, database))
        return known if known is not None else await self.reload(target, database)

    async def reload(self, target: TargetConfig, database: str) -> Catalog:
        """Load it now; all who ask meanwhile share one load."""
        key = (target.name, database)
        task = self._loading.get(key)
        if task is None:
            task = self._loading[key] = asyncio.create_task(self._load(target, database))
            task.add_done_callback(lambda _: self._loading.pop(key, None))
        return await asyncio.shield(task)

    async def reload_changed(self, target: TargetConfig, database: str) -> Catalog:
        """As `reload`, after a change: a load that began before it is waited for and does not count."""
        running = self._loading.get((target.name, database))
        if running is not None:
            await asyncio.wait([running])
        return await self.reload(target, database)

    async def _load(self, target: TargetConfig, database: str) -> Catalog:
        key = (target.name, database)
        backend = await connect_backend(target, database, protocol_options={"application_name": "tenantgate catalog"})
        try:
            version = self._version + 1
            loaded = await load_catalog(backend.query, database, version, rely_on_locks=target.relies_on_locks)
        finally:
            backend.close()
        known = self._catalogs.get(key)
        if known is not None and dataclasses.replace(loaded, version=known.version) == known:
            return known
        self._version = max(self._version, loaded.version)
        self._catalogs[key] = loaded
        if known is not None:
            logger.info("catalog changed", extra={"target": target.name, "database": database})
            self._on_change()
        return loaded

    async def refresh(self, targets: dict[str, TargetConfig]) -> None:
        """Look at every catalog again; what cannot be reached stays as it was."""
        for name, database in tuple(self._catalogs):
            target = targets.get(name)
            if target is None:
                continue
            try:
                await self.reload(target, database)
            except TenantGateError as error:
                logger.debug("catalog of %s/%s not refreshed: %s", name, database, error.message)
