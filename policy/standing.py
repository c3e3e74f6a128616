"""What a tenant's status lets it do at a given time: everything, only read, or nothing."""

from __future__ import annotations

from dataclasses import dataclass

from policy.model import Tenant, TenantStatus


@dataclass(frozen=True, slots=True)
class Standing:
    """is_served: sessions may log in and go on. read_only: why nothing may be changed; "": it may.

    until: seconds since the epoch from which on it is another one; None: only a change of the policy changes it.
    """

    is_served: bool
    read_only: str = ""
    until: float | None = None


_FULL = Standing(True)
_NOT_SERVED = Standing(False)
_SWITCHED = Standing(True, "changes are switched off for this tenant")
_EXPIRED = Standing(True, "the tenant has expired")


def standing_of(tenant: Tenant, now: float) -> Standing:
    """Where a tenant of a snapshot stands. now: seconds since the epoch."""
    status = tenant.status
    if status in (TenantStatus.SUSPENDED, TenantStatus.DELETING):
        return _NOT_SERVED
    if status is TenantStatus.EXPIRED:
        return _EXPIRED
    full = _SWITCHED if "write" in tenant.off else _FULL
    if status is not TenantStatus.TRIAL:
        return full
    if tenant.trial_ends is None:
        return _NOT_SERVED
    suspended_at = tenant.trial_ends + tenant.trial_grace_s
    if now < tenant.trial_ends:
        return Standing(True, full.read_only, tenant.trial_ends)
    return Standing(True, "the trial has ended", suspended_at) if now < suspended_at else _NOT_SERVED


def next_of(*times: float | None) -> float | None:
    """The earliest; None: never."""
    return min((time for time in times if time is not None), default=None)
