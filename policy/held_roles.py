"""Which roles a principal holds in a tenant: those that its credentials name, and those that are assigned to it.

Names are resolved here, once: a name in a token means a role that the policy defines, the tenant's own or everybody's,
never a built-in one (docs/decisions/0032). Roles are told from here on by `key_of_role`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from policy.builtin_roles import BUILTIN_ROLES
from policy.model import EVERYWHERE, Assignment, Permission, Principal, Role, Tenant
from policy.role_tree import find_role, inherited
from policy.snapshot import Snapshot
from policy.snapshot_index import index_of
from policy.standing import next_of

_USE = ("use", "*")


@dataclass(frozen=True, slots=True)
class HeldRoles:
    """Keys of roles. everywhere: those of them that are held in every tenant. until: seconds since the epoch from which
    on it must be asked again, None: only after a change of the policy. unknown: names that mean nothing here."""

    keys: frozenset[str]
    everywhere: frozenset[str] = frozenset()
    until: float | None = None
    unknown: tuple[str, ...] = ()


def held_roles(snapshot: Snapshot, principal: Principal, tenant: Tenant | None, now: float) -> HeldRoles:
    """What a principal holds in a tenant; None: outside of all, as for the gateway's own console.

    In a tenant below the principal's own it holds those of its roles there that give `tenant:children:use`.
    now: seconds since the epoch.
    """
    home = None if tenant is None else home_of(snapshot, principal, tenant)
    if tenant is not None and home is None:
        return HeldRoles(frozenset())
    named, unknown = _named(snapshot, principal.roles, home)
    everywhere, until = _assigned(snapshot, principal, EVERYWHERE, now)
    keys = {key_of_role(role, snapshot.roles) for role in named}
    if home is not None:
        local, local_until = _assigned(snapshot, principal, home, now)
        keys |= local
        until = next_of(until, local_until)
    keys |= everywhere
    if tenant is not None and home != tenant.id:
        keys = set(_that_reach_children(snapshot, keys))
    return HeldRoles(frozenset(keys), everywhere & keys, until, unknown)


def home_of(snapshot: Snapshot, principal: Principal, tenant: Tenant) -> str | None:
    """The tenant by which a principal's credentials reach `tenant`: itself, or the nearest one above it."""
    seen: set[str] = set()
    above: str | None = tenant.id
    while above is not None and above not in seen:
        if above in principal.tenants:
            return above
        seen.add(above)
        found = snapshot.tenants.get(above)
        above = None if found is None else found.parent
    return None


def may_use_children(snapshot: Snapshot, principal: Principal, home: Tenant, now: float) -> bool:
    """Whether a principal of `home` may have sessions in the tenants below."""
    held = held_roles(snapshot, principal, home, now)
    return any(_that_reach_children(snapshot, held.keys))


def key_of_role(role: Role, roles: Mapping[str, Role]) -> str:
    """The name; of a built-in role with `/` before it, so that nobody can take another role for it by its name."""
    return role.name if roles.get(role.name) is role else f"/{role.name}"


def roles_of_keys(roles: Mapping[str, Role], keys: Iterable[str]) -> list[Role]:
    """The roles in the order of their names; a key that means no role gives none."""
    found = (roles.get(key) or BUILTIN_ROLES.get(key[1:] if key.startswith("/") else "") for key in sorted(keys))
    return [role for role in found if role is not None]


def permissions_of(snapshot: Snapshot, keys: Iterable[str]) -> Iterator[Permission]:
    """What these roles grant, with all that they inherit and before anything is denied."""
    for role, _ in inherited(snapshot.roles, roles_of_keys(snapshot.roles, keys)).values():
        yield from role.permissions


def denied_of(snapshot: Snapshot, keys: Iterable[str]) -> Iterator[tuple[Permission, str]]:
    """What these roles deny, and the name of the role that does."""
    for role, _ in inherited(snapshot.roles, roles_of_keys(snapshot.roles, keys)).values():
        for permission in role.deny:
            yield permission, role.name


def assignments_of(snapshot: Snapshot, principal: Principal, tenant: str) -> Iterator[Assignment]:
    """Assignments that are for this principal in a tenant (or `*`), whether they have expired or not."""
    assigned = index_of(snapshot).assigned
    who = [("subject", "", principal.subject)]
    who += [("group", "", group) for group in principal.groups]
    who += [("role", "", role) for role in principal.roles]
    who += [("claim", name, value) for name, value in principal.attributes.items()]
    for kind, key, value in who:
        for assignment in assigned.get((kind, key, value, tenant), ()):
            if assignment.issuer in ("", principal.issuer):
                yield assignment


def _named(snapshot: Snapshot, names: Iterable[str], tenant: str | None) -> tuple[list[Role], tuple[str, ...]]:
    found, unknown = [], []
    for name in sorted(names):
        role = find_role(snapshot.roles, name, tenant)
        if role is None or snapshot.roles.get(role.name) is not role:
            unknown.append(name)
        else:
            found.append(role)
    return found, tuple(unknown)


def _assigned(snapshot: Snapshot, principal: Principal, tenant: str, now: float) -> tuple[frozenset[str], float | None]:
    """Keys of the roles that are assigned, and when the first of these assignments expires."""
    keys: set[str] = set()
    until: float | None = None
    for assignment in assignments_of(snapshot, principal, tenant):
        if assignment.expires is not None:
            if assignment.expires <= now:
                continue
            until = next_of(until, assignment.expires)
        for name in assignment.roles:
            role = find_role(snapshot.roles, name, None if tenant == EVERYWHERE else tenant)
            if role is not None:
                keys.add(key_of_role(role, snapshot.roles))
    return frozenset(keys), until


def _that_reach_children(snapshot: Snapshot, keys: Iterable[str]) -> Iterator[str]:
    """Of these roles those that count in the tenants below, too; none as soon as one of them denies it."""
    keys = list(keys)
    denied = {p.name for p, _ in denied_of(snapshot, keys) if p.kind == "tenant" and p.action in _USE}
    if denied & {"children", "*"}:
        return
    for key in keys:
        if any(
            p.kind == "tenant" and p.name in ("children", "*") and p.action in _USE
            for p in permissions_of(snapshot, [key])
        ):
            yield key
