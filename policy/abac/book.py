"""All policies of a snapshot, ready to be asked: which apply to what, for whom.

Policies that ask the same facts are asked together, and an answer is kept for as long as there is room, under those
facts only: one that looks at roles is evaluated once per set of roles, one that looks at the hour once an hour. What
policies cannot tell apart (tables with the same tags, named by none) is asked about once.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from policy.abac.cedar import CedarPolicy, CedarSet, Matches, column_id, parse_cedar, table_id
from policy.abac.facts import Asker, context_of, entities_of, principal_of
from policy.abac.model import (
    COLUMN_ACTION,
    DRAFT,
    REQUIRE_MFA,
    STATEMENT_ACTIONS,
    TABLE_ACTIONS,
    Policy,
)
from policy.abac.schema import TIMES

Json = Any
_MAX_KEPT = 50_000

Facts = tuple[tuple[str, Json], ...]


@dataclass(frozen=True, slots=True)
class Thing:
    """What policies can tell of a table, a column or a database. "" where nothing names it.

    kind: Table, Column or Database. table, schema: of a column, the table and schema that it is in.
    """

    kind: str
    tags: frozenset[str] = frozenset()
    column: str = ""
    table: str = ""
    schema: str = ""

    @property
    def actions(self) -> Sequence[str]:
        if self.kind == "Column":
            return (COLUMN_ACTION,)
        return TABLE_ACTIONS if self.kind == "Table" else STATEMENT_ACTIONS

    def uid(self, number: int) -> Json:
        name = {"Table": self.table, "Column": self.column, "Database": ""}[self.kind]
        return {"type": self.kind, "id": name or f"?{number}"}

    def entities(self, number: int) -> list[Json]:
        """Itself and what it is in. Names that no policy has are made up: `?` begins none."""
        schema = {"type": "Schema", "id": self.schema or "?"}
        table = {"type": "Table", "id": self.table or f"?t{number}"}
        own: Json = {"uid": self.uid(number), "attrs": {"tags": sorted(self.tags)}, "parents": []}
        found = [own]
        if self.kind == "Table":
            own["parents"] = [schema]
        elif self.kind == "Column":
            own["parents"] = [table]
            found.append({"uid": table, "attrs": {"tags": []}, "parents": [schema]})
        return found


DATABASE = Thing("Database")


@dataclass(slots=True)
class _Group:
    """Policies that ask the same facts."""

    facts: frozenset[str]
    time_zone: str
    cedar: CedarSet


class Book:
    """Lifetime: its snapshot. Drafts are left out unless `drafts`.

    tables, columns, schemas: what its policies name. uses_time: an answer may change with the minute.
    """

    __slots__ = ("_groups", "_kept", "columns", "policies", "schemas", "tables", "uses_time")

    def __init__(self, policies: Iterable[Policy], *, drafts: bool = False) -> None:
        self.policies: Mapping[str, Policy] = {p.id: p for p in policies if drafts or p.state != DRAFT}
        parsed = {name: parse_cedar(policy.cedar) for name, policy in self.policies.items()}
        self.tables = _union(each.tables for each in parsed.values())
        self.columns = _union(each.columns for each in parsed.values())
        self.schemas = _union(each.schemas for each in parsed.values())
        self._groups = _groups(self.policies, parsed)
        self._kept: dict[tuple[int, Facts, Thing], dict[str, Matches]] = {}
        self.uses_time = any(group.facts & TIMES for group in self._groups)

    def table(self, schema: str, name: str, tags: frozenset[str]) -> Thing:
        """A table as policies see it."""
        known = table_id(schema, name)
        return Thing("Table", tags, "", known if known in self.tables else "", self._schema(schema))

    def column(self, schema: str, name: str, column: str, tags: frozenset[str]) -> Thing:
        known, own = table_id(schema, name), column_id(schema, name, column)
        table = known if known in self.tables else ""
        return Thing("Column", tags, own if own in self.columns else "", table, self._schema(schema))

    def any_table(self, schema: str) -> Thing:
        """Tables of a schema of which the document says nothing; "" for those of all other schemas."""
        return Thing("Table", schema=self._schema(schema))

    def _schema(self, schema: str) -> str:
        return schema if schema in self.schemas else ""

    def facts_of(self, asker: Asker) -> tuple[Facts, ...]:
        """What the answers to this session hang on: equal facts, equal answers."""
        return tuple(asker.values(group.facts, group.time_zone) for group in self._groups)

    def ask(self, things: Collection[Thing], facts: tuple[Facts, ...]) -> Mapping[Thing, Mapping[str, list[Policy]]]:
        """By thing and action: the policies that apply, in the order of their ids.

        One that cannot be evaluated applies if it takes something away.
        """
        found: dict[Thing, dict[str, list[Policy]]] = {thing: {a: [] for a in thing.actions} for thing in things}
        if len(self._kept) > _MAX_KEPT:
            self._kept.clear()
        for number, (group, known) in enumerate(zip(self._groups, facts, strict=True)):
            missing = [thing for thing in things if (number, known, thing) not in self._kept]
            if missing:
                self._evaluate(number, group, known, missing)
            for thing in things:
                for action, matches in self._kept[number, known, thing].items():
                    found[thing][action] += self._applying(matches)
        for actions in found.values():
            for policies in actions.values():
                policies.sort(key=lambda policy: policy.id)
        return found

    def _applying(self, matches: Matches) -> list[Policy]:
        applied = [self.policies[name] for name in matches.applied]
        return applied + [self.policies[name] for name in matches.failed if self.policies[name].restricts]

    def _evaluate(self, number: int, group: _Group, facts: Facts, things: Sequence[Thing]) -> None:
        principal, context = principal_of(facts), json.dumps(context_of(facts))
        entities = {_key(each["uid"]): each for each in entities_of(facts)}
        requests: list[Json] = []
        for index, thing in enumerate(things):
            for entity in thing.entities(index):
                if entity["uid"]["type"] == thing.kind or _key(entity["uid"]) not in entities:
                    entities[_key(entity["uid"])] = entity
            requests += [
                {"principal": principal, "action": _action(a), "resource": thing.uid(index), "context": context}
                for a in thing.actions
            ]
        answers = iter(group.cedar.ask(requests, entities.values()))
        for thing in things:
            self._kept[number, facts, thing] = {action: next(answers) for action in thing.actions}


def _groups(policies: Mapping[str, Policy], parsed: Mapping[str, CedarPolicy]) -> list[_Group]:
    members: dict[tuple[frozenset[str], str], dict[str, CedarPolicy]] = {}
    for name, policy in policies.items():
        facts = parsed[name].facts
        if policy.effect.kind == REQUIRE_MFA:
            facts |= {"amr", "acr"}
        zone = policy.time_zone if facts & TIMES else "UTC"
        members.setdefault((facts, zone), {})[name] = parsed[name]
    return [_Group(facts, zone, CedarSet(own)) for (facts, zone), own in members.items()]


def _union(sets: Iterable[frozenset[str]]) -> frozenset[str]:
    return frozenset[str]().union(*sets)


def _key(uid: Json) -> tuple[str, str]:
    return uid["type"], uid["id"]


def _action(name: str) -> Json:
    return {"type": "Action", "id": name}
