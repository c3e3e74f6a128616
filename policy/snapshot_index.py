"""What is asked of a snapshot so often that looking through all tenants would be felt. Made from the one before.

Values are shared between the indexes of one line of snapshots and never changed in place.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TypeVar

from policy.canonical_values import canonical_value
from policy.model import Assignment, Isolation, Tenant
from policy.snapshot import Snapshot

Place = tuple[str, str]  # target, database ("": the target's own)
AssignedKey = tuple[str, str, str, str]  # kind, key of a claim, value, tenant

_K = TypeVar("_K")
_NOBODY: Mapping[str, None] = {}


class SnapshotIndex:
    """children: ids by parent. per_target: how many tenants. slugs, databases, schemas, values: whose they are.
    sharing: how many tenants by schema or by shared tables are in a place; rows: how many by shared tables.
    own_schemas: how many tenants have a schema of that name. assigned: assignments by whom they are for."""

    __slots__ = (
        "_copied", "assigned", "children", "databases", "own_schemas", "per_target", "rows", "schemas", "sharing",
        "slugs", "values",
    )  # fmt: skip

    def __init__(self, base: SnapshotIndex | None = None) -> None:
        """base: of the snapshot that this one is made from."""
        self.children: dict[str, dict[str, None]] = {} if base is None else dict(base.children)
        self.per_target: dict[str, int] = {} if base is None else dict(base.per_target)
        self.slugs: dict[str, str] = {} if base is None else dict(base.slugs)
        self.databases: dict[Place, str] = {} if base is None else dict(base.databases)
        self.schemas: dict[tuple[Place, str], str] = {} if base is None else dict(base.schemas)
        self.values: dict[tuple[Place, str], str] = {} if base is None else dict(base.values)
        self.own_schemas: dict[str, int] = {} if base is None else dict(base.own_schemas)
        self.sharing: dict[Place, int] = {} if base is None else dict(base.sharing)
        self.rows: dict[Place, int] = {} if base is None else dict(base.rows)
        self.assigned: dict[AssignedKey, tuple[Assignment, ...]] = {} if base is None else dict(base.assigned)
        self._copied: set[str] = set()

    def children_of(self, tenant_id: str) -> Iterable[str]:
        """Ids of the tenants right below."""
        return self.children.get(tenant_id, _NOBODY)

    def below(self, tenant_id: str) -> Iterator[str]:
        """Ids of all tenants below, at any depth; each once, whatever the tree looks like."""
        seen = {tenant_id}
        waiting = [tenant_id]
        while waiting:
            for child in self.children_of(waiting.pop()):
                if child not in seen:
                    seen.add(child)
                    waiting.append(child)
                    yield child

    def add_tenant(self, tenant: Tenant) -> None:
        place = place_of(tenant)
        self.per_target[tenant.target] = self.per_target.get(tenant.target, 0) + 1
        if tenant.parent is not None:
            self._children(tenant.parent)[tenant.id] = None
        if tenant.slug:
            self.slugs.setdefault(tenant.slug, tenant.id)
        if tenant.isolation is Isolation.DATABASE:
            self.databases.setdefault(place, tenant.id)
            return
        self.sharing[place] = self.sharing.get(place, 0) + 1
        if tenant.isolation is Isolation.SHARED:
            self.rows[place] = self.rows.get(place, 0) + 1
            self.values.setdefault((place, canonical_value(tenant.value)), tenant.id)
        elif tenant.schema is not None:
            self.schemas.setdefault((place, tenant.schema), tenant.id)
            self.own_schemas[tenant.schema] = self.own_schemas.get(tenant.schema, 0) + 1

    def remove_tenant(self, tenant: Tenant) -> None:
        place = place_of(tenant)
        self.per_target[tenant.target] -= 1
        if tenant.parent is not None:
            self._children(tenant.parent).pop(tenant.id, None)
        _drop(self.slugs, tenant.slug, tenant.id)
        _drop(self.databases, place, tenant.id)
        _drop(self.values, (place, canonical_value(tenant.value)), tenant.id)
        if tenant.isolation is not Isolation.DATABASE:
            self.sharing[place] -= 1
        if tenant.isolation is Isolation.SHARED:
            self.rows[place] -= 1
        elif tenant.isolation is Isolation.SCHEMA and tenant.schema is not None:
            _drop(self.schemas, (place, tenant.schema), tenant.id)
            self.own_schemas[tenant.schema] -= 1

    def add_assignment(self, assignment: Assignment) -> None:
        key = key_of(assignment)
        self.assigned[key] = (*self.assigned.get(key, ()), assignment)

    def remove_assignment(self, assignment: Assignment) -> None:
        key = key_of(assignment)
        left = tuple(other for other in self.assigned.get(key, ()) if other.id != assignment.id)
        if left:
            self.assigned[key] = left
        else:
            self.assigned.pop(key, None)

    def _children(self, parent: str) -> dict[str, None]:
        """The children of one parent, to be changed: the index before keeps its own."""
        if parent not in self._copied:
            self._copied.add(parent)
            self.children[parent] = dict(self.children.get(parent, _NOBODY))
        return self.children[parent]


def index_of(snapshot: Snapshot) -> SnapshotIndex:
    """The snapshot's index, made when it is first asked for."""
    if snapshot.index is None:
        index = SnapshotIndex()
        for tenant in snapshot.tenants.values():
            index.add_tenant(tenant)
        for assignment in snapshot.assignments.values():
            index.add_assignment(assignment)
        object.__setattr__(snapshot, "index", index)
        return index
    return snapshot.index


def place_of(tenant: Tenant) -> Place:
    """Where a tenant's data are, as its body says it."""
    return tenant.target, tenant.database or ""


def key_of(assignment: Assignment) -> AssignedKey:
    return assignment.kind, assignment.key, assignment.value, assignment.tenant


def _drop(mapping: dict[_K, str], key: _K, tenant_id: str) -> None:
    if mapping.get(key) == tenant_id:
        del mapping[key]
