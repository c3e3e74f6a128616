"""`tenantgate user`: who has which roles in which tenant, besides what their credentials say."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any

from admin.cli.body_options import add_body_option, read_body
from admin.cli.store_access import add_action, add_group, as_dict, print_table, said, show

if TYPE_CHECKING:
    from admin.services.actor import Actor
    from admin.store.engine import Store

_EPILOG = """\
A user is a subject that an issuer's tokens name; nobody is kept here but what they are given.

examples:
  tenantgate user roles alice --tenant acme --set analyst --set clerk --store policy.db
  tenantgate user assign night-shift --body - <<< '{group: dba, tenant: acme, roles: [database_admin]}'
  tenantgate user list --tenant acme
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `user` to the command line."""
    actions = add_group(subparsers, "user", "who has which roles in which tenant", _EPILOG)
    listing = add_action(actions, "list", "list assignments", "tenantgate user list --tenant acme", _list)
    listing.add_argument("--tenant", metavar="ID")
    listing.add_argument("--subject", metavar="WHO")
    roles = add_action(
        actions, "roles", "a user's roles in a tenant: show them, or set them",
        "tenantgate user roles alice --tenant acme --set analyst", _roles,
    )  # fmt: skip
    roles.add_argument("subject", metavar="USER")
    roles.add_argument("--tenant", required=True, metavar="ID")
    roles.add_argument("--set", action="append", metavar="ROLE", help="exactly these roles; may be repeated")
    roles.add_argument("--none", action="store_true", help="no role by an assignment of the user's own")
    assign = add_action(
        actions, "assign", "make or replace an assignment, of a group, say",
        "tenantgate user assign dba --body dba.yaml", _assign,
    )  # fmt: skip
    add_body_option(assign)
    unassign = add_action(actions, "unassign", "take an assignment out", "tenantgate user unassign dba", _unassign)
    for parser in (assign, unassign):
        parser.add_argument("id", metavar="ASSIGNMENT")


async def print_assignments(arguments: argparse.Namespace, pages: Any) -> int:
    """Assignments, as a table or JSON."""
    from admin.cli.paging import every

    entities = await every(pages)
    if arguments.json:
        print(json.dumps([as_dict(entity) for entity in entities], indent=2, ensure_ascii=False))
        return 0
    rows = [
        (e.id, _who(e.body), e.body["tenant"], ", ".join(e.body["roles"]), e.body.get("expires", "")) for e in entities
    ]
    print_table(rows, ("assignment", "for", "tenant", "roles", "expires"))
    return 0


def _who(body: dict[str, Any]) -> str:
    kind = next(key for key in ("subject", "group", "role", "claim") if key in body)
    value = body[kind]
    return f"{kind} " + (", ".join(f"{key}={text}" for key, text in value.items()) if kind == "claim" else str(value))


async def _list(arguments: argparse.Namespace, store: Store, actor: Actor) -> int:
    from admin.services.assignments import list_assignments

    return await print_assignments(
        arguments,
        lambda page: list_assignments(store, actor, subject=arguments.subject, tenant=arguments.tenant, page=page),
    )


async def _roles(arguments: argparse.Namespace, store: Store, actor: Actor) -> int:
    from admin.services.assignments import list_assignments, set_user_roles

    if arguments.set or arguments.none:
        await set_user_roles(store, actor, arguments.subject, arguments.tenant, arguments.set or [])
    return await print_assignments(
        arguments,
        lambda page: list_assignments(store, actor, subject=arguments.subject, tenant=arguments.tenant, page=page),
    )


async def _assign(arguments: argparse.Namespace, store: Store, actor: Actor) -> int:
    from admin.services.assignments import put_assignment

    body = read_body(arguments) or {}
    show(arguments, await put_assignment(store, actor, arguments.id, body))
    return 0


async def _unassign(arguments: argparse.Namespace, store: Store, actor: Actor) -> int:
    from admin.services.assignments import delete_assignment

    await delete_assignment(store, actor, arguments.id)
    said(arguments, f"assignment {arguments.id} is gone", deleted=arguments.id)
    return 0
