"""Where tenants stand on their targets: no two may share a place that the isolation takes to be one tenant's own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from policy.canonical_values import canonical_value
from policy.model import Isolation, Tenant
from policy.problems import Problems, join_key
from policy.snapshot import Snapshot
from policy.snapshot_index import Place, index_of, place_of


def check_place(
    problems: Problems,
    after: Snapshot,
    tenant: Tenant,
    databases: Mapping[str, str],
    changed: Mapping[tuple[str, str], int],
) -> None:
    """Note what else is in the place of a tenant that was changed. `databases`: each target's own.

    changed: (kind, id) of all that was, and its number. Of two changed tenants only one hears of the other: who has
    the whole database, else the later one.
    """
    index = index_of(after)
    path = join_key("tenants", tenant.id)
    for place in _names_of(place_of(tenant), databases):
        owner = index.databases.get(place)
        taken, field = owner, "database"
        if tenant.isolation is Isolation.SHARED:
            taken, field = index.values.get((place, canonical_value(tenant.value))), "value"
        elif tenant.isolation is Isolation.SCHEMA:
            taken, field = index.schemas.get((place, tenant.schema or "")), "schema"
        if taken is not None and not _hears(taken, tenant, changed):
            _note_taken(problems, path, field, taken)
        if tenant.isolation is not Isolation.DATABASE:
            if owner is not None and ("tenant", owner) not in changed:
                _note_owned(problems, path, owner)
        elif index.sharing.get(place):
            _note_owned(problems, path, next(t.id for t in _others(after, tenant) if place_of(t) == place))


def _hears(other: str, tenant: Tenant, changed: Mapping[tuple[str, str], int]) -> bool:
    """Whether it is the other one that hears of this one, or they are the same."""
    return changed.get(("tenant", other), -1) >= changed.get(("tenant", tenant.id), 0)


def check_shared_schemas(
    problems: Problems, after: Snapshot, places: Iterable[Place], databases: Mapping[str, str]
) -> None:
    """A tenant's own schema must not be one that holds shared tables: it would see all their rows."""
    index = index_of(after)
    schemas: dict[str, frozenset[str]] = {}
    for target, names in {(place[0], _names_of(place, databases)): None for place in places}:
        if target not in schemas:
            schemas[target] = frozenset(rule.schema for rule in after.tables.get(target, ()))
        if not any(index.rows.get(name) for name in names):
            continue
        for schema in sorted(schemas[target]):
            for owner in filter(None, (index.schemas.get((name, schema)) for name in names)):
                path = f"{join_key('tenants', owner)}.schema"
                message = f"schema {schema} holds tables that other tenants share"
                problems.add(path, message, "Give the tenant a schema of its own.")


def _names_of(place: Place, databases: Mapping[str, str]) -> tuple[Place, ...]:
    """A place by the names that tenants may give it: a target's own database needs none."""
    target, database = place
    own = databases.get(target)
    if own is None or database not in ("", own):
        return (place,)
    return (target, ""), (target, own)


def _others(after: Snapshot, tenant: Tenant) -> Iterator[Tenant]:
    """Who else keeps rows on the same target beside others."""
    for other in after.tenants.values():
        if other.id != tenant.id and other.target == tenant.target and other.isolation is not Isolation.DATABASE:
            yield other


def _note_taken(problems: Problems, path: str, field: str, owner: str) -> None:
    where = " in the tenant column" if field == "value" else ""
    message = f"tenant {owner} has this {field}{where}, too"
    problems.add(f"{path}.{field}", message, f"Give each tenant a {field} of its own.")


def _note_owned(problems: Problems, path: str, other: str) -> None:
    hint = "Isolation by database gives all of it to one tenant: name another database."
    problems.add(f"{path}.database", f"tenant {other} keeps its rows in the same database", hint)
