"""Read the scratch database: relations, columns, keys, foreign keys, enums, and values that occur in its rows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from admin.prove.model import FAMILY_OF, Column, ForeignKey, Schema, Table
from policy.sql.plan import quote_identifier, quote_literal

Row = list[str | None]
Query = Callable[[str], Awaitable[list[Row]]]

SAMPLES, STRANGE_SAMPLES, SAMPLE_CHARACTERS = 12, 5, 200

_COLUMNS = """
SELECT n.nspname, c.relname, c.relkind, a.attname, pg_catalog.format_type(a.atttypid, NULL),
  pg_catalog.format_type(coalesce(nullif(t.typbasetype, 0), t.oid), NULL),
  CASE WHEN t.typtype = 'e' THEN 'e' ELSE '' END,
  CASE WHEN t.typname IN ('varchar', 'bpchar') AND a.atttypmod > 4 THEN a.atttypmod - 4 ELSE 0 END,
  a.attnotnull, a.atthasdef, a.attgenerated <> '', a.attidentity, pg_catalog.pg_get_expr(d.adbin, d.adrelid)
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
WHERE c.relkind IN ('r', 'p', 'v', 'm') AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
ORDER BY n.nspname, c.relname, a.attnum
"""

_CONSTRAINTS = """
SELECT n.nspname, c.relname, k.contype, k.conname, k.conkey, p.relname, k.confkey
FROM pg_catalog.pg_constraint k
JOIN pg_catalog.pg_class c ON c.oid = k.conrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_class p ON p.oid = k.confrelid
WHERE k.contype IN ('p', 'u', 'f') AND k.conparentid = 0
  AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
ORDER BY k.conrelid, k.conname
"""

_ATTRIBUTES = """
SELECT n.nspname, c.relname, a.attnum, a.attname
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
WHERE c.relkind IN ('r', 'p') AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
"""

_ENUMS = """
SELECT pg_catalog.format_type(t.oid, NULL), e.enumlabel
FROM pg_catalog.pg_enum e JOIN pg_catalog.pg_type t ON t.oid = e.enumtypid ORDER BY t.oid, e.enumsortorder
"""


@dataclass(frozen=True, slots=True)
class Selection:
    """Which relations take part. tenant_columns: by (schema, name), absent for what has none; `value`: the tenant's.

    writable: relations that the tenant may change.
    """

    tenant: str
    value: str
    relations: frozenset[tuple[str, str]]
    tenant_columns: Mapping[tuple[str, str], str]
    writable: frozenset[tuple[str, str]]


async def read_schema(query: Query, selection: Selection) -> Schema:
    """Introspect the database behind `query`. Raises what it raises."""
    version = int((await query("SELECT pg_catalog.current_setting('server_version_num')"))[0][0] or "0")
    enums: dict[str, list[str]] = defaultdict(list)
    for name, label in await query(_ENUMS):
        enums[f"enum {name}"].append(label or "")
    columns = await query(_COLUMNS)
    constraints = await _constraints(query)
    tables = []
    for key in sorted({(str(row[0]), str(row[1])) for row in columns} & selection.relations):
        rows = [row for row in columns if (row[0], row[1]) == key]
        tables.append(await _table(query, key, rows, constraints.get(key, []), selection))
    return Schema(version, tuple(tables), {name: tuple(labels) for name, labels in enums.items()}, selection.value)


async def _constraints(query: Query) -> dict[tuple[str, str], list[tuple[str, str, tuple[str, ...], str, str, str]]]:
    names = {(row[0], row[1], row[2]): str(row[3]) for row in await query(_ATTRIBUTES)}
    found = defaultdict(list)
    for schema, table, kind, name, key, parent, parent_key in await query(_CONSTRAINTS):
        columns = tuple(names[schema, table, number] for number in _numbers(key))
        found[str(schema), str(table)].append(
            (str(kind), str(name), columns, str(parent or ""), str(schema), str(parent_key or ""))
        )
    for rows in found.values():
        for index, (kind, name, columns, parent, schema, parent_key) in enumerate(rows):
            if kind == "f":
                others = tuple(names.get((schema, parent, number), "") for number in _numbers(parent_key))
                rows[index] = (kind, name, columns, parent, schema, "\0".join(others))
    return found


def _numbers(array: str | None) -> list[str]:
    return [number for number in (array or "").strip("{}").split(",") if number]


async def _table(
    query: Query,
    key: tuple[str, str],
    rows: list[Row],
    constraints: list[tuple[str, str, tuple[str, ...], str, str, str]],
    selection: Selection,
) -> Table:
    tenant_column = selection.tenant_columns.get(key, "")
    samples = await _samples(query, key, rows, tenant_column, selection.value)
    columns = tuple(_column(row, tenant_column, samples) for row in rows)
    unique = [(name, names) for kind, name, names, *_ in constraints if kind in "pu"]
    return Table(
        schema=key[0],
        name=key[1],
        kind=str(rows[0][2]),
        columns=columns,
        primary_key=next((names for kind, _, names, *_ in constraints if kind == "p"), ()),
        keys=tuple(names for _, names in unique),
        constraints=tuple(unique),
        foreign_keys=tuple(
            ForeignKey(names, parent, tuple(others.split("\0")))
            for kind, _, names, parent, _, others in constraints
            if kind == "f"
        ),
        writable=key in selection.writable,
    )


def _column(row: Row, tenant_column: str, samples: Mapping[str, tuple[list[str], list[str]]]) -> Column:
    _, _, _, name, typ, base, enum, length, not_null, has_default, generated, identity, _ = map(_text, row)
    own, strange = samples.get(name, ([], []))
    return Column(
        name=name,
        family=f"enum {base}" if enum else FAMILY_OF.get(base, f"other {base}"),
        typ=typ,
        max_length=int(length),
        not_null=not_null == "t",
        has_default=has_default == "t" or identity != "",
        generated=generated == "t",
        identity={"a": "always", "d": "default"}.get(identity, ""),
        tenant=name == tenant_column,
        samples=tuple(own),
        strange=tuple(strange),
    )


def _text(value: str | None) -> str:
    return value or ""


async def _samples(
    query: Query, key: tuple[str, str], rows: list[Row], tenant_column: str, value: str
) -> dict[str, tuple[list[str], list[str]]]:
    """By column: values of the tenant's rows, and some of others' that the tenant has not."""
    relation = f"{quote_identifier(key[0])}.{quote_identifier(key[1])}"
    mine = f"{quote_identifier(tenant_column)}::text = {quote_literal(value)}" if tenant_column else "true"
    found = {}
    for name in (_text(row[3]) for row in rows):
        column = f"{quote_identifier(name)}::text"
        texts = f"SELECT DISTINCT {column} AS v FROM {relation} WHERE {{}} AND length({column}) <= {SAMPLE_CHARACTERS}"
        pick = "SELECT v FROM ({}) s ORDER BY md5(v) LIMIT {}"
        own = await query(pick.format(texts.format(mine), SAMPLES))
        others = f"{texts.format(f'({mine}) IS NOT TRUE')} EXCEPT {texts.format(mine)}"
        strange = await query(pick.format(others, STRANGE_SAMPLES)) if tenant_column else []
        found[name] = ([_text(v[0]) for v in own], [_text(v[0]) for v in strange])
    return found
