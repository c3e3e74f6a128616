"""Changes go when the audit log's own retention has them go: by tenant, never what a legal hold covers."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Any

from admin.changes.history import prune_query, whose
from admin.provision.facts import Query
from admin.provision.steps import literal
from admin.retention import FOR_EVER, days_of
from admin.retention_ledger import holds_in_force, record
from policy.model import Isolation, Tenant
from proxy.config import AuditConfig

_DAY_S = 86_400.0
NOBODYS = ""  # rows of global tables, definitions of shared ones


async def prune(query: Query, config: AuditConfig, tenants: Sequence[Tenant]) -> dict[str, int]:
    """Remove what is older, in a database of these tenants; how many rows of each. Raises OSError, ValueError."""
    holds, now = holds_in_force(config), time.time()
    removed: dict[str, int] = {}
    for tenant in tenants:
        days = days_of(config, tenant.id)
        if days < FOR_EVER and not any(hold.covers(tenant.id, None) for hold in holds):
            removed[tenant.id] = await _remove(query, whose(tenant), now - days * _DAY_S)
    days = days_of(config, NOBODYS)
    if days < FOR_EVER and not holds and all(tenant.isolation is not Isolation.DATABASE for tenant in tenants):
        schemas = [literal(tenant.schema) for tenant in tenants if tenant.schema]
        others = f"c.tenant_value IS NULL AND c.relation_schema <> ALL (ARRAY[{', '.join(schemas)}]::text[])"
        removed[NOBODYS] = await _remove(query, others, now - days * _DAY_S)
    return removed


def record_pruning(config: AuditConfig, answers: Iterable[dict[str, Any]]) -> None:
    """Write into the ledger what was removed, as removed files of the log are."""
    entries = [
        {
            "event": "changes-removed",
            "target": answer["target"],
            "database": answer["database"],
            "tenant": tenant,
            "rows": rows,
        }
        for answer in answers
        for tenant, rows in answer["removed"].items()
        if rows
    ]
    if entries:
        record(config, *entries)


async def _remove(query: Query, visible: str, before: float) -> int:
    return int((await query(prune_query(visible, before)))[0][0] or 0)
