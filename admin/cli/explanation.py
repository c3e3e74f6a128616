"""An explanation as values, as JSON and as text for people."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TextIO

from admin.cli.no_rows import why_no_rows
from policy.access import Access
from policy.access_explained import PrincipalExplained, Rule
from policy.effective import effective_access
from policy.errors import StatementRefused
from policy.sql import parse
from policy.sql.compile import compile_query
from policy.sql.parse import parse_statements, scan, walk
from policy.sql.plan import Plan, Slot, SlotKind, SlotValues, render
from policy.sql.shape import shape_of
from proxy.session import slot_values

if TYPE_CHECKING:
    from admin.cli.explain import Subject
    from policy.snapshot import Snapshot
    from policy.sql.catalog import Catalog

ast: Any = parse.ast
_SYSTEM = ("pg_catalog", "information_schema", "pg_temp")


@dataclass(frozen=True, slots=True)
class Explanation:
    """A query string for one subject. One refused statement refuses all of it."""

    subject: Subject
    statements: tuple[StatementExplanation, ...]
    by_shape: bool

    @property
    def refused(self) -> bool:
        return any(statement.denial is not None for statement in self.statements)

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return {
            "tenant": self.subject.tenant.id,
            "isolation": self.subject.tenant.isolation.value,
            "subject": self.subject.principal.subject,
            "roles": sorted(self.subject.principal.roles),
            "unknown_roles": list(self.subject.explained.held.unknown),
            **self.subject.explained.as_dict(),
            "decision": "refused" if self.refused else "sent",
            "statements": [statement.as_dict() for statement in self.statements],
        }


@dataclass(frozen=True, slots=True)
class StatementExplanation:
    """One statement: `sent` is the text with its slots filled, empty when it is refused."""

    plan: Plan
    sent: str
    denial: StatementRefused | None
    access: Mapping[str, tuple[Rule, ...]]
    why: tuple[str, ...] = ()

    @property
    def decision(self) -> str:
        """As in audit events."""
        if self.denial is not None:
            return "refused"
        return "allowed" if self.sent == self.plan.original else "rewritten"

    def as_dict(self) -> dict[str, object]:
        """For JSON; `position` counts characters of the whole query string from 1, 0 is unknown."""
        described: dict[str, object] = {
            "decision": self.decision,
            "command": self.plan.command,
            "kind": self.plan.kind.value,
            "statement": self.plan.original,
            "sent": self.sent,
            "rules": list(self.plan.rules),
            "relations": list(self.plan.relations),
            "fingerprint": self.plan.fingerprint,
            "access": {relation: [rule.as_dict() for rule in rules] for relation, rules in self.access.items()},
        }
        if self.why:
            described["why"] = list(self.why)
        if self.denial is not None:
            described["error"] = {
                "sqlstate": self.denial.sqlstate,
                "message": self.denial.message,
                "detail": self.denial.detail,
                "hint": self.denial.hint,
                "position": self.denial.position,
            }
        return described


def explain_query(text: str, snapshot: Snapshot, subject: Subject, catalog: Catalog) -> Explanation:
    """Compile `text` as the gateway would for a session of `subject`."""
    access = _access(snapshot, subject)
    compiled = compile_query(text, access, catalog, schema=subject.tenant.schema or "")
    shape = shape_of(text) if compiled.by_shape else None
    literals = () if shape is None else shape.literals
    values = slot_values(subject.principal, subject.tenant, catalog.salt)
    statements = (_explain(plan, values, literals, subject.explained) for plan in compiled.plans)
    return Explanation(subject, tuple(statements), compiled.by_shape)


async def explain_no_rows(
    explanation: Explanation,
    snapshot: Snapshot,
    catalog: Catalog,
    ask: Callable[[str], Awaitable[list[list[str | None]]]],
) -> Explanation:
    """The same, with the reasons why a statement gives no rows. ask: runs a query on the target."""
    subject = explanation.subject
    access, values = _access(snapshot, subject), slot_values(subject.principal, subject.tenant, catalog.salt)
    statements = [
        each
        if each.denial is not None
        else replace(each, why=tuple(await why_no_rows(each.plan, access, catalog, subject.explained, values, ask)))
        for each in explanation.statements
    ]
    return replace(explanation, statements=tuple(statements))


def _access(snapshot: Snapshot, subject: Subject) -> Access:
    return effective_access(snapshot, subject.principal, subject.tenant, subject.now, subject.surroundings)


def _explain(
    plan: Plan, values: SlotValues, literals: tuple[str, ...], explained: PrincipalExplained
) -> StatementExplanation:
    sent = "" if plan.denial is not None else render(plan, values, literals)
    return StatementExplanation(plan, sent, plan.denial, _rules(plan, explained))


def _rules(plan: Plan, explained: PrincipalExplained) -> dict[str, tuple[Rule, ...]]:
    """What gave and took access to each relation; of a refused statement those that its text names."""
    relations = list(plan.relations)
    if plan.denial is not None:
        with contextlib.suppress(StatementRefused):
            for statement in parse_statements(plan.original, scan(plan.original)):
                named = (node for node in walk(statement.node) if isinstance(node, ast.RangeVar))
                relations += [f"{node.schemaname or _default_schema(explained)}.{node.relname}" for node in named]
    split = ((relation, *relation.partition(".")[::2]) for relation in dict.fromkeys(relations))
    return {relation: explained.relation(schema, name) for relation, schema, name in split if schema not in _SYSTEM}


def _default_schema(explained: PrincipalExplained) -> str:
    return explained.tenant.schema or "public"


def print_explanation(explanation: Explanation, text: str, out: TextIO) -> None:
    """A block per statement; refusals look as psql shows errors, with a caret below the place."""
    subject = explanation.subject
    roles = ", ".join(sorted(subject.principal.roles)) or "none"
    place = f"{subject.tenant.id} ({subject.tenant.isolation.value})"
    print(f"{subject.principal.subject} of tenant {place}, roles: {roles}", file=out)
    for role in subject.explained.roles:
        print(f"  holds      {role}", file=out)
    if subject.explained.held.unknown:
        unknown = ", ".join(subject.explained.held.unknown)
        print(f"roles that the policy does not know, ignored: {unknown}", file=out)
    for number, statement in enumerate(explanation.statements, 1):
        print(f"\nstatement {number}: {statement.plan.command or 'empty'}: {statement.decision}", file=out)
        if statement.denial is not None:
            _print_denial(statement.denial, text, out)
        else:
            _print_sent(statement, out)
        for relation, rules in statement.access.items():
            for rule in rules:
                print(f"  access     {relation}: {rule}", file=out)
        for reason in statement.why:
            print(f"  no rows?   {reason}", file=out)
    if explanation.refused and len(explanation.statements) > 1:
        print("\nOne statement is refused, so none of the query string is sent.", file=out)


def _print_sent(statement: StatementExplanation, out: TextIO) -> None:
    print(_indented("sent", statement.sent), file=out)
    for rule in statement.plan.rules:
        print(f"  rule       {rule}", file=out)
    if statement.plan.relations:
        print(f"  relations  {', '.join(statement.plan.relations)}", file=out)
    named = (piece for piece in statement.plan.pieces if isinstance(piece, Slot))
    claims = dict.fromkeys(slot.name for slot in named if slot.kind is SlotKind.ATTRIBUTE)
    if claims:
        print(f"  claims     {', '.join(claims)}", file=out)


def _print_denial(denial: StatementRefused, text: str, out: TextIO) -> None:
    print(f"  ERROR:  {denial.message}  (SQLSTATE {denial.sqlstate})", file=out)
    if denial.position:
        for line in caret_lines(text, denial.position):
            print(f"  {line}", file=out)
    for label, words in (("DETAIL", denial.detail), ("HINT", denial.hint)):
        if words:
            print(f"  {label}:  {words}", file=out)


def caret_lines(text: str, position: int, width: int = 100) -> tuple[str, str]:
    """The line of `text` that holds the 1-based `position`, cut to `width` around it, and a caret below the place."""
    at = min(max(position - 1, 0), len(text))
    start = text.rfind("\n", 0, at) + 1
    end = text.find("\n", at)
    line = text[start : len(text) if end < 0 else end].replace("\t", " ").replace("\r", " ")
    column = at - start
    cut = max(0, column - width // 2)
    label = f"LINE {text.count(chr(10), 0, at) + 1}: " + ("..." if cut else "")
    shown = line[cut : cut + width] + ("..." if len(line) > cut + width else "")
    return label + shown, " " * (len(label) + column - cut) + "^"


def _indented(label: str, text: str) -> str:
    return f"  {label:<10} " + text.strip().replace("\n", "\n" + " " * 13)
