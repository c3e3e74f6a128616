"""From what policies say of a session to its `Access`: what roles give, and what policies take, add or ask for.

`deny` wins over everything; `allow` gives an action that no role gives, and lifts no filter and no mask; filters are
joined by AND to those of the roles; a mask is laid over that of the roles. Two policies that mask one column
differently contradict each other: NULL is shown. Policies on trial (`dry_run`) change nothing and leave notes of what
they would have done.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from policy.abac.book import DATABASE, Book, Facts, Thing
from policy.abac.cedar import table_id
from policy.abac.facts import Asker
from policy.abac.masks import describe, written
from policy.abac.model import (
    ACTIVE,
    ALLOW,
    COLUMN_ACTION,
    DENY,
    DRAFT,
    LIMIT,
    MASK,
    REQUIRE_APPROVAL,
    REQUIRE_MFA,
    ROW_FILTER,
    TABLE_ACTIONS,
    Mask,
    Policy,
)
from policy.access import NO_POLICY, Access, PolicyOutcome, Refusal, TableAccess
from policy.model import Isolation, Principal, TableClass, TableRule
from policy.names import DEFAULT_SCHEMA, parse_table_name
from policy.snapshot import Snapshot

_Hits = Mapping[str, Sequence[Policy]]
_TableKey = tuple[str, str]
_READS = frozenset({"select", "copy"})
_WRITES = ("insert", "update", "delete")


@dataclass(frozen=True, slots=True)
class _Said:
    """What policies say of one relation. columns: by name; others: of the columns that the document does not list."""

    table: _Hits
    columns: Mapping[str, Sequence[Policy]]
    others: Sequence[Policy]


class Decider:
    """The policies of one snapshot put to work. Lifetime: its snapshot."""

    __slots__ = ("_known", "_snapshot", "book")

    def __init__(self, snapshot: Snapshot, *, drafts: bool = False, before: Decider | None = None) -> None:
        """drafts: count drafts as if they were active, for replay and tests. before: of the snapshot before."""
        self._snapshot = snapshot
        self._known: dict[str, dict[_TableKey, _Things]] = {}  # by target
        if before is not None and not drafts and before._snapshot.policies == snapshot.policies:
            self.book: Book = before.book
            return
        policies = list(snapshot.policies.values())
        if drafts:
            policies = [replace(p, state=ACTIVE) if p.state == DRAFT else p for p in policies]
        self.book = Book(policies)

    def key(self, asker: Asker) -> tuple[Facts, ...]:
        """What `decide` hangs on besides tenant and roles."""
        return self.book.facts_of(asker)

    def decide(self, access: Access, asker: Asker) -> Access:
        """The access of a session under all policies; `access` is what its roles give."""
        rules = {(r.schema, r.name): r for r in self._snapshot.tables.get(access.target, ())}
        own_schema = access.isolation is Isolation.SCHEMA
        keys = {*access.tables, *((_own(key) if own_schema else key) for key in {*rules, *self._named()})}
        schemas = set() if own_schema else {*access.schemas, *self.book.schemas}
        said = self._ask(access.target, keys, schemas, rules, asker)
        principal = asker.principal

        def table(key: _TableKey) -> TableAccess:
            return _with_policies(access.table(*key), said.tables[key], rules.get(_public(key)), principal, access)

        tables = {key: table(key) for key in sorted(keys)}
        by_schema = {
            schema: _with_policies(_of_schema(access, schema), said.schemas[schema], None, principal, access)
            for schema in sorted(schemas)
        }
        default = _with_policies(access.default, said.default, None, principal, access)
        statements = _outcome(said.statements, principal, ("ddl", "call", "explain"), "the statement")
        outcomes = [t.policy for t in (default, *tables.values(), *by_schema.values())]
        limited = any(t.limits or t.policy.restricts for t in (default, *tables.values(), *by_schema.values()))
        decided = replace(
            access,
            tables=MappingProxyType(tables),
            schemas=MappingProxyType(by_schema),
            default=default,
            policy=statements,
            code=access.code and not limited and not statements.restricts,
        )
        return replace(decided, id=_identify(access.id, decided, (*outcomes, statements)))

    def _named(self) -> Iterable[_TableKey]:
        """Tables that policies name, also by their columns."""
        for name in self.book.tables:
            yield parse_table_name(name)
        for name in self.book.columns:
            yield parse_table_name(name.rpartition(".")[0])

    def _ask(
        self,
        target: str,
        keys: Set[_TableKey],
        schemas: Iterable[str],
        rules: Mapping[_TableKey, TableRule],
        asker: Asker,
    ) -> _Answers:
        known = self._known.setdefault(target, {})
        for key in keys - known.keys():
            known[key] = self._things(_public(key), rules.get(_public(key)))
        things = {key: known[key] for key in keys}
        of_schemas = {schema: _Things(self.book.any_table(schema), {}, _other(self.book, schema)) for schema in schemas}
        default = _Things(self.book.any_table(""), {}, _other(self.book, ""))
        every = {DATABASE}
        for each in (*things.values(), *of_schemas.values(), default):
            every.update((each.table, each.other, *each.columns.values()))
        answers = self.book.ask(every, self.book.facts_of(asker))
        return _Answers(
            {key: _said(found, answers) for key, found in things.items()},
            {schema: _said(found, answers) for schema, found in of_schemas.items()},
            _said(default, answers),
            answers[DATABASE],
        )

    def _things(self, key: _TableKey, rule: TableRule | None) -> _Things:
        book, (schema, name) = self.book, key
        tags: Mapping[str, frozenset[str]] = rule.column_tags if rule is not None else {}
        prefix = table_id(schema, name) + "."
        named = {each.removeprefix(prefix) for each in book.columns if each.startswith(prefix)}
        columns = {c: book.column(schema, name, c, tags.get(c, frozenset())) for c in {*tags, *named}}
        other = book.column(schema, name, "\0", frozenset())
        return _Things(book.table(schema, name, rule.tags if rule is not None else frozenset()), columns, other)


def decider_of(snapshot: Snapshot, before: Decider | None = None) -> Decider | None:
    """The decider of a snapshot's policies; None when it has none, and then Cedar is not even loaded. before: that of
    the snapshot before, whose answers hold on while the policies are the same."""
    decider = Decider(snapshot, before=before) if snapshot.policies else None
    return decider if decider is not None and decider.book.policies else None


@dataclass(frozen=True, slots=True)
class _Things:
    table: Thing
    columns: Mapping[str, Thing]
    other: Thing


@dataclass(frozen=True, slots=True)
class _Answers:
    tables: Mapping[_TableKey, _Said]
    schemas: Mapping[str, _Said]
    default: _Said
    statements: _Hits


def _other(book: Book, schema: str) -> Thing:
    return replace(book.any_table(schema), kind="Column")


def _said(things: _Things, answers: Mapping[Thing, _Hits]) -> _Said:
    columns = {name: answers[thing][COLUMN_ACTION] for name, thing in things.columns.items()}
    return _Said(answers[things.table], columns, answers[things.other][COLUMN_ACTION])


def _own(key: _TableKey) -> _TableKey:
    """In a schema of its own a tenant's tables are looked up without their schema."""
    return ("", key[1]) if key[0] == DEFAULT_SCHEMA else key


def _public(key: _TableKey) -> _TableKey:
    return (key[0] or DEFAULT_SCHEMA, key[1])


def _of_schema(access: Access, schema: str) -> TableAccess:
    return access.schemas.get(schema, access.default)


# -- one relation -----------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Draft:
    """What is being put together."""

    refusals: dict[str, Refusal] = field(default_factory=dict)
    approvals: dict[str, tuple[tuple[str, str], ...]] = field(default_factory=dict)
    rows: int | None = None
    bytes: int | None = None
    limited_by: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    would: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)

    def outcome(self) -> PolicyOutcome:
        made = PolicyOutcome(
            MappingProxyType(self.refusals),
            MappingProxyType(self.approvals),
            self.rows,
            self.bytes,
            tuple(self.limited_by),
            tuple(self.notes),
            MappingProxyType(self.would),
        )
        return made if any((self.refusals, self.approvals, self.limited_by, self.notes, self.would)) else NO_POLICY


def _with_policies(
    base: TableAccess, said: _Said, rule: TableRule | None, principal: Principal, access: Access
) -> TableAccess:
    draft = _draft(said.table, principal, TABLE_ACTIONS, "the table")
    base = _allowed(base, said.table, rule, access, draft)
    base = _filtered(base, said.table, draft)
    base = _columns(base, said, principal, draft)
    outcome = draft.outcome()
    return base if outcome is NO_POLICY and base.policy is NO_POLICY else replace(base, policy=outcome)


def _outcome(hits: _Hits, principal: Principal, actions: Sequence[str], what: str) -> PolicyOutcome:
    return _draft(hits, principal, actions, what).outcome()


def _draft(hits: _Hits, principal: Principal, actions: Sequence[str], what: str) -> _Draft:
    """Refusals, approvals, limits, and the notes of policies on trial."""
    draft = _Draft()
    for action in actions:
        for policy in hits.get(action, ()):
            if policy.state != ACTIVE:
                text = _would(policy, action, principal)
                if text:
                    draft.would[action] = (*draft.would.get(action, ()), text)
            else:
                _apply(policy, action, principal, what, draft)
    return draft


def _apply(policy: Policy, action: str, principal: Principal, what: str, draft: _Draft) -> None:
    effect = policy.effect
    if effect.kind == DENY:
        message = f"policy {policy.id} denies {action}"
        draft.refusals.setdefault(action, Refusal(policy.id, message, "Ask your administrator."))
    elif effect.kind == REQUIRE_MFA and not has_factor(policy, principal):
        draft.refusals.setdefault(action, _wants_factor(policy, action))
    elif effect.kind == REQUIRE_MFA:
        draft.note(f"policy {policy.id}: second factor for {action}: given")
    elif effect.kind == REQUIRE_APPROVAL:
        draft.approvals[action] = (*draft.approvals.get(action, ()), (policy.id, effect.pattern))
        draft.note(f"policy {policy.id}: {action} needs an approval reference")
    elif effect.kind == LIMIT and action in _READS:
        draft.rows = _least(draft.rows, effect.rows)
        draft.bytes = _least(draft.bytes, effect.bytes)
        if policy.id not in draft.limited_by:
            draft.limited_by.append(policy.id)
        draft.note(f"policy {policy.id}: limit of the result")


def has_factor(policy: Policy, principal: Principal) -> bool:
    """Whether the token tells of a second factor that the policy takes."""
    return bool(policy.effect.amr & principal.amr) or principal.acr in policy.effect.acr


def _wants_factor(policy: Policy, action: str) -> Refusal:
    return Refusal(
        policy.id,
        f"policy {policy.id} requires a second factor for {action}",
        "Log in again with multi-factor authentication, and connect with the new token.",
    )


def _least(one: int | None, other: int | None) -> int | None:
    return min((n for n in (one, other) if n is not None), default=None)


def _would(policy: Policy, action: str, principal: Principal) -> str:
    """What a policy on trial would do to this action, "" for nothing."""
    match policy.effect.kind:
        case "deny":
            return f"policy {policy.id} would deny {action}"
        case "require_mfa":
            return "" if has_factor(policy, principal) else f"policy {policy.id} would require a second factor"
        case "require_approval":
            return f"policy {policy.id} would require an approval reference"
        case "row_filter":
            return f"policy {policy.id} would filter rows"
        case "limit" if action in _READS:
            return f"policy {policy.id} would limit the result"
        case "allow":
            return f"policy {policy.id} would allow {action}"
    return ""


def _allowed(base: TableAccess, hits: _Hits, rule: TableRule | None, access: Access, draft: _Draft) -> TableAccess:
    """What `allow` gives besides the roles; never what is denied, nor what the table's class gives nobody."""
    if base.barred or (access.isolation is Isolation.SHARED and rule is not None and _is_denied(rule)):
        return base
    given = {
        action: [p.id for p in hits.get(action, ()) if p.state == ACTIVE and p.effect.kind == ALLOW]
        for action in TABLE_ACTIONS
    }
    names = tuple(dict.fromkeys(name for ids in given.values() for name in ids))
    if not names:
        return base
    for name in names:
        draft.note(f"policy {name}: allow")
    reasons = base.reasons or tuple(f"policy {name}" for name in names)
    if not base.read and given["select"]:
        base = replace(base, read=True, copy=True, reasons=reasons)
    if not base.copy and given["copy"]:
        base = replace(base, copy=True, reasons=reasons)
    writes = {action for action in _WRITES if given[action]}
    shared = access.isolation is Isolation.SHARED and rule is not None and rule.table_class is TableClass.GLOBAL
    if not base.read or not writes or shared or access.read_only:
        return base
    return replace(base, write=True, without=(base.without if base.write else frozenset(_WRITES)) - writes)


def _is_denied(rule: TableRule) -> bool:
    return rule.table_class is TableClass.DENIED


def _filtered(base: TableAccess, hits: _Hits, draft: _Draft) -> TableAccess:
    """Filters of policies, joined by AND to what the roles show. Who writes never reaches more than who reads."""
    found = {
        action: [p for p in hits.get(action, ()) if p.state == ACTIVE and p.effect.kind == ROW_FILTER]
        for action in TABLE_ACTIONS
    }
    for policy in (policy for policies in found.values() for policy in policies):
        draft.note(f"policy {policy.id}: row filter")
    texts = {action: [p.effect.row_filter for p in policies] for action, policies in found.items()}
    if not any(texts.values()):
        return base
    reading = _all_of([base.filter_for_reading, *texts["select"], *texts["copy"]])
    writing = {
        action: _all_of([base.filters.get(action, base.row_filter), *texts["select"], *texts["copy"], *texts[action]])
        for action in _WRITES
    }
    every = _all_of([base.row_filter, *base.filters.values(), *(text for some in texts.values() for text in some)])
    return replace(
        base,
        row_filter=every,
        read_filter=None if reading == every else reading or "true",
        filters=MappingProxyType({action: text for action, text in writing.items() if text != every}),
    )


def _all_of(filters: Iterable[str | None]) -> str | None:
    texts = list(dict.fromkeys(text for text in filters if text is not None))
    if len(texts) < 2:
        return texts[0] if texts else None
    return " AND ".join(f"({text})" for text in texts)


def _columns(base: TableAccess, said: _Said, principal: Principal, draft: _Draft) -> TableAccess:
    """Masks, and columns that are not there."""
    masks, denied = dict(base.masks), set(base.denied)
    for column, policies in sorted(said.columns.items()):
        own: dict[Mask, list[str]] = {}
        for policy in policies:
            effect = policy.effect
            if policy.state != ACTIVE:
                _column_would(policy, column, principal, draft)
            elif effect.kind == DENY or (effect.kind == REQUIRE_MFA and not has_factor(policy, principal)):
                denied.add(column)
                draft.note(f"policy {policy.id}: column {column} is denied")
            elif effect.kind == REQUIRE_APPROVAL:
                _apply(policy, COLUMN_ACTION, principal, "the table", draft)
            elif effect.kind == MASK and effect.mask is not None:
                own.setdefault(effect.mask, []).append(policy.id)
        if own and column not in denied:
            masks[column] = _mask(own, base.masks.get(column), column, draft)
    for column in denied:
        masks.pop(column, None)
    _others(said.others, principal, draft)
    if masks == dict(base.masks) and denied == base.denied:
        return base
    return replace(base, masks=MappingProxyType(masks), denied=frozenset(denied))


def _mask(own: Mapping[Mask, list[str]], of_roles: str | None, column: str, draft: _Draft) -> str:
    policies = ", ".join(name for names in own.values() for name in names)
    mask = next(iter(own))
    if len(own) > 1:
        draft.note(f"policy {policies}: masks of {column} contradict each other: NULL")
        return written(Mask("null"))
    text = written(mask, of_roles or "")
    draft.note(f"policy {policies}: mask of {column}: {describe(text)}")
    return text


def _column_would(policy: Policy, column: str, principal: Principal, draft: _Draft) -> None:
    kind = policy.effect.kind
    text = ""
    if kind == DENY or (kind == REQUIRE_MFA and not has_factor(policy, principal)):
        text = f"policy {policy.id} would deny column {column}"
    elif kind == MASK:
        text = f"policy {policy.id} would mask {column}"
    if text:
        draft.would[COLUMN_ACTION] = (*draft.would.get(COLUMN_ACTION, ()), text)


def _others(policies: Sequence[Policy], principal: Principal, draft: _Draft) -> None:
    """A policy that reaches columns which the document does not list cannot be kept: nothing is shown."""
    for policy in policies:
        kind = policy.effect.kind
        if policy.state != ACTIVE or kind not in (MASK, DENY, REQUIRE_MFA):
            continue
        if kind == REQUIRE_MFA and has_factor(policy, principal):
            continue
        refusal = Refusal(
            policy.id,
            f"policy {policy.id} reaches columns of the table that the policy document does not list",
            "Ask your administrator to list them under tables, with their tags.",
        )
        for action in ("select", "copy"):
            draft.refusals.setdefault(action, refusal)


# -- identity ---------------------------------------------------------------------------------------------------------


def _identify(before: str, access: Access, outcomes: Sequence[PolicyOutcome]) -> str:
    """A hash of all that a plan may depend on."""
    content = [
        before,
        access.code,
        [_table(access.default)],
        [[schema, _table(found)] for schema, found in sorted(access.schemas.items())],
        [[*key, _table(found)] for key, found in sorted(access.tables.items())],
        [_outcome_text(each) for each in outcomes],
    ]
    return hashlib.sha256(json.dumps(content, separators=(",", ":")).encode()).hexdigest()[:32]


def _table(access: TableAccess) -> list[object]:
    rights = [access.read, access.write, access.copy, access.reasons, sorted(access.without), access.barred]
    columns = [sorted(access.denied), None if access.only is None else sorted(access.only), access.rest]
    filters = [access.row_filter, access.read_filter, sorted(access.filters.items())]
    return [rights, columns, filters, sorted(access.masks.items())]


def _outcome_text(outcome: PolicyOutcome) -> list[object]:
    refusals = [[a, r.policy, r.message, r.hint, r.sqlstate] for a, r in sorted(outcome.refusals.items())]
    limits = [outcome.rows, outcome.bytes, outcome.limited_by, outcome.notes]
    return [refusals, sorted(outcome.approvals.items()), *limits, sorted(outcome.would.items())]
