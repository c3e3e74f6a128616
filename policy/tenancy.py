"""Which tenant a session belongs to: the credential is the authority, everything else only selects among it.

Pure. A selector is a name that the client gave: the database, `user@tenant`, `options=-c tenantgate.tenant=…`, the
TLS server name. Every selector that is present must agree on one and the same tenant that the principal allows.

Nothing can be enumerated: a selector is looked up among the principal's own tenants, and those below that its roles let
it use, so that a foreign tenant and one that does not exist give the same error, text and all. Call this after
authentication only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import inf

from policy.errors import AuthenticationError, TenantRefused
from policy.model import Principal, Tenant, TenantStatus
from policy.standing import standing_of

UNKNOWN_DATABASE = "3D000"
_NOT_SERVED = {
    TenantStatus.TRIAL: "is suspended: its trial has ended",
    TenantStatus.DELETING: "is being deleted",
}


@dataclass(frozen=True, slots=True)
class Selectors:
    """The names that a client gave; None: not given. `sni` is the tenant part of the server name."""

    database: str | None = None
    user_suffix: str | None = None
    option: str | None = None
    sni: str | None = None


Reach = Callable[[Principal, str], Tenant | None]  # a tenant below the principal's own that it may use, by its id


def reach_nobody(_principal: Principal, _name: str) -> Tenant | None:
    """For who has no tree."""
    return None


def resolve_tenant(
    principal: Principal,
    selectors: Selectors,
    tenants: Mapping[str, Tenant],
    now: float = inf,
    reach: Reach = reach_nobody,
) -> Tenant:
    """Return the one tenant that principal and selectors agree on. now: seconds since the epoch.

    Raises TenantRefused: 3D000 when the database names none of the principal's tenants, 28000 when another selector
    does not, when selectors contradict each other, when several tenants are left, or when the tenant is not served.
    """
    allowed = [tenants[name] for name in sorted(principal.tenants) if name in tenants]
    if not allowed:
        raise TenantRefused(
            "the tenant of this login is not served here",
            hint="Ask your administrator whether the tenant exists on this gateway.",
        )
    left = allowed = [*allowed, *_below(principal, selectors, reach)]
    for kind, named in _named(selectors, allowed):
        left = [tenant for tenant in left if tenant in named]
        if not left:
            raise TenantRefused(
                f"the {kind} contradicts another selection of the tenant",
                hint="Name the same tenant everywhere, or in one place only.",
            )
    return _usable(_only(left), now)


def _below(principal: Principal, selectors: Selectors, reach: Reach) -> list[Tenant]:
    """The tenants that are selected by their id and are none of the principal's own, but below them."""
    names = dict.fromkeys((selectors.database, selectors.user_suffix, selectors.option, selectors.sni))
    found = (reach(principal, name) for name in names if name is not None and name not in principal.tenants)
    return [tenant for tenant in found if tenant is not None]


def suffix_of_user(user: str, principal: Principal) -> str | None:
    """The tenant that the startup packet's user name selects: `alice@acme` for subject alice, or a tenant's id.

    The user name must be the principal's subject, exactly, or with `@tenant`, or the id of a tenant that its
    credentials allow. Anything else is somebody else's name: AuthenticationError. A subject that contains `@` (a
    mail address) stands for itself.
    """
    if user == principal.subject:
        return None
    if user in principal.tenants:
        return user
    name, at, suffix = user.rpartition("@")
    if at and name == principal.subject:
        return suffix
    raise AuthenticationError("the user name is neither the subject of the credentials nor one of their tenants")


def tenant_from_server_name(server_name: str | None, suffix: str | None) -> str | None:
    """`acme.db.example.com` under suffix `.db.example.com` selects `acme`; other server names select nothing."""
    if not server_name or not suffix:
        return None
    name, ending = server_name.lower().rstrip("."), "." + suffix.lower().strip(".")
    return name.removesuffix(ending) if name.endswith(ending) else None


def _named(selectors: Selectors, allowed: list[Tenant]) -> list[tuple[str, list[Tenant]]]:
    """Each selector with the principal's tenants that it names, at least one."""
    found = []
    if selectors.database is not None:
        found.append(("database name", _by_database(selectors.database, allowed)))
    for kind, name in (("user name", selectors.user_suffix), ("option tenantgate.tenant", selectors.option)):
        if name is not None:
            named = [tenant for tenant in allowed if tenant.id == name]
            found.append((kind, _available(named, kind, name)))
    if selectors.sni is not None:
        # Server names have no case (RFC 4343).
        named = [tenant for tenant in allowed if tenant.id.lower() == selectors.sni.lower()]
        found.append(("TLS server name", _available(named, "TLS server name", selectors.sni)))
    return found


def _by_database(name: str, allowed: list[Tenant]) -> list[Tenant]:
    """The tenant with that id, else those whose database on the target has that name."""
    named = [tenant for tenant in allowed if tenant.id == name]
    named = named or [tenant for tenant in allowed if tenant.database == name]
    if not named:
        raise TenantRefused(
            f'database "{name}" does not exist',
            sqlstate=UNKNOWN_DATABASE,
            hint="Connect to a database with the name of your tenant.",
        )
    return named


def _available(named: list[Tenant], kind: str, name: str) -> list[Tenant]:
    if not named:
        raise TenantRefused(
            f'tenant "{name}" is not available to this login',
            detail=f"It was selected by the {kind}.",
            hint="Name a tenant that your credentials allow.",
        )
    return named


def _only(left: list[Tenant]) -> Tenant:
    if len(left) > 1:
        raise TenantRefused(
            "this login has several tenants and none was selected",
            hint="Connect to a database with the tenant's name, or as user@tenant.",
        )
    return left[0]


def _usable(tenant: Tenant, now: float) -> Tenant:
    if not standing_of(tenant, now).is_served:
        what = _NOT_SERVED.get(tenant.status, "is suspended")
        raise TenantRefused(
            f'tenant "{tenant.id}" {what}',
            hint="Ask your administrator to reactivate the tenant.",
        )
    return tenant
