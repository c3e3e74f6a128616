"""An immutable, versioned picture of all policy; a gateway swaps whole snapshots."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from policy.model import FunctionRule, Role, TableRule, Tenant


@dataclass(frozen=True, slots=True)
class Snapshot:
    """`tables` maps a target's name to its classified relations (shared strategy), `functions` to those of its owner's
    functions that may be called."""

    version: int
    tenants: Mapping[str, Tenant]
    roles: Mapping[str, Role]
    tables: Mapping[str, tuple[TableRule, ...]]
    functions: Mapping[str, tuple[FunctionRule, ...]] = field(default_factory=dict)
