"""One database as the doctor sees it through the eyes of the gateway's own role."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from admin.provision.facts import Facts, Name, Query, Row, load_facts
from admin.provision.wanted import Wanted
from policy import second_lock
from policy.sql.catalog import Catalog

PROBE = "tenant=tenantgate doctor"


@dataclass(frozen=True, slots=True)
class DefinerFunction:
    """A SECURITY DEFINER function that the role may execute. signature: as DROP FUNCTION takes it."""

    signature: str
    kind: str  # function | procedure
    owner: str
    public: bool
    extension: str


@dataclass(frozen=True, slots=True)
class CodeOnTable:
    """A trigger, default or generated column that runs a function that users defined."""

    table: Name
    what: str
    function: str
    definer: bool


@dataclass(frozen=True, slots=True)
class Examined:
    """leading: the first columns of each table's indexes. lock_opens: a value that the configuration's key proves is
    taken; None when there is no lock to try."""

    wanted: Wanted
    facts: Facts
    catalog: Catalog
    definers: tuple[DefinerFunction, ...]
    code: tuple[CodeOnTable, ...]
    leading: Mapping[Name, frozenset[str]]
    extensions: frozenset[str]
    lock_opens: bool | None


async def examine(query: Query, wanted: Wanted, catalog: Catalog) -> Examined:
    """Ask everything that the checks want to know."""
    facts = await load_facts(query, wanted.target.role)
    return Examined(
        wanted=wanted,
        facts=facts,
        catalog=catalog,
        definers=tuple(_definer(row) for row in await query(_DEFINERS)),
        code=tuple(_code(row) for row in [*await query(_TRIGGERS), *await query(_DEFAULTS)]),
        leading=_leading(await query(_LEADING)),
        extensions=frozenset(_text(row[0]) for row in await query("SELECT extname FROM pg_extension")),
        lock_opens=await _try_lock(query, wanted, facts),
    )


async def _try_lock(query: Query, wanted: Wanted, facts: Facts) -> bool | None:
    if facts.function is None or wanted.target.role not in facts.function.executors:
        return None
    value = second_lock.setting_value(PROBE, wanted.target.key)
    await query("BEGIN")
    try:
        await query(f"SELECT set_config('{second_lock.SETTING}', '{value}', true)")
        proven = await query(f"SELECT {second_lock.FUNCTION}('tenant')")
    finally:
        await query("ROLLBACK")
    return proven == [[PROBE.partition("=")[2]]]


_USER = "n.nspname NOT IN ('pg_catalog', 'information_schema')"
_DEFINERS = f"""
SELECT p.oid::regprocedure, CASE p.prokind WHEN 'p' THEN 'procedure' ELSE 'function' END, r.rolname,
  EXISTS (SELECT FROM aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a WHERE a.grantee = 0),
  coalesce((SELECT e.extname FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid
    WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
      AND d.refclassid = 'pg_extension'::regclass), '')
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace JOIN pg_roles r ON r.oid = p.proowner
WHERE p.prosecdef AND {_USER} AND n.nspname <> '{second_lock.SCHEMA}' AND p.prorettype <> 'trigger'::regtype
  AND has_function_privilege(p.oid, 'EXECUTE') AND has_schema_privilege(n.oid, 'USAGE')
ORDER BY 1
"""  # noqa: S608
_TRIGGERS = f"""
SELECT tn.nspname, c.relname, 'trigger ' || t.tgname, p.oid::regprocedure, p.prosecdef
FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace tn ON tn.oid = c.relnamespace
JOIN pg_proc p ON p.oid = t.tgfoid JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE NOT t.tgisinternal AND {_USER} AND n.nspname <> '{second_lock.SCHEMA}'
ORDER BY 1, 2, 3
"""  # noqa: S608
_DEFAULTS = f"""
SELECT DISTINCT tn.nspname, c.relname,
  CASE a.attgenerated WHEN '' THEN 'default of ' ELSE 'generated column ' END || a.attname,
  p.oid::regprocedure, p.prosecdef
FROM pg_attrdef f JOIN pg_depend d ON d.classid = 'pg_attrdef'::regclass AND d.objid = f.oid
  AND d.refclassid = 'pg_proc'::regclass
JOIN pg_proc p ON p.oid = d.refobjid JOIN pg_namespace n ON n.oid = p.pronamespace
JOIN pg_class c ON c.oid = f.adrelid JOIN pg_namespace tn ON tn.oid = c.relnamespace
JOIN pg_attribute a ON a.attrelid = f.adrelid AND a.attnum = f.adnum
WHERE {_USER}
ORDER BY 1, 2, 3
"""  # noqa: S608
_LEADING = f"""
SELECT DISTINCT n.nspname, c.relname, a.attname
FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
WHERE i.indisvalid AND i.indpred IS NULL AND {_USER}
"""  # noqa: S608


def _definer(row: Row) -> DefinerFunction:
    signature, kind, owner, public, extension = row
    return DefinerFunction(_text(signature), _text(kind), _text(owner), public == "t", _text(extension))


def _code(row: Row) -> CodeOnTable:
    return CodeOnTable((_text(row[0]), _text(row[1])), _text(row[2]), _text(row[3]), row[4] == "t")


def _leading(rows: list[Row]) -> dict[Name, frozenset[str]]:
    found: dict[Name, set[str]] = defaultdict(set)
    for schema, table, column in rows:
        found[_text(schema), _text(table)].add(_text(column))
    return {name: frozenset(columns) for name, columns in found.items()}


def _text(value: str | None) -> str:
    if value is None:
        raise ValueError("unexpected NULL from the system catalogs")
    return value
