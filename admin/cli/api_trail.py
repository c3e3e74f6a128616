"""The data plane's audit log for the admin API: searched, reported on, replayed. Blocking work is done in threads."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from admin.audit_search.indexer import update_index
from admin.audit_search.query import BadQuery, Query, Scope
from admin.audit_search.schema import default_index_path
from admin.audit_search.search import search
from admin.compliance.controls import UnknownFramework
from admin.services.errors import Invalid, NotFound, ServiceError

if TYPE_CHECKING:
    from policy.snapshot import Snapshot
    from proxy.config import GatewayConfig

T = TypeVar("T")


class TrailUnavailable(ServiceError):
    """The log or its index cannot be read."""

    status = 503
    title = "The audit log is not available"
    retryable = True


class LocalTrail:
    """The log that the configuration names, with its index beside it."""

    __slots__ = ("_config", "_log")

    def __init__(self, config: GatewayConfig) -> None:
        self._config = config
        self._log: Path = config.audit.path

    async def search(
        self, query: Query, scope: Scope, limit: int, cursor: str | None, budget_s: float
    ) -> tuple[list[dict[str, Any]], str | None]:
        """Brings the index up to date first. Raises Invalid, TrailUnavailable."""
        return await self._in_thread(lambda: self._search(query, scope, limit, cursor, budget_s))

    def _search(
        self, query: Query, scope: Scope, limit: int, cursor: str | None, budget_s: float
    ) -> tuple[list[dict[str, Any]], str | None]:
        index = default_index_path(self._log)
        update_index(index, self._log)
        page = search(index, query, scope, limit=limit, cursor=cursor, budget_s=budget_s)
        return [hit.as_json() for hit in page.hits], page.next_cursor

    async def report(
        self, snapshot: Snapshot, framework: str, since: float, until: float, tenant: str | None
    ) -> dict[str, Any]:
        """Raises NotFound (an unknown framework), TrailUnavailable."""
        from admin.compliance.report import Asked, make_report

        asked = Asked(framework, since, until, tenant)
        try:
            return await self._in_thread(lambda: make_report(asked, self._log, config=self._config, snapshot=snapshot))
        except UnknownFramework:
            raise NotFound(f'framework "{framework[:32]}"') from None

    async def replay(
        self, before: Snapshot, after: Snapshot, since: float | None, until: float | None
    ) -> dict[str, Any]:
        """Raises TrailUnavailable, TenantGateError for a target that cannot be reached."""
        from admin.cli.policy_replay import load_catalogs
        from policy.replay import Policies, replay

        events = await self._in_thread(lambda: list(self._events(since, until)))
        catalogs = await load_catalogs(self._config, before, events)
        policies = Policies(before), Policies(after, drafts=True)
        found = await self._in_thread(lambda: replay(events, *policies, lambda tenant: catalogs.get(tenant.id)))
        return found.as_dict()

    def _events(self, since: float | None, until: float | None) -> Iterator[dict[str, Any]]:
        """The events of the period; logins before it, too, since sessions go on."""
        from proxy.audit.log_files import find_log_files

        end = time.time() if until is None else until
        for file in find_log_files(self._log):
            with file.path.open(encoding="utf-8") as lines:
                for line in lines:
                    if not line.endswith("\n"):
                        break  # being written
                    event = json.loads(line)
                    at = float(event.get("time", 0.0))
                    early = since is not None and at < since and event.get("event") not in ("login", "logout")
                    if at < end and not early:
                        yield event

    async def _in_thread(self, work: Callable[[], T]) -> T:
        try:
            return await asyncio.to_thread(work)
        except BadQuery as error:
            raise Invalid((("query", error.message, error.hint or ""),)) from None
        except (OSError, ValueError, sqlite3.Error) as error:
            raise TrailUnavailable(f"the audit log cannot be read: {type(error).__name__}") from error
