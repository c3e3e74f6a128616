"""Which databases of a target the policy speaks of, and what the gateway's role needs in each."""

from __future__ import annotations

from dataclasses import dataclass, field

from policy.builtin_roles import BUILTIN_ROLES
from policy.model import Isolation, Role, TableClass, TableRule
from policy.role_tree import inherited
from policy.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class Target:
    """What provisioning needs of a target's configuration. native: row-level security is to be there."""

    name: str
    role: str
    database: str
    native: bool
    hashed_columns: tuple[str, ...] = ()  # `schema.table.column` or `table.column`, as the audit log's
    hashed_tags: tuple[str, ...] = ()
    key: bytes | None = field(default=None, repr=False)

    def hashed_in(self, table: tuple[str, str]) -> frozenset[str]:
        """Columns of a table whose values may be kept as hashes only."""
        schema, name = table
        prefixes = (f"{schema}.{name}", name)
        split = (column.rpartition(".") for column in self.hashed_columns)
        return frozenset(column for prefix, _, column in split if prefix in prefixes)


@dataclass(frozen=True, slots=True)
class Wanted:
    """One database. rules: its shared relations, as classified; schemas: tenants' own; whole: it is one tenant's.

    ddl: some role of the policy may create in a schema or database of the tenant's own. tracked: rules of tables whose
    changes are written down, in tenants' own places, too.
    """

    target: Target
    database: str
    rules: tuple[TableRule, ...] = ()
    schemas: tuple[str, ...] = ()
    whole: bool = False
    ddl: bool = False
    tracked: tuple[TableRule, ...] = ()

    def hashed_in(self, table: tuple[str, str]) -> frozenset[str]:
        """Columns of a tracked table of which hashes are kept: by name, and by the policy's tags; `*` is every one."""
        tags, found = set(self.target.hashed_tags), set(self.target.hashed_in(table))
        for rule in self.tracked:
            if rule.name == table[1]:
                found.update(column for column, given in rule.column_tags.items() if tags & given)
                found.update("*" if tags & rule.tags else ())
        return frozenset(found)

    @property
    def tenant_rules(self) -> tuple[TableRule, ...]:
        return tuple(rule for rule in self.rules if rule.table_class is TableClass.TENANT)


def wanted_databases(snapshot: Snapshot, target: Target) -> tuple[Wanted, ...]:
    """The databases, the target's own first."""
    names = {target.database: None}
    tenants = [t for t in snapshot.tenants.values() if t.target == target.name]
    names.update((tenant.database or target.database, None) for tenant in tenants)
    found = []
    for database in names:
        here = [tenant for tenant in tenants if (tenant.database or target.database) == database]
        shared = any(tenant.isolation is Isolation.SHARED for tenant in here)
        found.append(
            Wanted(
                target=target,
                database=database,
                rules=snapshot.tables.get(target.name, ()) if shared else (),
                schemas=tuple(sorted({t.schema for t in here if t.isolation is Isolation.SCHEMA and t.schema})),
                whole=any(tenant.isolation is Isolation.DATABASE for tenant in here),
                ddl=gives_ddl(snapshot),
                tracked=tuple(rule for rule in snapshot.tables.get(target.name, ()) if rule.track),
            )
        )
    return tuple(found)


def gives_ddl(snapshot: Snapshot) -> bool:
    """As `resolve_access` has it: `schema:*:ddl` or `database:*`."""
    wanted = {("schema", "ddl"), ("database", "*")}
    roles = inherited(snapshot.roles, [*snapshot.roles.values(), *_assigned(snapshot)]).values()
    permissions = (permission for role, _ in roles for permission in role.permissions)
    return any(p.name == "*" and (p.kind, p.action) in wanted for p in permissions)


def _assigned(snapshot: Snapshot) -> list[Role]:
    """The built-in roles that somebody is assigned."""
    names = {name for assignment in snapshot.assignments.values() for name in assignment.roles}
    return [BUILTIN_ROLES[name] for name in sorted(names & BUILTIN_ROLES.keys())]
