"""Tables that the policy tracks: are the triggers there that write their changes down?"""

from __future__ import annotations

from collections.abc import Iterator

from admin.doctor.examined import Examined
from admin.doctor.findings import Finding, Severity
from admin.provision.change_steps import tracked_tables
from policy.sql.catalog import ROWS_AND_TRUNCATE


def untracked(seen: Examined) -> Iterator[Finding]:
    for schema, name in tracked_tables(seen.wanted, seen.facts):
        relation = seen.catalog.relations.get((schema, name))
        if relation is None or relation.tracked != ROWS_AND_TRUNCATE:
            why = "the policy tracks its changes, and no trigger does: writes are refused. Run tenantgate provision."
            yield Finding(Severity.HIGH, "changes-untracked", f"{schema}.{name}", why)


def unproven(seen: Examined) -> Iterator[Finding]:
    if seen.wanted.target.key is None and tracked_tables(seen.wanted, seen.facts):
        why = "who has the password of the gateway's role can change rows in anybody's name. Set setting_key_file."
        yield Finding(Severity.LOW, "changes-unproven", f"role {seen.wanted.target.role}", why)


CHECKS = (untracked, unproven)
