"""Audited statements judged again, by two policies: what would change if one took the place of the other.

Pure: nothing is sent anywhere and no row is looked at. Who asked, from where and when comes from the audit log itself
(the session's login event and the statement's own). Statements are told apart by their fingerprint; where one means
different things to different people it is counted for each outcome.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from policy.abac.decide import Decider, decider_of
from policy.access import Access
from policy.asked import Asked, asked
from policy.effective import effective_access
from policy.model import Tenant
from policy.snapshot import Snapshot
from policy.sql.catalog import Catalog
from policy.sql.compile import compile_query
from policy.sql.plan import Plan

Event = Mapping[str, Any]
Catalogs = Callable[[Tenant], Catalog | None]

_MAX_KEPT = 10_000


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a policy makes of a statement. refusal: its error message, "" when it would be sent."""

    refusal: str
    rules: tuple[str, ...]
    sent: tuple[object, ...]

    @property
    def decision(self) -> str:
        return "refused" if self.refusal else "sent"


@dataclass(slots=True)
class Difference:
    """One statement, by its fingerprint, that two policies judge differently in the same way.

    gained, lost: rules that only the other policy applies, or no longer. runs: audited runs that this concerns.
    """

    fingerprint: str
    statement: str
    before: str
    after: str
    refusal: str
    gained: tuple[str, ...]
    lost: tuple[str, ...]
    runs: int = 0
    subjects: set[str] = field(default_factory=set)
    tenants: set[str] = field(default_factory=set)

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return {
            "fingerprint": self.fingerprint,
            "statement": self.statement,
            "before": self.before,
            "after": self.after,
            "refusal": self.refusal,
            "gained": list(self.gained),
            "lost": list(self.lost),
            "runs": self.runs,
            "subjects": sorted(self.subjects),
            "tenants": sorted(self.tenants),
        }


@dataclass(slots=True)
class Replay:
    """What came of it. unknown: statements of sessions whose login is not among the events, of tenants that are gone,
    or that were not kept whole."""

    replayed: int = 0
    unchanged: int = 0
    unknown: int = 0
    differences: list[Difference] = field(default_factory=list)

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        counts = {"replayed": self.replayed, "unchanged": self.unchanged, "unknown": self.unknown}
        return {**counts, "differences": [each.as_dict() for each in self.differences]}


class Policies:
    """A snapshot that statements are judged by. drafts: its drafts count as if they were active."""

    def __init__(self, snapshot: Snapshot, *, drafts: bool = False) -> None:
        self.snapshot = snapshot
        self._decider = Decider(snapshot, drafts=True) if drafts and snapshot.policies else decider_of(snapshot)
        self._plans: dict[tuple[str, str, int, str], tuple[Plan, ...]] = {}

    def verdict(self, who: Asked, text: str, fingerprint: str, catalog: Catalog) -> Verdict | None:
        """None when the text, as it was kept, is not the statement that ran."""
        tenant = self.snapshot.tenants.get(who.tenant)
        if tenant is None:
            return Verdict("the tenant is unknown", (), ())
        access = effective_access(self.snapshot, who.principal, tenant, who.at, who.surroundings, self._decider)
        plans = self._compile(access, text, catalog, tenant.schema or "")
        refused = next((plan.denial for plan in plans if plan.denial is not None), None)
        plan = next((plan for plan in plans if plan.fingerprint == fingerprint), None)
        if plan is None:
            return None
        return Verdict("" if refused is None else refused.message, plan.rules, plan.pieces)

    def _compile(self, access: Access, text: str, catalog: Catalog, schema: str) -> tuple[Plan, ...]:
        key = (access.id, text, id(catalog), schema)
        plans = self._plans.get(key)
        if plans is None:
            if len(self._plans) > _MAX_KEPT:
                self._plans.clear()
            plans = self._plans[key] = compile_query(text, access, catalog, schema=schema).plans
        return plans


def replay(events: Iterable[Event], before: Policies, after: Policies, catalogs: Catalogs) -> Replay:
    """Judge the statements among `events`, in the order of the log, by both. catalogs: of the tenant's target, None
    when it cannot be had."""
    found, logins = Replay(), dict[str, Event]()
    differences: dict[tuple[object, ...], Difference] = {}
    for event in events:
        if event.get("event") == "login" and event.get("session"):
            logins[str(event["session"])] = event
        elif event.get("event") == "logout":
            logins.pop(str(event.get("session")), None)
        elif event.get("event") == "statement" and event.get("fingerprint"):
            _judge(event, logins, before, after, catalogs, found, differences)
    found.differences = sorted(differences.values(), key=lambda each: (-each.runs, each.fingerprint))
    return found


def _judge(
    event: Event,
    logins: Mapping[str, Event],
    before: Policies,
    after: Policies,
    catalogs: Catalogs,
    found: Replay,
    differences: dict[tuple[object, ...], Difference],
) -> None:
    login = logins.get(str(event.get("session")))
    tenant = before.snapshot.tenants.get(str(event.get("tenant")))
    catalog = None if tenant is None else catalogs(tenant)
    if login is None or "roles" not in login.get("details", {}) or catalog is None:
        found.unknown += 1
        return
    who, text, fingerprint = asked(login, event), str(event["statement"]), str(event["fingerprint"])
    old, new = (policies.verdict(who, text, fingerprint, catalog) for policies in (before, after))
    if old is None or new is None:
        found.unknown += 1
        return
    found.replayed += 1
    if old == new:
        found.unchanged += 1
        return
    key = (fingerprint, old.decision, new.refusal, old.rules, new.rules)
    difference = differences.get(key)
    if difference is None:
        gained = tuple(rule for rule in new.rules if rule not in old.rules)
        lost = tuple(rule for rule in old.rules if rule not in new.rules and not new.refusal)
        difference = Difference(fingerprint, text, old.decision, new.decision, new.refusal, gained, lost)
        differences[key] = difference
    difference.runs += 1
    difference.subjects.add(who.principal.subject)
    difference.tenants.add(who.tenant)
