"""What the gateway would know of a tenant's place on its target."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from policy.model import Tenant
    from policy.sql.catalog import Catalog
    from proxy.config import TargetConfig


async def load_catalog_of(target: TargetConfig, tenant: Tenant) -> Catalog:
    """Ask the target. Raises TenantGateError when it cannot be reached."""
    from proxy.postgres.backend import connect_backend
    from proxy.postgres.catalog_loader import load_catalog

    database = tenant.database or target.database
    backend = await connect_backend(target, database, protocol_options={"application_name": "tenantgate policy"})
    try:
        return await load_catalog(backend.query, database, 1, rely_on_locks=target.relies_on_locks)
    finally:
        backend.close()
