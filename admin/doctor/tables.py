"""Shared tables: their tenant columns, keys and references. What a schema gives away, no rewriting can take back."""

from __future__ import annotations

from collections.abc import Iterator

from admin.doctor.examined import Examined
from admin.doctor.findings import Finding, Severity
from admin.provision.steps import ident, qualified
from policy import second_lock
from policy.model import TableRule
from policy.sql.catalog import Column, ForeignKey, Relation
from policy.sql.type_names import keeps_apart

_TABLES = frozenset("rpf")


def classified(seen: Examined) -> Iterator[Finding]:
    """Every rule has its relation, and the relation its tenant column."""
    for rule in seen.wanted.rules:
        relation = seen.catalog.relations.get((rule.schema, rule.name))
        name = f"{rule.schema}.{rule.name}"
        if relation is None:
            yield Finding(Severity.MEDIUM, "table-missing", name, "the policy classifies it and it does not exist")
        elif rule.tenant_column and _column(rule, relation) is None and (relation.kind != "v" or rule.trusted):
            sql = f"ALTER TABLE {qualified(rule.schema, rule.name)} ADD COLUMN {ident(rule.tenant_column)} text"
            why = f"it has no column {rule.tenant_column}; statements that use it are refused"
            yield Finding(Severity.HIGH, "tenant-column-missing", name, why, (sql,))
    for schema in seen.wanted.schemas:
        if schema not in seen.facts.schemas:
            why = "it is a tenant's own, and does not exist"
            yield Finding(
                Severity.MEDIUM, "schema-missing", f"schema {schema}", why, (f"CREATE SCHEMA {ident(schema)}",)
            )


def not_classified(seen: Examined) -> Iterator[Finding]:
    """The gateway hides them; `privileges` says which the role could read all the same."""
    if not seen.wanted.rules:
        return
    known = {(rule.schema, rule.name) for rule in seen.wanted.rules}
    parts = {(r.schema, r.name) for r in seen.catalog.relations.values() if any(p in known for p in r.parents)}
    skipped = {second_lock.SCHEMA, *seen.wanted.schemas}
    for (schema, name), relation in seen.facts.relations.items():
        hidden = schema in skipped or relation.of_extension or relation.kind not in "rpmf"
        if not hidden and (schema, name) not in known | parts:
            why = "the policy does not classify it: no tenant sees it"
            yield Finding(Severity.LOW, "not-classified", f"{schema}.{name}", why)


def tenant_columns(seen: Examined) -> Iterator[Finding]:
    for rule, relation, column in _tenant_tables(seen):
        name, table = f"{rule.schema}.{rule.name}", qualified(rule.schema, rule.name)
        if not keeps_apart(column):
            sql = f"ALTER TABLE {table} ALTER COLUMN {ident(column.name)} TYPE text"
            why = f"{column.type_name} does not hold every tenant's value as it is: two could be one"
            yield Finding(Severity.HIGH, "tenant-column-type", f"{name}.{column.name}", why, (sql,))
        if not column.not_null:
            sql = f"ALTER TABLE {table} ALTER COLUMN {ident(column.name)} SET NOT NULL"
            why = "a row without a tenant is nobody's, and nobody will miss it"
            yield Finding(Severity.MEDIUM, "tenant-column-null", f"{name}.{column.name}", why, (sql,))
        if relation.kind in "rp" and column.name not in seen.leading.get((rule.schema, rule.name), frozenset()):
            concurrently = "" if relation.kind == "p" else " CONCURRENTLY"
            sql = f"CREATE INDEX{concurrently} ON {table} ({ident(column.name)})"
            why = "no index begins with it: each statement reads every tenant's rows, and its time tells how many"
            yield Finding(Severity.MEDIUM, "tenant-column-index", f"{name}.{column.name}", why, (sql,))


def kept_for_defaults(seen: Examined) -> Iterator[Finding]:
    """Columns that the policy keeps for their defaults are there and have one."""
    for rule, relation, _ in _tenant_tables(seen):
        columns = {column.name: column for column in relation.columns}
        for name in sorted(rule.default_only):
            column = columns.get(name)
            if column is None or not (column.has_default or column.generated or not column.not_null):
                which = "is not there" if column is None else "has none"
                why = f"the policy keeps it for its default, and it {which}"
                yield Finding(Severity.MEDIUM, "default-only", f"{rule.schema}.{rule.name}.{name}", why)


def unique_keys(seen: Examined) -> Iterator[Finding]:
    for rule, relation, column in _tenant_tables(seen):
        for key, columns in zip(relation.unique_key_names, relation.unique_keys, strict=True):
            if columns[:1] != (column.name,):
                yield _unique_key(rule, relation, column, key, columns)


def _unique_key(rule: TableRule, relation: Relation, column: Column, key: str, columns: tuple[str, ...]) -> Finding:
    name, table = f"{rule.schema}.{rule.name}", qualified(rule.schema, rule.name)
    if column.name in columns:
        why = "the tenant column is not its first: it does not help to find one tenant's rows"
        return Finding(Severity.LOW, "unique-key-order", f"{name} key {key}", why)
    kept = sorted(rule.default_only.intersection(columns))
    if kept:
        why = f"it is unique across tenants; {kept[0]} is kept for its default, so that nobody asks for a value"
        return Finding(Severity.LOW, "unique-key", f"{name} key {key}", why)
    why = "it is unique across tenants: a duplicate tells that another tenant has the value"
    made = [c.name for c in relation.columns if c.name in columns and (c.has_default or c.generated)]
    if made:
        why += f". Or have sessions leave {made[0]} to its default: default_only: [{made[0]}] in the policy's tables"
    if not columns:
        return Finding(Severity.HIGH, "unique-key", f"{name} index {key}", f"{why}. Make the tenant column its first.")
    listed = ", ".join(map(ident, (column.name, *columns)))
    if columns == relation.primary_key:
        sql = (f"ALTER TABLE {table} DROP CONSTRAINT {ident(key)}", f"ALTER TABLE {table} ADD PRIMARY KEY ({listed})")
    else:
        sql = (f"ALTER TABLE {table} ADD UNIQUE ({listed})", f"ALTER TABLE {table} DROP CONSTRAINT {ident(key)}")
    return Finding(Severity.HIGH, "unique-key", f"{name} key {key}", why, sql)


def foreign_keys(seen: Examined) -> Iterator[Finding]:
    columns = {(rule.schema, rule.name): column.name for rule, _, column in _tenant_tables(seen)}
    for relation in seen.catalog.relations.values():
        for key in relation.referenced_by:
            parent, child = columns.get(key.parent), columns.get(key.child)
            pairs = tuple(zip(key.columns, key.parent_columns, strict=True))
            if parent is not None and (child is None or (child, parent) not in pairs):
                yield _foreign_key(key, parent, child)


def _foreign_key(key: ForeignKey, parent: str, child: str | None) -> Finding:
    table, other = qualified(*key.child), qualified(*key.parent)
    follows = key.on_delete not in ("no action", "restrict") or key.on_update not in ("no action", "restrict")
    why = "without the tenant column a row may refer to another tenant's, and so tells that it exists"
    if follows:
        why += "; what is done to the row there is done to its rows here, of every tenant"
    sql: tuple[str, ...] = ()
    if child is not None:
        pairs = [(child, parent), *zip(key.columns, key.parent_columns, strict=True)]
        own, theirs = (", ".join(map(ident, names)) for names in zip(*pairs, strict=True))
        sql = (
            f"ALTER TABLE {other} ADD UNIQUE ({theirs})",
            f"ALTER TABLE {table} ADD FOREIGN KEY ({own}) REFERENCES {other} ({theirs})",
            f"ALTER TABLE {table} DROP CONSTRAINT {ident(key.name)}",
        )
    name = f"{key.child[0]}.{key.child[1]} key {key.name}"
    return Finding(Severity.HIGH, "foreign-key", name, why, sql)


def sequences(seen: Examined) -> Iterator[Finding]:
    role = seen.wanted.target.role
    for rule, _, _ in _tenant_tables(seen):
        relation = seen.facts.relations.get((rule.schema, rule.name))
        for sequence in relation.default_sequences if relation is not None else ():
            name = f"{sequence[0]}.{sequence[1]}"
            if "SELECT" in seen.facts.relation_grants(sequence, role):
                sql = f"REVOKE SELECT ON SEQUENCE {qualified(*sequence)} FROM {ident(role)}"  # noqa: S608
                why = "all tenants draw from it, and the role may read how far it is"
                yield Finding(Severity.MEDIUM, "sequence", name, why, (sql,))
            else:
                why = "all tenants draw from it: the gaps in one's numbers tell how much the others write"
                yield Finding(Severity.LOW, "sequence", name, why)


def _tenant_tables(seen: Examined) -> Iterator[tuple[TableRule, Relation, Column]]:
    for rule in seen.wanted.tenant_rules:
        relation = seen.catalog.relations.get((rule.schema, rule.name))
        column = None if relation is None else _column(rule, relation)
        if relation is not None and column is not None and relation.kind in _TABLES:
            yield rule, relation, column


def _column(rule: TableRule, relation: Relation) -> Column | None:
    return next((column for column in relation.columns if column.name == rule.tenant_column), None)


CHECKS = (classified, not_classified, tenant_columns, kept_for_defaults, unique_keys, foreign_keys, sequences)
