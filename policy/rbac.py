"""What a set of roles may do to each relation, combined from permissions, row filters and masks.

Roles add up. Each role is a view of the data: rows (its filter), columns (its masks), read or write. A set of roles
sees the union of these views, cell by cell, and changes the union of the rows that its writing roles may change
(combine.py). What a role inherits counts as if it were held, too. Only what is denied is denied to whoever has one
role that denies it. docs/policy.md states the rules with examples; tests hold that adding a role never removes anything
else.
Whatever is not understood here (a kind, an action, a name) grants nothing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType

from policy.access import NO_ACCESS, Access, TableAccess
from policy.combine import combine
from policy.denials import Denial, Denials
from policy.held_roles import roles_of_keys
from policy.model import Isolation, Permission, Role, TableClass, TableRule, Tenant
from policy.names import DEFAULT_SCHEMA
from policy.role_tree import inherited
from policy.role_views import RoleViews, TableKey
from policy.snapshot import Snapshot
from policy.snapshot_index import index_of

_WRITABLE = (TableClass.TENANT, TableClass.SEQUENCE)
_DDL = {("schema", "ddl"), ("database", "*")}
_GATEWAY_READ = {("gateway", "read"), ("gateway", "admin")}
_OFF: Mapping[str, Permission] = {
    "copy": Permission("database", "*", "copy"),
    "ddl": Permission("schema", "*", "ddl"),
}


def resolve_access(snapshot: Snapshot, tenant: Tenant, roles: frozenset[str], *, read_only: str = "") -> Access:
    """The access of a session with these roles (keys of held_roles.py); those that the snapshot does not know count
    for nothing. read_only: why nothing may be changed (standing.py), "": it may."""
    held = held_with_inherited(snapshot, roles)
    views, denials = RoleViews(held), denials_of(snapshot, tenant, held)
    rules: Mapping[TableKey, TableRule] = {}
    if tenant.isolation is Isolation.SHARED:
        rules = {(rule.schema, rule.name): rule for rule in snapshot.tables.get(tenant.target, ())}
    named = views.named() | denials.named()
    schemas: dict[str, TableAccess] = {}
    if tenant.isolation is Isolation.SCHEMA:
        default = combine(views, denials, (DEFAULT_SCHEMA, None))
        tables = {("", key[1]): combine(views, denials, key) for key in named if key[0] == DEFAULT_SCHEMA}
    else:
        default = combine(views, denials, (None, None))
        schemas = {s: combine(views, denials, (s, None)) for s in views.schemas() | denials.schemas()}
        tables = {key: _limit(combine(views, denials, key), rules.get(key)) for key in {*named, *_limited(rules)}}
    if read_only:
        default = _unwritable(default)
        schemas = {schema: _unwritable(access) for schema, access in schemas.items()}
        tables = {key: _unwritable(access) for key, access in tables.items()}
    ddl = tenant.isolation is not Isolation.SHARED and not read_only and _holds(held, _DDL)
    ddl = ddl and not denials.denies("schema", "ddl") and not denials.denies("database", "*")
    code = ddl and "code" not in tenant.off and _is_alone(tenant, snapshot) and not denials.restrict_data
    functions = {(rule.schema, rule.name): rule for rule in snapshot.functions.get(tenant.target, ())}
    access = Access(
        id="",
        isolation=tenant.isolation,
        target=tenant.target,
        default=default,
        tables=MappingProxyType(tables),
        rules=MappingProxyType(rules),
        ddl=ddl,
        code=code and all(access.is_whole for access in (default, *schemas.values(), *tables.values())),
        explain=not denials.denies("database", "explain", "*"),
        call=not denials.denies("database", "call", "*"),
        read_only=read_only,
        denied_functions=frozenset(denials.functions),
        gateway_read=_holds(held, _GATEWAY_READ) and not denials.denies("gateway", "read"),
        schemas=MappingProxyType(schemas),
        functions=MappingProxyType(functions),
        tracked=_tracked(snapshot, tenant),
    )
    return replace(access, id=_identify(access))


def _tracked(snapshot: Snapshot, tenant: Tenant) -> frozenset[TableKey]:
    """In a schema of its own a tenant's tables are those of public in the policy."""
    rules = (rule for rule in snapshot.tables.get(tenant.target, ()) if rule.track)
    if tenant.isolation is Isolation.SCHEMA:
        return frozenset(("", rule.name) for rule in rules if rule.schema == DEFAULT_SCHEMA)
    return frozenset((rule.schema, rule.name) for rule in rules)


def held_with_inherited(snapshot: Snapshot, keys: Iterable[str]) -> list[Role]:
    """The roles of these keys and all that they inherit, each once."""
    found = inherited(snapshot.roles, roles_of_keys(snapshot.roles, keys))
    return [found[name][0] for name in sorted(found)]


def denials_of(snapshot: Snapshot, tenant: Tenant, roles: Iterable[Role]) -> Denials:
    """What is denied by roles, and by flags that are off for the tenant."""
    return Denials([*_denied_by_roles(roles), *_denied_by_flags(snapshot, tenant)])


def _denied_by_roles(roles: Iterable[Role]) -> Iterator[Denial]:
    for role in roles:
        for permission in sorted(role.deny, key=str):
            yield Denial(permission, f"role {role.name}")


def _denied_by_flags(snapshot: Snapshot, tenant: Tenant) -> Iterator[Denial]:
    for name in sorted(tenant.off):
        if name in _OFF:
            yield Denial(_OFF[name], f"flag {name}")
        elif name in snapshot.flags:
            for permission in sorted(snapshot.flags[name].deny, key=str):
                yield Denial(permission, f"flag {name}")


def _is_alone(tenant: Tenant, snapshot: Snapshot) -> bool:
    """Whether the target, and so its login role, serves no other tenant."""
    mine = 1 if tenant.id in snapshot.tenants and snapshot.tenants[tenant.id].target == tenant.target else 0
    return index_of(snapshot).per_target.get(tenant.target, 0) == mine


def may_read_gateway(snapshot: Snapshot, roles: frozenset[str]) -> bool:
    """Whether these roles may use the admin console's SHOW commands (`gateway:*:read`, which admin implies)."""
    held = held_with_inherited(snapshot, roles)
    return _holds(held, _GATEWAY_READ) and not _denies(held, ("gateway", "read"))


def may_end_sessions(snapshot: Snapshot, roles: frozenset[str]) -> bool:
    """Whether these roles may use the admin console's KILL (`gateway:*:admin`)."""
    held = held_with_inherited(snapshot, roles)
    denied = _denies(held, ("gateway", "read")) or _denies(held, ("gateway", "admin"))
    return _holds(held, {("gateway", "admin")}) and not denied


def unknown_roles(snapshot: Snapshot, roles: frozenset[str]) -> tuple[str, ...]:
    """The roles that a token names and the policy does not, sorted."""
    return tuple(sorted(name for name in roles if name not in snapshot.roles))


def _holds(roles: Iterable[Role], wanted: set[tuple[str, str]]) -> bool:
    return any(p.name == "*" and (p.kind, p.action) in wanted for role in roles for p in role.permissions)


def _denies(roles: Iterable[Role], denied: tuple[str, str]) -> bool:
    return any((p.kind, p.action) == denied for role in roles for p in role.deny)


def _limited(rules: Mapping[TableKey, TableRule]) -> Iterable[TableKey]:
    return (key for key, rule in rules.items() if rule.table_class not in _WRITABLE)


def _limit(access: TableAccess, rule: TableRule | None) -> TableAccess:
    """What the classification of a shared relation takes away again: no role may write what all tenants read."""
    if rule is None or rule.table_class in _WRITABLE:
        return access
    return NO_ACCESS if rule.table_class is TableClass.DENIED else _unwritable(access)


def _unwritable(access: TableAccess) -> TableAccess:
    """The same for reading only."""
    if not access.write:
        return access
    if not access.read:
        return replace(NO_ACCESS, barred=access.barred)
    visible = access.filter_for_reading
    return replace(access, write=False, row_filter=visible, read_filter=None, without=frozenset(), filters={})


def _identify(access: Access) -> str:
    """A hash of all that a plan may depend on; no tenant's value is in it."""
    rules, functions = sorted(access.rules.items()), sorted(access.functions.items())
    content = [
        access.isolation.value,
        access.target,
        _write_down(access.default),
        [[schema, _write_down(table)] for schema, table in sorted(access.schemas.items())],
        [[*key, _write_down(table)] for key, table in sorted(access.tables.items())],
        [[*key, *_classification(rule)] for key, rule in rules],
        [[*key, rule.tenant_argument] for key, rule in functions],
        (access.ddl, access.code, access.explain, access.call, access.gateway_read, access.read_only),
        sorted([schema or "*", name or "*"] for schema, name in access.denied_functions),
        sorted(access.tracked),
    ]
    return hashlib.sha256(json.dumps(content, separators=(",", ":")).encode()).hexdigest()[:32]


def _classification(rule: TableRule) -> list[object]:
    return [rule.table_class.value, rule.tenant_column, rule.trusted, sorted(rule.default_only)]


def _write_down(access: TableAccess) -> list[object]:
    masks = sorted(access.masks.items())
    filters = [access.row_filter, access.read_filter, sorted(access.filters.items())]
    columns = [sorted(access.denied), None if access.only is None else sorted(access.only), access.rest]
    given = [access.read, access.write, access.copy, sorted(access.without)]
    return [given, filters, masks, columns, access.reasons, access.barred]
