"""Is a change right together with all the rest? Asked of the policy that is in force, with the functions that gateways
and policy.yaml go by, so that what the store takes is what they take.

The picture of the policy is kept between changes and brought up to date from the feed, so that a change costs what it
touches and not what there is.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from admin.services.errors import Invalid, StoreUnavailable
from admin.store.change import Change, policy_version
from admin.store.engine import Store
from admin.store.tables import PolicyEntryRow, TargetRow
from policy import changes as policy_changes
from policy.bodies import WRITERS
from policy.canonical import read_canonical
from policy.change_checks import check_changes
from policy.changes import SECTIONS, read_change, snapshot_with
from policy.problems import Problems
from policy.snapshot import Snapshot

Proposal = tuple[str, str, Mapping[str, Any] | None]  # kind, id, body; None: it goes
_ORDER = {kind: number for number, kind in enumerate(SECTIONS)}


async def databases_of(session: AsyncSession) -> dict[str, str]:
    """Each target of the store and its own database."""
    rows = await session.execute(select(TargetRow.id, TargetRow.body))
    return {row.id: read_canonical(row.body)["database"] for row in rows}


async def picture(store: Store, session: AsyncSession, version: int | None = None) -> Snapshot:
    """The policy as this transaction sees it (version: what that is, if it is known). Raises StoreUnavailable when the
    store holds what this program does not understand: nothing may be judged without it."""
    known = store.picture or policy_changes.EMPTY
    newest = await policy_version(session) if version is None else version
    if known.version == newest and store.picture is not None:
        return known
    if known.version > newest:  # a store that was put back
        known = policy_changes.EMPTY
    rows = await session.execute(
        select(PolicyEntryRow.kind, PolicyEntryRow.id, PolicyEntryRow.body)
        .where(PolicyEntryRow.version > known.version, PolicyEntryRow.version <= newest)
    )  # fmt: skip
    proposals = [(row.kind, row.id, None if row.body is None else read_canonical(row.body)) for row in rows]
    targets = await databases_of(session)
    problems = _unknown_kinds(proposals)
    after, _ = _advance(problems, known, newest, proposals, targets)
    if problems.found:
        place, message, _ = problems.found[0]
        hint = "Was it written by another version of TenantGate? Nothing is changed while this is not understood."
        raise StoreUnavailable(f"the store holds what is not understood: {place}: {message}", hint=hint)
    store.picture = after
    return after


@dataclass(frozen=True, slots=True)
class Judged:
    """The policy as it will be, and each body as it is kept (policy/bodies.py): without what is so by default,
    so that what means the same is the same text."""

    after: Snapshot
    bodies: Mapping[tuple[str, str], dict[str, Any]]


async def judge(change: Change, proposals: Collection[Proposal], targets: Mapping[str, str] | None = None) -> Judged:
    """Raises Invalid with every problem, and nothing has changed. targets: each and its own database, if the same
    change makes them others than the store's."""
    before = await picture(change.store, change.session, change.before)
    databases = await databases_of(change.session) if targets is None else targets
    problems = _unknown_kinds(proposals)
    after, made = _advance(problems, before, change.version, proposals, databases)
    if not problems.found:
        check_changes(problems, after, made, databases)
    if problems.found:
        raise Invalid(tuple(problems.found))
    bodies = {(one.kind, one.id): WRITERS[one.kind](one.entity) for one in made if one.entity is not None}
    return Judged(after, bodies)


def _unknown_kinds(proposals: Iterable[Proposal]) -> Problems:
    problems = Problems()
    for kind, entity_id, _ in proposals:
        if kind not in SECTIONS:
            problems.add(f"{kind}.{entity_id}", f"{kind} is nothing that this program knows", "")
    return problems


def _advance(
    problems: Problems, before: Snapshot, version: int, proposals: Iterable[Proposal], targets: Collection[str]
) -> tuple[Snapshot, list[policy_changes.Change]]:
    known = sorted((p for p in proposals if p[0] in SECTIONS), key=lambda p: _ORDER[p[0]])
    made = [read_change(problems, kind, entity_id, body, targets) for kind, entity_id, body in known]
    if problems.found:
        return before, made
    return snapshot_with(before, version, made), made
