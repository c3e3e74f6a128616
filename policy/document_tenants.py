"""The `tenants` section of the policy document."""

from __future__ import annotations

import re
from collections.abc import Collection

from policy.model import Isolation, QuotaLimits, Tenant, TenantStatus
from policy.names import MAX_NAME_BYTES
from policy.problems import Problems, did_you_mean, join_key
from policy.yaml_values import (
    as_choice,
    as_count,
    as_flag,
    as_mapping,
    as_milliseconds,
    as_rate,
    as_text,
    optional,
)

ADMIN_DATABASE = "tenantgate"  # the admin console's database name, so no tenant's id
MAX_VALUE_CHARS = 1000
POOLING = ("transaction", "session")

_FIELDS = ("isolation", "target", "value", "schema", "database", "status", "tier", "quotas", "pooling", "lanes")
_QUOTAS = ("connections", "concurrent_statements", "statements_per_s", "burst", "statement_timeout", "backends")
_ID = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9_])?")


def read_tenants(problems: Problems, value: object, targets: Collection[str]) -> dict[str, Tenant]:
    """Every tenant that could be read, by id; what is wrong with them goes to `problems`."""
    tenants = {}
    for tenant_id, body in as_mapping(problems, "tenants", value).items():
        path = join_key("tenants", tenant_id)
        if _ID.fullmatch(tenant_id) is None or tenant_id == ADMIN_DATABASE:
            hint = f"Letters, digits and _ . - , at most 63, not {ADMIN_DATABASE}: it is also a database name."
            problems.add(path, "not an id for a tenant", hint)
        tenants[tenant_id] = _read_tenant(problems, path, tenant_id, as_mapping(problems, path, body), targets)
    return tenants


def _read_tenant(
    problems: Problems, path: str, tenant_id: str, fields: dict[str, object], targets: Collection[str]
) -> Tenant:
    problems.unknown_keys(path, fields, _FIELDS)
    for key in ("isolation", "target"):
        if key not in fields:
            problems.add(f"{path}.{key}", "is missing", "Every tenant needs an isolation and a target.")
    chosen = as_choice(problems, f"{path}.isolation", fields.get("isolation", "shared"), [i.value for i in Isolation])
    isolation = Isolation(chosen or "shared")
    pooling = as_choice(problems, f"{path}.pooling", fields.get("pooling", "transaction"), POOLING)
    lanes = as_flag(problems, f"{path}.lanes", fields.get("lanes", "on"))
    status = as_choice(problems, f"{path}.status", fields.get("status", "active"), [s.value for s in TenantStatus])
    return Tenant(
        id=tenant_id,
        isolation=isolation,
        target=_target(problems, path, fields, targets),
        value=_value(problems, path, fields, tenant_id),
        schema=_schema(problems, path, fields, isolation if chosen else None),
        database=_name(problems, path, fields, "database"),
        status=TenantStatus(status or "active"),
        tier=as_text(problems, f"{path}.tier", fields.get("tier", "standard")) or "standard",
        quotas=_quotas(problems, f"{path}.quotas", as_mapping(problems, f"{path}.quotas", fields.get("quotas"))),
        pooling=pooling or "transaction",
        lanes=lanes,
    )


def _target(problems: Problems, path: str, fields: dict[str, object], targets: Collection[str]) -> str:
    if "target" not in fields:
        return ""
    target = as_text(problems, f"{path}.target", fields["target"]) or ""
    if target and target not in targets:
        problems.add(f"{path}.target", f"unknown target {target!r}", did_you_mean(target, targets))
    return target


def _value(problems: Problems, path: str, fields: dict[str, object], tenant_id: str) -> str:
    """What stands in the tenant column; a plain whole number may go without quotes."""
    value = fields.get("value", tenant_id)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    text = as_text(problems, f"{path}.value", value) or tenant_id
    if len(text) > MAX_VALUE_CHARS:
        problems.add(f"{path}.value", f"longer than {MAX_VALUE_CHARS} characters", "Use a short key.")
    return text


def _schema(problems: Problems, path: str, fields: dict[str, object], isolation: Isolation | None) -> str | None:
    schema = _name(problems, path, fields, "schema")
    if isolation is Isolation.SCHEMA and "schema" not in fields:
        problems.add(f"{path}.schema", "is missing", "Isolation by schema needs the tenant's schema.")
    if isolation in (Isolation.SHARED, Isolation.DATABASE) and "schema" in fields:
        hint = "Leave it out, or write isolation: schema."
        problems.add(f"{path}.schema", f"means nothing with isolation {isolation.value}", hint)
    if schema is not None and (schema.startswith("pg_") or schema == "information_schema"):
        problems.add(f"{path}.schema", f"{schema} belongs to PostgreSQL", "Use a schema of the tenant's own.")
    return schema


def _name(problems: Problems, path: str, fields: dict[str, object], key: str) -> str | None:
    """A schema or database, exactly as the catalog has it; it is not folded and takes no quotes."""
    if key not in fields:
        return None
    name = as_text(problems, f"{path}.{key}", fields[key])
    if name is not None and len(name.encode()) > MAX_NAME_BYTES:
        problems.add(f"{path}.{key}", f"longer than {MAX_NAME_BYTES} bytes", "PostgreSQL would cut it.")
    if name is not None and (name != name.strip() or '"' in name):
        problems.add(f"{path}.{key}", f"{name!r} has quotes or blanks around it", "Write the bare name.")
    return name


def _quotas(problems: Problems, path: str, fields: dict[str, object]) -> QuotaLimits:
    problems.unknown_keys(path, fields, _QUOTAS)
    limits = QuotaLimits(
        connections=optional(as_count, problems, path, fields, "connections"),
        concurrent_statements=optional(as_count, problems, path, fields, "concurrent_statements"),
        statements_per_s=optional(as_rate, problems, path, fields, "statements_per_s"),
        burst=optional(as_count, problems, path, fields, "burst"),
        statement_timeout_ms=optional(as_milliseconds, problems, path, fields, "statement_timeout"),
        backends=optional(as_count, problems, path, fields, "backends"),
    )
    if "burst" in fields and "statements_per_s" not in fields:
        problems.add(f"{path}.burst", "means nothing without statements_per_s", "Give both or neither.")
    return limits
