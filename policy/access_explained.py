"""Which rule gave what: how each role came to a principal, and what it gives, denies, filters and masks of a relation.

For `tenantgate explain` and the API's /explain. Tells what resolve_access of the same roles decides, and why.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from policy.actions import DENIED, GRANTED
from policy.builtin_roles import BUILTIN_ROLES
from policy.denials import covers
from policy.held_roles import HeldRoles, assignments_of, held_roles, home_of, key_of_role, roles_of_keys
from policy.model import (
    EVERYWHERE,
    Assignment,
    Isolation,
    Permission,
    Principal,
    Role,
    TableClass,
    Tenant,
    TenantStatus,
)
from policy.names import TablePattern, parse_table_name
from policy.permissions import parse_column, write_permission
from policy.rbac import denials_of
from policy.role_tree import Path, find_role, inherited
from policy.role_views import table_grant
from policy.snapshot import Snapshot
from policy.standing import Standing, standing_of
from policy.timestamps import write_timestamp


@dataclass(frozen=True, slots=True)
class RoleExplained:
    """A role that counts. path: from the role that is held to this one; held_by: how that one is held, in words."""

    name: str
    path: Path
    held_by: tuple[str, ...]

    def __str__(self) -> str:
        way = f" through {' > '.join(self.path)}" if len(self.path) > 1 else ""
        return f"role {self.name}{way} ({'; '.join(self.held_by)})"


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule about a relation. effect: gives, denies, filters, masks, hides. source: of what it is."""

    effect: str
    what: str
    source: str

    def __str__(self) -> str:
        return f"{self.effect} {self.what}: {self.source}"

    def as_dict(self) -> dict[str, str]:
        return {"effect": self.effect, "what": self.what, "source": self.source}


@dataclass(frozen=True, slots=True)
class PrincipalExplained:
    """A principal in a tenant at a time. notes: what somebody who wonders should know, in sentences."""

    snapshot: Snapshot
    tenant: Tenant
    held: HeldRoles
    standing: Standing
    roles: tuple[RoleExplained, ...]
    notes: tuple[str, ...]

    def relation(self, schema: str, name: str) -> tuple[Rule, ...]:
        """The rules about one relation. schema: its own; a tenant's own schema stands for `public`."""
        own = self.tenant.isolation is Isolation.SCHEMA and schema == self.tenant.schema
        key = ("public" if own or not schema else schema), name
        return (*self._classified(key), *self._of_roles(key), *self._of_denials(key))

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "held_roles": [{"name": r.name, "path": list(r.path), "held_by": list(r.held_by)} for r in self.roles],
            "flags_off": sorted(self.tenant.off),
            "notes": list(self.notes),
        }

    def _classified(self, key: tuple[str, str]) -> Iterator[Rule]:
        if self.tenant.isolation is not Isolation.SHARED:
            return
        rules = self.snapshot.tables.get(self.tenant.target, ())
        rule = next((rule for rule in rules if (rule.schema, rule.name) == key), None)
        if rule is None:
            yield Rule("denies", "everything, unless it is a view of listed tables", "not listed in `tables`")
        elif rule.table_class is TableClass.DENIED:
            yield Rule("denies", "everything", "listed as denied in `tables`")
        elif rule.table_class is TableClass.GLOBAL:
            yield Rule("denies", "every change", "listed as global in `tables`")
        elif rule.tenant_column is not None:
            yield Rule("filters", f"rows by {rule.tenant_column} = the tenant's value", "listed in `tables`")

    def _of_roles(self, key: tuple[str, str]) -> Iterator[Rule]:
        roles = {role.name: role for role, _ in self._inherited().values()}
        for explained in self.roles:
            yield from _rules_of(roles[explained.name], key, str(explained))

    def _of_denials(self, key: tuple[str, str]) -> Iterator[Rule]:
        sources = {f"role {explained.name}": str(explained) for explained in self.roles}
        for denial in denials_of(self.snapshot, self.tenant, [role for role, _ in self._inherited().values()]).all:
            if _is_about(denial.permission, key):
                what = write_permission(denial.permission)
                yield Rule("denies", what, sources.get(denial.source, denial.source))
        if self.standing.read_only:
            yield Rule("denies", "every change", self.standing.read_only)

    def _inherited(self) -> Mapping[str, tuple[Role, Path]]:
        return inherited(self.snapshot.roles, roles_of_keys(self.snapshot.roles, self.held.keys))


def explain_principal(snapshot: Snapshot, principal: Principal, tenant: Tenant, now: float) -> PrincipalExplained:
    """How a principal's roles in a tenant come about. now: seconds since the epoch."""
    held = held_roles(snapshot, principal, tenant, now)
    ways = _ways(snapshot, principal, tenant, held, now)
    found = inherited(snapshot.roles, roles_of_keys(snapshot.roles, held.keys))
    roles = tuple(RoleExplained(name, path, ways.get(path[0], ())) for name, (_, path) in sorted(found.items()))
    standing = standing_of(tenant, now)
    return PrincipalExplained(
        snapshot, tenant, held, standing, roles, tuple(_notes(snapshot, principal, tenant, held, standing, now))
    )


def _ways(
    snapshot: Snapshot, principal: Principal, tenant: Tenant, held: HeldRoles, now: float
) -> dict[str, tuple[str, ...]]:
    """By the name of each held role: how it is held."""
    home = home_of(snapshot, principal, tenant)
    ways: dict[str, list[str]] = {}
    for name in principal.roles:
        role = find_role(snapshot.roles, name, home)
        if role is not None and key_of_role(role, snapshot.roles) in held.keys and role.name in snapshot.roles:
            ways.setdefault(role.name, []).append("named by the credentials")
    for where in (home, EVERYWHERE):
        for assignment in assignments_of(snapshot, principal, where) if where is not None else ():
            if assignment.expires is not None and assignment.expires <= now:
                continue
            for name in assignment.roles:
                role = find_role(snapshot.roles, name, None if where == EVERYWHERE else where)
                if role is not None:
                    ways.setdefault(role.name, []).append(_assigned(assignment))
    return {name: tuple(dict.fromkeys(words)) for name, words in ways.items()}


def _assigned(assignment: Assignment) -> str:
    who = f"{assignment.key} = {assignment.value}" if assignment.kind == "claim" else assignment.value
    until = "" if assignment.expires is None else f", until {write_timestamp(assignment.expires)}"
    where = ", in every tenant" if assignment.tenant == EVERYWHERE else ""
    return f"assignment {assignment.id} to {assignment.kind} {who}{where}{until}"


def _notes(
    snapshot: Snapshot, principal: Principal, tenant: Tenant, held: HeldRoles, standing: Standing, now: float
) -> Iterator[str]:
    if not standing.is_served:
        over = "over its trial" if tenant.status is TenantStatus.TRIAL else tenant.status.value
        yield f"tenant {tenant.id} is {over}: nobody can log in"
    if standing.read_only:
        yield f"tenant {tenant.id} can only be read: {standing.read_only}"
    home = home_of(snapshot, principal, tenant)
    if home is None:
        yield f"the credentials are for no tenant that reaches {tenant.id}"
    elif home != tenant.id:
        yield f"the session is {home}'s in a tenant below: only roles with tenant:children:use count"
    for name in held.unknown:
        if name in BUILTIN_ROLES:
            yield f"role {name} is built in: naming it in a token gives nothing, an assignment does"
        else:
            yield f"role {name} is not known to the policy"
    for where in (home, EVERYWHERE):
        for assignment in assignments_of(snapshot, principal, where) if where is not None else ():
            if assignment.expires is not None and assignment.expires <= now:
                yield f"assignment {assignment.id} expired at {write_timestamp(assignment.expires)}"


def _rules_of(role: Role, key: tuple[str, str], source: str) -> Iterator[Rule]:
    for permission in sorted(role.permissions, key=write_permission):
        if _is_about(permission, key, GRANTED):
            yield Rule("gives", write_permission(permission), source)
    for name, text in role.row_filters.items():
        if parse_table_name(name) == key:
            yield Rule("filters", f"rows by {text}", source)
    for name, columns in role.masks.items():
        if parse_table_name(name) == key:
            for column, mask in columns.items():
                yield Rule("masks", f"{column} by {mask}", source)
    for name, hidden in role.denied_columns.items():
        if parse_table_name(name) == key:
            for column in sorted(hidden):
                yield Rule("hides", column, source)


def _is_about(permission: Permission, key: tuple[str, str], words: Mapping[str, int] = DENIED) -> bool:
    if permission.kind == "column":
        return parse_column(permission.name)[:2] == key
    pattern, _ = table_grant(permission, words) or (TablePattern("", ""), 0)
    return covers(pattern, key)
