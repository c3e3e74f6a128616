"""The inverse of reading: entities as the bodies that a policy file, the store and the API have for them.

A body holds what was written, without what is so by default; read again it gives the same entity.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from policy.abac.bodies import policy_body
from policy.changes import SECTIONS
from policy.model import (
    TRIAL_GRACE_S,
    Assignment,
    Flag,
    FunctionRule,
    PeriodLimit,
    QuotaLimits,
    Role,
    TableRule,
    Tenant,
    Tier,
)
from policy.names import TablePattern, write_identifier
from policy.permissions import write_permission
from policy.revocations import EVERY_TENANT, Revocation
from policy.snapshot import Snapshot
from policy.timestamps import write_timestamp

Body = dict[str, Any]


def tenant_body(tenant: Tenant) -> Body:
    """A tenant as it was written, whether settled or not."""
    tenant = tenant.written or tenant
    return _without_defaults(
        {
            "name": tenant.name,
            "slug": tenant.slug,
            "status": "" if tenant.status.value == "active" else tenant.status.value,
            "tier": "" if tenant.tier == "standard" else tenant.tier,
            "owner": tenant.owner,
            "parent": tenant.parent,
            "isolation": tenant.isolation.value,
            "target": tenant.target,
            "value": "" if tenant.value == tenant.id else tenant.value,
            "schema": tenant.schema,
            "database": tenant.database,
            "pooling": "" if tenant.pooling == "transaction" else tenant.pooling,
            "lanes": "" if tenant.lanes else "off",
            "quotas": quotas_body(tenant.quotas),
            "flags": _switches(tenant.flags),
            "attributes": dict(tenant.attributes),
            "trial_ends": None if tenant.trial_ends is None else write_timestamp(tenant.trial_ends),
        }
    )


def role_body(role: Role) -> Body:
    return _without_defaults(
        {
            "description": role.description,
            "replaces_builtin": role.replaces_builtin,
            "inherits": list(role.inherits),
            "permissions": sorted(map(write_permission, role.permissions)),
            "deny": sorted(map(write_permission, role.deny)),
            "row_filters": dict(role.row_filters),
            "masks": {table: _columns(columns) for table, columns in role.masks.items()},
            "denied_columns": {t: sorted(map(write_identifier, names)) for t, names in role.denied_columns.items()},
        }
    )


def assignment_body(assignment: Assignment) -> Body:
    claim = assignment.kind == "claim"
    return _without_defaults(
        {
            assignment.kind: {assignment.key: assignment.value} if claim else assignment.value,
            "tenant": assignment.tenant,
            "roles": list(assignment.roles),
            "issuer": assignment.issuer,
            "expires": None if assignment.expires is None else write_timestamp(assignment.expires),
        }
    )


def tier_body(tier: Tier) -> Body:
    grace = None if tier.trial_grace_s == TRIAL_GRACE_S else _number(tier.trial_grace_s)
    return _without_defaults(
        {"quotas": quotas_body(tier.quotas), "flags": _switches(tier.flags)}, always={"trial_grace": grace}
    )


def flag_body(flag: Flag) -> Body:
    return _without_defaults(
        {
            "default": "" if flag.default else "off",
            "deny": sorted(map(write_permission, flag.deny)),
            "quotas": quotas_body(flag.quotas),
        }
    )


def quotas_body(quotas: QuotaLimits) -> Body:
    timeout = quotas.statement_timeout_ms
    return _without_defaults(
        {
            "connections": quotas.connections,
            "concurrent_statements": quotas.concurrent_statements,
            "statements_per_s": None if quotas.statements_per_s is None else _number(quotas.statements_per_s),
            "burst": quotas.burst,
            "statement_timeout": None if timeout is None else f"{timeout}ms",
            "backends": quotas.backends,
            "rows": _per_period(quotas.rows),
            "bytes": _per_period(quotas.bytes),
            "backend_seconds": _per_period(quotas.backend_seconds),
            "result_rows": quotas.result_rows,
            "result_bytes": quotas.result_bytes,
            "storage": quotas.storage_bytes,
            "tables": quotas.tables,
            "users": quotas.users,
            "soft": sorted(quotas.soft or ()),
        }
    )


def _per_period(limit: PeriodLimit | None) -> Body | None:
    return None if limit is None else {"limit": _number(limit.limit), "per": limit.per}


def tables_body(rules: tuple[TableRule, ...]) -> Body:
    return {str(TablePattern(rule.schema, rule.name)): _table(rule) for rule in rules}


def functions_body(rules: tuple[FunctionRule, ...]) -> Body:
    return {
        str(TablePattern(rule.schema, rule.name)): "safe"
        if rule.tenant_argument is None
        else {"tenant_argument": rule.tenant_argument}
        for rule in rules
    }


def revocation_body(revocation: Revocation) -> Body:
    kind, tenant, value = revocation.id.split("/", 2)
    times = {"issued_before": revocation.issued_before, "until": revocation.until}
    return _without_defaults(
        {
            kind: value,
            "tenant": "" if tenant == EVERY_TENANT else tenant,
            "issuer": revocation.issuer,
            **{key: None if seconds is None else write_timestamp(seconds) for key, seconds in times.items()},
            "reason": revocation.reason,
        }
    )


WRITERS: Mapping[str, Callable[[Any], Body]] = {
    "flag": flag_body,
    "tier": tier_body,
    "tenant": tenant_body,
    "role": role_body,
    "assignment": assignment_body,
    "tables": tables_body,
    "functions": functions_body,
    "revocation": revocation_body,
    "policy": policy_body,
}


def document_of(snapshot: Snapshot) -> dict[str, dict[str, Body]]:
    """The whole policy as a document; sections that are empty are left out."""
    sections = {}
    for kind, section in SECTIONS.items():
        entities = getattr(snapshot, section)
        if entities:
            sections[section] = {name: WRITERS[kind](entity) for name, entity in sorted(entities.items())}
    return sections


def _table(rule: TableRule) -> Body:
    tags: Body = {"tags": sorted(rule.tags)} if rule.tags else {}
    if rule.column_tags:
        tags["columns"] = {write_identifier(name): sorted(found) for name, found in rule.column_tags.items()}
    if rule.track:
        tags["track"] = True
    if rule.tenant_column is None:
        return {rule.table_class.value: True} | tags
    column: Body = {"tenant_column": write_identifier(rule.tenant_column)}
    if rule.default_only:
        column["default_only"] = [write_identifier(name) for name in sorted(rule.default_only)]
    return column | ({"trusted": True} if rule.trusted else {}) | tags


def _columns(columns: Mapping[str, str]) -> dict[str, str]:
    return {write_identifier(name): expression for name, expression in columns.items()}


def _switches(flags: Mapping[str, bool]) -> dict[str, str]:
    return {name: "on" if on else "off" for name, on in flags.items()}


def _number(value: float) -> int | float:
    return int(value) if value == int(value) else value


def _without_defaults(fields: Body, always: Body | None = None) -> Body:
    """The fields that say something; of `always` those that are not None."""
    told = {name: value for name, value in fields.items() if value}
    return told | {name: value for name, value in (always or {}).items() if value is not None}
