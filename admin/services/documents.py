"""Policy as code: what a document would change in the store, changing all of that at once, and the store as a document.

A document is policy.yaml (docs/policy.md) with one more section, `targets`. A section that it has is made as it says,
with what it does not name taken out; a section that it lacks stays as it is. Revocations are not policy but events: an
export leaves them out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from admin.services.actor import Actor
from admin.services.entity import Body, Entity
from admin.services.errors import Invalid, VersionMismatch
from admin.services.judgement import Proposal, judge
from admin.services.targets import check_target
from admin.store.change import Change, changing, policy_version
from admin.store.engine import Store
from admin.store.entities import Written, erase_entities, free_places, read_all, write_entities
from policy.canonical import canonical_json, in_canonical_order
from policy.changes import SECTIONS
from policy.problems import Problems, join_key

ALL_SECTIONS: Mapping[str, str] = {"target": "targets", **SECTIONS}  # kind to section, in an order to write them
_EVENTS = ("revocation",)

Document = Mapping[str, Mapping[str, Any]]  # section to id to body


@dataclass(frozen=True, slots=True)
class Difference:
    """One entity that a document makes (before None), takes out (after None) or changes."""

    kind: str
    id: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None

    @property
    def place(self) -> str:
        """Where it stands in a document."""
        return join_key(ALL_SECTIONS[self.kind], self.id)


@dataclass(frozen=True, slots=True)
class Plan:
    """version: of the policy that the differences are to; the one that came of it when the plan was applied."""

    version: int
    differences: tuple[Difference, ...]


async def plan_document(store: Store, actor: Actor, document: Document) -> Plan:
    """What `apply_document` would do; it is checked all the same. Raises Refused, Invalid."""
    _require(actor, "planning policy")
    async with changing(store, actor) as change:  # nothing is recorded, so it is undone
        differences = await _differences(change, document)
        return Plan(change.before, differences)


async def apply_document(store: Store, actor: Actor, document: Document, *, expect_version: int | None = None) -> Plan:
    """Make the store as the document says, in one change. Raises Refused, VersionMismatch, Invalid."""
    _require(actor, "applying policy")
    async with changing(store, actor) as change:
        if expect_version is not None and change.before != expect_version:
            raise VersionMismatch(expect_version, change.before)
        differences = await _differences(change, document)
        await _write(change, differences)
        return Plan(change.version if differences else change.before, differences)


async def export_document(store: Store, actor: Actor) -> tuple[int, dict[str, dict[str, Any]]]:
    """The policy's version, and all of it but revocations; sections and ids in a fixed order. Raises Refused."""
    _require(actor, "exporting policy", "read")
    async with store.reading() as session:
        version = await policy_version(session)
        found: dict[str, dict[str, Any]] = {}
        for kind, section in ALL_SECTIONS.items():
            if kind not in _EVENTS and (entities := await read_all(session, kind)):
                found[section] = {e.id: in_canonical_order(e.body) for e in sorted(entities, key=lambda e: e.id)}
        return version, found


def _require(actor: Actor, what: str, action: str = "write") -> None:
    for kind in ("tenant", "role", "user", "policy", "target", "quota", "flag"):
        actor.require_everywhere(kind, action, what)


async def _differences(change: Change, document: Document) -> tuple[Difference, ...]:
    """In the order of writing: what goes, then what is made or changed. Raises Invalid."""
    _check_sections(document)
    before = {
        kind: {entity.id: in_canonical_order(entity.body) for entity in await read_all(change.session, kind)}
        for kind, section in ALL_SECTIONS.items()
        if section in document
    }
    targets = await _take_targets(change, document, before.get("target", {}))
    proposals: list[Proposal] = []
    for kind, known in before.items():
        named = document[ALL_SECTIONS[kind]]
        if kind != "target":
            proposals += [(kind, name, {} if body is None else body) for name, body in named.items()]
            proposals += [(kind, name, None) for name in known if name not in named]
    judged = await judge(change, proposals, targets)
    gone = [
        Difference(kind, name, body, None)
        for kind, known in reversed(before.items())
        for name, body in known.items()
        if name not in document[ALL_SECTIONS[kind]]
    ]
    made = [
        Difference(kind, name, known.get(name), after)
        for kind, known in before.items()
        for name in document[ALL_SECTIONS[kind]]
        if not _same(known.get(name), after := _after(kind, name, document, judged.bodies))
    ]
    return (*gone, *made)


def _after(
    kind: str, name: str, document: Document, bodies: Mapping[tuple[str, str], dict[str, Any]]
) -> dict[str, Any]:
    body = document["targets"][name] if kind == "target" else bodies[kind, name]
    return dict(in_canonical_order(dict(body)))


def _same(before: Body | None, after: Body) -> bool:
    return before is not None and canonical_json(before) == canonical_json(after)


def _check_sections(document: Document) -> None:
    problems = Problems()
    problems.unknown_keys("", document, ALL_SECTIONS.values())
    for section, bodies in document.items():
        if section in ALL_SECTIONS.values() and not isinstance(bodies, Mapping):
            problems.add(section, "must be a mapping", "Write it as key: value; {} for nothing.")
    if problems.found:
        raise Invalid(tuple(problems.found))


async def _take_targets(change: Change, document: Document, known: Mapping[str, Body]) -> dict[str, str] | None:
    """The targets and their databases as they will be; None: as they are. Raises Invalid."""
    if "targets" not in document:
        return None
    problems = Problems()
    for name, body in document["targets"].items():
        try:
            check_target(name, body)
        except Invalid as error:
            problems.found += error.problems
            continue
        if name in known and known[name]["database"] != body["database"]:
            hint = "Tenants would be elsewhere: make a target of another name."
            problems.add(f"{join_key('targets', name)}.database", "cannot be another", hint)
    await _check_used(change.session, document, known, problems)
    if problems.found:
        raise Invalid(tuple(problems.found))
    return {name: body["database"] for name, body in document["targets"].items()}


async def _check_used(session: AsyncSession, document: Document, known: Mapping[str, Body], problems: Problems) -> None:
    """Note targets that go although tenants, tables or functions which stay are theirs."""
    gone = {name for name in known if name not in document["targets"]}
    if not gone:
        return
    used = set()
    for kind in ("tenant", "tables", "functions"):
        if ALL_SECTIONS[kind] not in document:
            entities: list[Entity] = await read_all(session, kind)
            used |= {entity.body["target"] if kind == "tenant" else entity.id for entity in entities}
    for name in sorted(gone & used):
        problems.add(join_key("targets", name), "is still used", "Take out what uses it in the same document.")


async def _write(change: Change, differences: tuple[Difference, ...]) -> None:
    tenants = [d.id for d in differences if d.kind == "tenant" and d.before is not None]
    await free_places(change.session, tenants)
    for kind in reversed(list(ALL_SECTIONS)):
        gone = [Entity(kind, d.id, d.before or {}, 0, 0, 0) for d in differences if _goes(d, kind)]
        if gone:
            await erase_entities(change, kind, gone)
    for kind in ALL_SECTIONS:
        await _write_kind(change, kind, [d for d in differences if d.kind == kind and d.after is not None])


async def _write_kind(change: Change, kind: str, differences: list[Difference]) -> None:
    if not differences:
        return
    known = {entity.id: entity for entity in await read_all(change.session, kind)}
    some = [Written(d.id, known.get(d.id), d.after or {}) for d in differences]
    await write_entities(change, kind, some)


def _goes(difference: Difference, kind: str) -> bool:
    return difference.kind == kind and difference.after is None
