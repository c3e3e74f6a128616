"""What a principal may do in a tenant at a given time, all told: its roles, its tenant's standing, policies.

The gateway asks the same in parts that it keeps (proxy/gateway.py); this is for `explain`, tests and replay.
"""

from __future__ import annotations

from policy.abac.decide import Decider, decider_of
from policy.abac.facts import NOWHERE, Asker, Surroundings
from policy.access import Access
from policy.held_roles import held_roles
from policy.model import Principal, Tenant
from policy.rbac import resolve_access
from policy.snapshot import Snapshot
from policy.standing import standing_of


def effective_access(
    snapshot: Snapshot,
    principal: Principal,
    tenant: Tenant,
    now: float,
    surroundings: Surroundings = NOWHERE,
    decider: Decider | None = None,
) -> Access:
    """The access of a session that asks now (seconds since the epoch). decider: the snapshot's, if it is at hand."""
    roles = held_roles(snapshot, principal, tenant, now).keys
    access = resolve_access(snapshot, tenant, roles, read_only=standing_of(tenant, now).read_only)
    decider = decider or decider_of(snapshot)
    if decider is None:
        return access
    return decider.decide(access, Asker(principal, tenant, surroundings, now, roles))
