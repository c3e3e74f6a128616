"""The powers of the gateway's own role: what it may do is what a hole in the gateway would give away."""

from __future__ import annotations

from collections.abc import Iterator

from admin.doctor.examined import Examined
from admin.doctor.findings import Finding, Severity
from admin.provision.plan import own_schemas
from admin.provision.steps import ident, qualified
from policy import second_lock
from policy.model import TableClass

# Predefined roles that read or write past every table privilege, or reach the server itself.
_STRONG_ROLES = frozenset(
    {
        "pg_read_all_data", "pg_write_all_data", "pg_read_server_files", "pg_write_server_files", "pg_maintain",
        "pg_execute_server_program", "pg_signal_backend", "pg_monitor", "pg_read_all_stats", "pg_read_all_settings",
        "pg_stat_scan_tables", "pg_create_subscription", "pg_checkpoint",
    }
)  # fmt: skip


def powers(seen: Examined) -> Iterator[Finding]:
    role = seen.facts.role
    if role is None:
        return
    name = f"role {role.name}"
    for has, severity, word, why in (
        (role.superuser, Severity.CRITICAL, "SUPERUSER", "no privilege and no row-level security binds a superuser"),
        (role.bypass_rls, Severity.CRITICAL, "BYPASSRLS", "row-level security does not bind it"),
        (role.create_role, Severity.CRITICAL, "CREATEROLE", "it can give itself other roles"),
        (role.replication, Severity.HIGH, "REPLICATION", "it can read every row of the server as a replica"),
        (role.create_db, Severity.LOW, "CREATEDB", "it has no need to create databases"),
    ):
        if has:
            yield Finding(severity, f"role-{word.lower()}", name, why, (f"ALTER ROLE {ident(role.name)} NO{word}",))


def memberships(seen: Examined) -> Iterator[Finding]:
    role, facts = seen.facts.role, seen.facts
    if role is None:
        return
    owners = {facts.owner} | {found.owner for found in facts.relations.values()}
    for other in role.member_of:
        severity, why = Severity.MEDIUM, "it can become this role, with all its privileges"
        if other in facts.mighty or other in owners:
            severity, why = Severity.CRITICAL, "it can become this role, which owns tables or is bound by no policy"
        elif other in _STRONG_ROLES:
            severity, why = Severity.HIGH, "this role's powers reach beyond every tenant"
        revoke = f"REVOKE {ident(other)} FROM {ident(role.name)}"
        yield Finding(severity, "role-member", f"membership of {other}", why, (revoke,))


def ownership(seen: Examined) -> Iterator[Finding]:
    """An owner may take policies off, and RLS binds it only when forced. Tables that a tenant made in its own schema or
    database are the gateway's by nature."""
    facts, role = seen.facts, seen.wanted.target.role
    own = own_schemas(seen.wanted, facts)
    if facts.owner == role:
        sql = f"ALTER DATABASE {ident(facts.database)} OWNER TO postgres"
        yield Finding(Severity.HIGH, "owner", f"database {facts.database}", "an owner can do anything with it", (sql,))
    for schema, found in facts.schemas.items():
        if found.owner == role:
            sql = f"ALTER SCHEMA {ident(schema)} OWNER TO {ident(facts.owner)}"
            yield Finding(Severity.HIGH, "owner", f"schema {schema}", "an owner can do anything with it", (sql,))
    for (schema, name), relation in facts.relations.items():
        if relation.owner == role and not (schema in own and seen.wanted.ddl):
            what = "SEQUENCE" if relation.kind == "S" else "TABLE"
            sql = f"ALTER {what} {qualified(schema, name)} OWNER TO {ident(facts.owner)}"
            why = "an owner can switch its row-level security off"
            severity = Severity.LOW if relation.kind == "S" else Severity.CRITICAL
            yield Finding(severity, "owner", f"{schema}.{name}", why, (sql,))


def privileges(seen: Examined) -> Iterator[Finding]:
    """What it may do beyond what the policy classifies; only the gateway's refusals are before these."""
    role, facts = seen.wanted.target.role, seen.facts
    rules = {(rule.schema, rule.name): rule for rule in seen.wanted.rules}
    own = own_schemas(seen.wanted, facts)
    for name, relation in facts.relations.items():
        if relation.kind == "S" or relation.of_extension or name[0] in own or name[0] == second_lock.SCHEMA:
            continue
        held = relation.grants.get(role, frozenset())
        public = relation.grants.get("", frozenset())
        rule = rules.get(name)
        allowed: frozenset[str] = frozenset()
        if rule is not None and rule.table_class is TableClass.TENANT:
            allowed = frozenset({"SELECT", "INSERT", "UPDATE", "DELETE"})
        elif rule is not None and rule.table_class is TableClass.GLOBAL:
            allowed = frozenset({"SELECT"})
        for grantee, too_much in ((ident(role), held - allowed), ("PUBLIC", public - allowed)):
            if too_much:
                yield _excess(name, grantee, too_much, tenant=rule is not None and bool(rule.tenant_column))


def _excess(name: tuple[str, str], grantee: str, privileges: frozenset[str], *, tenant: bool) -> Finding:
    truncates = tenant and "TRUNCATE" in privileges
    why = f"{grantee} has {', '.join(sorted(privileges))}, which no tenant needs"
    if truncates:
        why += "; TRUNCATE empties it for every tenant, whatever the policies"
    severity = Severity.HIGH if truncates else Severity.MEDIUM
    sql = f"REVOKE ALL ON {qualified(*name)} FROM {grantee}"
    if tenant:
        sql = f"REVOKE {', '.join(sorted(privileges))} ON {qualified(*name)} FROM {grantee}"
    return Finding(severity, "privilege", f"{name[0]}.{name[1]}", why, (sql.replace(" of a column", ""),))


def schemas(seen: Examined) -> Iterator[Finding]:
    """Who may create in a schema that others resolve names in can put a function in the place of another."""
    role, facts = seen.wanted.target.role, seen.facts
    own = own_schemas(seen.wanted, facts)
    for schema, found in facts.schemas.items():
        for grantee in ("", role):
            if "CREATE" in found.grants.get(grantee, frozenset()) and not (schema in own and seen.wanted.ddl):
                to = ident(grantee) if grantee else "PUBLIC"
                yield Finding(
                    Severity.MEDIUM,
                    "schema-create",
                    f"schema {schema}",
                    f"{to} may create there, and so put an object in the place of another",
                    (f"REVOKE CREATE ON SCHEMA {ident(schema)} FROM {to}",),
                )


CHECKS = (powers, memberships, ownership, privileges, schemas)
