"""Commands on kinds of entities that are only listed, shown, set and deleted: roles, targets, tiers, flags."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING

from admin.cli.body_options import add_body_option, add_etag_option, read_body
from admin.cli.store_access import add_action, add_group, as_dict, said, show

if TYPE_CHECKING:
    from admin.services.actor import Actor
    from admin.store.engine import Store

_KINDS = {
    "role": ("roles: permissions, row filters, masks", "{permissions: ['table:*:read']}", "analyst"),
    "target": ("targets: a name and the target's own database", "{database: shop}", "shop"),
    "tier": ("tiers: quotas and flags of tenants without their own", "{quotas: {connections: 10}}", "pro"),
    "flag": ("feature flags: what they deny while they are off", "{deny: ['table:*:copy']}", "export"),
    "tables": ("classified relations of a target", "{orders: {tenant_column: tenant_id}}", "shop"),
    "functions": ("callable functions of a target's owner", "{format_money: safe}", "shop"),
}


def add_kept(subparsers: argparse._SubParsersAction[argparse.ArgumentParser], kind: str) -> None:
    """Add the command of one kind."""
    text, body, name = _KINDS[kind]
    epilog = f'examples:\n  tenantgate {kind} set {name} --body - <<< "{body}"\n  tenantgate {kind} list --json\n'
    add_kept_actions(add_group(subparsers, kind, text, epilog), kind, name)


def add_kept_actions(actions: argparse._SubParsersAction[argparse.ArgumentParser], kind: str, name: str) -> None:
    """list, show, set and delete. name: of one, for examples."""

    async def listed(arguments: argparse.Namespace, store: Store, actor: Actor) -> int:
        from admin.cli.paging import every
        from admin.services import keeping

        entities = await every(lambda page: keeping.list_all(store, actor, kind, page))
        if arguments.json:
            print(json.dumps([as_dict(entity) for entity in entities], indent=2, ensure_ascii=False))
        else:
            print(*(entity.id for entity in entities), sep="\n")
        return 0

    async def shown(arguments: argparse.Namespace, store: Store, actor: Actor) -> int:
        from admin.services import keeping

        show(arguments, await keeping.get(store, actor, kind, arguments.id))
        return 0

    async def put(arguments: argparse.Namespace, store: Store, actor: Actor) -> int:
        from admin.services import keeping, targets

        given = read_body(arguments) or {}
        if kind == "target":
            entity = await targets.put_target(store, actor, arguments.id, given, etag=arguments.etag)
        else:
            entity = await keeping.put(store, actor, kind, arguments.id, given, etag=arguments.etag)
        show(arguments, entity)
        return 0

    async def deleted(arguments: argparse.Namespace, store: Store, actor: Actor) -> int:
        from admin.services import keeping, targets, tiers

        if kind == "target":
            await targets.delete_target(store, actor, arguments.id, etag=arguments.etag)
        elif kind == "tier":
            await tiers.delete_tier(store, actor, arguments.id, etag=arguments.etag)
        else:
            await keeping.remove(store, actor, kind, arguments.id, etag=arguments.etag)
        said(arguments, f"{kind} {arguments.id} is gone", deleted=arguments.id)
        return 0

    add_action(actions, "list", "list them", f"tenantgate {kind} list", listed)
    for action, words, work in (
        ("show", "show one", shown),
        ("set", "make or replace one", put),
        ("delete", "take one out", deleted),
    ):
        parser = add_action(actions, action, words, f"tenantgate {kind} {action} {name}", work)
        parser.add_argument("id", metavar=kind.upper())
        if action == "set":
            add_body_option(parser)
        if action != "show":
            add_etag_option(parser)
