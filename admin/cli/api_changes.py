"""Changes of tracked tables for the admin API, by the logins that tenants' places are made with."""

from __future__ import annotations

from collections.abc import Mapping

from admin.changes.history import IS_TRACKED, Asked, Change, history_query, whose
from admin.places.errors import PlaceFailed
from admin.services.errors import NotFound, ServiceError
from admin.services.provisioning import TargetAccess
from policy.model import Tenant


class ChangesUnavailable(ServiceError):
    """The target does not answer, or not this login."""

    status = 503
    title = "The target is not available"
    retryable = True


class TargetChanges:
    """Lifetime: the process's. targets: those with an administrator, by name."""

    __slots__ = ("_targets",)

    def __init__(self, targets: Mapping[str, TargetAccess]) -> None:
        self._targets = targets

    async def history(self, tenant: Tenant, asked: Asked) -> list[Change]:
        """Newest first. Raises NotFound where nothing is tracked, ChangesUnavailable."""
        access = self._targets.get(tenant.target)
        if access is None:
            raise NotFound(f"an administrator of target {tenant.target}")
        try:
            async with access.connect(tenant.database or access.home) as session:
                if await session.rows(IS_TRACKED) != [(True,)]:
                    return []
                return [Change.read(row[0]) for row in await session.rows(history_query(asked, whose(tenant)))]
        except PlaceFailed as error:
            hint = "Look at the API's log, and at [api.targets] of its configuration."
            raise ChangesUnavailable(f"changes could not be read: {error.message}", hint=hint) from error
