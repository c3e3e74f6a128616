"""A whole proof: from configuration and policy to two databases, a gateway, a run, and a clean end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from admin.prove.cases import Wish
from admin.prove.model import Schema, Table
from admin.prove.private_gateway import PrivateGateway, start_gateway
from admin.prove.report import Report
from admin.prove.runner import Limits, Run, Sides
from admin.prove.schema import Selection, read_schema
from admin.prove.steps import Step
from admin.prove.twin import KEPT, Key, Share, TwinError, Twins, build_twins
from admin.prove.wire import Lane, open_lane
from policy.abac.model import ACTIVE
from policy.access import Access
from policy.document import load_policy
from policy.held_roles import held_roles
from policy.model import Isolation, Principal, TableClass, TableRule, Tenant
from policy.problems import did_you_mean
from policy.rbac import resolve_access
from policy.snapshot import Snapshot
from policy.sql.expressions import parse_role_expression
from policy.sql.plan import SlotValues, fill_slot, quote_identifier, quote_literal
from proxy.config import GatewayConfig, TargetConfig
from proxy.postgres.backend import connect_backend

Say = Callable[[str], None]
MAINTENANCE = "postgres"  # the database from which others are copied and dropped

_RELATIONS = f"""
SELECT n.nspname, c.relname, c.relkind FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm') AND n.nspname NOT IN ('information_schema', '{KEPT}')
  AND n.nspname !~ '^pg_' ORDER BY 1, 2
"""


@dataclass(frozen=True, slots=True)
class Proof:
    """What is asked for; see `tenantgate prove --help`."""

    config: GatewayConfig
    databases: Mapping[str, str]
    tenant: str
    roles: tuple[str, ...]
    administrator: Callable[[TargetConfig], TargetConfig]  # the login of a target's superuser
    attributes: Mapping[str, str] = field(default_factory=dict)
    seed: int = 1
    case: int | None = None
    statements: int = 10_000
    seconds: float | None = None
    reads: bool = True
    writes: bool = True
    directory: Path | None = None
    second_lock: bool = False  # leave it on, and let the gateway use it as configured
    lanes: bool = True
    policies: bool = True  # the policy's section of that name is in force
    part: tuple[int, int] = (0, 1)
    state: Path | None = None

    @property
    def identity(self) -> dict[str, object]:
        """What makes its statements, and what they are sent through."""
        return {
            "tenant": self.tenant, "roles": list(self.roles), "attributes": dict(self.attributes), "seed": self.seed,
            "reads": self.reads, "writes": self.writes, "second_lock": self.second_lock, "lanes": self.lanes,
            "policies": self.policies, "part": list(self.part),
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Subject:
    tenant: Tenant
    target: TargetConfig
    access: Access
    rules: Mapping[Key, TableRule]
    values: SlotValues

    @property
    def database(self) -> str:
        return self.tenant.database or self.target.database


async def prove(proof: Proof, say: Say) -> Report:
    """Run it. Raises a TenantGateError or EmbeddedError when it cannot run; both databases are dropped in any case.

    Cancelled, it gives the report of what ran; before anything ran it raises CancelledError.
    """
    subject = _subject(proof)
    admin = replace(proof.administrator(subject.target), database=MAINTENANCE, connect_timeout_s=30.0)
    probe = await connect_backend(admin, subject.database, protocol_options={})
    relations = {(str(s), str(r)): str(k) for s, r, k in await probe.query(_RELATIONS)}
    columns = {(str(s), str(r), str(c)) for s, r, c in await probe.query(_ALL_COLUMNS)}
    parents = {(str(s), str(r)): (str(ps), str(p)) for s, r, ps, p in await probe.query(_PARENTS)}
    probe.close()
    share, notes = _share(subject, relations, columns, parents)
    say(f"copying {subject.database} twice")
    twins = await build_twins(admin, subject.database, share, keep_second_lock=proof.second_lock)
    gateway: PrivateGateway | None = None
    try:
        claims: dict[str, object] = {**proof.attributes, "roles": list(proof.roles)}
        gateway = await asyncio.to_thread(
            start_gateway,
            proof.config.policy_file,
            _as_served(subject.target, proof),
            subject.tenant,
            twins.shared.name,
            claims,
            policies=proof.policies,
        )
        return await _run(proof, subject, twins, gateway, relations, notes, say)
    finally:
        if gateway is not None:
            await asyncio.to_thread(gateway.stop)
        await asyncio.shield(twins.drop())


def _as_served(target: TargetConfig, proof: Proof) -> TargetConfig:
    """The target as the prover's gateway has it: without the second lock, which would hide a hole in the first."""
    served = replace(target, lanes=target.lanes and proof.lanes)
    return served if proof.second_lock else replace(served, enforcement="rewrite", setting_key=None)


async def _run(
    proof: Proof,
    subject: _Subject,
    twins: Twins,
    gateway: PrivateGateway,
    relations: Mapping[Key, str],
    notes: list[str],
    say: Say,
) -> Report:
    path = {"search_path": quote_identifier(subject.tenant.schema)} if subject.tenant.schema else {}

    async def connect_shared() -> Lane:
        return await open_lane(gateway.target, subject.tenant.id)

    async def connect_twin() -> Lane:
        return await open_lane(subject.target, twins.twin.name, **path)

    sides = Sides(connect_shared, connect_twin)
    try:
        await sides.open()
        readable, left_out = await _readable(sides, subject, relations)
        granted = {(str(s), str(r)) for s, r in await twins.twin.rows(_GRANTED + quote_literal(subject.target.user))}
        selection = Selection(
            tenant=subject.tenant.id,
            value=subject.tenant.value,
            relations=frozenset(readable),
            tenant_columns=twins.share.tenant_columns,
            writable=frozenset(
                key for key in readable if key in granted and _is_writable(key, relations[key], subject, twins.share)
            ),
        )
        schema = _without_denied(await read_schema(twins.shared.rows, selection), twins.share)
        if not schema.tables:
            raise TwinError("there is no relation that these roles may read", hint="Give --role.")
        say(f"{len(schema.tables)} relations, {len(schema.writable)} of them written, seed {proof.seed}")
        foreign = await twins.foreign_texts()
        run = Run(schema, twins, sides, foreign, proof.seed, Wish(proof.reads, proof.writes), say)
        run.report.left_out, run.report.notes = left_out, notes
        limits = Limits(
            proof.statements, proof.seconds, proof.directory, part=proof.part, state=proof.state, run=proof.identity
        )
        try:
            return await (run.go(limits) if proof.case is None else run.one(proof.case, limits))
        except asyncio.CancelledError:
            run.report.interrupted = True
            return run.report
    finally:
        sides.close()


def _without_denied(schema: Schema, share: Share) -> Schema:
    def shown(table: Table) -> Table:
        denied = share.denied.get((table.schema, table.name), frozenset())
        key = () if denied.intersection(table.primary_key) else table.primary_key
        return replace(table, columns=tuple(c for c in table.columns if c.name not in denied), primary_key=key)

    return replace(schema, tables=tuple(map(shown, schema.tables)))


async def _readable(sides: Sides, subject: _Subject, relations: Mapping[Key, str]) -> tuple[list[Key], dict[str, str]]:
    """Relations that the gateway lets these roles read, and why it does not for the others that the twin has."""
    keys = [key for key in relations if _in_reach(key, subject)]
    steps = [Step(f"SELECT * FROM {quote_identifier(s)}.{quote_identifier(r)} LIMIT 0") for s, r in keys]
    shared, twin = await sides.run(steps)
    readable, left_out = [], {}
    for key, ours, theirs in zip(keys, shared, twin, strict=True):
        if ours.error is None and theirs.error is None:
            readable.append(key)
        elif theirs.error is None and key in subject.rules:
            left_out[".".join(key)] = (ours.error or {}).get("M", "")
    return readable, left_out


def _in_reach(key: Key, subject: _Subject) -> bool:
    return key[0] == (subject.tenant.schema or "public")


def _is_writable(key: Key, kind: str, subject: _Subject, share: Share) -> bool:
    access = subject.access.table(key[0], key[1])
    if subject.tenant.isolation is Isolation.SCHEMA:
        access = subject.access.table("", key[1])
    plain = key not in share.narrowed
    own = subject.tenant.isolation is not Isolation.SHARED or key in share.tenant_columns
    classified = subject.tenant.isolation is not Isolation.SHARED or (
        key in subject.rules and subject.rules[key].table_class is TableClass.TENANT
    )
    every_kind = access.write and not access.without and not access.filters
    return kind in "rp" and every_kind and plain and own and classified


# -- configuration and policy -----------------------------------------------------------------------------------


def _subject(proof: Proof) -> _Subject:
    config = proof.config
    snapshot = load_policy(config.policy_file, version=1, targets=config.targets.keys(), databases=proof.databases)
    tenant = snapshot.tenants.get(proof.tenant)
    if tenant is None:
        hint = did_you_mean(proof.tenant, snapshot.tenants)
        raise TwinError(f"the policy has no tenant {proof.tenant!r}", hint=hint)
    active = sorted(name for name, policy in snapshot.policies.items() if policy.state == ACTIVE)
    if proof.policies and active:
        hint = "Prove with --without-policies what roles alone give; `tenantgate policy test` tests the policies."
        raise TwinError(f"the comparison does not know of attribute-based policies: {', '.join(active)}", hint=hint)
    if tenant.isolation is Isolation.DATABASE:
        raise TwinError("a tenant with a database of its own shares it with nobody: there is nothing to compare")
    return _Subject(
        tenant=tenant,
        target=config.targets[tenant.target],
        access=resolve_access(snapshot, tenant, _held(snapshot, tenant, proof)),
        rules=_rules(snapshot, tenant),
        values=SlotValues(
            tenant=quote_literal(tenant.value),
            schema=quote_identifier(tenant.schema) if tenant.schema else "",
            subject=quote_literal("prove"),
            attributes={name: quote_literal(value) for name, value in proof.attributes.items()},
        ),
    )


def _held(snapshot: Snapshot, tenant: Tenant, proof: Proof) -> frozenset[str]:
    """What the roles of the token mean in the tenant."""
    names = frozenset(proof.roles)
    principal = Principal("prove", frozenset({tenant.id}), names, "jwt", attributes=dict(proof.attributes))
    return held_roles(snapshot, principal, tenant, time.time()).keys


def _rules(snapshot: Snapshot, tenant: Tenant) -> dict[Key, TableRule]:
    if tenant.isolation is not Isolation.SHARED:
        return {}
    return {(rule.schema, rule.name): rule for rule in snapshot.tables.get(tenant.target, ())}


def _share(
    subject: _Subject,
    relations: Mapping[Key, str],
    columns: set[tuple[str, str, str]],
    parents: Mapping[Key, Key],
) -> tuple[Share, list[str]]:
    """How rows are told apart, and what is odd about it.

    A relation that is global by the policy and has a column called like a tenant column elsewhere counts as the
    tenants': if it is one, the run shows it.
    """
    notes: list[str] = []
    known = {key: rule.tenant_column for key, rule in subject.rules.items() if rule.tenant_column and key in relations}
    names = set(known.values())
    for key, rule in subject.rules.items():
        suspect = next((name for name in names if (*key, name) in columns), None)
        if rule.table_class is TableClass.GLOBAL and suspect and key in relations:
            known[key] = suspect
            notes.append(f"{key[0]}.{key[1]} is global but has a column {suspect}: taken for a table of tenants")
    for key in relations:  # partitions and inheriting tables
        top = key
        while top in parents and top not in known:
            top = parents[top]
        if top in known:
            known.setdefault(key, known[top])
    tables = {key: name for key, name in known.items() if name and relations[key] in "rp"}
    return _narrowed(subject, tables, relations, columns), notes


def _narrowed(
    subject: _Subject, tables: Mapping[Key, str], relations: Mapping[Key, str], columns: set[tuple[str, str, str]]
) -> Share:
    """With the roles' row filters and masks as SQL, the session's values in them, and their denied columns."""
    filters: dict[Key, str] = {}
    masks: dict[Key, dict[str, str]] = {}
    denied: dict[Key, frozenset[str]] = {}
    for key in tables if subject.rules else (k for k in relations if _in_reach(k, subject)):
        access = subject.access.table("" if subject.tenant.schema else key[0], key[1])
        names = tuple(column for schema, table, column in columns if (schema, table) == key)
        access = access.with_columns(names)
        if access.filter_for_reading is not None:
            filters[key] = _as_sql(access.filter_for_reading, names, subject.values)
        if access.masks:
            masks[key] = {c: _as_sql(mask, names, subject.values) for c, mask in access.masks.items() if c in names}
        if not access.denied.isdisjoint(names):
            denied[key] = access.denied.intersection(names)
    return Share(subject.tenant.value, tables, subject.tenant.schema or "", filters, masks, denied)


def _as_sql(expression: str, columns: tuple[str, ...], values: SlotValues) -> str:
    pieces = parse_role_expression(expression, columns, "an expression of the roles").pieces("")
    return "".join(piece if isinstance(piece, str) else fill_slot(piece, values) for piece in pieces)  # type: ignore[arg-type]


_GRANTED = """
SELECT n.nspname, c.relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_roles r ON pg_catalog.has_table_privilege(r.oid, c.oid, 'INSERT')
WHERE c.relkind IN ('r', 'p') AND r.rolname = """

_PARENTS = """
SELECT n.nspname, c.relname, pn.nspname, p.relname FROM pg_catalog.pg_inherits i
JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_class p ON p.oid = i.inhparent JOIN pg_catalog.pg_namespace pn ON pn.oid = p.relnamespace
WHERE c.relkind IN ('r', 'p')
"""

_ALL_COLUMNS = """
SELECT n.nspname, c.relname, a.attname FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
"""
