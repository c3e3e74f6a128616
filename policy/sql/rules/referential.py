"""Referential actions: what PostgreSQL does to other tables on its own when a row goes or its key changes.

ON DELETE and ON UPDATE with CASCADE, SET NULL or SET DEFAULT change rows that no predicate confines: triggers run them
as the table's owner. A foreign key that holds the tenant column on both sides stays within the tenant; any other can
reach rows of others (corpus DML-045, DML-046), so a write that could set it off is refused, also several keys away.

Source: ri_triggers.c; PostgreSQL documentation 5.5.5.
"""

from __future__ import annotations

from collections.abc import Collection

from policy.errors import AccessDenied
from policy.model import Isolation, TableClass, TableRule
from policy.sql.catalog import ForeignKey, Relation
from policy.sql.context import Context
from policy.sql.functions import default_is_allowed
from policy.sql.references import Reference
from policy.sql.relatives import keys_on
from policy.sql.resolve import Resolved

_Name = tuple[str, str]

_MOVES_BY_DELETE_BEFORE = (
    150000  # until then an UPDATE that moves a row to another partition deletes it (release notes)
)


def check_delete(reference: Reference, resolved: Resolved, context: Context) -> None:
    """Refuse (42501) a DELETE from which a foreign key's action could reach rows of others."""
    if resolved.relation is not None:
        _check(resolved.relation, None, reference, context)


def check_update(columns: Collection[str], reference: Reference, resolved: Resolved, context: Context) -> None:
    """Refuse (42501) an UPDATE of `columns` from which a foreign key's action could reach rows of others."""
    relation = resolved.relation
    if relation is None:
        return
    _check(relation, _with_generated(relation, columns), reference, context)
    if context.catalog.server_version < _MOVES_BY_DELETE_BEFORE and relation.kind == "p":
        _check(relation, None, reference, context)


def _check(relation: Relation, columns: frozenset[str] | None, reference: Reference, context: Context) -> None:
    """columns: those that change; None when rows go."""
    if context.access.isolation is Isolation.DATABASE:
        return
    pending: list[tuple[Relation, frozenset[str] | None]] = [(relation, columns)]
    seen = set[tuple[int, frozenset[str] | None]]()
    while pending:
        relation, columns = pending.pop()
        if (relation.oid, columns) in seen:
            continue
        seen.add((relation.oid, columns))
        for key in keys_on(relation, context):
            action = key.on_delete if columns is None else key.on_update
            unaffected = columns is not None and columns.isdisjoint(key.parent_columns)
            if unaffected or action not in ("cascade", "set null", "set default"):
                continue
            child = context.catalog.relations.get(key.child)
            if child is None or not _stays_within(key, child, action, columns is None, context):
                raise _refused(key, columns is None, reference)
            changed = None if columns is None and action == "cascade" else _with_generated(child, key.columns)
            pending.append((child, changed))


def _with_generated(relation: Relation, columns: Collection[str]) -> frozenset[str]:
    """Columns that may change with these."""
    generated = (column.name for column in relation.all_columns if column.generated in ("stored", "virtual"))
    return frozenset([*columns, *generated])


def _stays_within(key: ForeignKey, child: Relation, action: str, deleting: bool, context: Context) -> bool:
    if context.access.isolation is Isolation.SCHEMA:
        return key.child[0] == key.parent[0] == context.schema
    parent_rule, child_rule = _rule(key.parent, context), _rule(key.child, context)
    if parent_rule is None or child_rule is None or child_rule.table_class is not TableClass.TENANT:
        return False
    pairs = zip(key.columns, key.parent_columns, strict=True)
    if not any(pair == (child_rule.tenant_column, parent_rule.tenant_column) for pair in pairs):
        return False
    if action != "set default":
        return True
    to_default = (key.set_columns if deleting else ()) or key.columns
    defaults = {c.name: c.default_sql for c in child.all_columns if c.name in to_default and c.default_sql is not None}
    return child_rule.tenant_column not in defaults and all(
        default_is_allowed(default, context.access, context.catalog) for default in defaults.values()
    )


def _rule(name: _Name, context: Context) -> TableRule | None:
    """A relation's classification; a partition's that is not listed is that of what it is a part of."""
    rule = context.access.rules.get(name)
    relation = context.catalog.relations.get(name)
    if rule is not None or relation is None or len(relation.parents) != 1:
        return rule
    return _rule(relation.parents[0], context)


def _refused(key: ForeignKey, deleting: bool, reference: Reference) -> AccessDenied:
    event, action = ("DELETE", key.on_delete) if deleting else ("UPDATE", key.on_update)
    what = "a row" if deleting else "a key"
    return AccessDenied(
        f"{event} on table {reference.name} could change other tenants' rows",
        detail=f"Foreign key {key.name} of table {key.child[1]} does not contain the tenant column,"
        f" and is declared ON {event} {action.upper()}: PostgreSQL follows it from {what} to rows of every tenant.",
        hint=f"Ask your administrator to include the tenant column in the foreign key {key.name}, on both sides.",
        position=reference.position,
    )
