"""Whose quotas bound a tenant besides its own: those of the tenants above it, which hold for all below together.

A group is what one tenant and all below it use together. It is a usage like a tenant's (`proxy/quotas.py`), under a
name that no tenant can have, so that several workers count it in one row of their table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from policy.model import QuotaLimits, Tenant
from policy.snapshot import Snapshot
from policy.snapshot_index import index_of
from proxy.quotas import TenantUsage

NewUsage = Callable[[str, QuotaLimits, float], TenantUsage]


def bounding(snapshot: Snapshot, tenant: Tenant) -> Iterable[Tenant]:
    """The tenants whose group `tenant` is in and limits it: itself when others are below it, and those above."""
    seen: set[str] = set()
    here: Tenant | None = tenant
    while here is not None and here.id not in seen:
        seen.add(here.id)
        limits = here.quotas
        counts = (limits.connections, limits.concurrent_statements, limits.statements_per_s)
        periods = (limits.rows, limits.bytes, limits.backend_seconds)
        is_limited = any(limit is not None for limit in (*counts, *periods))
        if is_limited and (here is not tenant or _has_children(snapshot, here)):
            yield here
        here = snapshot.tenants.get(here.parent) if here.parent is not None else None


class QuotaGroups:
    """The groups of one process. Lifetime: the gateway's."""

    def __init__(self, new_usage: NewUsage) -> None:
        self._new_usage = new_usage
        self._groups: dict[str, TenantUsage] = {}

    def of(self, snapshot: Snapshot, tenant: Tenant, now: float) -> tuple[TenantUsage, ...]:
        """The groups that bound a tenant. now: seconds of the clock of quotas."""
        return tuple(self._group(each, now) for each in bounding(snapshot, tenant))

    def follow(self, snapshot: Snapshot, usages: Iterable[TenantUsage], now: float) -> None:
        """Take the tree and the limits of another snapshot; usages: those of tenants."""
        for name, group in self._groups.items():
            owner = snapshot.tenants.get(name)
            group.set_limits(QuotaLimits() if owner is None else owner.quotas, now, snapshot.version)
        for usage in usages:
            tenant = snapshot.tenants.get(usage.tenant)
            if usage.groups or (tenant is not None and (tenant.parent is not None or _has_children(snapshot, tenant))):
                usage.set_groups(() if tenant is None else self.of(snapshot, tenant, now))

    def _group(self, owner: Tenant, now: float) -> TenantUsage:
        group = self._groups.get(owner.id)
        if group is None:
            group = self._groups[owner.id] = self._new_usage(f"{owner.id}/", owner.quotas, now)
        return group


def _has_children(snapshot: Snapshot, tenant: Tenant) -> bool:
    return bool(index_of(snapshot).children.get(tenant.id))
