"""The nouns of policy: tenants, principals, roles, permissions, quotas, tables (DESIGN section 1).

All values are frozen; nothing here reads a clock, a socket or a file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType

from policy.quota_periods import SECONDS

NO_ITEMS: Mapping[str, str] = MappingProxyType({})
NO_FLAGS: Mapping[str, bool] = MappingProxyType({})
TRIAL_GRACE_S = 7 * 86_400.0


class Isolation(Enum):
    """How a tenant's data is kept apart on its target."""

    SHARED = "shared"
    SCHEMA = "schema"
    DATABASE = "database"


class TenantStatus(Enum):
    """Where a tenant stands; what that lets it do at a given time is `standing.py`'s."""

    ACTIVE = "active"
    SUSPENDED = "suspended"
    TRIAL = "trial"  # as active until `trial_ends`, then read-only, then suspended
    EXPIRED = "expired"  # reads only
    DELETING = "deleting"  # nobody gets in; its places are still its own


@dataclass(frozen=True, slots=True)
class PeriodLimit:
    """So much per calendar period (UTC). per: second | minute | hour | day | month."""

    limit: float
    per: str

    def __lt__(self, other: PeriodLimit) -> bool:
        """Whether it gives less, over the long run."""
        return self.limit / SECONDS[self.per] < other.limit / SECONDS[other.per]


@dataclass(frozen=True, slots=True)
class QuotaLimits:
    """Limits of one tenant; None is unlimited. Rates per second, times in milliseconds, sizes in bytes.

    rows, bytes: of results (rows also those that are written). backend_seconds: time that backends work. result_rows,
    result_bytes: of one statement. tables: in a schema or database of its own. users: subjects with open sessions.
    soft: names of quotas (as in the document) that warn and never refuse.
    """

    connections: int | None = None
    concurrent_statements: int | None = None
    statements_per_s: float | None = None
    burst: int | None = None
    statement_timeout_ms: int | None = None
    backends: int | None = None
    rows: PeriodLimit | None = None
    bytes: PeriodLimit | None = None
    backend_seconds: PeriodLimit | None = None
    result_rows: int | None = None
    result_bytes: int | None = None
    storage_bytes: int | None = None
    tables: int | None = None
    users: int | None = None
    soft: frozenset[str] | None = None

    def is_soft(self, quota: str) -> bool:
        return self.soft is not None and quota in self.soft


@dataclass(frozen=True, slots=True)
class Tenant:
    """One tenant. `value` is what stands in the tenant column of shared tables (the id unless configured).

    `schema` is set for `Isolation.SCHEMA`; `database` names the database on the target (all strategies; None: the
    target's own). pooling: `transaction` or `session`, how long a session keeps a backend. lanes: its fast reads may
    share backends with those of other sessions. name: for people; slug: for host names, unique. parent: the id of the
    tenant above it in the tree. flags: its own, over its tier's. attributes: for policies. trial_ends: seconds since
    the epoch.

    In a snapshot `quotas` and `lanes` are those in force (its own over its tier's, switches of flags applied),
    `off` are the flags that are off for it and `trial_grace_s` is its tier's; `written` is then the tenant as its
    body has it (None: no different). `settled.py` does this.
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
    name: str = ""
    slug: str = ""
    owner: str = ""
    parent: str | None = None
    flags: Mapping[str, bool] = field(default_factory=lambda: NO_FLAGS)
    attributes: Mapping[str, str] = field(default_factory=lambda: NO_ITEMS)
    trial_ends: float | None = None
    off: frozenset[str] = frozenset()
    trial_grace_s: float = TRIAL_GRACE_S
    written: Tenant | None = None


@dataclass(frozen=True, slots=True)
class Tier:
    """What tenants of a tier have unless they have their own: quotas, flags (name: on), days of grace after a trial."""

    name: str
    quotas: QuotaLimits = QuotaLimits()
    flags: Mapping[str, bool] = field(default_factory=lambda: NO_FLAGS)
    trial_grace_s: float = TRIAL_GRACE_S


@dataclass(frozen=True, slots=True)
class Flag:
    """A switch of the policy's own. While it is off for a tenant its sessions are denied `deny`, and `quotas` hold
    where they are lower than the tenant's. default: on, for tenants where neither they nor their tier say."""

    name: str
    deny: frozenset[Permission] = frozenset()
    quotas: QuotaLimits = QuotaLimits()
    default: bool = True


@dataclass(frozen=True, slots=True)
class Principal:
    """Who a session belongs to. `tenants` are the tenant ids its credentials allow.

    roles: those that the credentials name. issuer: whose token it was, `local` for accounts and certificates of the
    gateway's configuration. groups: the token's. `attributes` are string claims that row filters may name;
    `expires_at` and `issued_at` are seconds since the epoch. token_id: the token's `jti`, by which it can be revoked.
    amr, acr: how the login was proven, as the token's issuer says (RFC 8176, OpenID Connect Core section 2).
    """

    subject: str
    tenants: frozenset[str]
    roles: frozenset[str]
    method: str
    attributes: Mapping[str, str] = field(default_factory=lambda: NO_ITEMS)
    expires_at: float | None = None
    issuer: str = ""
    groups: frozenset[str] = frozenset()
    token_id: str = ""
    issued_at: float | None = None
    amr: frozenset[str] = frozenset()
    acr: str = ""


@dataclass(frozen=True, slots=True)
class Permission:
    """`database:*`, `table:sales.orders:write`, `column:orders.card:read`, `tenant:children:use` (`permissions.py`).

    kind: of the data plane (database, schema, table, column, function, gateway) or of the control plane (tenant, role,
    …). name: `*`, a name (for tables and functions with an optional schema, for columns with their table) or, on the
    control plane, a scope: own, children, *. action: `*` or a word of the kind; admin implies write implies read.
    """

    kind: str
    name: str
    action: str


@dataclass(frozen=True, slots=True)
class Role:
    """A named set of permissions with at most one row filter per table and one mask per column.

    name: `analyst`, or `acme/analyst` for a role of that tenant's own. inherits: names of roles whose permissions,
    filters, masks and denials it has, too. deny: permissions that nobody with this role has, whoever gives them.

    Keys of `row_filters`, `masks` and `denied_columns` are table names as in permissions. Filters and masks are SQL
    expressions over the table's columns, where `:subject`, `:tenant` and `:attr_<name>` are values of the session.
    """

    name: str
    permissions: frozenset[Permission]
    row_filters: Mapping[str, str] = field(default_factory=lambda: NO_ITEMS)
    masks: Mapping[str, Mapping[str, str]] = field(default_factory=lambda: MappingProxyType({}))
    denied_columns: Mapping[str, frozenset[str]] = field(default_factory=lambda: MappingProxyType({}))
    inherits: tuple[str, ...] = ()
    deny: frozenset[Permission] = frozenset()
    description: str = ""
    replaces_builtin: bool = False

    @property
    def tenant(self) -> str | None:
        """The tenant whose own role it is; None: everybody's."""
        owner, slash, _ = self.name.rpartition("/")
        return owner if slash else None


EVERYWHERE = "*"
LOCAL_ISSUER = "local"


@dataclass(frozen=True, slots=True)
class Assignment:
    """Gives roles to whom `kind` and `value` say.

    kind: subject | group | role (one that the token names) | claim (`key` is its name, `value` its value).
    tenant: an id, or `*`. issuer: only for principals of this issuer (`local`: the configuration's own accounts); "":
    of any. expires: seconds since the epoch, None: never.
    """

    id: str
    kind: str
    value: str
    roles: tuple[str, ...]
    tenant: str
    key: str = ""
    issuer: str = ""
    expires: float | None = None


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
    default_only: columns that sessions give no value for: they get their defaults.
    tags, column_tags: for policies (policy/abac), in every strategy. track: its changes are written down, in every one.
    """

    schema: str
    name: str
    table_class: TableClass
    tenant_column: str | None = None
    trusted: bool = False
    tags: frozenset[str] = frozenset()
    column_tags: Mapping[str, frozenset[str]] = field(default_factory=lambda: MappingProxyType({}))
    default_only: frozenset[str] = frozenset()
    track: bool = False


@dataclass(frozen=True, slots=True)
class FunctionRule:
    """A function of a target's owner that sessions may call, every overload of the name.

    tenant_argument: the argument, from 1, that the gateway fills with the session's tenant; None: it tells of no rows
    but those that its arguments hold.
    """

    schema: str
    name: str
    tenant_argument: int | None = None
