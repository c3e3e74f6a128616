"""What a set of roles may do to each relation, combined from permissions, row filters and masks.

Roles add up. Each role is a view of the data: rows (its filter), columns (its masks), read or write. A set of roles
sees the union of these views, cell by cell, and changes the union of the rows that its writing roles may change. Only a
denied column is denied to whoever has one role that denies it. docs/policy.md states the rules with examples; tests
hold that adding a role never removes anything else. Whatever is not understood here (a kind, an action, a name) grants
nothing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from policy.access import NO_ACCESS, Access, TableAccess
from policy.model import FunctionRule, Isolation, Permission, Role, TableClass, TableRule, Tenant
from policy.names import DEFAULT_SCHEMA, TablePattern, parse_table_name, parse_table_pattern
from policy.snapshot import Snapshot
from policy.sql.plan import quote_identifier

_RANK = {"read": 1, "write": 2, "admin": 3, "*": 3}  # admin implies write implies read
_COPY_ONLY = 0
_WRITABLE = (TableClass.TENANT, TableClass.SEQUENCE)

_TableKey = tuple[str, str]


@dataclass(frozen=True, slots=True)
class _RoleView:
    """A role with its names parsed."""

    name: str
    grants: tuple[tuple[TablePattern, int], ...]
    filters: Mapping[_TableKey, str]
    masks: Mapping[_TableKey, Mapping[str, str]]
    denied: Mapping[_TableKey, frozenset[str]]


@dataclass(frozen=True, slots=True)
class _Grant:
    """What one role that may read a relation gives there."""

    role: str
    write: bool
    row_filter: str | None
    masks: Mapping[str, str]


def resolve_access(snapshot: Snapshot, tenant: Tenant, roles: frozenset[str]) -> Access:
    """The access of a session with these roles; roles that the snapshot does not know count for nothing."""
    held = [snapshot.roles[name] for name in sorted(roles) if name in snapshot.roles]
    views = [_view(role) for role in held]
    rules: Mapping[_TableKey, TableRule] = {}
    if tenant.isolation is Isolation.SHARED:
        rules = {(rule.schema, rule.name): rule for rule in snapshot.tables.get(tenant.target, ())}
    if tenant.isolation is Isolation.SCHEMA:
        default = _combine(views, (DEFAULT_SCHEMA, None))
        schemas: dict[str, TableAccess] = {}
        tables = {
            ("", name): _combine(views, (schema, name)) for schema, name in _named(views) if schema == DEFAULT_SCHEMA
        }
    else:
        default = _combine(views, (None, None))
        schemas = {schema: _combine(views, (schema, None)) for schema in _named_schemas(views)}
        tables = {key: _limit(_combine(views, key), rules.get(key)) for key in {*_named(views), *_limited(rules)}}
    ddl = tenant.isolation is not Isolation.SHARED and _holds(held, {("schema", "ddl"), ("database", "*")})
    code = ddl and _is_alone(tenant, snapshot) and not any(map(_limits, (default, *schemas.values(), *tables.values())))
    gateway_read = may_read_gateway(snapshot, roles)
    functions = {(rule.schema, rule.name): rule for rule in snapshot.functions.get(tenant.target, ())}
    return Access(
        id=_identify(tenant, default, schemas, tables, rules, functions, (ddl, code, gateway_read)),
        isolation=tenant.isolation,
        target=tenant.target,
        default=default,
        tables=MappingProxyType(tables),
        rules=MappingProxyType(rules),
        ddl=ddl,
        code=code,
        gateway_read=gateway_read,
        schemas=MappingProxyType(schemas),
        functions=MappingProxyType(functions),
    )


def _is_alone(tenant: Tenant, snapshot: Snapshot) -> bool:
    """Whether the target, and so its login role, serves no other tenant."""
    return all(other.target != tenant.target for other in snapshot.tenants.values() if other.id != tenant.id)


def _limits(access: TableAccess) -> bool:
    """Whether code could show or change more than this."""
    return not access.read or not access.write or access.limits


def may_read_gateway(snapshot: Snapshot, roles: frozenset[str]) -> bool:
    """Whether these roles may use the admin console's SHOW commands (`gateway:*:read`, which admin implies)."""
    known = (snapshot.roles[name] for name in roles if name in snapshot.roles)
    return _holds(known, {("gateway", "read"), ("gateway", "admin")})


def may_end_sessions(snapshot: Snapshot, roles: frozenset[str]) -> bool:
    """Whether these roles may use the admin console's KILL (`gateway:*:admin`)."""
    return _holds((snapshot.roles[name] for name in roles if name in snapshot.roles), {("gateway", "admin")})


def unknown_roles(snapshot: Snapshot, roles: frozenset[str]) -> tuple[str, ...]:
    """The roles that a token names and the policy does not, sorted."""
    return tuple(sorted(name for name in roles if name not in snapshot.roles))


def _holds(roles: Iterable[Role], wanted: set[tuple[str, str]]) -> bool:
    return any(p.name == "*" and (p.kind, p.action) in wanted for role in roles for p in role.permissions)


def _view(role: Role) -> _RoleView:
    grants = (_table_grant(permission) for permission in role.permissions)
    return _RoleView(
        role.name,
        tuple(grant for grant in grants if grant is not None),
        {parse_table_name(key): text for key, text in role.row_filters.items()},
        {parse_table_name(key): columns for key, columns in role.masks.items()},
        {parse_table_name(key): columns for key, columns in role.denied_columns.items()},
    )


def _table_grant(permission: Permission) -> tuple[TablePattern, int] | None:
    if permission.kind == "database" and permission.name == "*" and permission.action in _RANK:
        return TablePattern(None, None), _RANK[permission.action]
    if permission.kind != "table" or permission.action not in {*_RANK, "copy"}:
        return None
    try:
        return parse_table_pattern(permission.name), _RANK.get(permission.action, _COPY_ONLY)
    except ValueError:
        return None


def _named(views: Sequence[_RoleView]) -> set[_TableKey]:
    """Every relation that a permission, filter or mask names."""
    found: set[_TableKey] = set()
    for view in views:
        found.update(view.filters, view.masks, view.denied)
        found.update((p.schema, p.name) for p, _ in view.grants if p.schema is not None and p.name is not None)
    return found


def _named_schemas(views: Sequence[_RoleView]) -> set[str]:
    return {p.schema for view in views for p, _ in view.grants if p.schema is not None and p.name is None}


def _limited(rules: Mapping[_TableKey, TableRule]) -> Iterable[_TableKey]:
    return (key for key, rule in rules.items() if rule.table_class not in _WRITABLE)


def _limit(access: TableAccess, rule: TableRule | None) -> TableAccess:
    """What the classification of a shared relation takes away again: no role may write what all tenants read."""
    if rule is None or rule.table_class in _WRITABLE:
        return access
    if rule.table_class is TableClass.DENIED:
        return NO_ACCESS
    visible = access.filter_for_reading
    return replace(access, write=False, row_filter=visible, read_filter=None)


def _combine(views: Sequence[_RoleView], key: tuple[str | None, str | None]) -> TableAccess:
    """Union of what the roles give at `key`: a relation, all others of a schema (name None), or all others."""
    grants: list[_Grant] = []
    copy_only: list[str] = []
    for view in views:
        ranks = [rank for pattern, rank in view.grants if _covers(pattern, key)]
        if not ranks:
            continue
        if max(ranks) == _COPY_ONLY:
            copy_only.append(view.name)
        else:
            grants.append(_grant(view, max(ranks) >= _RANK["write"], key))
    if not grants:
        return TableAccess(copy=True, reasons=tuple(copy_only)) if copy_only else NO_ACCESS
    denied = frozenset[str]().union(*(view.denied.get(_key(key), ()) for view in views))
    writers = [grant for grant in grants if grant.write]
    reading = _any_of(grant.row_filter for grant in grants)
    writing = _any_of(grant.row_filter for grant in writers) if writers else reading
    return TableAccess(
        read=True,
        write=bool(writers),
        copy=True,
        row_filter=writing,
        masks=MappingProxyType({c: mask for c, mask in _combine_masks(grants).items() if c not in denied}),
        reasons=tuple(grant.role for grant in grants),
        read_filter=None if reading == writing else reading or "true",
        denied=denied,
    )


def _key(key: tuple[str | None, str | None]) -> _TableKey:
    return key[0] or "", key[1] or ""


def _grant(view: _RoleView, write: bool, key: tuple[str | None, str | None]) -> _Grant:
    schema, name = key
    if schema is None or name is None:
        return _Grant(view.name, write, None, {})
    return _Grant(view.name, write, view.filters.get((schema, name)), view.masks.get((schema, name), {}))


def _covers(pattern: TablePattern, key: tuple[str | None, str | None]) -> bool:
    schema, name = key
    if pattern.schema is None:
        return True
    return pattern.schema == schema and (pattern.name is None or pattern.name == name)


def _any_of(filters: Iterable[str | None]) -> str | None:
    """Joined by OR; None (every row) as soon as one is None."""
    found = set(filters)
    if None in found:
        return None
    texts = sorted(text for text in found if text is not None)
    return texts[0] if len(texts) == 1 else " OR ".join(f"({text})" for text in texts)


def _combine_masks(grants: Sequence[_Grant]) -> dict[str, str]:
    """Masks by column. A role that shows more than another does so on the rows of its own filter only."""
    combined: dict[str, str] = {}
    for column in sorted({column for grant in grants for column in grant.masks}):
        shown: dict[str | None, list[str | None]] = {}
        for grant in grants:
            shown.setdefault(grant.masks.get(column), []).append(grant.row_filter)
        mask = _mask(column, sorted(shown.items(), key=lambda item: _openness(item[0])))
        if mask is not None:
            combined[column] = mask
    return combined


def _mask(column: str, shown: list[tuple[str | None, list[str | None]]]) -> str | None:
    """The expression for a column, from (mask or None for unmasked, filters of the roles), most open first."""
    branches = ""
    for mask, filters in shown:
        rows = _any_of(filters)
        if rows is None or mask == shown[-1][0]:  # the rows that are left: the guard lets no others through
            return f"CASE{branches} ELSE {mask} END" if branches else mask
        branches += f" WHEN {rows} THEN {quote_identifier(column) if mask is None else mask}"
    return None


def _openness(mask: str | None) -> tuple[int, str]:
    """Sort key: unmasked, then masks by their text, NULL last."""
    if mask is None:
        return 0, ""
    return (2, "") if mask.strip().upper() == "NULL" else (1, mask)


def _identify(
    tenant: Tenant,
    default: TableAccess,
    schemas: Mapping[str, TableAccess],
    tables: Mapping[_TableKey, TableAccess],
    rules: Mapping[_TableKey, TableRule],
    functions: Mapping[tuple[str, str], FunctionRule],
    flags: tuple[bool, ...],
) -> str:
    """A hash of all that a plan may depend on; no tenant's value is in it."""
    content = [
        tenant.isolation.value,
        tenant.target,
        _write_down(default),
        [[schema, _write_down(access)] for schema, access in sorted(schemas.items())],
        [[*key, _write_down(access)] for key, access in sorted(tables.items())],
        [[*key, rule.table_class.value, rule.tenant_column, rule.trusted] for key, rule in sorted(rules.items())],
        [[*key, rule.tenant_argument] for key, rule in sorted(functions.items())],
        flags,
    ]
    return hashlib.sha256(json.dumps(content, separators=(",", ":")).encode()).hexdigest()[:32]


def _write_down(access: TableAccess) -> list[object]:
    masks = sorted(access.masks.items())
    filters = [access.row_filter, access.read_filter]
    return [access.read, access.write, access.copy, *filters, masks, access.reasons, sorted(access.denied)]
