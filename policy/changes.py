"""From one snapshot to the next: only what a change touches is made anew.

A change names one entity, such as a tenant, and what it is from now on. `read_change` makes one of a body, as the store
and the API have it; `snapshot_with` puts changes in force; `check_changes` (change_checks.py) says what is wrong with
them together with all the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from policy.document_assignments import read_assignment_body
from policy.document_functions import read_functions_body
from policy.document_policies import read_policy_body
from policy.document_roles import read_role_body
from policy.document_tables import read_tables_body
from policy.document_tenants import read_tenant_body
from policy.document_tiers import read_flag_body, read_tier_body
from policy.model import Tenant
from policy.problems import Problems, join_key
from policy.revocations import read_revocation_body
from policy.settled import settled
from policy.snapshot import Snapshot
from policy.snapshot_index import SnapshotIndex

# The kinds of entities, and the section of the document and field of the snapshot that holds them. In this order they
# can be put in force one after the other: none needs a later one.
SECTIONS: Mapping[str, str] = {
    "flag": "flags",
    "tier": "tiers",
    "tenant": "tenants",
    "role": "roles",
    "assignment": "assignments",
    "tables": "tables",
    "functions": "functions",
    "revocation": "revocations",
    "policy": "policies",
}
EMPTY = Snapshot(0, {}, {}, {})

_READERS: Mapping[str, Callable[..., object]] = {
    "flag": read_flag_body,
    "tier": read_tier_body,
    "tenant": read_tenant_body,
    "role": read_role_body,
    "assignment": read_assignment_body,
    "tables": read_tables_body,
    "functions": read_functions_body,
    "revocation": read_revocation_body,
    "policy": read_policy_body,
}
_NEED_TARGETS = frozenset({"tenant", "tables", "functions"})
_INDEX_ANEW = 1000  # changes, from which on an index is made when it is asked for


@dataclass(frozen=True, slots=True)
class Change:
    """kind: one of SECTIONS. entity: a Tenant, Role, …, of tables and functions a tuple of rules; None: removed."""

    kind: str
    id: str
    entity: Any

    @property
    def path(self) -> str:
        """Where it stands in a document: `tenants.acme`."""
        return join_key(SECTIONS[self.kind], self.id)


def read_change(problems: Problems, kind: str, entity_id: str, body: object, targets: Collection[str]) -> Change:
    """The change that puts a body in force (None: removes the entity). Raises KeyError for a kind that is not known."""
    change = Change(kind, entity_id, None)
    if body is None:
        return change
    rest = (targets,) if kind in _NEED_TARGETS else ()
    return replace(change, entity=_READERS[kind](problems, change.path, entity_id, body, *rest))


def snapshot_with(snapshot: Snapshot, version: int, changes: Iterable[Change]) -> Snapshot:
    """The snapshot after these changes, of one kind and id at most one. It is not checked."""
    by_kind: dict[str, list[Change]] = {}
    for change in changes:
        by_kind.setdefault(change.kind, []).append(change)
    fields: dict[str, Any] = {SECTIONS[kind]: _changed(snapshot, kind, some) for kind, some in by_kind.items()}
    after = replace(snapshot, version=version, **fields)
    if "tier" in by_kind or "flag" in by_kind:
        tenants = {name: settled(tenant, after.tiers, after.flags) for name, tenant in after.tenants.items()}
        after = replace(after, tenants=MappingProxyType(tenants))
    elif "tenant" in by_kind:
        _settle(after, by_kind["tenant"])
    _keep_index(snapshot, after, by_kind)
    return after


def _changed(snapshot: Snapshot, kind: str, changes: list[Change]) -> Mapping[str, Any]:
    section = dict(getattr(snapshot, SECTIONS[kind]).items())
    for change in changes:
        if change.entity is None:
            section.pop(change.id, None)
        else:
            section[change.id] = change.entity
    return section if kind == "tenant" else MappingProxyType(section)


def _settle(after: Snapshot, changes: list[Change]) -> None:
    """Settle the changed tenants, and close the mapping that they are in."""
    tenants: dict[str, Tenant] = after.tenants  # type: ignore[assignment]  # just made by _changed
    for change in changes:
        if change.entity is not None:
            tenants[change.id] = settled(change.entity, after.tiers, after.flags)
    object.__setattr__(after, "tenants", MappingProxyType(tenants))


def _keep_index(before: Snapshot, after: Snapshot, by_kind: Mapping[str, list[Change]]) -> None:
    """The index of the snapshot before, brought up to date, unless it is as cheap to make a new one."""
    tenants, assignments = by_kind.get("tenant", ()), by_kind.get("assignment", ())
    if before.index is None or len(tenants) + len(assignments) > _INDEX_ANEW:
        return
    index = SnapshotIndex(before.index) if tenants or assignments else before.index
    for change in tenants:
        if change.id in before.tenants:
            index.remove_tenant(before.tenants[change.id])
    for change in tenants:
        if change.entity is not None:
            index.add_tenant(change.entity)
    for change in assignments:
        if change.id in before.assignments:
            index.remove_assignment(before.assignments[change.id])
        if change.entity is not None:
            index.add_assignment(change.entity)
    object.__setattr__(after, "index", index)
