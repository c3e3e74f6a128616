"""The kinds of entities that the store keeps: the table of each, and what its columns repeat of a body."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from admin.store import tables
from policy.timestamps import parse_timestamp

Body = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Kind:
    """name: as in the feed. row: its table's class. columns: of a body. fed: gateways are told of it."""

    name: str
    row: type[Any]
    columns: Callable[[str, Body], dict[str, Any]]
    fed: bool = True


def _tenant_columns(entity_id: str, body: Body) -> dict[str, Any]:
    return {
        "name": body.get("name", ""),
        "status": body.get("status", "active"),
        "tier": body.get("tier", "standard"),
        "owner": body.get("owner"),
        "parent": body.get("parent"),
        "isolation": body["isolation"],
        "target": body["target"],
        "place": f"{body['target']}/{body.get('database', '')}",
    }


def _role_columns(entity_id: str, body: Body) -> dict[str, Any]:
    owner, slash, _ = entity_id.rpartition("/")
    return {"tenant": owner if slash else None}


def _assignment_columns(entity_id: str, body: Body) -> dict[str, Any]:
    tenant = body.get("tenant")
    return {
        "tenant": None if tenant == "*" else tenant,
        "subject": body.get("subject"),
        "expires": body.get("expires"),
    }


def _policy_columns(entity_id: str, body: Body) -> dict[str, Any]:
    return {"tenant": body.get("tenant"), "status": body.get("state", "active")}


def _revocation_columns(entity_id: str, body: Body) -> dict[str, Any]:
    until = body.get("until")
    return {"tenant": body.get("tenant"), "until": None if until is None else parse_timestamp(until)}


def _no_columns(entity_id: str, body: Body) -> dict[str, Any]:
    return {}


KINDS: Mapping[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("target", tables.TargetRow, _no_columns, fed=False),
        Kind("flag", tables.FlagDefinitionRow, _no_columns),
        Kind("tier", tables.TierRow, _no_columns),
        Kind("tenant", tables.TenantRow, _tenant_columns),
        Kind("role", tables.RoleRow, _role_columns),
        Kind("assignment", tables.AssignmentRow, _assignment_columns),
        Kind("policy", tables.PolicyRow, _policy_columns),
        Kind("tables", tables.TablesRow, _no_columns),
        Kind("functions", tables.FunctionsRow, _no_columns),
        Kind("revocation", tables.RevocationRow, _revocation_columns),
    )
}  # in an order in which each can be put in force: none needs a later one
