"""What is wrong with changes together with all the rest: names that mean nothing, places that are taken, cycles.

Every problem is noted at the entity that was changed, with the place it has in a document. The work grows with the
changes, not with the policy, but for what is removed and for a target's tables.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from policy.builtin_roles import BUILTIN_ROLES
from policy.changes import Change
from policy.document_quotas import check_switches
from policy.model import EVERYWHERE, Assignment, Flag, Role, Tenant, Tier
from policy.names import DEFAULT_SCHEMA, parse_table_name
from policy.placement import check_place, check_shared_schemas
from policy.problems import Problems, did_you_mean, join_key
from policy.role_tree import find_cycle, find_role
from policy.snapshot import Snapshot
from policy.snapshot_index import Place, index_of, place_of

# No other tenant's id is told: these are not for everybody to know.
_NO_TENANT = "Correct the id, or create the tenant first."
_MOST_NAMES = 50  # in a hint


def check_changes(
    problems: Problems, after: Snapshot, changes: Iterable[Change], databases: Mapping[str, str] | None = None
) -> None:
    """Note what is wrong with a snapshot that these changes led to (`snapshot_with`); it was right before.

    databases: each target's own, so that a tenant that names it and one that leaves it out are in the same place.
    """
    every = list(changes)
    changed = {(change.kind, change.id): number for number, change in enumerate(every)}
    named: dict[str, list[str]] | None = None
    safe: set[str] = set()
    places: dict[Place, None] = {}
    for change in every:
        match change.entity:
            case Tenant():
                named = _schemas_in_roles(after) if named is None and change.entity.schema is not None else named
                _check_tenant(problems, after, change, named or {})
                check_place(problems, after, change.entity, databases or {}, changed)
                places[place_of(change.entity)] = None
            case Role():
                _check_role(problems, after, change, changed, safe)
            case Assignment():
                _check_assignment(problems, after, change)
            case Tier():
                check_switches(problems, f"{change.path}.flags", change.entity.flags, after.flags)
            case None:
                _check_removed(problems, after, change)
            case tuple() if change.kind == "tables":
                places.update(dict.fromkeys(place for place in index_of(after).rows if place[0] == change.id))
            case _:
                pass
    check_shared_schemas(problems, after, places, databases or {})


# Tenants


def _check_tenant(problems: Problems, after: Snapshot, change: Change, named: Mapping[str, list[str]]) -> None:
    tenant: Tenant = change.entity
    path = change.path
    if tenant.parent is not None:
        _check_parent(problems, after, tenant, path)
    if after.tiers and tenant.tier not in after.tiers and tenant.tier != "standard":
        problems.add(f"{path}.tier", f"unknown tier {tenant.tier!r}", did_you_mean(tenant.tier, after.tiers))
    check_switches(problems, f"{path}.flags", tenant.flags, after.flags)
    other = index_of(after).slugs.get(tenant.slug, tenant.id)
    if tenant.slug and (other != tenant.id or (tenant.slug in after.tenants and tenant.slug != tenant.id)):
        problems.add(f"{path}.slug", "another tenant has this slug or id", "Choose another.")
    if tenant.schema is not None and tenant.schema != DEFAULT_SCHEMA:
        for place in named.get(tenant.schema, ()):
            _note_own_schema(problems, place, tenant.schema, tenant.id)


def _check_parent(problems: Problems, after: Snapshot, tenant: Tenant, path: str) -> None:
    way = [tenant.id]
    above = tenant.parent
    while above is not None:
        if above == tenant.id or above in way:
            way.append(above)
            problems.add(f"{path}.parent", f"the tree has a cycle: {' > '.join(way)}", "A tenant stands above others.")
            return
        parent = after.tenants.get(above)
        if parent is None:
            if above == tenant.parent:
                problems.add(f"{path}.parent", f"there is no tenant {above!r}", _NO_TENANT)
            return
        way.append(above)
        above = parent.parent


# Roles


def _check_role(
    problems: Problems, after: Snapshot, change: Change, changed: Mapping[tuple[str, str], int], safe: set[str]
) -> None:
    role: Role = change.entity
    for number, name in enumerate(role.inherits):
        if find_role(after.roles, name, role.tenant) is None:
            known = _known_roles(after, role.tenant)
            problems.add(f"{change.path}.inherits[{number}]", f"there is no role {name!r}", did_you_mean(name, known))
    cycle = find_cycle(after.roles, role, safe)
    if cycle:
        safe.update(cycle)  # told once
        hint = "A role inherits from others, never from itself."
        problems.add(f"{change.path}.inherits", f"roles inherit in a cycle: {' > '.join(cycle)}", hint)
    _check_role_name(problems, after, role, change.path, changed)
    schemas = index_of(after).own_schemas
    for schema, place in _schemas_of(role, change.path):
        if schemas.get(schema) and schema != DEFAULT_SCHEMA:
            owner = next(tenant.id for tenant in after.tenants.values() if tenant.schema == schema)
            _note_own_schema(problems, place, schema, owner)


def _known_roles(after: Snapshot, tenant: str | None) -> list[str]:
    """The roles that a name may mean in a tenant, as far as they are few enough to tell."""
    known = [role.name for role in after.roles.values() if role.tenant is None or role.tenant == tenant]
    return [*known[:_MOST_NAMES], *BUILTIN_ROLES]


def _check_role_name(
    problems: Problems, after: Snapshot, role: Role, path: str, changed: Mapping[tuple[str, str], int]
) -> None:
    """One name means one role in each tenant: a tenant's own role and everybody's are not called the same."""
    if role.tenant is None:
        ending = "/" + role.name
        owned = next((name for name in after.roles if name.endswith(ending) and ("role", name) not in changed), None)
        if owned is not None:
            problems.add(path, f"there is a role {owned}", "Choose another name.")
        return
    if role.tenant not in after.tenants:
        problems.add(path, f"there is no tenant {role.tenant!r} whose own role this could be", _NO_TENANT)
    bare = role.name.rpartition("/")[2]
    if bare in after.roles or bare in BUILTIN_ROLES:
        problems.add(path, f"{bare} is a role of everybody's", "Choose another name.")


def _schemas_in_roles(after: Snapshot) -> dict[str, list[str]]:
    """Where roles name each schema in filters, masks and denied columns."""
    found: dict[str, list[str]] = {}
    for role in after.roles.values():
        for schema, place in _schemas_of(role, join_key("roles", role.name)):
            found.setdefault(schema, []).append(place)
    return found


def _schemas_of(role: Role, path: str) -> list[tuple[str, str]]:
    sections = ("row_filters", role.row_filters), ("masks", role.masks), ("denied_columns", role.denied_columns)
    return [
        (parse_table_name(key)[0], join_key(f"{path}.{section}", key)) for section, keys in sections for key in keys
    ]


def _note_own_schema(problems: Problems, place: str, schema: str, owner: str) -> None:
    """A tenant's own schema has no name in roles; what is written so would not apply, silently."""
    hint = "Write the table without a schema: it then holds in every tenant's own schema."
    problems.add(place, f"{schema} is the own schema of tenant {owner}", hint)


# Assignments, and what is removed


def _check_assignment(problems: Problems, after: Snapshot, change: Change) -> None:
    assignment: Assignment = change.entity
    tenant = None if assignment.tenant == EVERYWHERE else assignment.tenant
    if tenant is not None and tenant not in after.tenants:
        problems.add(f"{change.path}.tenant", f"there is no tenant {tenant!r}", _NO_TENANT)
    for number, name in enumerate(assignment.roles):
        if find_role(after.roles, name, tenant) is None:
            known = _known_roles(after, tenant)
            problems.add(f"{change.path}.roles[{number}]", f"there is no role {name!r}", did_you_mean(name, known))


def _check_removed(problems: Problems, after: Snapshot, change: Change) -> None:
    users = list(_users(after, change.kind, change.id))
    if users:
        more = f" and {len(users) - 3} more" if len(users) > 3 else ""
        hint = "Change or remove what uses it in the same change."
        problems.add(change.path, f"is still used by {', '.join(users[:3])}{more}", hint)


def _users(after: Snapshot, kind: str, name: str) -> Iterable[str]:
    """The places that still name something that was removed."""
    if kind == "tenant":
        yield from (f"{join_key('tenants', child)}.parent" for child in index_of(after).children_of(name))
        yield from (join_key("roles", role.name) for role in after.roles.values() if role.tenant == name)
        yield from (join_key("assignments", a.id) for a in after.assignments.values() if a.tenant == name)
    elif kind == "role":
        for role in after.roles.values():
            if _names_nothing(after, name, role.inherits, role.tenant):
                yield f"{join_key('roles', role.name)}.inherits"
        for each in after.assignments.values():
            if _names_nothing(after, name, each.roles, None if each.tenant == EVERYWHERE else each.tenant):
                yield f"{join_key('assignments', each.id)}.roles"
    elif kind == "tier" and after.tiers:
        yield from (f"{join_key('tenants', t.id)}.tier" for t in after.tenants.values() if t.tier == name)
    elif kind == "flag":
        holders: list[Tenant | Tier | Flag] = [*after.tiers.values(), *after.tenants.values()]
        for holder in holders:
            if not isinstance(holder, Flag) and name in holder.flags:
                section, key = ("tiers", holder.name) if isinstance(holder, Tier) else ("tenants", holder.id)
                yield f"{join_key(section, key)}.flags"


def _names_nothing(after: Snapshot, removed: str, names: Iterable[str], tenant: str | None) -> bool:
    """Whether one of the names meant the role that was removed, and means none any more."""
    meant = {removed, removed.rpartition("/")[2]}
    return any(name in meant and find_role(after.roles, name, tenant) is None for name in names)
