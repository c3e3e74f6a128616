"""An immutable, versioned picture of all policy; a gateway swaps whole snapshots."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from policy.model import Role, TableRule, Tenant


@dataclass(frozen=True, slots=True)
class Snapshot:
    """`tables` maps a target's name to its classified relations (shared strategy)."""

    version: int
    tenants: Mapping[str, Tenant]
    roles: Mapping[str, Role]
    tables: Mapping[str, tuple[TableRule, ...]]
