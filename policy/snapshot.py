"""An immutable, versioned picture of all policy; a gateway swaps whole snapshots."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from policy.abac.model import Policy
from policy.model import Assignment, Flag, FunctionRule, Role, TableRule, Tenant, Tier
from policy.revocations import Revocation

if TYPE_CHECKING:
    from policy.snapshot_index import SnapshotIndex


@dataclass(frozen=True, slots=True)
class Snapshot:
    """`tables` maps a target's name to its classified relations (shared strategy), `functions` to those of its owner's
    functions that may be called. Tenants are settled (`settled.py`). `index` is what `index_of` made of it, once
    that was asked."""

    version: int
    tenants: Mapping[str, Tenant]
    roles: Mapping[str, Role]
    tables: Mapping[str, tuple[TableRule, ...]]
    functions: Mapping[str, tuple[FunctionRule, ...]] = field(default_factory=dict)
    tiers: Mapping[str, Tier] = field(default_factory=dict)
    flags: Mapping[str, Flag] = field(default_factory=dict)
    assignments: Mapping[str, Assignment] = field(default_factory=dict)
    revocations: Mapping[str, Revocation] = field(default_factory=dict)
    policies: Mapping[str, Policy] = field(default_factory=dict)
    index: SnapshotIndex | None = field(default=None, init=False, compare=False, repr=False)
