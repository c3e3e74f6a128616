"""`tenantgate quota`: a tenant's own limits, and what it uses now."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING

from admin.cli.body_options import add_etag_option, pairs
from admin.cli.options import name_and_value
from admin.cli.session import gateways_of, tell_silent
from admin.cli.store_access import add_action, add_group, print_table, show

if TYPE_CHECKING:
    from admin.services.actor import Actor
    from admin.store.engine import Store

_EPILOG = """\
What a tenant has no limit of its own for is its tier's: `tenantgate tier show pro`. docs/quotas.md has all of them.

examples:
  tenantgate quota set acme connections=50 statements_per_s=500 --store policy.db
  tenantgate quota set acme connections=
  tenantgate quota usage acme -c tenantgate.toml
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `quota` to the command line."""
    actions = add_group(subparsers, "quota", "a tenant's own limits, and what it uses", _EPILOG)
    shown = add_action(actions, "show", "its own limits", "tenantgate quota show acme", _show)
    change = add_action(actions, "set", "change those that are given", "tenantgate quota set acme rows=1000", _set)
    usage = add_action(
        actions, "usage", "what it uses now, summed over the gateways", "tenantgate quota usage acme", _usage
    )
    for parser in (shown, change, usage):
        parser.add_argument("id", metavar="TENANT")
    change.add_argument(
        "limits", nargs="+", type=name_and_value, metavar="NAME=VALUE", help="no value: none of its own"
    )
    add_etag_option(change)


async def _show(arguments: argparse.Namespace, store: Store, actor: Actor) -> int:
    from admin.services.tenants import get_quotas

    quotas, _ = await get_quotas(store, actor, arguments.id)
    show(arguments, quotas)
    return 0


async def _set(arguments: argparse.Namespace, store: Store, actor: Actor) -> int:
    from admin.services.tenants import patch_tenant

    patch = {"quotas": pairs(arguments.limits)}
    entity = await patch_tenant(store, actor, arguments.id, patch, etag=arguments.etag)
    show(arguments, entity.body.get("quotas", {}))
    return 0


async def _usage(arguments: argparse.Namespace, store: Store, actor: Actor) -> int:
    from admin.api.fleet import tenant_usage
    from admin.services.tenants import get_tenant

    await get_tenant(store, actor, arguments.id)
    usage = await tenant_usage(gateways_of(arguments), arguments.id)
    if arguments.json:
        print(json.dumps(usage, indent=2))
        return 0
    sums = {**usage["now"], **usage["limits"], **usage["totals"]}
    print_table([(name, str(value)) for name, value in sums.items()], ("what", "value"))
    tell_silent(usage["silent_gateways"])
    return 0
