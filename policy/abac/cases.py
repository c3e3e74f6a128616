"""Cases of a policy: who runs which statement, and what must come of it; judged without running anything.

cases:
  - name: analysts see no address
    as: {subject: ann, tenant: acme, roles: [analyst]}
    sql: SELECT email FROM customers
    expect: rewritten
    rules: ["customers: policy mail: mask of email: email"]
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from policy.abac.facts import Surroundings
from policy.asked import Asked
from policy.effective import effective_access
from policy.model import Principal
from policy.problems import Problems
from policy.snapshot import Snapshot
from policy.sql.catalog import Catalog
from policy.sql.compile import compile_query
from policy.sql.plan import SlotValues, render
from policy.sql.shape import shape_of
from policy.timestamps import TIMESTAMP_HINT, parse_timestamp
from policy.yaml_values import as_choice, as_list, as_mapping, as_text, describe

DECISIONS = ("allowed", "rewritten", "refused")
_CASE_KEYS = ("name", "as", "sql", "expect", "error", "sqlstate", "sent", "rules", "rows")
_AS_KEYS = (
    "subject", "tenant", "roles", "groups", "attributes", "amr", "acr", "address", "tls", "application",
    "read_replica", "at", "issuer",
)  # fmt: skip

Rows = tuple[tuple[str | None, ...], ...]


@dataclass(frozen=True, slots=True)
class Case:
    """expect: one of DECISIONS. error: a part of the refusal's message. sent: the whole text, spaces apart. rules: that
    must be among those that were applied. rows: what the target must answer, as text; None: it is not asked."""

    name: str
    who: Asked
    sql: str
    expect: str
    error: str = ""
    sqlstate: str = ""
    sent: str = ""
    rules: tuple[str, ...] = ()
    rows: Rows | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a case. failures: what is not as expected, in words. sent: what would go to the target."""

    case: Case
    decision: str
    failures: tuple[str, ...]
    sent: str = ""
    error: str = ""

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        told = {"name": self.case.name, "ok": not self.failures, "decision": self.decision, "sent": self.sent}
        return {**told, "error": self.error, "failures": list(self.failures)}


def read_cases(problems: Problems, document: object) -> list[Case]:
    """The cases of a parsed YAML document."""
    fields = as_mapping(problems, "", document)
    problems.unknown_keys("", fields, ("cases",))
    bodies = as_list(problems, "cases", fields.get("cases"))
    if not bodies and not problems.found:
        problems.add("cases", "there are none", "See docs/abac.md for an example.")
    found = [_read_case(problems, f"cases[{number}]", body) for number, body in enumerate(bodies)]
    return [case for case in found if case is not None]


def _read_case(problems: Problems, path: str, body: object) -> Case | None:
    before = len(problems.found)
    fields = as_mapping(problems, path, body)
    problems.unknown_keys(path, fields, _CASE_KEYS)
    sql = as_text(problems, f"{path}.sql", fields.get("sql"), "The statement, as a client would send it.")
    expect = as_choice(problems, f"{path}.expect", fields.get("expect"), DECISIONS)
    who = _read_who(problems, f"{path}.as", fields.get("as"))
    texts = {key: as_text(problems, f"{path}.{key}", fields[key]) for key in ("error", "sent") if key in fields}
    sqlstate = fields.get("sqlstate", "")
    rules = tuple(str(rule) for rule in as_list(problems, f"{path}.rules", fields.get("rules")))
    rows = _read_rows(problems, f"{path}.rows", fields["rows"]) if "rows" in fields else None
    if expect == "refused" and (rows is not None or "sent" in fields):
        problems.add(path, "what is refused has neither rows nor a text that is sent", "Leave these out.")
    if len(problems.found) > before or sql is None or expect is None or who is None:
        return None
    name = str(fields.get("name", sql[:60]))
    return Case(name, who, sql, expect, texts.get("error") or "", str(sqlstate), texts.get("sent") or "", rules, rows)


def _read_rows(problems: Problems, path: str, value: object) -> Rows:
    rows = []
    for number, row in enumerate(as_list(problems, path, value)):
        cells = as_list(problems, f"{path}[{number}]", row)
        rows.append(tuple(None if cell is None else _cell(cell) for cell in cells))
    return tuple(rows)


def _cell(value: object) -> str:
    """As PostgreSQL writes it in text format."""
    return ("t" if value else "f") if isinstance(value, bool) else str(value)


def _read_who(problems: Problems, path: str, value: object) -> Asked | None:
    fields = as_mapping(problems, path, value)
    problems.unknown_keys(path, fields, _AS_KEYS)
    tenant = as_text(problems, f"{path}.tenant", fields.get("tenant"), "The tenant's id.")
    subject = as_text(problems, f"{path}.subject", fields.get("subject", "somebody"))
    attributes = as_mapping(problems, f"{path}.attributes", fields.get("attributes"))
    if tenant is None or subject is None:
        return None
    principal = Principal(
        subject=subject,
        tenants=frozenset({tenant}),
        roles=_words(problems, f"{path}.roles", fields.get("roles")),
        method="jwt",
        attributes={name: str(text) for name, text in attributes.items()},
        issuer=str(fields.get("issuer", "")),
        groups=_words(problems, f"{path}.groups", fields.get("groups")),
        amr=_words(problems, f"{path}.amr", fields.get("amr")),
        acr=str(fields.get("acr", "")),
    )
    around = Surroundings(
        str(fields.get("address", "127.0.0.1")),
        fields.get("tls", True) is True,
        str(fields.get("application", "")),
        fields.get("read_replica", False) is True,
    )
    return Asked(principal, tenant, around, _at(problems, f"{path}.at", fields.get("at")))


def _words(problems: Problems, path: str, value: object) -> frozenset[str]:
    found = (as_text(problems, f"{path}[{n}]", word) for n, word in enumerate(as_list(problems, path, value)))
    return frozenset(word for word in found if word is not None)


def _at(problems: Problems, path: str, value: object) -> float:
    if value is None:
        return time.time()
    try:
        return parse_timestamp(value if isinstance(value, str) else describe(value))
    except ValueError as error:
        problems.add(path, str(error), TIMESTAMP_HINT)
        return 0.0


def judge(case: Case, snapshot: Snapshot, catalog: Catalog, values: SlotValues) -> Outcome:
    """What the policy makes of a case's statement. catalog: of its tenant's place; values: its session's."""
    tenant = snapshot.tenants[case.who.tenant]
    who = case.who
    access = effective_access(snapshot, who.principal, tenant, who.at, who.surroundings)
    compiled = compile_query(case.sql, access, catalog, schema=tenant.schema or "")
    denial = compiled.denial
    rules = [rule for plan in compiled.plans for rule in plan.rules]
    if denial is not None:
        failures = _wrong(case, "refused", "", rules)
        if case.error and case.error not in denial.message:
            failures.append(f"the error is {denial.message!r}, not {case.error!r}")
        if case.sqlstate and case.sqlstate != denial.sqlstate:
            failures.append(f"the SQLSTATE is {denial.sqlstate}, not {case.sqlstate}")
        return Outcome(case, "refused", tuple(failures), "", denial.message)
    shape = shape_of(case.sql) if compiled.by_shape else None
    literals = () if shape is None else shape.literals
    sent = "; ".join(render(plan, values, literals) for plan in compiled.plans)
    original = "; ".join(plan.original for plan in compiled.plans)
    decision = "allowed" if sent == original or sent == case.sql else "rewritten"
    return Outcome(case, decision, tuple(_wrong(case, decision, sent, rules)), sent)


def _wrong(case: Case, decision: str, sent: str, rules: Sequence[str]) -> list[str]:
    failures = [] if decision == case.expect else [f"it is {decision}, not {case.expect}"]
    if case.sent and decision != "refused" and _plain(sent) != _plain(case.sent):
        failures.append(f"what is sent is {_plain(sent)}")
    if decision != "refused" or case.expect == "refused":
        failures += [f"rule {rule!r} was not applied" for rule in case.rules if rule not in rules]
    return failures


def _plain(sql: str) -> str:
    return " ".join(sql.split())
