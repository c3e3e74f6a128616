"""Who asks a service for something, and what it may do and see.

Permissions are those of the control plane (`policy/permissions.py`): `tenant:own:read`, `user:children:write`,
`token:*:*`. `own` is the actor's tenant, `children` the tenants below it at any depth, `*` every tenant and what is
nobody's. What lies outside of all that an actor may read does not exist for it: NotFound, as for what is not there.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from admin.services.errors import NotFound, Refused
from policy.model import Permission

_SERVICES = ("tenant", "user", "role", "policy", "quota", "flag", "session", "token", "target", "audit", "compliance")


def permissions_for(scope: str, action: str = "*", kinds: Collection[str] = _SERVICES) -> frozenset[Permission]:
    """The same action on each kind. scope: own, children or *."""
    return frozenset(Permission(kind, scope, action) for kind in kinds)


EVERYTHING = permissions_for("*")


@dataclass(frozen=True, slots=True)
class Actor:
    """subject, client (address), via (api, cli): for the audit log. tenant: what `own` means; None: of no tenant.

    permissions: of the control plane; others mean nothing here, and none are no rights at all.
    """

    subject: str
    tenant: str | None = None
    permissions: frozenset[Permission] = frozenset()
    client: str = ""
    via: str = ""

    def scopes(self, kind: str, action: str) -> frozenset[str]:
        """In which of own, children and * it may do this. action: read or write; who writes may read."""
        words = {action, "*"} | ({"write"} if action == "read" else set())
        return frozenset(p.name for p in self.permissions if p.kind == kind and p.action in words)

    @property
    def is_operator(self) -> bool:
        """It reads every tenant."""
        return "*" in self.scopes("tenant", "read")

    def may_everywhere(self, kind: str, action: str) -> bool:
        return "*" in self.scopes(kind, action)

    def may_in(self, kind: str, action: str, tenant: str, above: Collection[str]) -> bool:
        """above: the ids of the tenants over `tenant`, its parent and so on."""
        scopes = self.scopes(kind, action)
        if "*" in scopes:
            return True
        if self.tenant is None:
            return False
        return ("own" in scopes and tenant == self.tenant) or ("children" in scopes and self.tenant in above)

    def require_everywhere(self, kind: str, action: str, what: str) -> None:
        """Raises Refused for who may do this in some tenants only, or not at all."""
        if not self.may_everywhere(kind, action):
            raise Refused(f"{what} is for who has {kind}:*:{action}", hint="Ask an operator of the gateway.")

    def require_in(self, kind: str, action: str, tenant: str, above: Collection[str], what: str) -> None:
        """Raises NotFound when it may not read this either, else Refused."""
        if self.may_in(kind, action, tenant, above):
            return
        if not self.may_in(kind, "read", tenant, above):
            raise NotFound(what)
        raise Refused(f"{what} may be read but not changed by you", hint=f"It takes {kind}:…:{action}.")
