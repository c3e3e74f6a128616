"""What a tenant stores on its target, and how many tables it has: asked of the database at intervals.

A schema or database of its own is measured (pg_total_relation_size, pg_database_size). In shared tables a tenant's
part is estimated: of each table its share of the rows as the planner's statistics have it, times the table's size with
indexes and TOAST. Reads catalogs and statistics only; no row is counted.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from policy.model import Isolation, TableClass, TableRule, Tenant
from policy.sql.catalog import Catalog
from policy.sql.plan import quote_identifier, quote_literal

Query = Callable[[str], Awaitable[list[list[str | None]]]]
TABLE_KINDS = frozenset("rpf")

_OF_SCHEMA = """
SELECT pg_catalog.sum(pg_catalog.pg_total_relation_size(c.oid)) FILTER (WHERE c.relkind IN ('r', 'm', 'S')),
  pg_catalog.count(*) FILTER (WHERE c.relkind IN ('r', 'p', 'f'))
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = {schema}
"""
_OF_DATABASE = """
SELECT pg_catalog.pg_database_size(pg_catalog.current_database()),
  (SELECT pg_catalog.count(*) FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
   WHERE c.relkind IN ('r', 'p', 'f') AND n.nspname NOT IN ('pg_catalog', 'information_schema')
     AND n.nspname !~ '^pg_(toast|temp)')
"""
# Of a partitioned table all partitions together. reltuples is -1 as long as nobody has analysed it.
_SHARED = """
SELECT n.nspname, c.relname,
  coalesce((SELECT pg_catalog.sum(pg_catalog.pg_total_relation_size(t.relid))
    FROM pg_catalog.pg_partition_tree(c.oid) t), pg_catalog.pg_total_relation_size(c.oid)),
  c.reltuples
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND (n.nspname, c.relname) IN ({names})
"""


@dataclass(frozen=True, slots=True)
class Measured:
    """storage: bytes. tables: None where a tenant has none of its own."""

    storage: int
    tables: int | None


async def measure(query: Query, tenant: Tenant, rules: Iterable[TableRule]) -> Measured:
    """Ask the tenant's database. rules: of its target's shared tables. Raises as `query`."""
    if tenant.isolation is Isolation.SHARED:
        return Measured(await _estimate(query, tenant, rules), None)
    own_schema = tenant.isolation is Isolation.SCHEMA
    text = _OF_SCHEMA.format(schema=quote_literal(tenant.schema or "public")) if own_schema else _OF_DATABASE
    ((storage, tables),) = await query(text)
    return Measured(int(float(storage or 0)), int(tables or 0))


def tables_of(tenant: Tenant, catalog: Catalog) -> int | None:
    """How many tables a tenant has of its own, as the catalog knows; None: the shared ones are not."""
    if tenant.isolation is Isolation.SHARED:
        return None
    schema = tenant.schema if tenant.isolation is Isolation.SCHEMA else None
    relations = catalog.relations.values()
    return sum(r.kind in TABLE_KINDS and (schema is None or r.schema == schema) for r in relations)


async def _estimate(query: Query, tenant: Tenant, rules: Iterable[TableRule]) -> int:
    columns = {
        (rule.schema, rule.name): rule.tenant_column
        for rule in rules
        if rule.table_class is TableClass.TENANT and rule.tenant_column is not None
    }
    if not columns:
        return 0
    names = ", ".join(f"({quote_literal(schema)}, {quote_literal(name)})" for schema, name in columns)
    used = 0.0
    for schema, name, size, rows in await query(_SHARED.format(names=names)):
        column = columns.get((schema or "", name or ""))
        if column is not None and float(size or 0) > 0:
            used += float(size or 0) * await _share(query, tenant, f"{schema}", f"{name}", column, float(rows or -1))
    return round(used)


async def _share(query: Query, tenant: Tenant, schema: str, name: str, column: str, rows: float) -> float:
    """Which part of a table's rows is the tenant's, as the planner thinks."""
    source = f"SELECT FROM {quote_identifier(schema)}.{quote_identifier(name)}"
    own = await _planned_rows(query, f"{source} WHERE {quote_identifier(column)} = {quote_literal(tenant.value)}")
    whole = rows if rows > 0 else await _planned_rows(query, source)
    return min(1.0, own / whole) if whole > 0 else 0.0


async def _planned_rows(query: Query, text: str) -> float:
    rows = await query(f"EXPLAIN (FORMAT JSON) {text}")
    plan = json.loads("".join(row[0] or "" for row in rows))
    return float(plan[0]["Plan"]["Plan Rows"])
