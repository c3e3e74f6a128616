"""Where a tenant of its own schema or database is on a target, and the SQL that makes and removes it. Pure.

What is made carries a comment with the mark of the work that made it, so that undoing never takes what was there
before. A schema is made in one transaction. A database cannot be: it is made under a name that only this work knows,
filled, marked, and renamed last, so that under its own name it is whole or not there.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from admin.provision.steps import Step, ident, literal
from policy.model import Isolation, Tenant
from policy.names import MAX_NAME_BYTES

_TABLES = "SELECT, INSERT, UPDATE, DELETE, TRUNCATE"
_SEQUENCES = "USAGE, SELECT, UPDATE"
_NO_POWERS = "NOLOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE NOREPLICATION"


@dataclass(frozen=True, slots=True)
class Place:
    """Of one tenant. home: the target's own database; role: the gateway's login role there; ddl: its sessions may
    create where the place is their own; mark: of the work that makes it, lower-case hexadecimal."""

    tenant: str
    target: str
    home: str
    database: str
    schema: str | None
    role: str
    ddl: bool
    mark: str

    @property
    def whole(self) -> bool:
        """It is a database; else a schema."""
        return self.schema is None

    @property
    def owner(self) -> str:
        """The role that owns what is in it. It cannot log in: an administrator becomes it with SET ROLE."""
        return _fitted(f"{self.database if self.schema is None else self.schema}_owner")

    @property
    def draft(self) -> str:
        """The name of the database until it is whole."""
        return f"tenantgate_making_{self.mark}"

    @property
    def comment(self) -> str:
        return comment_of(self.tenant, self.mark)

    @property
    def shown(self) -> str:
        return f'database "{self.database}"' if self.schema is None else f'schema "{self.schema}"'


def comment_of(tenant: str, mark: str) -> str:
    return f"TenantGate: tenant {tenant}, made by {mark}"


def place_of(tenant: Tenant, *, home: str, role: str, ddl: bool, mark: str) -> Place | None:
    """None for a tenant in shared tables, who has no place of its own."""
    if tenant.isolation is Isolation.SHARED:
        return None
    schema = tenant.schema if tenant.isolation is Isolation.SCHEMA else None
    return Place(tenant.id, tenant.target, home, tenant.database or home, schema, role, ddl, mark)


def _fitted(name: str) -> str:
    """A name that PostgreSQL does not cut; long ones end in a digest."""
    if len(name.encode()) <= MAX_NAME_BYTES:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:12]
    return name.encode()[: MAX_NAME_BYTES - 13].decode(errors="ignore") + "_" + digest


# -- making --------------------------------------------------------------------------------------------------------


def owner_steps(place: Place) -> list[Step]:
    owner = ident(place.owner)
    return [
        Step(f"CREATE ROLE {owner} {_NO_POWERS}", "owns what is the tenant's; cannot log in"),
        Step(f"COMMENT ON ROLE {owner} IS {literal(place.comment)}", "whose it is"),
    ]


def schema_steps(place: Place) -> list[Step]:
    """In the place's database, in one transaction, after the owner."""
    schema, owner = ident(place.schema or ""), ident(place.owner)
    return [
        Step(f"CREATE SCHEMA {schema} AUTHORIZATION {owner}", "the tenant's own schema"),
        Step(f"COMMENT ON SCHEMA {schema} IS {literal(place.comment)}", "whose it is"),
        *_grants(place, place.schema or ""),
    ]


def database_step(place: Place) -> Step:
    """Outside of a transaction, as PostgreSQL wants it."""
    sql = f"CREATE DATABASE {ident(place.draft)} OWNER {ident(place.owner)} TEMPLATE template0 ENCODING 'UTF8'"
    return Step(sql, "the tenant's own database, under a name that nobody asks for until it is whole")


def filling_steps(place: Place) -> list[Step]:
    """In the new database, in one transaction."""
    draft, role = ident(place.draft), ident(place.role)
    return [
        Step(f"REVOKE ALL ON DATABASE {draft} FROM PUBLIC", "nobody else connects to it"),
        Step(f"GRANT CONNECT, TEMPORARY ON DATABASE {draft} TO {role}", "the gateway does"),
        *_grants(place, "public"),
        Step(f"COMMENT ON DATABASE {draft} IS {literal(place.comment)}", "whose it is"),
    ]


def rename_step(place: Place) -> Step:
    return Step(f"ALTER DATABASE {ident(place.draft)} RENAME TO {ident(place.database)}", "it is whole")


def connect_step(place: Place) -> Step:
    sql = f"GRANT CONNECT, TEMPORARY ON DATABASE {ident(place.database)} TO {ident(place.role)}"
    return Step(sql, "the gateway connects to it")


def _grants(place: Place, schema: str) -> list[Step]:
    name, role, owner = ident(schema), ident(place.role), ident(place.owner)
    defaults = f"ALTER DEFAULT PRIVILEGES FOR ROLE {owner} IN SCHEMA {name} GRANT"
    usage = "USAGE, CREATE" if place.ddl else "USAGE"
    return [
        Step(f"GRANT {usage} ON SCHEMA {name} TO {role}", "what the tenant uses is here"),
        Step(f"{defaults} {_TABLES} ON TABLES TO {role}", "tables that the owner makes are the tenant's to use"),
        Step(f"{defaults} {_SEQUENCES} ON SEQUENCES TO {role}", "and sequences"),
    ]


# -- taking away ---------------------------------------------------------------------------------------------------


def drop_schema_steps(place: Place) -> list[Step]:
    """With all that is in it; the owner's privileges and defaults in this database go too, where it has any."""
    return [Step(f"DROP SCHEMA IF EXISTS {ident(place.schema or '')} CASCADE", "the tenant's own schema")]


def drop_database_step(name: str) -> Step:
    return Step(f"DROP DATABASE IF EXISTS {ident(name)} WITH (FORCE)", "the tenant's own database")


def drop_owner_steps(place: Place) -> list[Step]:
    """In the place's database. What else the owner has there goes with it: it had it for the tenant."""
    owner = ident(place.owner)
    return [
        Step(f"DROP OWNED BY {owner}", "privileges and defaults of the owner"),
        Step(f"DROP ROLE {owner}", "the owner itself"),
    ]
