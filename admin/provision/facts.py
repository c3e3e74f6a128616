"""What provisioning and the doctor need to know of a database beside its catalog: roles, privileges, the lock.

All of it can be read by any role, but for the key. Sessions have `search_path = pg_catalog`, so that every name that
is not the server's own comes back qualified.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from admin.provision.steps import MADE_TABLE, Made
from policy import second_lock
from policy.sql.plan import quote_literal

Row = list[str | None]
Query = Callable[[str], Awaitable[list[Row]]]
Name = tuple[str, str]  # schema, name

_USER_SCHEMA = "n.nspname <> ALL ('{pg_catalog,information_schema,pg_toast}') AND n.nspname !~ '^pg_(toast_)?temp_'"


@dataclass(frozen=True, slots=True)
class RoleFacts:
    """A role's powers. member_of: every role that it may become, however far."""

    name: str
    superuser: bool
    bypass_rls: bool
    create_role: bool
    create_db: bool
    replication: bool
    login: bool
    member_of: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PolicyFacts:
    """A row-level security policy; `roles` has `public` for everybody."""

    name: str
    permissive: bool
    roles: tuple[str, ...]
    command: str
    using: str | None
    check: str | None


@dataclass(frozen=True, slots=True)
class RelationFacts:
    """A relation or sequence. grants: privileges by role, "" for PUBLIC, without those of its owner."""

    kind: str
    owner: str
    row_security: bool
    forced: bool
    options: str
    of_extension: bool
    grants: Mapping[str, frozenset[str]] = field(default_factory=dict)
    policies: tuple[PolicyFacts, ...] = ()
    default_sequences: tuple[Name, ...] = ()


@dataclass(frozen=True, slots=True)
class SchemaFacts:
    owner: str
    grants: Mapping[str, frozenset[str]]


@dataclass(frozen=True, slots=True)
class FunctionFacts:
    """The lock's function as it stands in the database."""

    source: str
    definer: bool
    language: str
    executors: frozenset[str]  # "" is PUBLIC


@dataclass(frozen=True, slots=True)
class ChangeFacts:
    """How changes are written down here. tracked: tables with tenant column, hashed columns, the gateway's role, and
    whether triggers and definition are as they were made. rows: some are written down."""

    version: str
    tracked: Mapping[Name, tuple[str | None, tuple[str, ...], str, bool]]
    has_event_trigger: bool
    rows: bool


@dataclass(frozen=True, slots=True)
class Facts:
    """Of one database. mighty: roles that row-level security does not bind. made: by provisioning, so written down."""

    database: str
    owner: str
    role: RoleFacts | None
    mighty: frozenset[str]
    database_grants: Mapping[str, frozenset[str]]
    schemas: Mapping[str, SchemaFacts]
    relations: Mapping[Name, RelationFacts]
    function: FunctionFacts | None
    made: frozenset[Made] = frozenset()
    changes: ChangeFacts | None = None
    administrator_is_superuser: bool = False  # who asks

    def relation_grants(self, name: Name, role: str) -> frozenset[str]:
        found = self.relations.get(name)
        return frozenset() if found is None else found.grants.get(role, frozenset())


async def load_facts(query: Query, role: str) -> Facts:
    """Read them. `role` is the gateway's; it need not exist."""
    database, owner = map(_text, (await query(_DATABASE))[0])
    relation_grants = _grants(await query(_RELATION_GRANTS))
    policies, sequences = _policies(await query(_POLICIES)), _sequences(await query(_DEFAULT_SEQUENCES))
    return Facts(
        database=database,
        owner=owner,
        role=_role(await query(_ROLE.format(role=quote_literal(role))), await query(_members_query(role))),
        mighty=frozenset(_text(row[0]) for row in await query(_MIGHTY)),
        database_grants=_grants(await query(_DATABASE_GRANTS)).get(("", ""), {}),
        schemas=_schemas(await query(_SCHEMAS), _grants(await query(_SCHEMA_GRANTS))),
        relations={
            (_text(row[0]), _text(row[1])): _relation(row, relation_grants, policies, sequences)
            for row in await query(_RELATIONS)
        },
        function=_function(await query(_FUNCTION)),
        made=await load_made(query),
        changes=await _load_changes(query),
        administrator_is_superuser=(await query(_IS_SUPERUSER))[0][0] == "t",
    )


async def _load_changes(query: Query) -> ChangeFacts | None:
    """None where nothing is tracked, and for who may not read it."""
    found = (await query(_CHANGES_READABLE))[0]
    if found[0] != "t":
        return None
    tracked = {
        (_text(row[0]), _text(row[1])): (row[2], tuple(json.loads(_text(row[3]))), _text(row[4]), row[5] == "t")
        for row in await query(_TRACKED)
    }
    rows = (await query(f"SELECT EXISTS (SELECT FROM {second_lock.SCHEMA}.changes)"))[0][0] == "t"  # noqa: S608
    return ChangeFacts(found[1] or "", tracked, found[2] == "t", rows)


async def load_made(query: Query) -> frozenset[Made]:
    """What provisioning wrote down, as far as the session's role may read it."""
    readable = (await query(_MADE_READABLE))[0][0] == "t"
    return frozenset(Made(*map(_text, row)) for row in await query(_MADE)) if readable else frozenset()


_DATABASE = """
SELECT d.datname, r.rolname FROM pg_database d JOIN pg_roles r ON r.oid = d.datdba WHERE d.datname = current_database()
"""
_ROLE = """
SELECT rolname, rolsuper, rolbypassrls, rolcreaterole, rolcreatedb, rolreplication, rolcanlogin
FROM pg_roles WHERE rolname = {role}
"""
_MEMBER_OF = """
WITH RECURSIVE m(oid) AS (
  SELECT oid FROM pg_roles WHERE rolname = {role}
  UNION SELECT a.roleid FROM pg_auth_members a JOIN m ON m.oid = a.member
) SELECT r.rolname FROM m JOIN pg_roles r ON r.oid = m.oid WHERE r.rolname <> {role} ORDER BY 1
"""
_MIGHTY = "SELECT rolname FROM pg_roles WHERE rolsuper OR rolbypassrls"
_DATABASE_GRANTS = """
SELECT '', '', coalesce(g.rolname, ''), a.privilege_type
FROM pg_database d CROSS JOIN LATERAL aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) a
LEFT JOIN pg_roles g ON g.oid = a.grantee
WHERE d.datname = current_database() AND a.grantee <> d.datdba
"""
_SCHEMAS = f"""
SELECT n.nspname, r.rolname FROM pg_namespace n JOIN pg_roles r ON r.oid = n.nspowner WHERE {_USER_SCHEMA} ORDER BY 1
"""  # noqa: S608
_SCHEMA_GRANTS = f"""
SELECT n.nspname, '', coalesce(g.rolname, ''), a.privilege_type
FROM pg_namespace n CROSS JOIN LATERAL aclexplode(n.nspacl) a LEFT JOIN pg_roles g ON g.oid = a.grantee
WHERE {_USER_SCHEMA} AND a.grantee <> n.nspowner
"""  # noqa: S608
_RELATIONS = f"""
SELECT n.nspname, c.relname, c.relkind, r.rolname, c.relrowsecurity, c.relforcerowsecurity,
  array_to_string(c.reloptions, ','),
  EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_roles r ON r.oid = c.relowner
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND {_USER_SCHEMA}
ORDER BY 1, 2
"""  # noqa: S608
_RELATION_GRANTS = f"""
SELECT n.nspname, c.relname, coalesce(g.rolname, ''), a.privilege_type
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
CROSS JOIN LATERAL (
  SELECT x.grantee, x.privilege_type FROM aclexplode(c.relacl) x
  UNION SELECT y.grantee, y.privilege_type || ' of a column'
  FROM pg_attribute t CROSS JOIN LATERAL aclexplode(t.attacl) y WHERE t.attrelid = c.oid
) a
LEFT JOIN pg_roles g ON g.oid = a.grantee
WHERE {_USER_SCHEMA} AND a.grantee <> c.relowner
"""  # noqa: S608
_POLICIES = """
SELECT schemaname, tablename, policyname, permissive = 'PERMISSIVE', to_json(roles), cmd, qual, with_check
FROM pg_policies ORDER BY 1, 2, 3
"""
_DEFAULT_SEQUENCES = f"""
SELECT DISTINCT n.nspname, c.relname, sn.nspname, s.relname
FROM pg_attrdef d
JOIN pg_depend p ON p.classid = 'pg_attrdef'::regclass AND p.objid = d.oid AND p.refclassid = 'pg_class'::regclass
JOIN pg_class s ON s.oid = p.refobjid AND s.relkind = 'S'
JOIN pg_namespace sn ON sn.oid = s.relnamespace
JOIN pg_class c ON c.oid = d.adrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE {_USER_SCHEMA}
ORDER BY 1, 2, 3, 4
"""  # noqa: S608
_FUNCTION = f"""
SELECT p.prosrc, p.prosecdef, l.lanname, to_json(ARRAY(
  SELECT coalesce(g.rolname, '') FROM aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
  LEFT JOIN pg_roles g ON g.oid = a.grantee WHERE a.grantee <> p.proowner))
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace JOIN pg_language l ON l.oid = p.prolang
WHERE n.nspname = {quote_literal(second_lock.SCHEMA)} AND p.proname = 'proven'
"""  # noqa: S608

_MADE_READABLE = f"""
SELECT coalesce(bool_or(has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT')), false)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = {quote_literal(second_lock.SCHEMA)} AND c.relname = 'made'
"""  # noqa: S608
_MADE = f"SELECT kind, schema_name, object_name, detail FROM {MADE_TABLE}"  # noqa: S608

_IS_SUPERUSER = "SELECT rolsuper FROM pg_roles WHERE rolname = current_user"
_CHANGES_READABLE = f"""
SELECT coalesce(bool_or(has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT')), false),
  max(obj_description(c.oid, 'pg_class')),
  EXISTS (SELECT FROM pg_event_trigger WHERE evtname = 'tenantgate_definitions')
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = {quote_literal(second_lock.SCHEMA)} AND c.relname = 'changes'
"""  # noqa: S608
_TRACKED = f"""
SELECT n.nspname, c.relname, t.tenant_column, to_json(t.hashed), t.gateway,
  {second_lock.SCHEMA}.whole(t.relation) AND {second_lock.SCHEMA}.definition(t.relation) = t.definition
FROM {second_lock.SCHEMA}.tracked t JOIN pg_class c ON c.oid = t.relation JOIN pg_namespace n ON n.oid = c.relnamespace
"""  # noqa: S608


def _members_query(role: str) -> str:
    return _MEMBER_OF.format(role=quote_literal(role))


def _role(rows: list[Row], member_of: list[Row]) -> RoleFacts | None:
    if not rows:
        return None
    superuser, bypass_rls, create_role, create_db, replication, login = (value == "t" for value in rows[0][1:])
    return RoleFacts(
        name=_text(rows[0][0]),
        superuser=superuser,
        bypass_rls=bypass_rls,
        create_role=create_role,
        create_db=create_db,
        replication=replication,
        login=login,
        member_of=tuple(_text(row[0]) for row in member_of),
    )


def _grants(rows: list[Row]) -> dict[Name, dict[str, frozenset[str]]]:
    found: dict[Name, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for schema, name, grantee, privilege in rows:
        found[_text(schema), _text(name)][_text(grantee)].add(_text(privilege))
    return {key: {role: frozenset(held) for role, held in roles.items()} for key, roles in found.items()}


def _policies(rows: list[Row]) -> dict[Name, list[PolicyFacts]]:
    found: dict[Name, list[PolicyFacts]] = defaultdict(list)
    for schema, table, name, permissive, roles, command, using, check in rows:
        policy = PolicyFacts(
            _text(name), permissive == "t", tuple(json.loads(_text(roles))), _text(command), using, check
        )
        found[_text(schema), _text(table)].append(policy)
    return found


def _sequences(rows: list[Row]) -> dict[Name, list[Name]]:
    found: dict[Name, list[Name]] = defaultdict(list)
    for schema, table, sequence_schema, sequence in rows:
        found[_text(schema), _text(table)].append((_text(sequence_schema), _text(sequence)))
    return found


def _schemas(rows: list[Row], grants: dict[Name, dict[str, frozenset[str]]]) -> dict[str, SchemaFacts]:
    return {_text(row[0]): SchemaFacts(_text(row[1]), grants.get((_text(row[0]), ""), {})) for row in rows}


def _relation(
    row: Row,
    grants: dict[Name, dict[str, frozenset[str]]],
    policies: dict[Name, list[PolicyFacts]],
    sequences: dict[Name, list[Name]],
) -> RelationFacts:
    name = (_text(row[0]), _text(row[1]))
    return RelationFacts(
        kind=_text(row[2]),
        owner=_text(row[3]),
        row_security=row[4] == "t",
        forced=row[5] == "t",
        options=row[6] or "",
        of_extension=row[7] == "t",
        grants=grants.get(name, {}),
        policies=tuple(policies.get(name, ())),
        default_sequences=tuple(sequences.get(name, ())),
    )


def _function(rows: list[Row]) -> FunctionFacts | None:
    if not rows:
        return None
    source, definer, language, executors = rows[0]
    return FunctionFacts(_text(source), definer == "t", _text(language), frozenset(json.loads(_text(executors))))


def _text(value: str | None) -> str:
    if value is None:
        raise ValueError("unexpected NULL from the system catalogs")
    return value
