"""What an export asks of the system catalogs. `{place}` becomes a condition on a schema's name `n.nspname`."""

from __future__ import annotations

from admin.provision.steps import literal
from policy import second_lock

_MEMBER = (
    "EXISTS (SELECT FROM pg_depend e WHERE e.objid = {oid} AND e.classid = '{catalog}'::regclass AND e.deptype = 'e')"
)


def in_schema(schema: str | None) -> str:
    """One schema, or None: all that are not the server's or our own."""
    if schema is not None:
        return f"n.nspname = {literal(schema)}"
    ours = literal(second_lock.SCHEMA)
    return f"n.nspname NOT IN ('pg_catalog', 'information_schema', {ours}) AND n.nspname !~ '^pg_(toast|temp)'"


def _not_of_extension(oid: str, catalog: str) -> str:
    return "NOT " + _MEMBER.format(oid=oid, catalog=catalog)


_PLAIN = "c.relkind = 'r' AND NOT c.relispartition AND {place} AND " + _not_of_extension("c.oid", "pg_class")

TABLES = f"""
SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND {{place}} AND {_not_of_extension("c.oid", "pg_class")}
"""  # noqa: S608

COLUMNS = f"""
SELECT n.nspname, c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity::text,
  a.attgenerated::text, pg_get_expr(d.adbin, d.adrelid),
  CASE WHEN a.attcollation <> t.typcollation
    THEN (SELECT quote_ident(cn.nspname) || '.' || quote_ident(co.collname)
          FROM pg_collation co JOIN pg_namespace cn ON cn.oid = co.collnamespace WHERE co.oid = a.attcollation) END
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN pg_type t ON t.oid = a.atttypid
LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
WHERE {_PLAIN}
ORDER BY n.nspname, c.relname, a.attnum
"""  # noqa: S608

SHARED_COLUMNS = COLUMNS.replace(_PLAIN, "c.oid IN ({oids})")

SEQUENCES = """
SELECT n.nspname, c.relname, format_type(s.seqtypid, NULL), s.seqstart, s.seqincrement, s.seqmin, s.seqmax, s.seqcycle,
  q.last_value, q.last_value IS NOT NULL, i.relname, i.attname
FROM pg_sequence s JOIN pg_class c ON c.oid = s.seqrelid JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_sequences q ON q.schemaname = n.nspname AND q.sequencename = c.relname
LEFT JOIN LATERAL (
  SELECT t.relname, a.attname FROM pg_depend p JOIN pg_class t ON t.oid = p.refobjid
  JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = p.refobjsubid
  WHERE p.classid = 'pg_class'::regclass AND p.objid = c.oid AND p.deptype = 'i'
    AND p.refclassid = 'pg_class'::regclass) i ON true
WHERE {place}
ORDER BY 1, 2
"""

CONSTRAINTS = """
SELECT n.nspname, c.relname, format('ALTER TABLE %I.%I ADD CONSTRAINT %I %s', n.nspname, c.relname, k.conname,
  pg_get_constraintdef(k.oid))
FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND k.contype IN ('p', 'u', 'c', 'x', 'f') AND {place}
ORDER BY k.contype = 'f', k.contype <> 'p', 1, 2, k.conname
"""

INDEXES = """
SELECT n.nspname, c.relname, pg_get_indexdef(x.indexrelid)
FROM pg_index x JOIN pg_class c ON c.oid = x.indrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND {place}
  AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = x.indexrelid AND k.contype IN ('p', 'u', 'x'))
ORDER BY 1, 2, 3
"""

VIEWS = """
SELECT n.nspname, c.relname, pg_get_viewdef(c.oid), c.relkind::text
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('v', 'm') AND {place}
ORDER BY c.oid
"""

LEFT_OUT = f"""
SELECT CASE c.relkind WHEN 'p' THEN 'partitioned table' WHEN 'f' THEN 'foreign table' WHEN 'r' THEN 'partition'
  ELSE 'type' END, n.nspname, c.relname
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE (c.relkind IN ('p', 'f', 'c') OR (c.relkind = 'r' AND (c.relispartition
  OR EXISTS (SELECT FROM pg_inherits h WHERE h.inhrelid = c.oid)))) AND {{place}}
UNION ALL
SELECT CASE p.prokind WHEN 'p' THEN 'procedure' ELSE 'function' END, n.nspname, p.proname
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE {{place}} AND {_not_of_extension("p.oid", "pg_proc")}
UNION ALL
SELECT 'type', n.nspname, t.typname FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
WHERE t.typtype IN ('e', 'd', 'r') AND {{place}} AND {_not_of_extension("t.oid", "pg_type")}
UNION ALL
SELECT 'extension', n.nspname, e.extname FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
WHERE {{place}}
UNION ALL
SELECT 'large object', n.nspname, m.oid::text FROM pg_largeobject_metadata m, (VALUES ('of the database')) n(nspname)
WHERE {{place}}
UNION ALL
SELECT 'trigger', n.nspname, g.tgname FROM pg_trigger g JOIN pg_class c ON c.oid = g.tgrelid
JOIN pg_namespace n ON n.oid = c.relnamespace WHERE NOT g.tgisinternal AND g.tgname !~ '^tenantgate_' AND {{place}}
UNION ALL
SELECT 'row policy', n.nspname, o.polname FROM pg_policy o JOIN pg_class c ON c.oid = o.polrelid
JOIN pg_namespace n ON n.oid = c.relnamespace WHERE o.polname !~ '^tenantgate_' AND {{place}}
ORDER BY 1, 2, 3
"""  # noqa: S608
