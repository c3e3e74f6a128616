"""What nobody may give who is bound to a tenant: permissions that reach beyond tenants, however they are come by."""

from __future__ import annotations

from admin.services.errors import Refused
from policy.model import Role
from policy.permissions import CONTROL_ACTIONS
from policy.role_tree import inherited
from policy.snapshot import Snapshot


def check_within_tenants(snapshot: Snapshot, role: Role, verb: str) -> None:
    """Raises Refused for a role that has, or inherits, a permission that is not within a tenant. verb: give, make …"""
    for each, _ in inherited(snapshot.roles, [role]).values():
        for permission in each.permissions:
            if permission.kind == "gateway" or (permission.kind in CONTROL_ACTIONS and permission.name == "*"):
                what = f"{permission.kind}:{permission.name}:{permission.action}"
                hint = f"{verb.capitalize()} one that ends at its tenant, or ask an operator of the gateway."
                raise Refused(f"role {role.name} gives {what}, which you may not {verb}", hint=hint)
