"""Roles that every policy has without writing them. docs/policy.md has the table; decision 32 says who can hold them.

They are held by an assignment or by inheritance. A token that merely names one has it only where the policy's own
`roles` define that name: else an upgrade would give rights to words that issuers use for something else.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from policy.model import Role
from policy.permissions import CONTROL_ACTIONS, parse_permission

_EVERY_KIND = tuple(CONTROL_ACTIONS)
_OF_A_TENANT = tuple(kind for kind in _EVERY_KIND if kind not in ("target", "compliance"))


def _control(scope: str, action: str, kinds: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f"{kind}:{scope}:{action}" for kind in kinds)


def _role(name: str, description: str, *permissions: str) -> Role:
    return Role(name, frozenset(map(parse_permission, permissions)), description=description)


_ROLES = (
    _role(
        "super_admin",
        "everything, in every tenant",
        "database:*",
        "schema:*:ddl",
        "gateway:*:admin",
        *_control("*", "*", _EVERY_KIND),
    ),
    _role(
        "tenant_admin",
        "all data and all administration of its tenant and of the tenants below",
        "database:*",
        "schema:*:ddl",
        *_control("own", "*", _OF_A_TENANT),
        *_control("children", "*", _OF_A_TENANT),
        "compliance:own:read",
        "compliance:children:read",
    ),
    _role(
        "database_admin",
        "all data and DDL of its tenant, sessions and quotas; no users and no roles",
        "database:*",
        "schema:*:ddl",
        *_control("own", "read", ("tenant", "quota", "flag", "target")),
        "session:own:*",
    ),
    _role("developer", "reads and writes all data, and DDL", "database:*:write", "schema:*:ddl", "tenant:own:read"),
    _role("analyst", "reads all data", "database:*:read"),
    _role("read_only", "reads all data, but not by COPY", "database:*:select"),
    _role(
        "auditor",
        "reads audit, policy and reports of its tenant; no data",
        *_control("own", "read", ("tenant", "user", "role", "policy", "quota", "flag", "audit", "compliance")),
    ),
    _role("service", "what an application needs: reads and writes all data", "database:*:write"),
)

BUILTIN_ROLES: Mapping[str, Role] = MappingProxyType({role.name: role for role in _ROLES})
