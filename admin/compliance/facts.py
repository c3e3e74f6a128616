"""Figures about the gateway's configuration and the policy in force when the report is made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Final

from admin.compliance.evidence import personal_relations, roles_shown
from admin.compliance.figures import Cell, Figure
from admin.compliance.sources import Sources
from policy.model import TenantStatus
from proxy.config import GatewayConfig

_DAY_S: Final = 86_400
_CONFIGURATION: Final = "configuration, as it is when the report is made"
_POLICY: Final = "policy, as it is when the report is made"
_VERIFIED: Final = ("verify-ca", "verify-full")


def transport(sources: Sources, _: Mapping[str, Any]) -> Figure:
    """TLS towards clients and towards each target."""
    title = "Encryption of connections"
    if sources.config is None:
        return _unread(title, _CONFIGURATION, sources)
    config = sources.config
    rows: list[list[Cell]] = [["clients", f"mode {config.tls.mode}"]]
    exceptions = [] if config.tls.mode == "require" else [f"clients may connect without TLS (mode {config.tls.mode})"]
    if config.auth.plaintext_loopback:
        exceptions.append("loopback clients may send a password without TLS")
    for target in config.targets.values():
        rows.append([f"target {target.name}", f"tls {target.tls}"])
        if target.tls not in _VERIFIED:
            exceptions.append(f"the certificate of target {target.name} is not verified (tls {target.tls})")
    return Figure(title, _CONFIGURATION, ("connection", "setting"), rows, None, exceptions)


def authentication(sources: Sources, _: Mapping[str, Any]) -> Figure:
    """Who may speak for users: issuers of tokens, service accounts, certificates."""
    title = "Ways to log in"
    if sources.config is None:
        return _unread(title, _CONFIGURATION, sources)
    auth = sources.config.auth
    rows: list[list[Cell]] = []
    exceptions: list[str] = []
    for issuer in auth.issuers:
        if sources.tenant is not None and issuer.tenants is not None and sources.tenant not in issuer.tenants:
            continue
        life = f"tokens of {issuer.max_lifetime_s / 3600:g} h at most"
        rows.append(["token issuer", issuer.issuer, f"{', '.join(issuer.algorithms)}; {life}"])
        if issuer.max_lifetime_s > _DAY_S:
            exceptions.append(f"issuer {issuer.issuer}: tokens may live longer than a day")
        if issuer.hs256_secret is not None:
            exceptions.append(f"issuer {issuer.issuer}: a shared secret signs tokens (HS256)")
    accounts = [("service account (SCRAM-SHA-256)", a.name, a.tenants) for a in auth.service_accounts.values()]
    accounts += [("client certificate", c.common_name, c.tenants) for c in auth.certificates.values()]
    for kind, name, whose in accounts:
        if sources.tenant is None:
            rows.append([kind, name, f"tenants {', '.join(sorted(whose))}"])
        elif sources.tenant in whose:
            rows.append([kind, name, f"tenant {sources.tenant}"])
    missing = None if rows else "no way to log in is configured"
    return Figure(title, _CONFIGURATION, ("kind", "name", "bounds"), rows, len(rows), exceptions, missing)


def audit_settings(sources: Sources, _: Mapping[str, Any]) -> Figure:
    """How the log is written."""
    title = "Settings of the audit log"
    if sources.config is None:
        return _unread(title, _CONFIGURATION, sources)
    audit = sources.config.audit
    sealed = getattr(audit, "signing_key", None) is not None
    rows: list[list[Cell]] = [
        ["while it cannot be written", audit.on_failure],
        ["waits for the disk", "each batch (fsync)" if audit.fsync else "no (fsync = false)"],
        ["parameter values", audit.parameters],
        ["signed seals", "yes" if sealed else "no"],
    ]
    exceptions = [] if audit.fsync else ["a power cut may lose the last batches: fsync is off"]
    if not sealed:
        exceptions.append("segments are not sealed with a key: who can write the log can compute its chain anew")
    return Figure(title, _CONFIGURATION, ("setting", "value"), rows, None, exceptions)


def roles(sources: Sources, _: Mapping[str, Any]) -> Figure:
    """Roles with what they permit; a role that may do everything is an exception to look at."""
    title = "Roles and what they permit"
    if sources.snapshot is None:
        return _unread(title, _POLICY, sources)
    rows: list[list[Cell]] = []
    exceptions: list[str] = []
    for role in roles_shown(sources.snapshot, sources.tenant):
        permits = sorted(f"{p.kind}:{p.name}:{p.action}" for p in role.permissions)
        more = f" and {len(permits) - 6} more" if len(permits) > 6 else ""
        kept = f"{len(role.row_filters)} filters, {sum(map(len, role.masks.values()))} masks"
        above = f"as {', '.join(role.inherits)}; " if role.inherits else ""
        rows.append([role.name, above + ", ".join(permits[:6]) + more, kept])
        if "database:*:*" in permits:
            exceptions.append(f"role {role.name} permits everything")
    missing = None if rows else "there is no role"
    return Figure(title, _POLICY, ("role", "permits", "narrowed by"), rows, len(rows), exceptions, missing)


def isolation(sources: Sources, _: Mapping[str, Any]) -> Figure:
    """How tenants are kept apart, and whether the database enforces it, too."""
    title = "Separation of tenants"
    if sources.snapshot is None or sources.config is None:
        return _unread(title, _POLICY, sources)
    tenants = [t for t in sources.snapshot.tenants.values() if sources.tenant in (None, t.id)]
    if not tenants:
        return Figure(title, _POLICY, missing="the policy has no such tenant")
    counted = Counter((t.isolation.value, t.target) for t in tenants)
    rows: list[list[Cell]] = [
        [kind, target, number, _enforcement(sources.config, target)]
        for (kind, target), number in sorted(counted.items())
    ]
    exceptions = [
        f"shared tables on {target}: the gateway alone keeps tenants apart (enforcement rewrite)"
        for (kind, target), _ in sorted(counted.items())
        if kind == "shared" and _enforcement(sources.config, target) == "rewrite"
    ]
    return Figure(
        title, _POLICY, ("isolation", "target", "tenants", "enforced by"), rows, len(tenants), exceptions
    )  # fmt: skip


def _enforcement(config: GatewayConfig, target: str) -> str:
    return config.targets[target].enforcement if target in config.targets else "unknown target"


def personal_data(sources: Sources, _: Mapping[str, Any]) -> Figure:
    """Relations that hold personal data, as the policy has it, and who sees them masked."""
    title = "Relations with personal data, and their masks"
    if sources.snapshot is None:
        return _unread(title, _POLICY, sources)
    found = personal_relations(sources.snapshot, sources.tenant)
    if not found:
        return Figure(title, _POLICY, missing="the policy tags no relation as personal, and masks none")
    rows: list[list[Cell]] = [[name, _masks(sources, name)] for name in found]
    bare = [f"{name} is tagged as personal, and no role sees it masked" for name, masks in rows if not masks]
    return Figure(title, _POLICY, ("relation", "masked or denied columns, by role"), rows, len(rows), bare)


def _masks(sources: Sources, relation: str) -> str:
    assert sources.snapshot is not None
    said = []
    for role in roles_shown(sources.snapshot, sources.tenant):
        names = {n for n in (*role.masks, *role.denied_columns) if n in (relation, relation.removeprefix("public."))}
        columns = sorted({c for n in names for c in (*role.masks.get(n, ()), *role.denied_columns.get(n, ()))})
        if columns:
            said.append(f"{role.name}: {', '.join(columns)}")
    return "; ".join(said)


def tenants(sources: Sources, _: Mapping[str, Any]) -> Figure:
    """Tenants by status; those that are suspended, expired or being deleted."""
    title = "Tenants"
    if sources.snapshot is None:
        return _unread(title, _POLICY, sources)
    known = [t for t in sources.snapshot.tenants.values() if sources.tenant in (None, t.id)]
    if not known:
        return Figure(title, _POLICY, missing="the policy has no such tenant")
    counted = Counter(t.status for t in known)
    rows: list[list[Cell]] = [[status.value, counted[status]] for status in TenantStatus if counted[status]]
    return Figure(title, _POLICY, ("status", "tenants"), rows, len(known))


def _unread(title: str, source: str, sources: Sources) -> Figure:
    return Figure(title, source, missing=f"it could not be read: {sources.reason_unread}")


FACTS: Final[Mapping[str, Callable[[Sources, Mapping[str, Any]], Figure]]] = {
    "transport": transport,
    "authentication": authentication,
    "audit_settings": audit_settings,
    "roles": roles,
    "isolation": isolation,
    "personal_data": personal_data,
    "tenants": tenants,
}
