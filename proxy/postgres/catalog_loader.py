"""Load a `Catalog` from a target: relations, columns, keys, and which code is built in.

Runs as the gateway's own low-privilege role and reads pg_catalog only, in few simple-protocol queries, each of
which sorts on the server. It knows nothing of policy: what a tenant may see is decided by the rules. Works with
PostgreSQL 13 to 18 (chapter "System Catalogs" of each); every reference and function is qualified, so the
session's search_path does not matter.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from types import MappingProxyType

from policy import change_tracking
from policy.second_lock import SCHEMA, TENANT_POLICY
from policy.sql.catalog import (
    Catalog,
    Column,
    ForeignKey,
    Relation,
    UserCast,
    UserFunction,
    UserOperator,
    UserType,
)

Row = list[str | None]
Query = Callable[[str], Awaitable[list[Row]]]

FIRST_USER_OID = 16384  # FirstNormalObjectId in access/transam.h: below it, objects come with the server

_USER_SCHEMA = (
    "n.nspname OPERATOR(pg_catalog.<>) ALL ('{pg_catalog,information_schema,pg_toast}'::pg_catalog.name[])"
    " AND n.nspname OPERATOR(pg_catalog.!~) '^pg_(toast_)?temp_'"
)


def _extension_of(catalog: str, alias: str) -> str:
    """The name of the extension that an object belongs to, else an empty string."""
    return f"""coalesce((
    SELECT e.extname FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid
    WHERE d.classid = 'pg_catalog.{catalog}'::pg_catalog.regclass AND d.objid = {alias}.oid AND d.deptype = 'e'
      AND d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass), '')"""  # noqa: S608


def _element_of(oid: str, alias: str) -> str:
    """Join the type of this OID; of an array its element's."""
    return f"""LEFT JOIN pg_catalog.pg_type {alias}_ ON {alias}_.oid = {oid}
LEFT JOIN pg_catalog.pg_type {alias} ON {alias}.oid = CASE
  WHEN {alias}_.typcategory = 'A' AND {alias}_.typelem <> 0 THEN {alias}_.typelem ELSE {alias}_.oid END"""


def _user_type(alias: str) -> str:
    return f"CASE WHEN {alias}.oid >= {FIRST_USER_OID} THEN {alias}.typname::text ELSE '' END"


_SCHEMAS = r"""
SELECT n.nspname FROM pg_catalog.pg_namespace n
WHERE n.nspname OPERATOR(pg_catalog.<>) 'pg_toast' AND n.nspname OPERATOR(pg_catalog.!~) '^pg_(toast_)?temp_'
"""

# Triggers of provisioning (docs/changes.md); a schema of that name that the role has made is not.
_IS_OURS = f"""EXISTS (SELECT FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace pn ON pn.oid = p.pronamespace
    WHERE p.oid = t.tgfoid AND pn.nspname = '{SCHEMA}' AND p.prosecdef
      AND NOT pg_catalog.pg_has_role(p.proowner, 'MEMBER') AND NOT pg_catalog.pg_has_role(pn.nspowner, 'MEMBER'))"""

_RELATIONS = f"""
SELECT c.oid, n.nspname, c.relname, c.relkind,
  EXISTS (SELECT FROM pg_catalog.pg_trigger t WHERE t.tgrelid = c.oid AND NOT t.tgisinternal AND NOT {_IS_OURS}),
  EXISTS (SELECT FROM pg_catalog.pg_rewrite r WHERE r.ev_class = c.oid AND r.rulename <> '_RETURN'),
  c.relrowsecurity AND pg_catalog.row_security_active(c.oid),
  EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
    AND d.objid = c.oid AND d.deptype = 'e'),
  (SELECT pg_catalog.count(DISTINCT t.tgname) FROM pg_catalog.pg_trigger t WHERE t.tgrelid = c.oid AND t.tgenabled = 'A'
    AND {_IS_OURS} AND t.tgname IN ('{change_tracking.TRIGGER}', '{change_tracking.TRUNCATE_TRIGGER}'))
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind NOT IN ('i', 'I', 't') AND {_USER_SCHEMA}
ORDER BY c.oid
"""  # noqa: S608 - constants only

_COLUMNS = f"""
WITH RECURSIVE bases(typ, base) AS (
  SELECT t.oid, t.oid FROM pg_catalog.pg_type t WHERE t.typtype <> 'd'
  UNION ALL
  SELECT d.oid, b.base FROM bases b JOIN pg_catalog.pg_type d ON d.typbasetype = b.typ WHERE d.typtype = 'd'
)
SELECT a.attrelid, a.attnum, a.attname, a.atttypid, pg_catalog.format_type(a.atttypid, NULL), a.attnotnull,
  a.attgenerated, a.attidentity, coalesce(pg_catalog.pg_get_expr(d.adbin, d.adrelid), t.typdefault),
  pg_catalog.quote_ident(bn.nspname) || '.' || pg_catalog.quote_ident(bt.typname),
  CASE WHEN a.atttypmod >= 0 OR t.typtype = 'd' THEN pg_catalog.format_type(a.atttypid, a.atttypmod) ELSE '' END,
  NOT co.collisdeterministic
FROM pg_catalog.pg_attribute a
JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_collation co ON co.oid = a.attcollation
JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
JOIN bases b ON b.typ = a.atttypid
JOIN pg_catalog.pg_type bt ON bt.oid = b.base
JOIN pg_catalog.pg_namespace bn ON bn.oid = bt.typnamespace
LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind NOT IN ('i', 'I', 't') AND {_USER_SCHEMA}
ORDER BY a.attrelid, a.attnum
"""  # noqa: S608

_UNIQUE_INDEXES = f"""
SELECT i.indrelid, coalesce(k.conname, ic.relname), i.indisprimary, i.indnkeyatts, i.indkey
FROM pg_catalog.pg_index i
JOIN pg_catalog.pg_class ic ON ic.oid = i.indexrelid
JOIN pg_catalog.pg_namespace n ON n.oid = ic.relnamespace
LEFT JOIN pg_catalog.pg_constraint k ON k.conindid = i.indexrelid AND k.contype IN ('p', 'u')
WHERE i.indisunique AND {_USER_SCHEMA}
ORDER BY i.indrelid, NOT i.indisprimary, ic.relname
"""  # noqa: S608

# What pg_get_viewdef leaves unqualified depends on the search_path: here it is the server's own schema alone.
_VIEWS = f"""
WITH path AS MATERIALIZED (SELECT pg_catalog.set_config('search_path', 'pg_catalog', true) AS own)
SELECT c.oid, CASE WHEN path.own = 'pg_catalog' THEN pg_catalog.pg_get_viewdef(c.oid) END
FROM path CROSS JOIN pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'v' AND {_USER_SCHEMA}
ORDER BY c.oid
"""  # noqa: S608

# The second lock's policies (policy/second_lock.py), where they bind the very role that asks.
_LOCKS = f"""
WITH path AS MATERIALIZED (SELECT pg_catalog.set_config('search_path', 'pg_catalog', true) AS own)
SELECT c.oid, CASE WHEN path.own = 'pg_catalog' THEN pg_catalog.pg_get_expr(p.polqual, p.polrelid) END
FROM path CROSS JOIN pg_catalog.pg_policy p
JOIN pg_catalog.pg_class c ON c.oid = p.polrelid
JOIN pg_catalog.pg_roles r ON p.polroles = ARRAY[r.oid] AND r.rolname = current_user
WHERE p.polname = '{TENANT_POLICY}' AND NOT p.polpermissive AND p.polcmd = '*'
  AND c.relforcerowsecurity AND pg_catalog.row_security_active(c.oid)
  AND pg_catalog.pg_get_expr(p.polqual, p.polrelid) = pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid)
ORDER BY c.oid
"""  # noqa: S608

_PARENTS = """
SELECT i.inhrelid, i.inhparent FROM pg_catalog.pg_inherits i ORDER BY i.inhrelid, i.inhseqno
"""

# confdelsetcols exists since PostgreSQL 15; a partition's copy of a key has a conparentid.
_FOREIGN_KEYS = """
SELECT k.confrelid, k.conname, k.conrelid, k.conkey, k.confkey, k.confdeltype, k.confupdtype,
  pg_catalog.translate(pg_catalog.to_jsonb(k) OPERATOR(pg_catalog.->>) 'confdelsetcols', '[] ', '{}')
FROM pg_catalog.pg_constraint k WHERE k.contype = 'f' AND k.conparentid = 0
ORDER BY k.confrelid, k.conname, k.conrelid
"""

_FUNCTIONS = f"""
SELECT p.proname,
  bool_or(n.nspname = 'pg_catalog' AND p.oid < {FIRST_USER_OID}),
  bool_or(n.nspname NOT IN ('pg_catalog', 'information_schema') OR p.oid >= {FIRST_USER_OID}),
  bool_and(p.proleakproof OR n.nspname <> 'pg_catalog')
FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
GROUP BY p.proname
"""  # noqa: S608

_USER_FUNCTIONS = f"""
SELECT DISTINCT n.nspname, p.proname, {_extension_of("pg_proc", "p")}
FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
WHERE n.nspname NOT IN ('pg_catalog', 'information_schema') OR p.oid >= {FIRST_USER_OID}
"""  # noqa: S608

_USER_OPERATORS = f"""
SELECT DISTINCT n.nspname, o.oprname, {_user_type("l")}, {_user_type("r")}, {_extension_of("pg_operator", "o")}
FROM pg_catalog.pg_operator o
JOIN pg_catalog.pg_namespace n ON n.oid = o.oprnamespace
{_element_of("o.oprleft", "l")}
{_element_of("o.oprright", "r")}
WHERE o.oid >= {FIRST_USER_OID}
"""  # noqa: S608

# With the user types that each is made of: a domain's base, an array's elements, a range's bounds, a row's columns.
_USER_TYPES = f"""
SELECT t.oid, t.typname, p.typname
FROM pg_catalog.pg_type t
LEFT JOIN (
  SELECT d.oid AS whole, d.typbasetype AS part FROM pg_catalog.pg_type d
  UNION ALL SELECT e.oid, e.typelem FROM pg_catalog.pg_type e
  UNION ALL SELECT g.rngtypid, g.rngsubtype FROM pg_catalog.pg_range g
  UNION ALL SELECT c.reltype, a.atttypid FROM pg_catalog.pg_class c
    JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
) w ON w.whole = t.oid AND w.part >= {FIRST_USER_OID}
LEFT JOIN pg_catalog.pg_type p ON p.oid = w.part
WHERE t.oid >= {FIRST_USER_OID}
"""  # noqa: S608

_USER_CASTS = f"""
SELECT pg_catalog.format_type(c.castsource, NULL), pg_catalog.format_type(c.casttarget, NULL), s.typname, t.typname,
  s.oid >= {FIRST_USER_OID}, t.oid >= {FIRST_USER_OID}, c.castcontext, c.castmethod = 'f',
  {_extension_of("pg_cast", "c")}
FROM pg_catalog.pg_cast c
{_element_of("c.castsource", "s")}
{_element_of("c.casttarget", "t")}
WHERE c.oid >= {FIRST_USER_OID}
"""  # noqa: S608

_SYSTEM_COLUMNS = """
SELECT n.nspname || '.' || c.relname, a.attname
FROM pg_catalog.pg_attribute a
JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname IN ('pg_catalog', 'information_schema') AND c.relkind IN ('r', 'v')
  AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attrelid, a.attnum
"""

_OPERATOR_COST = "SELECT pg_catalog.current_setting('cpu_operator_cost')"
_CODE_SETS_PATH = f"""
SELECT EXISTS (SELECT FROM pg_catalog.pg_proc p, pg_catalog.unnest(p.proconfig) AS s(setting)
  WHERE p.oid >= {FIRST_USER_OID} AND s.setting LIKE 'search_path=%' AND s.setting NOT LIKE '%pg_temp%')
"""  # noqa: S608

_MAY_IDENTIFY = "SELECT pg_catalog.has_function_privilege('pg_catalog.pg_control_system()', 'EXECUTE')"
_IDENTIFIER = "SELECT c.system_identifier FROM pg_catalog.pg_control_system() AS c"

_GENERATED = {"s": "stored", "v": "virtual"}
_CAST_CONTEXTS = {"i": "implicit", "a": "assignment", "e": "explicit"}
_ACTIONS = {"a": "no action", "r": "restrict", "c": "cascade", "n": "set null", "d": "set default"}
_IDENTITY = {"a": "identity_always", "d": "identity_default"}


async def load_catalog(query: Query, database: str, version: int, *, rely_on_locks: bool = False) -> Catalog:
    """Read the database that `query` is connected to; `version` becomes the catalog's.

    rely_on_locks: take down which tables have row-level security, so that statements leave the tenant test to it.

    `query` runs one simple-protocol statement and returns its rows as text. Raises what `query` raises.
    """
    server_version = int(_text((await query("SELECT pg_catalog.current_setting('server_version_num')"))[0][0]))
    schemas = frozenset(_text(row[0]) for row in await query(_SCHEMAS))
    relations = _relations(
        await query(_RELATIONS),
        _columns_by_relation(await query(_COLUMNS)),
        _keys_by_relation(await query(_UNIQUE_INDEXES)),
        await query(_PARENTS),
        await query(_FOREIGN_KEYS),
        {int(_text(row[0])): row[1] or "" for row in await query(_VIEWS)},
        {int(_text(row[0])): row[1] or "" for row in await query(_LOCKS)} if rely_on_locks else {},
    )
    functions = await query(_FUNCTIONS)
    operators = await query(_USER_OPERATORS)
    types = await query(_USER_TYPES)
    casts = await query(_USER_CASTS)
    return Catalog(
        version=version,
        database=database,
        server_version=server_version,
        relations=MappingProxyType(relations),
        user_functions=frozenset(_text(row[0]) for row in functions if row[2] == "t"),
        user_operators=frozenset(_text(row[1]) for row in operators),
        user_types=frozenset(_text(row[1]) for row in types),
        user_casts=frozenset((_text(row[0]), _text(row[1])) for row in casts),
        functions=frozenset(UserFunction(*map(_text, row)) for row in await query(_USER_FUNCTIONS)),
        operators=frozenset(UserOperator(*map(_text, row)) for row in operators),
        casts=frozenset(_user_cast(row) for row in casts),
        types=_user_types(types),
        builtin_functions=frozenset(_text(row[0]) for row in functions if row[1] == "t"),
        leakproof_functions=frozenset(_text(row[0]) for row in functions if row[1] == row[3] == "t"),
        schemas=schemas,
        system_columns=_system_columns(await query(_SYSTEM_COLUMNS)),
        sorts_by_cost=float(_text((await query(_OPERATOR_COST))[0][0])) > 0,
        salt=await _salt(query),
        code_sets_path=(await query(_CODE_SETS_PATH))[0][0] == "t",
    )


async def _salt(query: Query) -> str:
    """The server's identifier, which a client's statements cannot ask for."""
    may_ask = (await query(_MAY_IDENTIFY))[0][0] == "t"
    return _text((await query(_IDENTIFIER))[0][0]) if may_ask else ""


@dataclass(frozen=True, slots=True)
class _Key:
    """A unique index: the attribute numbers of its key columns, 0 for an expression."""

    name: str
    primary: bool
    attnums: tuple[int, ...]


def _columns_by_relation(rows: Iterable[Row]) -> dict[int, dict[int, Column]]:
    found: dict[int, dict[int, Column]] = defaultdict(dict)
    for (
        relation,
        attnum,
        name,
        type_oid,
        type_name,
        not_null,
        generated,
        identity,
        default,
        cast_type,
        declared,
        folds,
    ) in rows:
        found[int(_text(relation))][int(_text(attnum))] = Column(
            name=_text(name),
            type_oid=int(_text(type_oid)),
            type_name=_text(type_name),
            not_null=not_null == "t",
            has_default=default is not None or bool(identity),
            generated=_GENERATED.get(_text(generated), "") or _IDENTITY.get(_text(identity), ""),
            default_sql=default,
            cast_type=_text(cast_type),
            declared_type=_text(declared) or _text(cast_type),
            folds=folds == "t",
        )
    return found


def _keys_by_relation(rows: Iterable[Row]) -> dict[int, list[_Key]]:
    found: dict[int, list[_Key]] = defaultdict(list)
    for relation, name, primary, key_count, attnums in rows:
        numbers = tuple(int(number) for number in _text(attnums).split()[: int(_text(key_count))])
        found[int(_text(relation))].append(_Key(_text(name), primary == "t", numbers))
    return found


def _key_columns(key: _Key, columns: dict[int, Column]) -> tuple[str, ...]:
    """Names of the key's columns; an empty tuple as soon as one is an expression or a system column."""
    names = tuple(columns[number].name for number in key.attnums if number in columns)
    return names if len(names) == len(key.attnums) else ()


def _relations(
    rows: list[Row],
    columns: dict[int, dict[int, Column]],
    keys: dict[int, list[_Key]],
    inheritance: list[Row],
    foreign_keys: list[Row],
    definitions: dict[int, str],
    locks: dict[int, str],
) -> dict[tuple[str, str], Relation]:
    names = {int(_text(row[0])): (_text(row[1]), _text(row[2])) for row in rows}
    parents: dict[int, list[tuple[str, str]]] = defaultdict(list)
    with_children: set[int] = set()
    for child, parent in inheritance:
        with_children.add(int(_text(parent)))
        if int(_text(parent)) in names:
            parents[int(_text(child))].append(names[int(_text(parent))])
    references = _foreign_keys_by_parent(foreign_keys, names, columns)
    found: dict[tuple[str, str], Relation] = {}
    for row in rows:
        oid = int(_text(row[0]))
        own, own_keys = columns.get(oid, {}), keys.get(oid, [])
        unique_keys = tuple(_key_columns(key, own) for key in own_keys)
        primary = (names_ for key, names_ in zip(own_keys, unique_keys, strict=True) if key.primary)
        schema, name = names[oid]
        found[schema, name] = Relation(
            oid=oid,
            schema=schema,
            name=name,
            kind=_text(row[3]),
            columns=tuple(own.values()),
            primary_key=next(primary, ()),
            unique_keys=unique_keys,
            unique_key_names=tuple(key.name for key in own_keys),
            parents=tuple(parents.get(oid, ())),
            has_children=oid in with_children,
            has_triggers=row[4] == "t",
            has_rules=row[5] == "t",
            row_security=row[6] == "t",
            of_extension=row[7] == "t",
            tracked=int(_text(row[8])),
            referenced_by=tuple(references.get(oid, ())),
            definition=definitions.get(oid, ""),
            lock=locks.get(oid, ""),
        )
    return found


def _foreign_keys_by_parent(
    rows: Iterable[Row], names: dict[int, tuple[str, str]], columns: dict[int, dict[int, Column]]
) -> dict[int, list[ForeignKey]]:
    found: dict[int, list[ForeignKey]] = defaultdict(list)
    for parent_oid, name, child_oid, key, parent_key, on_delete, on_update, set_columns in rows:
        parent, child = int(_text(parent_oid)), int(_text(child_oid))
        if parent not in names or child not in names:
            continue  # between relations of the server
        found[parent].append(
            ForeignKey(
                name=_text(name),
                child=names[child],
                columns=_columns_named(_text(key), columns[child]),
                parent=names[parent],
                parent_columns=_columns_named(_text(parent_key), columns[parent]),
                on_delete=_ACTIONS[_text(on_delete)],
                on_update=_ACTIONS[_text(on_update)],
                set_columns=_columns_named(set_columns or "{}", columns[child]),
            )
        )
    return found


def _columns_named(attnums: str, columns: dict[int, Column]) -> tuple[str, ...]:
    """Of an array's text, such as `{1,3}`."""
    return tuple(columns[int(number)].name for number in attnums[1:-1].split(",") if number)


def _user_cast(row: Row) -> UserCast:
    source, target, from_user_type, to_user_type, context, runs_code, extension = map(_text, row[2:])
    return UserCast(
        source, target, from_user_type == "t", to_user_type == "t", _CAST_CONTEXTS[context], runs_code == "t", extension
    )


def _user_types(rows: Iterable[Row]) -> frozenset[UserType]:
    parts: dict[tuple[int, str], set[str]] = defaultdict(set)
    for oid, name, part in rows:
        parts[int(_text(oid)), _text(name)].update(() if part is None else (part,))
    return frozenset(UserType(oid, name, tuple(sorted(found))) for (oid, name), found in parts.items())


def _system_columns(rows: Iterable[Row]) -> MappingProxyType[str, tuple[str, ...]]:
    found: dict[str, list[str]] = defaultdict(list)
    for relation, column in rows:
        found[_text(relation)].append(_text(column))
    return MappingProxyType({name: tuple(columns) for name, columns in found.items()})


def _text(value: str | None) -> str:
    """A value that the query cannot return as NULL."""
    if value is None:
        raise ValueError("unexpected NULL from the system catalogs")
    return value
