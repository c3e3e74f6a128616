"""The `tenants` section of the policy document."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from types import MappingProxyType

from policy.document_quotas import read_quotas, read_switches
from policy.model import NO_ITEMS, Isolation, Tenant, TenantStatus
from policy.names import MAX_NAME_BYTES
from policy.problems import Problems, did_you_mean, join_key
from policy.timestamps import TIMESTAMP_HINT, parse_timestamp
from policy.yaml_values import as_choice, as_flag, as_mapping, as_text

ADMIN_DATABASE = "tenantgate"  # the admin console's database name, so no tenant's id
MAX_VALUE_CHARS = 1000
MAX_LABEL_CHARS = 200
POOLING = ("transaction", "session")

MAX_ATTRIBUTES = 64

TENANT_FIELDS = (
    "isolation", "target", "value", "schema", "database", "status", "tier", "quotas", "pooling", "lanes",
    "name", "slug", "owner", "parent", "flags", "attributes", "trial_ends",
)  # fmt: skip
_SLUG = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_ATTRIBUTE = re.compile(r"[A-Za-z0-9_]{1,60}")
_ID = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9_])?")


def read_tenants(problems: Problems, value: object, targets: Collection[str]) -> dict[str, Tenant]:
    """Every tenant that could be read, by id; what is wrong with them goes to `problems`."""
    bodies = as_mapping(problems, "tenants", value)
    return {t: read_tenant_body(problems, join_key("tenants", t), t, body, targets) for t, body in bodies.items()}


def read_tenant_body(problems: Problems, path: str, tenant_id: str, body: object, targets: Collection[str]) -> Tenant:
    """One tenant, not yet settled. Problems are noted below `path`; what it has to do with others is not asked here."""
    fields = as_mapping(problems, path, body)
    if _ID.fullmatch(tenant_id) is None or tenant_id == ADMIN_DATABASE:
        hint = f"Letters, digits and _ . - , at most 63, not {ADMIN_DATABASE}: it is also a database name."
        problems.add(path, "not an id for a tenant", hint)
    problems.unknown_keys(path, fields, TENANT_FIELDS)
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
        quotas=read_quotas(problems, f"{path}.quotas", fields.get("quotas")),
        pooling=pooling or "transaction",
        lanes=lanes,
        name=_label(problems, path, fields, "name"),
        slug=_slug(problems, path, fields),
        owner=_label(problems, path, fields, "owner"),
        parent=as_text(problems, f"{path}.parent", fields["parent"]) if "parent" in fields else None,
        flags=read_switches(problems, f"{path}.flags", fields.get("flags")),
        attributes=_attributes(problems, f"{path}.attributes", fields.get("attributes")),
        trial_ends=_trial_ends(problems, path, fields, status),
    )


def _label(problems: Problems, path: str, fields: dict[str, object], key: str) -> str:
    if key not in fields:
        return ""
    text = as_text(problems, f"{path}.{key}", fields[key]) or ""
    if len(text) > MAX_LABEL_CHARS or any(character < " " or character == "\x7f" for character in text):
        problems.add(f"{path}.{key}", f"longer than {MAX_LABEL_CHARS} characters, or not plain text", "Use one line.")
    return text


def _slug(problems: Problems, path: str, fields: dict[str, object]) -> str:
    if "slug" not in fields:
        return ""
    text = as_text(problems, f"{path}.slug", fields["slug"]) or ""
    if text and _SLUG.fullmatch(text) is None:
        hint = "Lower case letters, digits and - , at most 63: it can stand in a host name."
        problems.add(f"{path}.slug", f"{text[:80]!r} is not a slug", hint)
    return text


def _attributes(problems: Problems, path: str, value: object) -> Mapping[str, str]:
    found: dict[str, str] = {}
    for name, body in as_mapping(problems, path, value).items():
        here = join_key(path, name)
        if _ATTRIBUTE.fullmatch(name) is None:
            problems.add(here, "not a name for an attribute", "Letters, digits and _ , at most 60.")
        text = as_text(problems, here, body)
        if text is not None and len(text) > MAX_VALUE_CHARS:
            problems.add(here, f"longer than {MAX_VALUE_CHARS} characters", "Attributes are for policies to compare.")
        if text is not None:
            found[name] = text
    if len(found) > MAX_ATTRIBUTES:
        problems.add(path, f"more than {MAX_ATTRIBUTES} attributes", "Attributes are for policies to compare.")
    return MappingProxyType(found) if found else NO_ITEMS


def _trial_ends(problems: Problems, path: str, fields: dict[str, object], status: str | None) -> float | None:
    if "trial_ends" not in fields:
        if status == "trial":
            problems.add(f"{path}.trial_ends", "is missing", f"A trial ends. {TIMESTAMP_HINT}")
        return None
    return read_timestamp(problems, f"{path}.trial_ends", fields["trial_ends"])


def read_timestamp(problems: Problems, path: str, value: object) -> float | None:
    """Seconds since the epoch."""
    text = as_text(problems, path, value, TIMESTAMP_HINT)
    if text is None:
        return None
    try:
        return parse_timestamp(text)
    except ValueError as error:
        problems.add(path, str(error), TIMESTAMP_HINT)
        return None


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
