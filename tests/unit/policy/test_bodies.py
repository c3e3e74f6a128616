"""Bodies and entities are two forms of one thing: what is written is read back the same, by JSON and by YAML."""

from __future__ import annotations

import json
from typing import Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from policy.bodies import WRITERS, document_of
from policy.changes import SECTIONS, read_change
from policy.document import parse_policy
from policy.problems import Problems
from policy.revocations import revocation_id

_WORDS = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True)
_TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), min_size=1, max_size=20).filter(
    str.strip
)
_TABLES = st.sampled_from(["orders", "public.orders", "sales.leads", '"Odd ""Name"', 'sales."a.b"'])
_COLUMNS = st.sampled_from(["card", '"Iban"', "e_mail", '"a b"'])
_EXPRESSIONS = st.sampled_from(["NULL", "region = 'eu'", "left(email, 1) || '***'", "id > 1 AND owner = :subject"])
_SWITCHES = st.dictionaries(st.sampled_from(["copy", "ddl", "lanes", "reports"]), st.sampled_from(["on", "off"]))
_TIMES = st.sampled_from(
    ["2027-01-31T12:00:00Z", "2026-12-31T23:59:59.123456+02:00", "1999-01-01T00:00:00-11:30", "2100-02-28T00:00:00.1Z"]
)
_PERMISSIONS = st.lists(
    st.sampled_from(
        [
            "database:*", "database:*:explain", "table:*:read", 'table:"Odd ""Name":insert', "table:sales.*:*",
            "column:orders.card:read", 'column:sales."a.b"."C d":read', "function:f:call", "function:*:call",
            "schema:*:ddl", "tenant:children:use", "user:own:write", "audit:*:*", "gateway:*:read",
        ]
    ),
    max_size=4,
)  # fmt: skip
_PERIODS = st.fixed_dictionaries(
    {"limit": st.integers(1, 10**12), "per": st.sampled_from(["second", "minute", "hour", "day", "month"])}
)
_QUOTAS = st.fixed_dictionaries(
    {},
    optional={
        "connections": st.integers(1, 10**9),
        "concurrent_statements": st.integers(1, 99),
        "statement_timeout": st.sampled_from(["250ms", "30s", 2, 0.5, "2min"]),
        "backends": st.integers(1, 99),
        "rows": _PERIODS,
        "bytes": _PERIODS | st.just({"limit": "1GB", "per": "month"}),
        "backend_seconds": st.sampled_from([{"limit": "1h", "per": "day"}, {"limit": 0.25, "per": "second"}]),
        "result_rows": st.integers(1, 10**9),
        "result_bytes": st.sampled_from([1, "64MB", "1GB"]),
        "storage": st.sampled_from([8192, "100GB"]),
        "tables": st.integers(1, 99),
        "users": st.integers(1, 99),
        "soft": st.lists(st.sampled_from(["rows", "storage", "connections", "statement_timeout"])),
    },
) | st.fixed_dictionaries({"statements_per_s": st.floats(0.001, 1e9) | st.integers(1, 99), "burst": st.integers(1, 9)})


def _optional(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=fields)


_PLACES = st.sampled_from(
    [
        {"isolation": "shared"},
        {"isolation": "shared", "value": "42", "database": "other"},
        {"isolation": "schema", "schema": "Own"},
        {"isolation": "database", "database": "d"},
    ]
)
_STATUSES = st.sampled_from(["active", "suspended", "expired", "deleting"]).map(lambda status: {"status": status})
_TRIALS = _TIMES.map(lambda time: {"status": "trial", "trial_ends": time})
_TENANTS = st.builds(
    lambda place, status, rest: {"target": "main"} | place | status | rest,
    _PLACES,
    _STATUSES | _TRIALS,
    _optional(
        name=_TEXTS, slug=st.just("acme-corp"), owner=_TEXTS, parent=_WORDS, tier=_WORDS, quotas=_QUOTAS,
        pooling=st.sampled_from(["session", "transaction"]), lanes=st.sampled_from(["on", "off", True, False]),
        flags=_SWITCHES, attributes=st.dictionaries(_WORDS, _TEXTS, max_size=3), trial_ends=_TIMES,
    ),
)  # fmt: skip
_ROLES = _optional(
    description=_TEXTS, inherits=st.lists(_WORDS, max_size=3, unique=True), permissions=_PERMISSIONS, deny=_PERMISSIONS,
    row_filters=st.dictionaries(_TABLES, _EXPRESSIONS, max_size=1),
    masks=st.dictionaries(_TABLES, st.dictionaries(_COLUMNS, _EXPRESSIONS, max_size=2), max_size=1),
    denied_columns=st.dictionaries(_TABLES, st.lists(_COLUMNS, max_size=2), max_size=1),
)  # fmt: skip
_WHO = st.sampled_from([{"subject": "alice"}, {"group": "dba"}, {"role": "boss"}, {"claim": {"department": "sales"}}])
_ASSIGNMENTS = st.builds(
    lambda who, rest, expires: {"tenant": "*", "issuer": "https://i.example", "roles": ["analyst"]}
    | who | rest | expires,
    _WHO, _optional(tenant=_WORDS, roles=st.lists(_WORDS, min_size=1, unique=True)), _optional(expires=_TIMES),
)  # fmt: skip
_TIERS = _optional(quotas=_QUOTAS, flags=_SWITCHES, trial_grace=st.sampled_from([0, "7d", "1h", 2.5]))
_FLAGS = _optional(deny=_PERMISSIONS, quotas=_QUOTAS, default=st.sampled_from(["on", "off"]))
_TABLE_RULES = st.dictionaries(
    st.sampled_from(["orders", '"Odd ""Name"', 'sales."a.b"']),
    st.sampled_from(
        [
            {"tenant_column": '"Tenant"'}, {"tenant_column": "t", "trusted": True}, {"global": True}, {"denied": True},
            {"tenant_column": "t", "track": True}, {"denied": True, "track": True},
            {"tenant_column": "t", "default_only": ['"Id"', "code"]},
            {"sequence": True}, {"denied": True, "tags": ["crm"], "columns": {"e_mail": ["pci", "pii"]}},
        ]
    ),
)  # fmt: skip
_FUNCTION_RULES = st.dictionaries(
    st.sampled_from(["f", 'sales."F"']), st.sampled_from(["safe", {"tenant_argument": 2}])
)
_REVOCATIONS = st.builds(
    lambda who, rest: who | rest,
    st.sampled_from([{"jti": "8f3c"}, {"subject": "alice"}, {"subject": "a/b", "tenant": "acme"}]),
    _optional(issuer=st.just("https://i.example"), issued_before=_TIMES, until=_TIMES, reason=_TEXTS),
)
_CEDAR = st.sampled_from(
    [
        'permit (principal, action, resource is Column) when { resource.tags.contains("pii") };',
        'permit (principal, action == Action::"select", resource);',
    ]
)
_EFFECTS = st.sampled_from(
    [
        "allow", {"row_filter": "region = 'eu'"}, {"mask": "null"}, {"mask": {"partial": {"last": 4}}},
        {"mask": "token"}, {"mask": {"constant": "x"}}, {"mask": {"range": 10}}, {"mask": {"range": 0.5}},
        {"mask": {"range": "month"}},
        {"mask": {"sql": "left(email, 1)"}}, {"mask": {"email": {"fill": "#"}}}, {"limit": {"rows": 5, "bytes": "1MB"}},
        "require_mfa", {"require_mfa": {"acr": ["gold"]}}, "require_approval", {"require_approval": "CHG-[0-9]+"},
    ]
)  # fmt: skip
_POLICIES = st.builds(
    lambda cedar, effect, rest: {"cedar": cedar, "effect": effect} | rest,
    _CEDAR, _EFFECTS,
    _optional(
        state=st.sampled_from(["draft", "dry_run", "active"]), description=_TEXTS, time_zone=st.just("Europe/Rome")
    ),
) | st.just({"cedar": "forbid (principal, action, resource);"})  # fmt: skip
_BODIES = {
    "flag": _FLAGS, "tier": _TIERS, "tenant": _TENANTS, "role": _ROLES, "assignment": _ASSIGNMENTS,
    "revocation": _REVOCATIONS, "tables": _TABLE_RULES, "functions": _FUNCTION_RULES, "policy": _POLICIES,
}  # fmt: skip


def _read(kind: str, body: object) -> Any:
    problems = Problems()
    name = "main" if kind in ("tables", "functions") else "x"
    if kind == "revocation" and isinstance(body, dict):
        name = revocation_id(body)
    entity = read_change(problems, kind, name, body, ["main"]).entity
    assert problems.found == []
    return entity


@given(st.sampled_from(sorted(_BODIES)).flatmap(lambda kind: st.tuples(st.just(kind), _BODIES[kind])))
@settings(max_examples=120, deadline=None)
def test_a_body_that_was_read_is_written_the_same(case: tuple[str, dict[str, Any]]) -> None:
    kind, body = case
    entity = _read(kind, body)
    written = WRITERS[kind](entity)
    assert _read(kind, json.loads(json.dumps(written))) == entity
    assert WRITERS[kind](_read(kind, written)) == written


def test_every_kind_is_written_and_read() -> None:
    assert _BODIES.keys() == WRITERS.keys() == SECTIONS.keys()


DOCUMENT = """
flags: {reports: {deny: ["table:reports.*:read"], default: off}}
tiers: {pro: {quotas: {connections: 100, statements_per_s: 50}, flags: {reports: on, copy: off}, trial_grace: 3d}}
tenants:
  group: {isolation: shared, target: main, tier: pro, name: The Group, slug: the-group}
  acme:
    {isolation: schema, target: main, schema: acme, tier: pro, parent: group, owner: alice, flags: {copy: on},
     attributes: {country: de}, quotas: {connections: 5}, status: trial, trial_ends: "2027-01-31T12:00:00+01:00"}
roles:
  clerk: {inherits: [analyst], deny: ["table:salaries:*"], row_filters: {orders: "region = 'eu'"}}
  acme/boss: {inherits: [clerk, tenant_admin]}
assignments:
  a1: {subject: alice, tenant: acme, roles: [boss], expires: "2027-06-01T00:00:00Z"}
  ops: {group: operators, issuer: "https://i.example", tenant: "*", roles: [super_admin]}
tables: {main: {orders: {tenant_column: tenant_id}}}
functions: {main: {format_money: safe}}
"""


def test_a_document_that_was_exported_is_the_same_policy() -> None:
    snapshot = parse_policy(DOCUMENT, version=1, targets=["main"])
    text = yaml.safe_dump(document_of(snapshot), allow_unicode=True)
    assert parse_policy(text, version=1, targets=["main"]) == snapshot
    body = document_of(snapshot)["tenants"]["acme"]
    assert body["quotas"] == {"connections": 5}  # as written, not as in force
    assert body["trial_ends"] == "2027-01-31T11:00:00Z"
