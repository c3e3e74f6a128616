"""Assignments: who has which roles in which tenant, by subject, group, role of a token, or claim, and until when."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from admin.services import keeping
from admin.services.actor import Actor
from admin.services.ceiling import check_within_tenants
from admin.services.entity import Body, Entity, Listed, Page
from admin.services.errors import Refused
from admin.services.judgement import picture
from admin.services.keeping import FIRST, of_tenant
from admin.store.change import Change, changing
from admin.store.engine import Store
from admin.store.tables import AssignmentRow
from policy.role_tree import find_role


async def get_assignment(store: Store, actor: Actor, assignment_id: str) -> Entity:
    """Raises NotFound."""
    return await keeping.get(store, actor, "assignment", assignment_id)


async def list_assignments(
    store: Store, actor: Actor, *, subject: str | None = None, tenant: str | None = None, page: Page = FIRST
) -> Listed:
    """subject, tenant: only theirs."""
    where: list[Any] = [] if subject is None else [AssignmentRow.subject == subject]
    if tenant is not None:
        where.append(of_tenant("assignment", tenant))
    return await keeping.list_all(store, actor, "assignment", page, where=tuple(where))


async def create_assignment(store: Store, actor: Actor, assignment_id: str, body: Body) -> Entity:
    """Raises Refused, Conflict, Invalid."""
    return await _put(store, actor, assignment_id, body, None, new=True)


async def put_assignment(
    store: Store, actor: Actor, assignment_id: str, body: Body, *, etag: str | None = None
) -> Entity:
    """Make or replace. Raises NotFound, Refused, EtagMismatch, Invalid."""
    return await _put(store, actor, assignment_id, body, etag, new=False)


async def delete_assignment(store: Store, actor: Actor, assignment_id: str, *, etag: str | None = None) -> None:
    """Raises NotFound, Refused, EtagMismatch."""
    await keeping.remove(store, actor, "assignment", assignment_id, etag=etag)


async def set_user_roles(
    store: Store, actor: Actor, subject: str, tenant: str, roles: Collection[str], *, etag: str | None = None
) -> Entity | None:
    """Exactly these roles for a subject in a tenant, in one assignment named `subject@tenant`; none: it is taken out.

    Raises NotFound, Refused, EtagMismatch, Invalid. Roles by other assignments, of groups, say, are not touched.
    """
    name = f"{subject}@{tenant}"
    if roles:
        body = {"subject": subject, "tenant": tenant, "roles": sorted(roles)}
        return await _put(store, actor, name, body, etag, new=False)
    await keeping.remove(store, actor, "assignment", name, etag=etag)
    return None


async def _put(store: Store, actor: Actor, assignment_id: str, body: Body, etag: str | None, *, new: bool) -> Entity:
    _check_name(actor, assignment_id, body)
    async with changing(store, actor) as change:
        entity = await keeping.put_in(change, "assignment", assignment_id, body, etag=etag, new=new)
        await _check_ceiling(change, body)
        return entity


def _check_name(actor: Actor, assignment_id: str, body: Body) -> None:
    """Ids are everybody's: who is bound to a tenant could else find out which others have taken. Raises Refused."""
    if not actor.may_everywhere("user", "write") and not assignment_id.endswith(f"@{body.get('tenant')}"):
        hint = "End it with @ and the tenant's id: analysts@acme."
        raise Refused("the assignment's id must end with its tenant", hint=hint)


async def _check_ceiling(change: Change, body: Body) -> None:
    """Who is bound to a tenant gives no role that reaches beyond tenants. Raises Refused; the change is undone then."""
    if change.actor.may_everywhere("user", "write"):
        return
    before = await picture(change.store, change.session, change.before)
    for name in body["roles"]:
        role = find_role(before.roles, name, body["tenant"])
        if role is not None:
            check_within_tenants(before, role, "give")
