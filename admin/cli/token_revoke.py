"""`tenantgate token-revoke`: refuse a token, or all that a subject may show, at login and on live sessions."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING

from admin.cli.store_access import add_action, add_group, as_dict, print_table, said

if TYPE_CHECKING:
    from admin.services.actor import Actor
    from admin.store.engine import Store

_EPILOG = """\
Sessions end within a second, on every gateway that follows the store.

examples:
  tenantgate token-revoke token 8f3c2d --until 2027-01-31T12:00:00Z --store policy.db
  tenantgate token-revoke subject alice --tenant acme --reason "left the company"
  tenantgate token-revoke list
  tenantgate token-revoke lift subject/acme/alice
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `token-revoke` to the command line."""
    actions = add_group(subparsers, "token-revoke", "refuse tokens and subjects, also on live sessions", _EPILOG)
    for name, what, metavar in (("token", "one token, by its jti claim", "JTI"), ("subject", "a subject", "SUBJECT")):
        parser = add_action(actions, name, f"refuse {what}", f"tenantgate token-revoke {name} alice", _revoke)
        parser.add_argument("value", metavar=metavar)
        parser.add_argument("--tenant", metavar="ID", help="only in this tenant")
        parser.add_argument("--issuer", metavar="ISS", help="only tokens of this issuer")
        parser.add_argument("--until", metavar="TIME", help="when it ends by itself, such as the token's own end")
        parser.add_argument("--reason", metavar="TEXT", help="for the audit log")
        parser.add_argument("--issued-before", metavar="TIME", help="only tokens that were issued before")
        parser.set_defaults(kind="jti" if name == "token" else "subject")
    add_action(actions, "list", "list what is refused", "tenantgate token-revoke list --json", _list)
    lift = add_action(actions, "lift", "take one back", "tenantgate token-revoke lift subject/*/alice", _lift)
    lift.add_argument("id", metavar="REVOCATION", help="as `list` has it")


async def _revoke(arguments: argparse.Namespace, store: Store, actor: Actor) -> int:
    from admin.services.revocations import revoke

    names = ("tenant", "issuer", "until", "reason", "issued_before")
    given = {name: getattr(arguments, name) for name in names if getattr(arguments, name) is not None}
    entity = await revoke(store, actor, {arguments.kind: arguments.value, **given})
    said(arguments, f"{entity.id} is refused from now on", **as_dict(entity))
    return 0


async def _list(arguments: argparse.Namespace, store: Store, actor: Actor) -> int:
    from admin.cli.paging import every
    from admin.services.revocations import list_revocations

    entities = await every(lambda page: list_revocations(store, actor, page=page))
    if arguments.json:
        print(json.dumps([as_dict(entity) for entity in entities], indent=2, ensure_ascii=False))
        return 0
    rows = [(e.id, e.body.get("until", ""), e.body.get("reason", "")) for e in entities]
    print_table(rows, ("revocation", "until", "reason"))
    return 0


async def _lift(arguments: argparse.Namespace, store: Store, actor: Actor) -> int:
    from admin.services.revocations import lift_revocation

    await lift_revocation(store, actor, arguments.id)
    said(arguments, f"{arguments.id} is not refused any more", lifted=arguments.id)
    return 0
