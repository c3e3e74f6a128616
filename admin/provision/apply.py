"""Carry out steps in one transaction, with a note of each thing made; refuse where that would not be safe."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from admin.provision.facts import Facts, Query
from admin.provision.steps import KEY_TABLE, MADE_TABLE, Step, literal
from admin.provision.wanted import Wanted
from policy import second_lock
from policy.errors import TenantGateError


class ProvisionRefused(TenantGateError):
    """The target is not as it must be before anything is changed; the message says what to do."""

    kind = "provision"


async def run_steps(query: Query, steps: Iterable[Step], *, note: bool) -> None:
    """All or nothing. note: write down what is made. Raises what `query` raises, and rolls back."""
    await query("BEGIN")
    for step in steps:
        try:
            await query(step.sql)
            if note and step.made is not None:
                made = step.made
                values = ", ".join(map(literal, (made.kind, made.schema, made.name, made.detail)))
                await query(f"INSERT INTO {MADE_TABLE} VALUES ({values}) ON CONFLICT DO NOTHING")  # noqa: S608
        except TenantGateError as error:
            await query("ROLLBACK")
            detail = f" ({error.detail})" if error.detail else ""
            raise ProvisionRefused(f"{error.message}{detail}\n  in: {step.text}", hint=error.hint) from error
    await query("COMMIT")


async def load_key(query: Query, facts: Facts) -> list[tuple[str, str]]:
    """The stored key's pads in hexadecimal; only the owner of the lock may read them."""
    if second_lock.SCHEMA not in facts.schemas:
        return []
    sql = f"SELECT encode(inner_pad, 'hex'), encode(outer_pad, 'hex') FROM {KEY_TABLE}"  # noqa: S608
    return [(inner or "", outer or "") for inner, outer in await query(sql)]


def check_role(wanted: Wanted, facts: Facts) -> None:
    """Raise ProvisionRefused when the gateway's role has powers that no lock withstands."""
    powers = list(_powers(facts))
    if powers:
        raise ProvisionRefused(
            f"role {wanted.target.role} must not be the gateway's: {', '.join(powers)}",
            hint="Name another role as the target's user, or take these from it; `tenantgate doctor` has the SQL.",
        )


def check_lock(facts: Facts, administrator: str) -> None:
    """Raise ProvisionRefused for a lock that somebody else has laid out.

    Whoever may create a schema could have made one of the lock's name, with a table that tells us what to undo.
    """
    lock = facts.schemas.get(second_lock.SCHEMA)
    if lock is not None and lock.owner != administrator and lock.owner not in facts.mighty:
        raise ProvisionRefused(
            f'schema {second_lock.SCHEMA} of database "{facts.database}" belongs to {lock.owner}, who is no superuser',
            hint="Look what it is, and drop it.",
        )


def check_changes(facts: Facts) -> None:
    """Raise ProvisionRefused where --revert would drop what was tracked."""
    if facts.changes is not None and facts.changes.rows:
        raise ProvisionRefused(
            f'changes are recorded in {second_lock.SCHEMA}.changes of database "{facts.database}"',
            hint="Save them with `tenantgate changes --json`, then add --forget-changes.",
        )


def check_sole(wanted: Wanted, facts: Facts) -> None:
    """Raise ProvisionRefused where the lock is another role's: taking it over would open the tables to that role."""
    for (schema, name), relation in facts.relations.items():
        for policy in relation.policies:
            if policy.name == second_lock.TENANT_POLICY and policy.roles != (wanted.target.role,):
                raise ProvisionRefused(
                    f"table {schema}.{name} is locked for role {', '.join(policy.roles)}",
                    hint="One role per database: run provision --revert with that one as the target's user first.",
                )


def _powers(facts: Facts) -> Iterator[str]:
    role = facts.role
    if role is None:
        return
    for has, what in (
        (role.superuser, "it is a superuser"),
        (role.bypass_rls, "it has BYPASSRLS"),
        (role.create_role, "it has CREATEROLE"),
        (role.replication, "it has REPLICATION"),
        (bool(role.member_of), f"it is a member of {', '.join(role.member_of)}"),
        (facts.owner == role.name, f"it owns database {facts.database}"),
    ):
        if has:
            yield what
    for schema, found in facts.schemas.items():
        if found.owner == role.name:
            yield f"it owns schema {schema}"
