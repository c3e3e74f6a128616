"""What a set of roles may do, resolved once per permission set (`policy/rbac.py` computes it).

`Access` holds no tenant's values, so that plans compiled under it serve every tenant with the same set.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from policy.model import FunctionRule, Isolation, TableRule


@dataclass(frozen=True, slots=True)
class TableAccess:
    """What may be done to one relation.

    row_filter: one SQL boolean expression (the roles' filters joined by OR), None: every row of the tenant.
    masks: column -> SQL expression shown instead. Names in expressions may be `:subject :tenant :attr_<name>`.
    """

    read: bool = False
    write: bool = False
    copy: bool = False
    row_filter: str | None = None
    masks: Mapping[str, str] = field(default_factory=dict)
    reasons: tuple[str, ...] = ()  # role names that gave it, for explain and audit
    read_filter: str | None = None  # set when reading is wider than writing; "true" is every row
    denied: frozenset[str] = frozenset()  # columns that are not there for these roles

    @property
    def limits(self) -> bool:
        """Whether a reader sees less than all rows as they are."""
        return self.row_filter is not None or bool(self.masks) or bool(self.denied)

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
    gateway_read: bool = False
    schemas: Mapping[str, TableAccess] = field(default_factory=dict)  # from `table:sales.*:…`
    functions: Mapping[tuple[str, str], FunctionRule] = field(default_factory=dict)  # of the target's owner

    def function(self, schema: str, name: str) -> FunctionRule | None:
        """The rule of a function as it is called; without a schema it is public's, which own schemas do not see."""
        if not schema and self.isolation is Isolation.SCHEMA:
            return None
        return self.functions.get((schema or "public", name))

    def table(self, schema: str, name: str) -> TableAccess:
        """Access to one relation; by (schema, name), then by ("", name), by schema, then the default."""
        found = self.tables.get((schema, name))
        if found is None:
            found = self.tables.get(("", name))
        if found is None:
            found = self.schemas.get(schema)
        return self.default if found is None else found
