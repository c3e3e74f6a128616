"""Undo what provisioning wrote down as made, and take the lock's own objects away."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from admin.provision.change_steps import change_revert_steps
from admin.provision.facts import Facts
from admin.provision.steps import KEY_TABLE, MADE_TABLE, Made, Step, ident, qualified
from policy import second_lock


def revert_steps(facts: Facts, role: str) -> list[Step]:
    """Steps that undo what was made; what is not there any more is left out.

    The role goes last, so the database in which it was made must be the last one to be reverted.
    """
    if second_lock.SCHEMA not in facts.schemas:
        return []
    changes = list(change_revert_steps(facts))
    known = (made for made in facts.made if made.kind in _UNDO)
    ordered = sorted(known, key=lambda made: (list(_UNDO).index(made.kind), made.schema, made.name, made.detail))
    steps = changes + [step for made in ordered for step in _UNDO[made.kind](made, facts, role)]
    if facts.role is not None and Made("role", name=role) in facts.made:
        return [*steps, *_lock_steps(facts), Step(f"DROP ROLE {ident(role)}", "made by provisioning")]
    return [*steps, *_lock_steps(facts)]


def _policy(made: Made, facts: Facts, _role: str) -> Iterator[Step]:
    relation = facts.relations.get((made.schema, made.name))
    if relation is not None and any(policy.name == made.detail for policy in relation.policies):
        yield Step(f"DROP POLICY {ident(made.detail)} ON {qualified(made.schema, made.name)}", "made by provisioning")


def _forced(made: Made, facts: Facts, _role: str) -> Iterator[Step]:
    if (made.schema, made.name) in facts.relations:
        table = qualified(made.schema, made.name)
        yield Step(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY", "forced by provisioning")


def _enabled(made: Made, facts: Facts, _role: str) -> Iterator[Step]:
    """Not while somebody else's policies would lose their effect with it."""
    relation = facts.relations.get((made.schema, made.name))
    ours = {second_lock.TENANT_POLICY, second_lock.ROWS_POLICY, second_lock.DIRECT_POLICY}
    if relation is not None and all(policy.name in ours for policy in relation.policies):
        table = qualified(made.schema, made.name)
        yield Step(f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY", "enabled by provisioning")


def _relation(made: Made, facts: Facts, role: str) -> Iterator[Step]:
    if facts.role is not None and (made.schema, made.name) in facts.relations:
        what = f"{made.kind.upper()} {qualified(made.schema, made.name)}"
        yield Step(f"REVOKE {made.detail} ON {what} FROM {ident(role)}", "granted by provisioning")


def _schema(made: Made, facts: Facts, role: str) -> Iterator[Step]:
    if facts.role is not None and made.schema in facts.schemas:
        yield Step(f"REVOKE {made.detail} ON SCHEMA {ident(made.schema)} FROM {ident(role)}", "granted by provisioning")


def _database(made: Made, facts: Facts, role: str) -> Iterator[Step]:
    if facts.role is not None:
        what = f"{made.detail} ON DATABASE {ident(facts.database)}"
        yield Step(f"REVOKE {what} FROM {ident(role)}", "granted by provisioning")


def _lock_steps(facts: Facts) -> Iterator[Step]:
    """Without CASCADE: where something else came to depend on them, this fails, and all of it is undone."""
    if facts.function is not None:
        yield Step(f"DROP FUNCTION {second_lock.FUNCTION}(text)", "the lock's function")
    yield Step(f"DROP TABLE {KEY_TABLE}", "the lock's key")
    yield Step(f"DROP TABLE {MADE_TABLE}", "nothing is left that provisioning made")
    yield Step(f"DROP SCHEMA {second_lock.SCHEMA}", "it is empty")


# In the order in which kinds are undone.
_UNDO: dict[str, Callable[[Made, Facts, str], Iterator[Step]]] = {
    "policy": _policy,
    "forced": _forced,
    "enabled": _enabled,
    "sequence": _relation,
    "table": _relation,
    "schema": _schema,
    "database": _database,
}
