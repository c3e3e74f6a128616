"""The nouns of policy: tenants, principals, roles, permissions, quotas, tables (DESIGN section 1).

All values are frozen; nothing here reads a clock, a socket or a file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType

NO_ITEMS: Mapping[str, str] = MappingProxyType({})


class Isolation(Enum):
    """How a tenant's data is kept apart on its target."""

    SHARED = "shared"
    SCHEMA = "schema"
    DATABASE = "database"


class TenantStatus(Enum):
    ACTIVE = "active"
    SUSPENDED = "suspended"


@dataclass(frozen=True, slots=True)
class QuotaLimits:
    """Limits of one tenant; None is unlimited. Rates per second, times in milliseconds."""

    connections: int | None = None
    concurrent_statements: int | None = None
    statements_per_s: float | None = None
    burst: int | None = None
    statement_timeout_ms: int | None = None
    backends: int | None = None


@dataclass(frozen=True, slots=True)
class Tenant:
    """One tenant. `value` is what stands in the tenant column of shared tables (the id unless configured).

    `schema` is set for `Isolation.SCHEMA`; `database` names the database on the target (all strategies; None: the
    target's own). pooling: `transaction` or `session`, how long a session keeps a backend. lanes: its fast reads may
    share backends with those of other sessions.
    """

    id: str
    isolation: Isolation
    target: str
    value: str
    schema: str | None = None
    database: str | None = None
    status: TenantStatus = TenantStatus.ACTIVE
    tier: str = "standard"
    quotas: QuotaLimits = QuotaLimits()
    pooling: str = "transaction"
    lanes: bool = True


@dataclass(frozen=True, slots=True)
class Principal:
    """Who a session belongs to. `tenants` are the tenant ids its credentials allow.

    `attributes` are string claims that row filters may name; `expires_at` is seconds since the epoch.
    """

    subject: str
    tenants: frozenset[str]
    roles: frozenset[str]
    method: str
    attributes: Mapping[str, str] = field(default_factory=lambda: NO_ITEMS)
    expires_at: float | None = None


@dataclass(frozen=True, slots=True)
class Permission:
    """`database:*`, `table:orders:read`, `table:sales.orders:write`, `schema:*:ddl`, `gateway:*:read`.

    kind: database | schema | table | gateway.  name: `*` or a name, for tables with an optional schema.
    action: read | write | admin | ddl | copy | *.  admin implies write implies read.
    """

    kind: str
    name: str
    action: str


@dataclass(frozen=True, slots=True)
class Role:
    """A named set of permissions with at most one row filter per table and one mask per column.

    Keys of `row_filters`, `masks` and `denied_columns` are table names as in permissions. Filters and masks are SQL
    expressions over the table's columns, where `:subject`, `:tenant` and `:attr_<name>` are values of the session.
    """

    name: str
    permissions: frozenset[Permission]
    row_filters: Mapping[str, str] = field(default_factory=lambda: NO_ITEMS)
    masks: Mapping[str, Mapping[str, str]] = field(default_factory=lambda: MappingProxyType({}))
    denied_columns: Mapping[str, frozenset[str]] = field(default_factory=lambda: MappingProxyType({}))


class TableClass(Enum):
    TENANT = "tenant"  # has a tenant column
    GLOBAL = "global"  # the same for everybody, read only
    DENIED = "denied"
    SEQUENCE = "sequence"  # gives its numbers to all tenants


@dataclass(frozen=True, slots=True)
class TableRule:
    """How one relation of a shared database is classified. An unlisted relation is denied, but for a view whose
    tables are all listed.

    trusted: the tenant column of this view or materialised view is right; else a view is expanded to its tables.
    """

    schema: str
    name: str
    table_class: TableClass
    tenant_column: str | None = None
    trusted: bool = False


@dataclass(frozen=True, slots=True)
class FunctionRule:
    """A function of a target's owner that sessions may call, every overload of the name.

    tenant_argument: the argument, from 1, that the gateway fills with the session's tenant; None: it tells of no rows
    but those that its arguments hold.
    """

    schema: str
    name: str
    tenant_argument: int | None = None
