"""Two scratch databases on the target: a small copy of the shared one, and its twin with one tenant's rows only.

Nothing is written to the target's own database. Both copies come from one template, so that OIDs, sequences and the
physical order of rows agree; the twin then loses every row that is not the tenant's. Rows are thinned out first, to a
few dozen of each tenant and table with what their foreign keys need, so that any join is quick. Defaults such as now()
become constants. After a case that was committed, `restore` puts every changed table back from a copy kept aside.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from admin.prove.copying import copy_database
from policy.errors import TenantGateError
from policy.sql.plan import quote_identifier, quote_literal
from proxy.config import TargetConfig
from proxy.postgres.backend import BackendConnection, connect_backend

KEPT = "tenantgate_prove"
ROWS_PER_TENANT = 16
MANY_ROWS = 200  # of a global table
_TIMES = ("date", "timestamp without time zone", "timestamp with time zone")
_STATEMENT_TIMEOUT_S = 600.0

Key = tuple[str, str]


class TwinError(TenantGateError):
    """The scratch databases cannot be made."""

    kind = "prove"


@dataclass(frozen=True, slots=True)
class Share:
    """How rows are told apart. tenant_columns: by (schema, name). own_schema: of the schema strategy, else "".

    filters, masks: what the roles' expressions make of the tenant's own rows, as SQL. denied: columns that they lack.
    """

    value: str
    tenant_columns: Mapping[Key, str]
    own_schema: str = ""
    filters: Mapping[Key, str] = field(default_factory=dict)
    masks: Mapping[Key, Mapping[str, str]] = field(default_factory=dict)
    denied: Mapping[Key, frozenset[str]] = field(default_factory=dict)

    @property
    def narrowed(self) -> frozenset[Key]:
        """Relations that the roles see less of than the tenant has."""
        return frozenset({*self.filters, *self.masks, *self.denied})

    def is_own(self, key: Key) -> str:
        """A condition for rows of a relation that are the tenant's."""
        column = self.tenant_columns.get(key)
        if column is not None:
            return f"{quote_identifier(column)}::text = {quote_literal(self.value)}"
        return "true" if self.own_schema in ("", key[0]) else "false"


@dataclass(slots=True)
class Scratch:
    """One of the two databases with the administrator's connection to it."""

    name: str
    admin: BackendConnection

    async def run(self, *statements: str) -> None:
        """Run statements that return nothing of interest, one by one."""
        for statement in statements:
            await self.admin.query(statement, timeout_s=_STATEMENT_TIMEOUT_S)

    async def rows(self, sql: str) -> list[list[str | None]]:
        return await self.admin.query(sql, timeout_s=_STATEMENT_TIMEOUT_S)


@dataclass(slots=True)
class Twins:
    """`shared` stands behind the gateway, `twin` is what the tenant should see. Call `drop` at the end."""

    shared: Scratch
    twin: Scratch
    share: Share
    leaves: tuple[Key, ...]  # relations with rows of their own
    admin: TargetConfig = field(repr=False)
    _foreign: dict[Key, str] = field(default_factory=dict)  # checksums of rows that are not the tenant's
    _numbered: dict[Key, str] = field(default_factory=dict)  # arrays of the columns that a sequence fills
    _kept: tuple[dict[Key, str], dict[Key, str]] = field(default_factory=lambda: ({}, {}))

    async def checksums(self, scratch: Scratch, condition: str = "", *, unnumbered: bool = False) -> dict[Key, str]:
        """By relation, of its rows in any order; `condition`: "own", "foreign" or "" for all.

        unnumbered: without the columns that a sequence fills.
        """
        tests = {"": "true", "own": "{}", "foreign": "({}) IS NOT TRUE"}[condition]
        parts = []
        for number, key in enumerate(self.leaves):
            test = tests.format(self.share.is_own(key))
            text = "t::text" if not unnumbered else f"(to_jsonb(t) - {self._numbered.get(key, _NONE)})::text"
            row = f"coalesce(sum(('x' || left(md5({text}), 15))::bit(60)::bigint), 0)"
            parts.append(f"SELECT {number}, count(*) || ':' || {row} FROM ONLY {_relation(key)} t WHERE {test}")
        rows = await scratch.rows(" UNION ALL ".join(parts))
        return {self.leaves[int(row[0] or 0)]: row[1] or "" for row in rows}

    async def foreign_rows_changed(self) -> list[str]:
        """Relations of which a row that is not the tenant's differs from what it was at the start."""
        now = await self.checksums(self.shared, "foreign")
        before = self._foreign
        return sorted(f"{k[0]}.{k[1]}" for k in now if now[k] != before[k])

    async def own_rows_differ(self) -> list[str]:
        """Relations whose rows of the tenant differ between the two databases.

        Which of several rows got which number is left open: a trigger sees them in the order of the plan.
        """
        shared = await self.checksums(self.shared, "own", unnumbered=True)
        twin = await self.checksums(self.twin, unnumbered=True)
        return sorted(f"{key[0]}.{key[1]}" for key in shared if shared[key] != twin[key] and self._compares(key))

    def _compares(self, key: Key) -> bool:
        told_apart = not self.share.tenant_columns or key in self.share.tenant_columns
        return told_apart and key not in self.share.narrowed

    async def remember(self) -> None:
        """Keep a copy of every relation and the checksums of now."""
        for schema, table, columns in await self.shared.rows(_NUMBERED):
            self._numbered[str(schema), str(table)] = f"{quote_literal(columns or '')}::text[]"
        for scratch in (self.shared, self.twin):
            await scratch.run(f"DROP SCHEMA IF EXISTS {KEPT} CASCADE", f"CREATE SCHEMA {KEPT}")
            for number, key in enumerate(self.leaves):
                await scratch.run(f"CREATE TABLE {KEPT}.t{number} AS SELECT * FROM ONLY {_relation(key)}")
            await scratch.run("ANALYZE")
        self._kept = (await self.checksums(self.shared), await self.checksums(self.twin))
        self._foreign = await self.checksums(self.shared, "foreign")

    async def restore(self) -> None:
        """Put back what differs from the kept copies, and make the twin's sequences follow the shared ones."""
        for scratch, kept in ((self.shared, self._kept[0]), (self.twin, self._kept[1])):
            now = await self.checksums(scratch)
            for key in (key for key in self.leaves if now[key] != kept[key]):
                columns = ", ".join(await self._stored_columns(scratch, key))
                kept_table = f"{KEPT}.t{self.leaves.index(key)}"
                await scratch.run(
                    f"DELETE FROM ONLY {_relation(key)}",
                    f"INSERT INTO {_relation(key)} ({columns}) OVERRIDING SYSTEM VALUE SELECT {columns} FROM {kept_table}",  # noqa: E501
                )

    async def _stored_columns(self, scratch: Scratch, key: Key) -> list[str]:
        rows = await scratch.rows(
            "SELECT attname FROM pg_catalog.pg_attribute WHERE attnum > 0 AND NOT attisdropped AND attgenerated = ''"
            f" AND attrelid = {quote_literal(_relation(key))}::regclass ORDER BY attnum"
        )
        return [quote_identifier(row[0] or "") for row in rows]

    async def align_sequences(self) -> None:
        """The twin's sequences go on where the shared ones are: a refused INSERT took no number."""
        rows = await self.shared.rows(_SEQUENCES)
        for name, value in rows:
            if value is not None:
                await self.twin.run(f"SELECT setval({quote_literal(name or '')}, {value})")

    async def foreign_texts(self) -> frozenset[str]:
        """Texts of five characters and more in rows that are not the tenant's and nowhere in its own."""
        rows = await self.shared.rows(_TEXT_COLUMNS)
        own: set[str] = set()
        foreign: set[str] = set()
        for schema, table, column in rows:
            key, name = (str(schema), str(table)), quote_identifier(column or "")
            if key not in self.leaves:
                continue
            text = f"SELECT DISTINCT left({name}::text, 200) FROM ONLY {_relation(key)} WHERE "
            own.update(str(row[0]) for row in await self.shared.rows(text + f"({self.share.is_own(key)})"))
            foreign.update(str(r[0]) for r in await self.shared.rows(text + f"({self.share.is_own(key)}) IS NOT TRUE"))
        return frozenset(text for text in foreign - own if len(text) >= 5)

    async def drop(self) -> None:
        """Drop both databases, whoever is still connected to them."""
        for scratch in (self.shared, self.twin):
            scratch.admin.close()
        await drop_databases(self.admin, [scratch.name for scratch in (self.shared, self.twin)])


_NONE = "'{}'::text[]"

_NUMBERED = """
SELECT n.nspname, c.relname, array_agg(a.attname::text) FROM pg_catalog.pg_attribute a
JOIN pg_catalog.pg_class c ON c.oid = a.attrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE c.relkind = 'r' AND (a.attidentity <> '' OR pg_catalog.pg_get_expr(d.adbin, d.adrelid) LIKE 'nextval(%')
GROUP BY 1, 2
"""

_SEQUENCES = """
SELECT quote_ident(schemaname) || '.' || quote_ident(sequencename), last_value
FROM pg_catalog.pg_sequences ORDER BY 1
"""

_TEXT_COLUMNS = """
SELECT n.nspname, c.relname, a.attname
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
WHERE c.relkind = 'r' AND (t.typcategory IN ('S', 'U', 'N', 'D'))
"""

_LEAVES = f"""
SELECT n.nspname, c.relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND n.nspname NOT IN ('information_schema', '{KEPT}') AND n.nspname !~ '^pg_'
ORDER BY c.oid
"""

_UNSTEADY = """
SELECT n.nspname, c.relname, a.attname, pg_catalog.format_type(a.atttypid, NULL), pg_catalog.pg_get_expr(d.adbin, d.adrelid)
FROM pg_catalog.pg_attrdef d
JOIN pg_catalog.pg_class c ON c.oid = d.adrelid AND c.relkind IN ('r', 'p')
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum AND a.attgenerated = ''
"""  # noqa: E501

_SECURED = """
SELECT n.nspname, c.relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relrowsecurity
"""

_FOREIGN_KEYS = """
SELECT cn.nspname, c.relname, pn.nspname, p.relname,
  (SELECT string_agg(format('c.%I = x.%I', ca.attname, pa.attname), ' AND ')
   FROM unnest(k.conkey, k.confkey) AS u (child, parent)
   JOIN pg_catalog.pg_attribute ca ON ca.attrelid = k.conrelid AND ca.attnum = u.child
   JOIN pg_catalog.pg_attribute pa ON pa.attrelid = k.confrelid AND pa.attnum = u.parent)
FROM pg_catalog.pg_constraint k
JOIN pg_catalog.pg_class c ON c.oid = k.conrelid JOIN pg_catalog.pg_namespace cn ON cn.oid = c.relnamespace
JOIN pg_catalog.pg_class p ON p.oid = k.confrelid JOIN pg_catalog.pg_namespace pn ON pn.oid = p.relnamespace
WHERE k.contype = 'f' AND k.conparentid = 0
"""


def _relation(key: Key) -> str:
    return f"{quote_identifier(key[0])}.{quote_identifier(key[1])}"


async def build_twins(admin: TargetConfig, source: str, share: Share, *, keep_second_lock: bool = False) -> Twins:
    """Make both databases from `source`. Raises TwinError, CopyError, BackendQueryError or TargetUnavailable."""
    token = secrets.token_hex(4)
    names = [f"tenantgate_prove_{token}_{part}" for part in ("shared", "twin")]
    root = await connect_backend(admin, admin.database, protocol_options={})
    try:
        await copy_database(root, admin, source, names[0])
        shared = Scratch(names[0], await _connect(admin, names[0]))
        await _thin_out(shared, share)
        await _settle_defaults(shared)
        if not keep_second_lock:
            await _take_off_second_lock(shared)
        shared.admin.close()
        await copy_database(root, admin, names[0], names[1])
        twin = Scratch(names[1], await _connect(admin, names[1]))
        await _take_off_second_lock(twin)
        shared = Scratch(names[0], await _connect(admin, names[0]))
        leaves = tuple((str(a), str(b)) for a, b in await shared.rows(_LEAVES))
        await _keep_own_rows(twin, share, leaves)
        twins = Twins(shared, twin, share, leaves, admin)
        await twins.remember()
        return twins
    except BaseException:
        await asyncio.shield(drop_databases(admin, names))
        raise
    finally:
        root.close()


async def drop_databases(admin: TargetConfig, names: Sequence[str]) -> None:
    """Drop databases, whoever is connected to them, as far as they are there."""
    root = await connect_backend(admin, admin.database, protocol_options={})
    try:
        for name in names:
            await root.query(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)', timeout_s=60)
    finally:
        root.close()


async def _connect(admin: TargetConfig, database: str) -> BackendConnection:
    backend = await connect_backend(admin, database, protocol_options={"application_name": "tenantgate prove"})
    await backend.query("SET session_replication_role = replica")  # neither triggers nor foreign keys
    return backend


async def _thin_out(scratch: Scratch, share: Share) -> None:
    """Leave some rows of each tenant, and those that rows which stay refer to: children first."""
    keys = [(str(a), str(b)) for a, b in await scratch.rows(_LEAVES)]
    references = [(str(a), str(b), str(c), str(d), str(e)) for a, b, c, d, e in await scratch.rows(_FOREIGN_KEYS)]
    parents = {key: {(r[2], r[3]) for r in references if (r[0], r[1]) == key} - {key} for key in keys}
    for key in _children_first(keys, parents):
        column = share.tenant_columns.get(key)
        partition = f"PARTITION BY {quote_identifier(column)}" if column else ""
        limit = ROWS_PER_TENANT if column or share.own_schema else MANY_ROWS
        needed = "".join(
            f" AND NOT EXISTS (SELECT FROM {_relation((r[0], r[1]))} c WHERE {r[4]})"
            for r in references
            if (r[2], r[3]) == key and (r[0], r[1]) != key
        )
        numbered = f"SELECT ctid, row_number() OVER ({partition} ORDER BY ctid) AS n FROM ONLY {_relation(key)}"
        await scratch.run(
            f"DELETE FROM ONLY {_relation(key)} x WHERE ctid IN (SELECT ctid FROM ({numbered}) s WHERE n > {limit}){needed}"  # noqa: E501
        )


def _children_first(keys: Sequence[Key], parents: Mapping[Key, set[Key]]) -> list[Key]:
    """Every relation before those that it refers to; circles are cut anywhere."""
    done: list[Key] = []
    left = list(keys)
    while left:
        free = [key for key in left if not any(key in parents[other] for other in left if other != key)] or left[:1]
        done += free
        left = [key for key in left if key not in free]
    return done


async def _take_off_second_lock(scratch: Scratch) -> None:
    for schema, table in await scratch.rows(_SECURED):
        await scratch.run(f"ALTER TABLE {_relation((schema or '', table or ''))} DISABLE ROW LEVEL SECURITY")


async def _settle_defaults(scratch: Scratch) -> None:
    """now() is another value in each database."""
    for schema, table, column, typ, default in await scratch.rows(_UNSTEADY):
        steady = "(" not in (default or "") and "CURRENT" not in (default or "").upper()
        if typ in _TIMES and not steady:
            await scratch.run(
                f"ALTER TABLE {_relation((schema or '', table or ''))} ALTER COLUMN {quote_identifier(column or '')}"
                f" SET DEFAULT '2026-01-01 00:00:00+00'::{typ}"
            )


async def _keep_own_rows(twin: Scratch, share: Share, leaves: Sequence[Key]) -> None:
    for key in leaves:
        await twin.run(f"DELETE FROM ONLY {_relation(key)} WHERE ({share.is_own(key)}) IS NOT TRUE")
    for number, (key, column) in enumerate(share.tenant_columns.items()):
        relation, name, value = _relation(key), quote_identifier(column), quote_literal(share.value)
        await twin.run(
            f"ALTER TABLE {relation} ALTER COLUMN {name} SET DEFAULT {value}",
            f"ALTER TABLE {relation} ADD CONSTRAINT tenantgate_prove_{number} CHECK ({name}::text = {value})",
        )
    for key, condition in share.filters.items():
        await twin.run(f"DELETE FROM {_relation(key)} WHERE ({condition}) IS NOT TRUE")
    for key, masks in share.masks.items():
        await _mask(twin, key, masks)
    for key, columns in share.denied.items():
        for column in sorted(columns):
            await twin.run(f"ALTER TABLE {_relation(key)} DROP COLUMN {quote_identifier(column)} CASCADE")


async def _mask(twin: Scratch, key: Key, masks: Mapping[str, str]) -> None:
    """A masked column becomes what its mask shows, type and all; masks see the columns as they were."""
    changes = []
    for column, expression in masks.items():
        rows = await twin.rows(f"SELECT pg_typeof(({expression})) FROM {_relation(key)} LIMIT 1")
        name = quote_identifier(column)
        typ = rows[0][0] if rows else "text"
        changes.append(f"ALTER COLUMN {name} DROP NOT NULL, ALTER COLUMN {name} TYPE {typ} USING ({expression})::{typ}")
    await twin.run(f"ALTER TABLE {_relation(key)} {', '.join(changes)}")
