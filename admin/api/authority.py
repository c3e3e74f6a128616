"""What a principal may do on the control plane: the permissions of the roles that it holds, less what is denied to it.

`*` is everybody's tenants: it counts in a role that is held everywhere, by an assignment to tenant `*`. The word of one
tenant's token, or an assignment in one tenant, reaches that tenant and those below it, whatever the role says.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from policy.held_roles import denied_of, held_roles, permissions_of
from policy.model import Permission, Principal
from policy.permissions import CONTROL_ACTIONS
from policy.snapshot import Snapshot
from policy.standing import standing_of

_IMPLIED = {"read": ("read",), "write": ("read", "write"), "use": ("use",), "*": ("read", "write", "use")}
_DENIED = {"read": ("read", "write"), "write": ("write",), "use": ("use",), "*": ("read", "write", "use")}
_SCOPES = ("own", "children", "*")


def control_permissions(
    snapshot: Snapshot, principal: Principal, tenant_id: str | None, now: float
) -> frozenset[Permission]:
    """In the tenant of its credentials. Of one that is not there or not served, only what is held everywhere counts."""
    tenant = None if tenant_id is None else snapshot.tenants.get(tenant_id)
    held = held_roles(snapshot, principal, tenant, now)
    local = held.keys - held.everywhere
    if tenant is None or not standing_of(tenant, now).is_served:
        local = frozenset()
    granted = set(_granted(snapshot, held.everywhere, _SCOPES)) | set(_granted(snapshot, local, ("own", "children")))
    denied = {
        each for permission, _ in denied_of(snapshot, held.keys) for each in _single(permission, _DENIED, _SCOPES)
    }
    return frozenset(granted - denied)


def _granted(snapshot: Snapshot, keys: Iterable[str], scopes: tuple[str, ...]) -> Iterator[Permission]:
    for permission in permissions_of(snapshot, keys):
        yield from _single(permission, _IMPLIED, scopes)


def _single(
    permission: Permission, actions: dict[str, tuple[str, ...]], scopes: tuple[str, ...]
) -> Iterator[Permission]:
    """One for each scope and action that it covers, of those that there are."""
    if permission.kind not in CONTROL_ACTIONS:
        return
    for scope in scopes if permission.name == "*" else (permission.name,):
        for action in actions[permission.action]:
            yield Permission(permission.kind, scope, action)
