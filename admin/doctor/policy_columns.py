"""Columns that the policy's roles name and a relation does not have."""

from __future__ import annotations

from collections.abc import Iterator

from admin.doctor.findings import Finding, Severity
from admin.provision.wanted import Wanted
from policy.names import DEFAULT_SCHEMA
from policy.role_columns import unknown_columns
from policy.snapshot import Snapshot
from policy.sql.catalog import Catalog


def check_columns(snapshot: Snapshot, wanted: Wanted, catalog: Catalog) -> Iterator[Finding]:
    """What roles say of relations of this database. Tables in a tenant's own schema go by their bare names."""
    listed = {(rule.schema, rule.name) for rule in wanted.rules}
    for (schema, name), relation in sorted(catalog.relations.items()):
        own = schema in wanted.schemas
        if not (own or wanted.whole or (schema, name) in listed):
            continue
        columns = frozenset(column.name for column in relation.columns)
        for unknown in unknown_columns(snapshot.roles.values(), DEFAULT_SCHEMA if own else schema, name, columns):
            severity = Severity.MEDIUM if unknown.harmless else Severity.HIGH
            effect = "statements that it is for are refused" if unknown.harmless else "it hides nothing"
            why = f"{unknown.place} names column {unknown.column}, which is not there: {effect}. {unknown.hint}"
            yield Finding(severity, "policy-column", f"{schema}.{name}.{unknown.column}", why)
