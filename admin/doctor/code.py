"""Code with somebody else's rights, or that nobody names: definer functions, views, triggers, extensions."""

from __future__ import annotations

from collections.abc import Iterator

from admin.doctor.examined import Examined
from admin.doctor.findings import Finding, Severity
from admin.provision.steps import ident, qualified
from policy.model import TableClass

# Of an extension: functions that reach another database, or a table, by a text.
_REACHING = {
    "dblink": "its functions run SQL in any database, as whoever they log in as",
    "postgres_fdw": "a foreign table reads another server as whoever its mapping says",
    "file_fdw": "a foreign table reads the server's files",
    "adminpack": "its functions read and write the server's files",
}


def definer_functions(seen: Examined) -> Iterator[Finding]:
    for function in seen.definers:
        mighty = function.owner in seen.facts.mighty
        severity = Severity.HIGH if mighty or not seen.wanted.whole else Severity.MEDIUM
        why = f"it runs as {function.owner}, {'whom no policy binds' if mighty else 'not as the tenant'}"
        grantee = "PUBLIC" if function.public else ident(seen.wanted.target.role)
        sql = f"REVOKE EXECUTE ON {function.kind.upper()} {function.signature} FROM {grantee}"
        yield Finding(severity, "security-definer", f"{function.kind} {function.signature}", why, (sql,))


def views(seen: Examined) -> Iterator[Finding]:
    """Those that are used as they are. The others are no danger: the gateway puts their query in their place."""
    for rule in seen.wanted.rules:
        relation = seen.facts.relations.get((rule.schema, rule.name))
        if relation is None or relation.kind not in "vmf" or rule.table_class is TableClass.DENIED:
            continue
        name, trusted = f"{rule.schema}.{rule.name}", rule.trusted or rule.table_class is TableClass.GLOBAL
        native = seen.wanted.target.native
        if relation.kind == "v" and trusted and "security_invoker=true" not in relation.options.lower():
            severity = Severity.HIGH if native or relation.owner in seen.facts.mighty else Severity.MEDIUM
            why = f"it reads its tables as {relation.owner}, past the row-level security of who asks"
            sql: tuple[str, ...] = ()
            if seen.catalog.server_version >= 150000:
                sql = (f"ALTER VIEW {qualified(rule.schema, rule.name)} SET (security_invoker = true)",)
            yield Finding(severity, "view-invoker", name, why, sql)
        elif relation.kind in "mf" and rule.table_class is TableClass.TENANT:
            what = "a materialised view" if relation.kind == "m" else "a foreign table"
            severity = Severity.HIGH if native else Severity.MEDIUM
            why = f"{what} has no row-level security: only the gateway's test keeps tenants apart in it"
            yield Finding(severity, "no-row-security", name, why)


def hidden_code(seen: Examined) -> Iterator[Finding]:
    """A write runs it, though no statement names it, and nobody has reviewed it."""
    tables = {(rule.schema, rule.name) for rule in seen.wanted.tenant_rules}
    for code in seen.code:
        if code.table in tables:
            severity = Severity.HIGH if code.definer else Severity.MEDIUM
            why = (
                f"it runs {code.function}{' as its owner' if code.definer else ''}: look whether that minds the tenant"
            )
            yield Finding(severity, "hidden-code", f"{code.table[0]}.{code.table[1]} {code.what}", why)
    for name in sorted(tables):
        relation = seen.catalog.relations.get(name)
        if relation is not None and relation.has_rules:
            why = "a rule makes other statements of a client's, which nobody has guarded"
            yield Finding(Severity.HIGH, "rule", f"{name[0]}.{name[1]}", why)


def extensions(seen: Examined) -> Iterator[Finding]:
    for name in sorted(seen.extensions & _REACHING.keys()):
        why = f"{_REACHING[name]}; the gateway refuses that, the database does not"
        yield Finding(Severity.MEDIUM, "extension", f"extension {name}", why, (f"DROP EXTENSION {ident(name)}",))


CHECKS = (definer_functions, views, hidden_code, extensions)
