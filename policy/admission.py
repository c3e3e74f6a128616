"""Whether a principal may have a session in a tenant at a given time, and what it holds there.

Asked at login, after every change of the policy, and whenever what was told ends by itself (`until`): an assignment
expires, a trial ends.
"""

from __future__ import annotations

from dataclasses import dataclass

from policy.errors import TenantRefused
from policy.held_roles import held_roles, may_use_children
from policy.model import Principal, Tenant
from policy.snapshot import Snapshot
from policy.standing import next_of, standing_of


@dataclass(frozen=True, slots=True)
class Admission:
    """roles: keys of held_roles.py. read_only: why nothing may be changed, "": it may. until: seconds since the epoch
    from which on it must be asked again, None: only after a change of the policy."""

    roles: frozenset[str]
    read_only: str = ""
    until: float | None = None


def admission_of(snapshot: Snapshot, principal: Principal, tenant_id: str, now: float) -> Admission:
    """What a principal holds in a tenant. Raises TenantRefused (57P01) when it may have no session there (any more)."""
    tenant = snapshot.tenants.get(tenant_id)
    standing = None if tenant is None else standing_of(tenant, now)
    if tenant is None or standing is None or not standing.is_served:
        raise TenantRefused(f'tenant "{tenant_id}" is suspended or gone', sqlstate="57P01")
    held = held_roles(snapshot, principal, tenant, now)
    if tenant_id not in principal.tenants and not held.keys:
        raise TenantRefused(f'tenant "{tenant_id}" may no longer be used by this login', sqlstate="57P01")
    return Admission(held.keys, standing.read_only, next_of(standing.until, held.until))


def console_admission(snapshot: Snapshot, principal: Principal, now: float) -> Admission:
    """What a principal holds outside of all tenants: roles of its credentials, and those assigned everywhere."""
    held = held_roles(snapshot, principal, None, now)
    return Admission(held.keys, until=held.until)


def reach_child(snapshot: Snapshot, principal: Principal, name: str, now: float) -> Tenant | None:
    """The tenant with this id if it is below one of the principal's own and it may have sessions there."""
    tenant = snapshot.tenants.get(name)
    if tenant is None:
        return None
    above, seen = tenant.parent, {tenant.id}
    while above is not None and above not in seen:
        seen.add(above)
        home = snapshot.tenants.get(above)
        if home is None:
            return None
        if home.id in principal.tenants:
            served = standing_of(home, now).is_served
            return tenant if served and may_use_children(snapshot, principal, home, now) else None
        above = home.parent
    return None
