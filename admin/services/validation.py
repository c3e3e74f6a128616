"""Would a body be taken? Asked of the same functions as a change, and nothing is changed."""

from __future__ import annotations

from admin.services.actor import Actor
from admin.services.entity import Body
from admin.services.errors import Invalid
from admin.services.judgement import judge
from admin.services.keeping import CONTROL, tenant_asked
from admin.services.reach import name_of, require
from admin.store.change import changing
from admin.store.engine import Store
from policy.problems import Problem
from policy.snapshot import Snapshot


async def problems_of(store: Store, actor: Actor, kind: str, entity_id: str, body: Body) -> tuple[Problem, ...]:
    """What is wrong with it, alone and together with the rest of the policy; none: it would be taken.

    Raises NotFound and Refused for who may not make it: the policy that it is judged by is not everybody's to know.
    """
    async with changing(store, actor) as change:
        tenant = tenant_asked(kind, entity_id, body)
        await require(change.session, actor, CONTROL[kind], "write", tenant, name_of(kind, entity_id))
        try:
            await judge(change, [(kind, entity_id, body)])
        except Invalid as error:
            return error.problems
    return ()


async def with_draft(store: Store, actor: Actor, entity_id: str, body: Body) -> Snapshot:
    """The policy as it would be with this one in it, which stays out. Raises Refused, NotFound, Invalid."""
    async with changing(store, actor) as change:
        tenant = tenant_asked("policy", entity_id, body)
        await require(change.session, actor, CONTROL["policy"], "write", tenant, name_of("policy", entity_id))
        return (await judge(change, [("policy", entity_id, body)])).after
