"""Things that are right in the configuration and right in the policy, but do not go together. All are warnings."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from policy.builtin_roles import BUILTIN_ROLES
from policy.model import LOCAL_ISSUER, Isolation
from policy.names import parse_table_pattern
from policy.problems import Problem, did_you_mean, join_key
from policy.snapshot import Snapshot
from proxy.config import GatewayConfig

_ATTRIBUTE = re.compile(r":attr_([A-Za-z0-9_]+)")


def cross_check(config: GatewayConfig, snapshot: Snapshot) -> list[Problem]:
    """Names in one file that the other does not have, and targets that are one server under two names."""
    return [
        *_principals(config, snapshot),
        *_attributes(config, snapshot),
        *_unclassified(snapshot),
        *_unknown_tables(snapshot),
        *_twin_targets(config),
    ]


def _principals(config: GatewayConfig, snapshot: Snapshot) -> Iterator[Problem]:
    auth = config.auth
    for index, issuer in enumerate(auth.issuers):
        yield from _unknown(f"auth.issuers[{index}].tenants", "tenant", issuer.tenants or (), snapshot.tenants)
    for section, accounts in (("service_accounts", auth.service_accounts), ("certificates", auth.certificates)):
        for name, account in accounts.items():
            path = join_key(f"auth.{section}", name)
            yield from _unknown(f"{path}.tenants", "tenant", account.tenants, snapshot.tenants)
            own = {role.partition("/")[2] for role in snapshot.roles if "/" in role}
            built_in = (account.roles & BUILTIN_ROLES.keys()) - snapshot.roles.keys() - own
            yield from _unknown(f"{path}.roles", "role", account.roles - built_in, {*snapshot.roles, *own})
            for role in sorted(built_in):
                message = f"{role} is a built-in role: naming it gives nothing"
                hint = f"Assign it in the policy: {{subject: {name}, issuer: {LOCAL_ISSUER}, roles: [{role}], …}}."
                yield f"{path}.roles", message, hint


def _unknown(key: str, what: str, names: Iterable[str], known: Iterable[str]) -> Iterator[Problem]:
    listed = tuple(known)
    for name in sorted(set(names) - set(listed)):
        yield key, f"the policy has no {what} {name!r}", did_you_mean(name, listed)


def _attributes(config: GatewayConfig, snapshot: Snapshot) -> Iterator[Problem]:
    """A value that no issuer hands on is NULL for every token: such a filter lets no row through."""
    handed_on = {name for issuer in config.auth.issuers for name in issuer.attribute_claims}
    for role in snapshot.roles.values():
        masks = (text for columns in role.masks.values() for text in columns.values())
        used = {name for text in (*role.row_filters.values(), *masks) for name in _ATTRIBUTE.findall(text)}
        for name in sorted(used - handed_on):
            hint = f'Add "{name}" to attribute_claims of an issuer.'
            yield join_key("roles", role.name), f":attr_{name} has no value: no issuer hands on claim {name}", hint


def _unclassified(snapshot: Snapshot) -> Iterator[Problem]:
    shared = {t.target: t.id for t in snapshot.tenants.values() if t.isolation is Isolation.SHARED}
    for target, tenant in sorted(shared.items()):
        if not snapshot.tables.get(target):
            message = f"no table is classified, so that tenant {tenant} can see none"
            yield join_key("tables", target), message, "List each table with its tenant_column."


def _unknown_tables(snapshot: Snapshot) -> Iterator[Problem]:
    """Only where every tenant is shared: tables of a tenant's own schema or database are listed nowhere."""
    if any(tenant.isolation is not Isolation.SHARED for tenant in snapshot.tenants.values()):
        return
    listed = {(rule.schema, rule.name) for rules in snapshot.tables.values() for rule in rules}
    names = {name for _, name in listed}
    for role in snapshot.roles.values():
        permissions = (p.name for p in role.permissions if p.kind == "table")
        for text in sorted({*permissions, *role.row_filters, *role.masks}):
            pattern = parse_table_pattern(text)
            if pattern.schema is None or pattern.name is None or (pattern.schema, pattern.name) in listed:
                continue
            message = f"names table {text}, which is not classified for any target"
            yield join_key("roles", role.name), message, did_you_mean(pattern.name, names)


def _twin_targets(config: GatewayConfig) -> Iterator[Problem]:
    seen: dict[tuple[str, int], str] = {}
    for name, target in config.targets.items():
        other = seen.setdefault((target.host.lower(), target.port), name)
        if other != name:
            message = f"is the same server as targets.{other}"
            hint = "Tenants of both are not checked against each other: use one target, and database per tenant."
            yield join_key("targets", name), message, hint
