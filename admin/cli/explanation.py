"""An explanation as values, as JSON and as text for people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TextIO

from policy.errors import StatementRefused
from policy.rbac import resolve_access
from policy.sql.compile import compile_query
from policy.sql.plan import Plan, Slot, SlotKind, SlotValues, render
from policy.sql.shape import shape_of
from proxy.session import slot_values

if TYPE_CHECKING:
    from admin.cli.explain import Subject
    from policy.snapshot import Snapshot
    from policy.sql.catalog import Catalog


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
            "unknown_roles": list(self.subject.unknown_roles),
            "decision": "refused" if self.refused else "sent",
            "statements": [statement.as_dict() for statement in self.statements],
        }


@dataclass(frozen=True, slots=True)
class StatementExplanation:
    """One statement: `sent` is the text with its slots filled, empty when it is refused."""

    plan: Plan
    sent: str
    denial: StatementRefused | None

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
        }
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
    access = resolve_access(snapshot, subject.tenant, subject.principal.roles)
    compiled = compile_query(text, access, catalog, schema=subject.tenant.schema or "")
    shape = shape_of(text) if compiled.by_shape else None
    literals = () if shape is None else shape.literals
    values = slot_values(subject.principal, subject.tenant, catalog.salt)
    statements = (_explain(plan, values, literals) for plan in compiled.plans)
    return Explanation(subject, tuple(statements), compiled.by_shape)


def _explain(plan: Plan, values: SlotValues, literals: tuple[str, ...]) -> StatementExplanation:
    sent = "" if plan.denial is not None else render(plan, values, literals)
    return StatementExplanation(plan, sent, plan.denial)


def print_explanation(explanation: Explanation, text: str, out: TextIO) -> None:
    """A block per statement; refusals look as psql shows errors, with a caret below the place."""
    subject = explanation.subject
    roles = ", ".join(sorted(subject.principal.roles)) or "none"
    place = f"{subject.tenant.id} ({subject.tenant.isolation.value})"
    print(f"{subject.principal.subject} of tenant {place}, roles: {roles}", file=out)
    if subject.unknown_roles:
        print(f"roles that the policy does not know, ignored: {', '.join(subject.unknown_roles)}", file=out)
    for number, statement in enumerate(explanation.statements, 1):
        print(f"\nstatement {number}: {statement.plan.command or 'empty'}: {statement.decision}", file=out)
        if statement.denial is not None:
            _print_denial(statement.denial, text, out)
        else:
            _print_sent(statement, out)
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
