"""`tenantgate store`: the database that policy is kept in: make it, bring it up to date, look at it, read its log."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from typing import TYPE_CHECKING

from admin.cli.options import add_command
from admin.cli.store_access import STATUS_HELP, add_action, add_group, add_store_options, print_table, said, store_of

if TYPE_CHECKING:
    from admin.services.actor import Actor
    from admin.store.engine import Store

_EPILOG = """\
Policy in a store instead of a file: many gateways, changes in force within a second, an audit log of every change.
docs/control-plane.md tells the rest.

examples:
  tenantgate store upgrade --store policy.db
  tenantgate store upgrade --store postgresql://tenantgate@db.example.com/tenantgate
  tenantgate store log --store policy.db --limit 20
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `store` to the command line."""
    actions = add_group(subparsers, "store", "make and look at the policy store", _EPILOG)
    example = f"{STATUS_HELP}\n\nexample:\n  tenantgate store upgrade --store policy.db\n"
    upgrade = add_command(actions, "upgrade", "make the store, or bring its tables up to date", example)
    add_store_options(upgrade)
    upgrade.add_argument("--json", action="store_true", help="print JSON")
    upgrade.set_defaults(run=_upgrade)
    add_action(
        actions, "status", "its version, and how much is in it", "tenantgate store status --store policy.db", _status
    )
    log = add_action(actions, "log", "who changed what", "tenantgate store log --tenant acme --limit 20", _log)
    log.add_argument("--tenant", metavar="ID")
    log.add_argument("--subject", metavar="WHO")
    log.add_argument("--limit", type=int, default=50, metavar="N", help="newest first (default: 50)")
    log.add_argument("--verify", action="store_true", help="check that no line was changed, left out or put in")
    log.add_argument("--export", action="store_true", help="all lines, as `tenantgate audit verify` reads them")


def _upgrade(arguments: argparse.Namespace) -> int:
    from admin.store.engine import Store, shown, store_url
    from admin.store.upgrade import upgrade

    async def main() -> tuple[str, str | None, str | None]:
        store = Store(store_url(store_of(arguments)))
        try:
            return shown(store.url), *await upgrade(store)
        finally:
            await store.close()

    url, before, after = asyncio.run(main())
    done = "made" if before is None else "brought up to date" if before != after else "up to date already"
    said(arguments, f"{url}: {done}, schema {after}", store=url, before=before, after=after)
    return 0


async def _status(arguments: argparse.Namespace, store: Store, actor: Actor) -> int:
    from sqlalchemy import func, select

    from admin.store.change import policy_version
    from admin.store.engine import shown
    from admin.store.kinds import KINDS
    from admin.store.tables import PolicyVersionRow
    from admin.store.upgrade import revision

    async with store.reading() as session:
        version = await policy_version(session)
        changed_at = (await session.execute(select(PolicyVersionRow.changed_at))).scalar() or 0.0
        counts = {
            name: int((await session.execute(select(func.count()).select_from(kind.row))).scalar() or 0)
            for name, kind in KINDS.items()
        }
    fields = {
        "store": shown(store.url), "schema": await revision(store), "policy_version": version,
        "changed_at": changed_at, "entities": counts,
    }  # fmt: skip
    changed = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(changed_at)) if version else "never"
    told = ", ".join(f"{count} {name}" for name, count in counts.items() if count) or "nothing"
    said(arguments, f"{fields['store']}: policy version {version}, changed {changed}\nholds {told}", **fields)
    return 0


async def _log(arguments: argparse.Namespace, store: Store, actor: Actor) -> int:
    from admin.services.entity import Page
    from admin.services.events import EventFilter, export_events, list_events, verify_events

    if arguments.export:
        print(*await export_events(store, actor), sep="\n")
        return 0
    if arguments.verify:
        try:
            lines = await verify_events(store, actor)
        except ValueError as error:
            print(f"tenantgate: {error}", file=sys.stderr)
            return 1
        said(arguments, f"{lines} lines, every one follows the one before", lines=lines)
        return 0
    which = EventFilter(tenant=arguments.tenant, subject=arguments.subject)
    events, _ = await list_events(store, actor, which, Page(limit=arguments.limit))
    if arguments.json:
        print(json.dumps(events, indent=2, ensure_ascii=False))
        return 0
    rows = [
        (
            time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(event["time"])), str(event["policy_version"]),
            event["subject"], event["action"], f"{event['kind']} {event['entity']}", event["reason"],
        )
        for event in events
    ]  # fmt: skip
    print_table(rows, ("time (UTC)", "version", "who", "did", "what", "reason"))
    return 0
