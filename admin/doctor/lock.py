"""The second lock, where the configuration wants it: is it there, is it whole, does the gateway's key open it?

What is missing is what `provision` would do now, so the two cannot disagree.
"""

from __future__ import annotations

from collections.abc import Iterator

from admin.doctor.examined import Examined
from admin.doctor.findings import Finding, Severity
from admin.provision.lock_sql import function_is_right
from admin.provision.plan import lock_expressions, table_steps
from policy import second_lock

# "Enforce row visibility for INSERT … ON CONFLICT target rows": the first releases in which policies hold there.
_ON_CONFLICT_FIXED = {14: 140025, 15: 150020, 16: 160016, 17: 170012, 18: 180007}


def tables(seen: Examined) -> Iterator[Finding]:
    target = seen.wanted.target
    if not target.native:
        return
    for name, expression in lock_expressions(seen.wanted, seen.facts, seen.catalog):
        steps = list(table_steps(name, expression, seen.wanted, seen.facts))
        if not steps:
            continue
        relation = seen.facts.relations[name]
        ours = any(policy.name == second_lock.TENANT_POLICY for policy in relation.policies)
        check, why = "lock-outdated", "its policies are not what they should be"
        if not relation.row_security or not ours:
            check, why = "lock-missing", "row-level security is off, or without the tenant's policy"
        yield Finding(Severity.CRITICAL, check, f"{name[0]}.{name[1]}", why, tuple(step.sql for step in steps))


def function(seen: Examined) -> Iterator[Finding]:
    """Its absence is told by the tables, whose policies cannot be there without it."""
    target, found = seen.wanted.target, seen.facts.function
    if not target.native or found is None:
        return
    name, mend = f"function {second_lock.FUNCTION}", "Run tenantgate provision."
    if not function_is_right(found, target):
        yield Finding(Severity.CRITICAL, "lock-function", name, f"it is not the one that provision makes. {mend}")
    elif seen.lock_opens is False:
        why = f"the key that it checks by is not the configuration's setting_key: no tenant sees a row. {mend}"
        yield Finding(Severity.HIGH, "lock-key", name, why)


def key(seen: Examined) -> Iterator[Finding]:
    if seen.wanted.target.native and seen.wanted.target.key is None:
        why = "whoever can run SET on a connection of the gateway's role can name any tenant. Set setting_key_file."
        yield Finding(Severity.MEDIUM, "role-lock-unproven", f"setting {second_lock.SETTING}", why)


def release(seen: Examined) -> Iterator[Finding]:
    version = seen.catalog.server_version
    fixed = _ON_CONFLICT_FIXED.get(version // 10000)
    if seen.wanted.target.native and fixed is not None and version < fixed:
        shown = f"{fixed // 10000}.{fixed % 100}"
        why = f"before {shown} ON CONFLICT DO UPDATE can see rows that policies hide, when its key lacks the tenant"
        yield Finding(Severity.LOW, "role-server-release", f"PostgreSQL {version // 10000}.{version % 100}", why)


CHECKS = (tables, function, key, release)
