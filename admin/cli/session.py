"""`tenantgate session`: the open sessions of all gateways, seen and ended by their admin consoles."""

from __future__ import annotations

import argparse
import json
import os
import sys
from typing import TYPE_CHECKING

from admin.cli.options import DEFAULT_CONFIG
from admin.cli.store_access import add_action, add_group, print_table, said

if TYPE_CHECKING:
    from collections.abc import Sequence

    from admin.api.control import Gateway
    from admin.services.actor import Actor
    from admin.store.engine import Store

_EPILOG = """\
Asks the gateways of [[api.gateways]] in the configuration, all their workers; one that does not answer is told.

examples:
  tenantgate session list --tenant acme -c tenantgate.toml
  tenantgate session kill 5f0c9a7e21b34d68 -c tenantgate.toml
"""
_COLUMNS = ("tenant", "user", "state", "addr", "connect_time", "application_name")


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `session` to the command line."""
    actions = add_group(subparsers, "session", "see and end open sessions, of all gateways", _EPILOG)
    listing = add_action(actions, "list", "list them", "tenantgate session list --tenant acme", _list)
    listing.add_argument("--tenant", metavar="ID")
    listing.add_argument("--user", metavar="WHO")
    kill = add_action(actions, "kill", "end one", "tenantgate session kill 5f0c9a7e21b34d68", _kill)
    kill.add_argument("id", metavar="SESSION", help="as `list` has it")


def gateways_of(arguments: argparse.Namespace) -> Sequence[Gateway]:
    """Raises ConfigurationError, TenantGateError where none are configured."""
    from admin.cli.api_parts import ConsoleGateway
    from admin.cli.api_settings import load_api_settings
    from policy.errors import TenantGateError
    from proxy.config_file import load_config

    path = arguments.config or DEFAULT_CONFIG
    gateways = load_api_settings(path, load_config(path, os.environ)).gateways
    if not gateways:
        hint = "Add [[api.gateways]] with a service account whose role has gateway:*:admin (docs/admin-api.md)."
        raise TenantGateError(f"{path} names no gateways", hint=hint)
    return tuple(map(ConsoleGateway, gateways))


def tell_silent(silent: int) -> None:
    if silent:
        print(f"note: {silent} gateway(s) did not answer", file=sys.stderr)


async def _list(arguments: argparse.Namespace, store: Store, actor: Actor) -> int:
    from admin.api.fleet import sessions

    gateways = gateways_of(arguments)
    found, silent = await sessions(gateways)
    wanted = {"tenant": arguments.tenant, "user": arguments.user}
    rows = [row for _, row in found if all(value in (None, row[name]) for name, value in wanted.items())]
    if arguments.json:
        told = {"items": rows, "gateways": len(gateways) - silent, "silent_gateways": silent}
        print(json.dumps(told, indent=2, ensure_ascii=False))
        return 0
    print_table([(row["id"], *(row[name] or "" for name in _COLUMNS)) for row in rows], ("session", *_COLUMNS))
    tell_silent(silent)
    return 0


async def _kill(arguments: argparse.Namespace, store: Store, actor: Actor) -> int:
    from admin.api.fleet import sessions
    from admin.services.errors import NotFound
    from admin.services.events import record_event

    found, silent = await sessions(gateways_of(arguments))
    for gateway, row in found:
        if row["id"] == arguments.id and await gateway.kill(arguments.id):
            reason = f"user {row['user']}"
            await record_event(store, actor, "kill", "session", arguments.id, tenant=row["tenant"], reason=reason)
            said(arguments, f"session {arguments.id} of {row['user']} has ended", killed=arguments.id)
            return 0
    tell_silent(silent)
    raise NotFound(f'session "{arguments.id}"')
