"""JSON Schemas of bodies, for the OpenAPI document: the fields of policy.yaml (docs/policy.md), by the same names.

What a body must be in full is judged by the services, with the functions that read policy.yaml; these say its form.
"""

from __future__ import annotations

from typing import Any

from policy.document_tenants import POOLING
from policy.model import Isolation, TenantStatus

Schema = dict[str, Any]

_NAME: Schema = {"type": "string", "minLength": 1, "maxLength": 63}
_LABEL: Schema = {"type": "string", "maxLength": 200}
TENANT_ID: Schema = {
    "type": "string", "minLength": 1, "maxLength": 63, "pattern": "^[A-Za-z0-9_]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9_])?$"
}  # fmt: skip
ROLE_ID: Schema = {"type": "string", "minLength": 1, "maxLength": 127}
_SWITCH: Schema = {"anyOf": [{"type": "boolean"}, {"enum": ["on", "off"]}]}
_SWITCHES: Schema = {"type": "object", "additionalProperties": _SWITCH}
_TEXTS: Schema = {"type": "object", "additionalProperties": {"type": "string"}}
_LIST: Schema = {"type": "array", "items": {"type": "string"}}
QUOTAS: Schema = {
    "type": "object",
    "description": "Limits by name, as in policy.yaml; one that is left out is the tier's, or none.",
    "additionalProperties": {"type": ["integer", "number", "string", "object"]},
    "examples": [{"connections": 50, "statements_per_s": 500, "statement_timeout": "30s"}],
}
FLAGS: Schema = _SWITCHES | {"description": "Feature flags that the tenant has otherwise than its tier."}
_TENANT_FIELDS: Schema = {
    "isolation": {"type": "string", "enum": [each.value for each in Isolation]},
    "target": _NAME,
    "value": {"type": ["string", "integer"], "description": "What stands in the tenant column; default: the id."},
    "schema": _NAME | {"description": "With isolation schema."},
    "database": _NAME,
    "status": {"type": "string", "enum": [each.value for each in TenantStatus]},
    "tier": _LABEL,
    "quotas": QUOTAS,
    "pooling": {"type": "string", "enum": list(POOLING)},
    "lanes": _SWITCH,
    "name": _LABEL,
    "slug": {"type": "string", "maxLength": 63, "description": "For host names; unique."},
    "owner": _LABEL,
    "parent": TENANT_ID,
    "flags": FLAGS,
    "attributes": _TEXTS,
    "trial_ends": {"type": "string", "description": "RFC 3339."},
}
TENANT: Schema = {
    "type": "object",
    "properties": {"id": TENANT_ID, **_TENANT_FIELDS},
    "required": ["isolation", "target"],
    "additionalProperties": False,
    "examples": [{"id": "initech", "isolation": "schema", "target": "shop", "schema": "initech", "tier": "pro"}],
}
NEW_TENANT: Schema = TENANT | {"required": ["id", "isolation", "target"]}
TENANT_PATCH: Schema = {
    "type": "object",
    "description": "A JSON merge patch (RFC 7396): members replace, null takes out.",
    "properties": {name: {"anyOf": [schema, {"type": "null"}]} for name, schema in _TENANT_FIELDS.items()},
    "additionalProperties": False,
    "examples": [{"tier": "pro", "quotas": {"connections": 100}}],
}
TIER: Schema = {
    "type": "object",
    "properties": {
        "id": _LABEL,
        "quotas": QUOTAS,
        "flags": _SWITCHES,
        "trial_grace": {"type": ["string", "integer"], "description": "After a trial, reading only; 7d unless given."},
    },
    "additionalProperties": False,
    "examples": [{"quotas": {"connections": 50}, "flags": {"copy": "off"}}],
}
FLAG: Schema = {
    "type": "object",
    "properties": {
        "id": _LABEL,
        "deny": _LIST | {"description": "Permissions that its tenants lack while it is off."},
        "quotas": QUOTAS,
        "default": _SWITCH,
    },
    "additionalProperties": False,
    "examples": [{"deny": ["table:*:copy"], "default": "on"}],
}
_EXPRESSIONS: Schema = {"type": "object", "additionalProperties": {"type": "string"}}
ROLE: Schema = {
    "type": "object",
    "properties": {
        "id": ROLE_ID,
        "description": _LABEL,
        "permissions": _LIST | {"examples": [["table:orders:read"]]},
        "deny": _LIST,
        "inherits": _LIST,
        "row_filters": _EXPRESSIONS,
        "masks": {"type": "object", "additionalProperties": _EXPRESSIONS},
        "denied_columns": {"type": "object", "additionalProperties": _LIST},
        "replaces_builtin": {"type": "boolean"},
    },
    "additionalProperties": False,
}
NEW_ROLE: Schema = ROLE | {"required": ["id"]}
USER_ROLES: Schema = {
    "type": "object",
    "properties": {"roles": {"type": "array", "items": ROLE_ID, "maxItems": 100}},
    "required": ["roles"],
    "additionalProperties": False,
    "examples": [{"roles": ["analyst"]}],
}
POLICY: Schema = {
    "type": "object",
    "description": "A policy of conditions and effects (docs/policy.md).",
    "properties": {"id": ROLE_ID},
    "additionalProperties": True,
}
NEW_POLICY: Schema = POLICY | {"required": ["id"]}
TARGET: Schema = {
    "type": "object",
    "properties": {
        "id": _NAME,
        "database": _NAME | {"description": "The target's own."},
        "host": _LABEL,
        "port": {"type": "integer", "minimum": 1, "maximum": 65535},
        "description": _LABEL,
    },
    "required": ["database"],
    "additionalProperties": False,
}
CLASSIFICATION: Schema = {
    "type": "object",
    "description": "As in policy.yaml, below tables or functions and the target.",
}
REVOCATION: Schema = {
    "type": "object",
    "description": "Either a token or a subject.",
    "properties": {
        "jti": {"type": "string", "minLength": 1, "maxLength": 255},
        "subject": {"type": "string", "minLength": 1, "maxLength": 255},
        "tenant": TENANT_ID,
        "issuer": {"type": "string", "minLength": 1, "maxLength": 255},
        "issued_before": {"type": "string", "description": "RFC 3339: only tokens issued before."},
        "until": {"type": "string", "description": "RFC 3339: it ends by itself."},
        "reason": {"type": "string", "maxLength": 255},
    },
    "additionalProperties": False,
    "examples": [{"subject": "alice", "reason": "left the company"}],
}
EXPLAIN: Schema = {
    "type": "object",
    "properties": {
        "tenant": TENANT_ID,
        "subject": {"type": "string", "minLength": 1, "maxLength": 255},
        "roles": _LIST,
        "groups": _LIST,
        "attributes": _TEXTS,
        "issuer": {"type": "string", "minLength": 1, "maxLength": 255},
        "amr": _LIST | {"description": "How the login was proven, as the token has it: mfa, otp, …"},
        "acr": {"type": "string", "maxLength": 255},
        "address": {"type": "string", "maxLength": 64, "description": "The client's IP address."},
        "application": {"type": "string", "maxLength": 255, "description": "What the client calls itself."},
        "tls": {"type": "boolean"},
        "read_replica": {"type": "boolean"},
        "at": {"type": "string", "description": "RFC 3339: as at this time."},
        "sql": {"type": "string", "minLength": 1, "maxLength": 1_000_000},
        "why": {"type": "boolean", "description": "Also why no rows come: asks the target."},
    },
    "required": ["subject", "sql"],
    "additionalProperties": False,
}
DRY_RUN: Schema = {
    "type": "object",
    "properties": {"policy": NEW_POLICY, **EXPLAIN["properties"]},
    "required": ["policy", "subject", "sql"],
    "additionalProperties": False,
}
REPLAY: Schema = {
    "type": "object",
    "properties": {
        "policy": NEW_POLICY,
        "since": {"type": "string", "description": "RFC 3339"},
        "until": {"type": "string", "description": "RFC 3339"},
    },
    "required": ["policy"],
    "additionalProperties": False,
}
PROBLEM: Schema = {
    "type": "object",
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "hint": {"type": "string"},
        "id": {"type": "string"},
        "statement": {"type": "string"},
        "sqlstate": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"at": {"type": "string"}, "message": {"type": "string"}, "hint": {"type": "string"}},
                "required": ["at", "message", "hint"],
            },
        },
    },
    "required": ["type", "title", "status", "detail"],
}
