"""What a gateway does for quotas besides counting: keeps the table, measures what tenants store, tells what is reached.

Lifetime: the gateway's.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from policy.errors import TenantGateError
from policy.model import Isolation, QuotaLimits, Tenant
from policy.second_lock import SETTING, claim_of, setting_value
from policy.snapshot import Snapshot
from proxy.postgres.backend import connect_backend
from proxy.quota_measure import measure, tables_of
from proxy.quota_shares import ShareKeeper
from proxy.quota_state import StateFile, state_path
from proxy.quota_tree import QuotaGroups
from proxy.quotas import QuotaKeeping, TenantUsage, too_many_users
from proxy.workers.channel import PeerGone
from proxy.workers.subjects import Subjects
from proxy.workers.table import TABLES, QuotaTable, create_table
from proxy.workers.usage import SharedUsage

if TYPE_CHECKING:
    from proxy.gateway import Gateway

logger = logging.getLogger(__name__)

_SETTLE_S, _SETTLE_TRIES = 0.02, 50
_APPLICATION = {"application_name": "tenantgate quotas", "jit": "off"}


class QuotaCare:
    """`usage`: of every tenant that has logged in here."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._own_table: QuotaTable | None = None
        self._state = StateFile(state_path(gateway.config))
        self._redis = gateway.config.quotas.redis
        self._keeping = QuotaKeeping(
            self.table, gateway.recorder.quota, None if self._redis is None else self._redis.when_away
        )
        self._shares: ShareKeeper | None = None
        self._groups = QuotaGroups(self._new)
        self.usage: dict[str, TenantUsage] = {}
        self._measuring = False
        self._subjects = Subjects()

    def table(self) -> QuotaTable:
        """The workers' own; of a gateway without workers one that is made when it is needed."""
        if self._gateway.peers is not None:
            return self._gateway.peers.table
        if self._own_table is None:
            self._own_table = QuotaTable(create_table(), 1, alone=True)
            self._state.load(self._own_table)
            self._gateway.spawn(self._state.keep(self._own_table))
            if self._redis is not None:
                self._shares = ShareKeeper(self._redis, self._own_table, lambda: self._gateway.snapshot)
                self._gateway.spawn(self._shares.keep())
        return self._own_table

    async def close(self) -> None:
        """Keep what was used; with workers it is the supervisor who does."""
        if self._shares is not None:
            await self._shares.close()
            self._shares = None
        if self._own_table is not None:
            self._state.save(self._own_table)

    @property
    def shares_up(self) -> bool | None:
        """Whether the fleet's keeper of quotas answers; None: there is none here."""
        return None if self._shares is None else self._shares.is_up

    @property
    def problem(self) -> str:
        """Why limits of the fleet do not hold, "" when they do."""
        return "" if self._shares is None else self._shares.problem

    def of(self, tenant: Tenant) -> TenantUsage:
        usage = self.usage.get(tenant.id)
        if usage is None:
            now = self._gateway.clock()
            usage = self._new(tenant.id, tenant.quotas, now)
            usage.set_groups(self._groups.of(self._gateway.snapshot, tenant, now))
            self.usage[tenant.id] = usage
        return usage

    def _new(self, name: str, limits: QuotaLimits, now: float) -> TenantUsage:
        """Of a tenant, or of a group of them."""
        if self._gateway.peers is None and self._redis is None:
            return TenantUsage(name, limits, now, self._keeping)
        return SharedUsage(name, limits, now, self.table(), self._gateway.snapshot.version, self._keeping)

    def take_policy(self, snapshot: Snapshot, before: Mapping[str, Tenant], now: float) -> None:
        """Other limits and another tree from now on. before: the tenants so far."""
        for name, usage in self.usage.items():
            tenant = snapshot.tenants.get(name)
            if tenant is not None and tenant is not before.get(name):
                usage.set_limits(tenant.quotas, now, snapshot.version)
        self._groups.follow(snapshot, self.usage.values(), now)

    # Users

    async def enter(self, tenant: Tenant, subject: str) -> bool:
        """Count a session's subject where the tenant's users are limited; whether it is to leave again. Raises
        QuotaExceeded (53300), also when nobody can tell how many there are."""
        limit = tenant.quotas.users
        if limit is None:
            return False
        peers, soft = self._gateway.peers, tenant.quotas.is_soft("users")
        hard = None if soft else limit
        try:
            if peers is None:
                users = self._subjects.enter(0, tenant.id, subject, hard)
            else:
                users = await peers.enter_user(tenant.id, subject, hard)
        except PeerGone:
            raise too_many_users(tenant.id, limit) from None
        if users == 0:
            raise too_many_users(tenant.id, limit)
        self.of(tenant).note_users(users)
        return True

    async def make_room(self, tenant: Tenant) -> None:
        """Before a session is admitted: let the fleet's keeper grant room for it, which takes a moment."""
        if self._redis is None:
            return
        usage = self.of(tenant)
        for _ in range(_SETTLE_TRIES):
            if usage.has_share():
                return
            await asyncio.sleep(_SETTLE_S)

    async def settle(self, tenant: Tenant) -> None:
        """Before a tenant's first statement: let the fleet's keeper grant it something, which takes a moment."""
        ledger = self.of(tenant).ledger
        if ledger is None or self._redis is None:
            return
        for _ in range(_SETTLE_TRIES):
            if ledger.has_shares():
                return
            await asyncio.sleep(_SETTLE_S)

    def leave(self, tenant: Tenant, subject: str) -> None:
        """A session that has entered has ended."""
        if self._gateway.peers is None:
            self.of(tenant).users = self._subjects.leave(0, tenant.id, subject)
        else:
            self._gateway.peers.leave_user(tenant.id, subject)

    # Storage and tables

    def count_tables(self, tenant: Tenant, *, after_ddl: bool) -> None:
        """As the catalog has them, which was read anew after DDL. At a login it may be older than what is known."""
        usage = self.usage.get(tenant.id)
        if usage is None or usage.ledger is None or usage.limits.tables is None:
            return
        if not after_ddl and usage.ledger.measured(TABLES) is not None:
            return
        catalog = self._gateway.catalog_of(tenant)
        if catalog is not None:
            usage.ledger.put_measured(None, tables_of(tenant, catalog), time.time())

    def look(self) -> None:
        """Measure what is due, of tenants with sessions. One process of the machine does it for all."""
        if self._measuring:
            return
        wall, interval_s = time.time(), self._gateway.config.quotas.storage_interval_s
        due = [
            tenant
            for name, usage in self.usage.items()
            if usage.ledger is not None
            and (usage.limits.storage_bytes is not None or usage.limits.tables is not None)
            and usage.connections
            and (tenant := self._gateway.snapshot.tenants.get(name)) is not None
            and usage.ledger.claim_measuring(wall, interval_s)
        ]
        if due:
            self._measuring = True
            self._gateway.spawn(self._measure(due))

    async def _measure(self, due: list[Tenant]) -> None:
        try:
            for tenant in due:
                try:
                    await self._measure_one(tenant)
                except (TenantGateError, ValueError, KeyError) as error:
                    logger.warning("storage not measured: %s", error, extra={"tenant": tenant.id})
        finally:
            self._measuring = False

    async def _measure_one(self, tenant: Tenant) -> None:
        gateway, usage = self._gateway, self.usage[tenant.id]
        target = gateway.target(tenant)
        options = dict(_APPLICATION)
        if target.native and tenant.isolation is not Isolation.DATABASE:
            options[SETTING] = setting_value(claim_of(tenant), target.setting_key)
        backend = await connect_backend(target, tenant.database or target.database, protocol_options=options)
        try:
            found = await measure(backend.query, tenant, gateway.snapshot.tables.get(target.name, ()))
        finally:
            backend.close()
        if usage.ledger is not None:
            usage.ledger.put_measured(found.storage, found.tables, time.time())
