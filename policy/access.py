"""What a set of roles may do, resolved once per permission set (`policy/rbac.py` computes it).

`Access` holds no tenant's values, so that plans compiled under it serve every tenant with the same set.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from policy.abac.masks import laid_over
from policy.model import FunctionRule, Isolation, TableRule
from policy.sql.plan import quote_identifier


@dataclass(frozen=True, slots=True)
class Refusal:
    """An action that a policy forbids, and what the client is told."""

    policy: str
    message: str
    hint: str
    sqlstate: str = "42501"


@dataclass(frozen=True, slots=True)
class PolicyOutcome:
    """What policies (policy/abac) add to a relation, or to statements as such. By action: select, insert, ddl …

    approvals: what the session's approval reference must match, as (policy, regular expression). rows, bytes: of one
    result, and the policies that say so. notes: for `explain`. would: what policies on trial would have done.
    """

    refusals: Mapping[str, Refusal] = field(default_factory=dict)
    approvals: Mapping[str, tuple[tuple[str, str], ...]] = field(default_factory=dict)
    rows: int | None = None
    bytes: int | None = None
    limited_by: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    would: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def bars(self) -> bool:
        """Whether there is something that may not be done, or not without more ado."""
        return bool(self.refusals or self.approvals)

    @property
    def restricts(self) -> bool:
        """Whether code that runs behind the gateway's back could do more."""
        return self.bars or bool(self.rows or self.bytes)


NO_POLICY = PolicyOutcome()


@dataclass(frozen=True, slots=True)
class TableAccess:
    """What may be done to one relation.

    row_filter: one SQL boolean expression (the roles' filters joined by OR), None: every row of the tenant.
    masks: column -> SQL expression shown instead. Names in expressions may be `:subject :tenant :attr_<name>`.
    without: of insert, update and delete those that are not given although `write` is. filters: row filters of those
    whose filter is another than `row_filter`. only: the columns that are shown; others are not there or, where there
    is a `rest`, shown in the rows that it lets through and else NULL. barred: who denies something of the relation.
    """

    read: bool = False
    write: bool = False
    copy: bool = False
    row_filter: str | None = None
    masks: Mapping[str, str] = field(default_factory=dict)
    reasons: tuple[str, ...] = ()  # role names that gave it, for explain and audit
    read_filter: str | None = None  # set when reading is wider than writing; "true" is every row
    denied: frozenset[str] = frozenset()  # columns that are not there for these roles
    without: frozenset[str] = frozenset()
    filters: Mapping[str, str | None] = field(default_factory=dict)
    only: frozenset[str] | None = None
    rest: str | None = None
    barred: tuple[str, ...] = ()
    policy: PolicyOutcome = NO_POLICY

    @property
    def limits(self) -> bool:
        """Whether a reader sees less than all rows as they are, or a writer may change less than all."""
        filtered = self.row_filter is not None or self.filter_for_reading is not None or bool(self.filters)
        return filtered or bool(self.masks) or bool(self.denied) or self.only is not None

    @property
    def is_whole(self) -> bool:
        """Whether everything may be done to all of it."""
        return self.read and self.write and not (self.limits or self.without or self.barred)

    @property
    def denies_columns(self) -> bool:
        return bool(self.denied) or (self.only is not None and self.rest is None)

    def is_denied(self, column: str) -> bool:
        """Whether a column is not there."""
        return column in self.denied or (self.only is not None and self.rest is None and column not in self.only)

    def for_write(self, kind: str) -> TableAccess:
        """The access of an insert, update or delete: `write` and `row_filter` are those of its kind."""
        if kind in self.without:
            return replace(self, write=False)
        if kind not in self.filters:
            return self
        reading, writing = self.filter_for_reading, self.filters[kind]
        return replace(self, row_filter=writing, read_filter=None if reading == writing else reading or "true")

    def with_columns(self, columns: Iterable[str]) -> TableAccess:
        """The access to a relation with these columns: those that `only` leaves out are denied, or masked."""
        if self.only is None:
            return self
        left_out = [column for column in columns if column not in self.only and column not in self.denied]
        if self.rest is None:
            return replace(self, denied=self.denied.union(left_out))
        masks = {c: f"CASE WHEN {self.rest} THEN {quote_identifier(c)} ELSE NULL END" for c in left_out}
        masks = {c: laid_over(self.masks.get(c), mask) for c, mask in masks.items()}
        return replace(self, masks=MappingProxyType({**self.masks, **masks}))

    @property
    def filter_for_reading(self) -> str | None:
        """The filter of statements that only read; `row_filter` is that of writes, and never the wider one."""
        if self.read_filter is None:
            return self.row_filter
        return None if self.read_filter == "true" else self.read_filter


NO_ACCESS = TableAccess()


@dataclass(frozen=True, slots=True)
class Access:
    """Everything the SQL rules need of policy. `id` identifies the permission set in plan-cache keys.

    tables: by (schema, name) for relations that roles name or that patterns were expanded to; `default` answers for
    all others (from `table:*:…` and `database:*`). rules: classification of shared relations by (schema, name).
    In the schema strategy, tables of the tenant's own schema are looked up under schema "".
    """

    id: str
    isolation: Isolation
    target: str
    default: TableAccess
    tables: Mapping[tuple[str, str], TableAccess]
    rules: Mapping[tuple[str, str], TableRule]
    ddl: bool = False
    code: bool = False  # ddl, and stored code too: nobody else is on the target, and nothing is hidden
    explain: bool = True
    call: bool = True  # CALL and DO, where `code` allows them
    read_only: str = ""  # why nothing may be changed
    denied_functions: frozenset[tuple[str | None, str | None]] = frozenset()  # schema, name; None: every
    gateway_read: bool = False
    schemas: Mapping[str, TableAccess] = field(default_factory=dict)  # from `table:sales.*:…`
    functions: Mapping[tuple[str, str], FunctionRule] = field(default_factory=dict)  # of the target's owner
    policy: PolicyOutcome = NO_POLICY  # of statements as such: ddl, call, explain
    tracked: frozenset[tuple[str, str]] = frozenset()  # tables whose changes are written down

    def function(self, schema: str, name: str) -> FunctionRule | None:
        """The rule of a function as it is called; without a schema it is public's, which own schemas do not see."""
        if not schema and self.isolation is Isolation.SCHEMA:
            return None
        return self.functions.get((schema or "public", name))

    def denies_function(self, schema: str, name: str, own_schema: str = "") -> bool:
        """Whether calls of a function are denied, as it is called: without a schema it could be one of any in the
        search path. own_schema: the session's, which `public` stands for."""
        if not self.denied_functions:
            return False
        if not schema or schema == own_schema:
            schemas: tuple[str | None, ...] = (schema or None, "public", "pg_catalog")
        else:
            schemas = (schema, "public") if schema == "pg_catalog" else (schema,)
        return any(
            pattern[1] in (None, name) and (pattern[0] is None or pattern[0] in schemas)
            for pattern in self.denied_functions
        )

    def table(self, schema: str, name: str) -> TableAccess:
        """Access to one relation; by (schema, name), then by ("", name), by schema, then the default."""
        found = self.tables.get((schema, name))
        if found is None:
            found = self.tables.get(("", name))
        if found is None:
            found = self.schemas.get(schema)
        return self.default if found is None else found
