"""`tenantgate tenant`: the tenants of the policy store."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from admin.cli.body_options import add_body_option, add_etag_option, add_pairs_option, pairs, read_body
from admin.cli.provisioner import provisioner_of
from admin.cli.store_access import add_action, add_group, as_dict, print_table, said, show

if TYPE_CHECKING:
    from admin.services.actor import Actor
    from admin.services.entity import Listed
    from admin.store.engine import Store

_EPILOG = """\
Gateways that follow the store take each change within a second, without a restart. Schemas and databases are made and
removed on the target with the login of [api.targets.NAME], as the admin API does it: both tenant and place, or neither.

examples:
  tenantgate tenant create acme --tier pro --store policy.db
  tenantgate tenant create initrode --isolation schema --schema initrode --target shop -c tenantgate.toml
  tenantgate tenant delete initrode --data export --export-dir exports -c tenantgate.toml
  tenantgate tenant set acme --quota connections=50 --quota burst= --flag copy=off
  tenantgate tenant suspend acme --reason "invoice 4711"
  tenantgate tenant list --status suspended --json
"""
_TEXTS = (
    "name", "slug", "owner", "parent", "tier", "isolation", "target", "value", "schema", "database", "status",
    "pooling", "lanes", "trial-ends",
)  # fmt: skip


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `tenant` to the command line."""
    actions = add_group(subparsers, "tenant", "create, change, suspend and delete tenants", _EPILOG)
    listing = add_action(actions, "list", "list tenants", "tenantgate tenant list --tier pro", _list)
    for name in ("status", "tier", "target", "parent", "isolation"):
        listing.add_argument(f"--{name}", metavar="WORD")
    listing.add_argument("--search", metavar="TEXT", help="part of id or name")
    _add_id(add_action(actions, "show", "show one", "tenantgate tenant show acme", _show))
    create = add_action(
        actions, "create", "create one", "tenantgate tenant create acme --isolation shared --target shop", _create
    )
    change = add_action(
        actions, "set", "change what is given", "tenantgate tenant set acme --quota connections=50", _set
    )
    for parser in (create, change):
        _add_id(parser)
        _add_fields(parser)
    for name, text, work in (
        ("suspend", "end its sessions and let nobody in", _suspend),
        ("resume", "let it in again", _resume),
    ):
        parser = add_action(actions, name, text, f'tenantgate tenant {name} acme --reason "…"', work)
        _add_id(parser)
        parser.add_argument("--reason", default="", metavar="TEXT", help="for the audit log")
    create.add_argument(
        "--adopt", action="store_true", help="its schema or database is there already, and stays as it is"
    )
    delete = add_action(
        actions, "delete", "take one out, with its roles and assignments, and what becomes of its data",
        "tenantgate tenant delete acme --data export --export-dir exports", _delete,
    )  # fmt: skip
    _add_id(delete)
    delete.add_argument(
        "--data", required=True, choices=("export", "destroy", "keep"),
        help="write its rows to files and delete them, delete them, or leave them on the target",
    )  # fmt: skip
    delete.add_argument("--export-dir", type=Path, metavar="DIR", help="(default: api.export_dir)")
    delete.add_argument("--yes-delete", default="", metavar="ID", help="with destroy and keep: its id once more")
    for name, text, work in (
        ("children", "the tenants right below", _children),
        ("users", "who has roles in it", _users),
    ):
        _add_id(add_action(actions, name, text, f"tenantgate tenant {name} acme", work))
    for parser in (change, delete):
        add_etag_option(parser)


def _add_id(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", metavar="TENANT")


def _add_fields(parser: argparse.ArgumentParser) -> None:
    for name in _TEXTS:
        parser.add_argument(f"--{name}", metavar="WORD", help="" if name != "trial-ends" else "2027-01-31T12:00:00Z")
    add_pairs_option(parser, "quota", "a limit, such as connections=50; no value: none of its own")
    add_pairs_option(parser, "flag", "a feature flag, on or off; no value: as its tier has it")
    add_pairs_option(parser, "attribute", "an attribute for policies")
    add_body_option(parser)


def _fields(arguments: argparse.Namespace) -> dict[str, Any]:
    """What is given, as a merge patch; an empty text takes a field out."""
    texts = {name.replace("-", "_"): getattr(arguments, name.replace("-", "_")) for name in _TEXTS}
    fields: dict[str, Any] = {name: text or None for name, text in texts.items() if text is not None}
    for name, given in (("quotas", arguments.quota), ("flags", arguments.flag), ("attributes", arguments.attribute)):
        if given:
            fields[name] = pairs(given) if name == "quotas" else {key: text or None for key, text in given}
    return fields


async def _list(arguments: argparse.Namespace, store: Store, actor: Actor) -> int:
    from admin.services.tenants import TenantFilter, list_tenants

    names = ("status", "tier", "target", "parent", "isolation", "search")
    which = TenantFilter(**{name: getattr(arguments, name) for name in names})
    return await _print_pages(arguments, lambda page: list_tenants(store, actor, which, page))


async def _children(arguments: argparse.Namespace, store: Store, actor: Actor) -> int:
    from admin.services.tenants import tenant_children

    return await _print_pages(arguments, lambda page: tenant_children(store, actor, arguments.id, page))


async def _print_pages(arguments: argparse.Namespace, pages: Any) -> int:
    from admin.cli.paging import every

    entities = await every(pages)
    if arguments.json:
        print(json.dumps([as_dict(entity) for entity in entities], indent=2, ensure_ascii=False))
        return 0
    rows = [
        (e.id, b.get("status", "active"), b.get("tier", "standard"), b["isolation"], b["target"], b.get("parent", ""))
        for e in entities
        for b in (e.body,)
    ]
    print_table(rows, ("tenant", "status", "tier", "isolation", "target", "parent"))
    return 0


async def _show(arguments: argparse.Namespace, store: Store, actor: Actor) -> int:
    from admin.services.tenants import get_tenant

    show(arguments, await get_tenant(store, actor, arguments.id))
    return 0


async def _create(arguments: argparse.Namespace, store: Store, actor: Actor) -> int:
    from admin.services.tenants import merge_patch

    body = merge_patch(read_body(arguments) or {}, _fields(arguments))
    if "target" not in body and (only := await _only_target(store, actor)) is not None:
        body["target"] = only
    body.setdefault("isolation", "shared")
    provisioner = provisioner_of(arguments, store)
    await provisioner.recover()
    made = await provisioner.create(actor, arguments.id, body, adopt=arguments.adopt)
    steps = [step.text for step in made.steps]
    if arguments.json:
        print(json.dumps({**as_dict(made.entity), "provisioned": steps}, indent=2, ensure_ascii=False))
        return 0
    show(arguments, made.entity, f"created tenant {arguments.id}")
    for step in steps:
        print(f"# on target {made.entity.body['target']}: {step}")
    return 0


async def _only_target(store: Store, actor: Actor) -> str | None:
    from admin.services.targets import list_targets

    targets = (await list_targets(store, actor)).entities
    return targets[0].id if len(targets) == 1 else None


async def _set(arguments: argparse.Namespace, store: Store, actor: Actor) -> int:
    from admin.services.tenants import merge_patch, patch_tenant, replace_tenant

    body, fields = read_body(arguments), _fields(arguments)
    if body is not None:
        whole = merge_patch(body, fields)
        entity = await replace_tenant(store, actor, arguments.id, whole, etag=arguments.etag)
    else:
        entity = await patch_tenant(store, actor, arguments.id, fields, etag=arguments.etag)
    show(arguments, entity)
    return 0


async def _suspend(arguments: argparse.Namespace, store: Store, actor: Actor) -> int:
    from admin.services.tenants import suspend_tenant

    entity = await suspend_tenant(store, actor, arguments.id, reason=arguments.reason)
    said(arguments, f"tenant {entity.id} is suspended", **as_dict(entity))
    return 0


async def _resume(arguments: argparse.Namespace, store: Store, actor: Actor) -> int:
    from admin.services.tenants import resume_tenant

    entity = await resume_tenant(store, actor, arguments.id, reason=arguments.reason)
    said(arguments, f"tenant {entity.id} is active", **as_dict(entity))
    return 0


async def _delete(arguments: argparse.Namespace, store: Store, actor: Actor) -> int:
    provisioner = provisioner_of(arguments, store, arguments.export_dir)
    await provisioner.recover()
    removed = await provisioner.delete(
        actor, arguments.id, data=arguments.data, word=arguments.yes_delete, etag=arguments.etag
    )
    export = removed.export
    rows = "its data is where it was" if arguments.data == "keep" else "and its data"
    if export is not None:
        rows = f"its {export.rows} rows are in {export.directory}"
    directory = None if export is None else str(export.directory)
    said(
        arguments, f"tenant {arguments.id} is gone, {rows}",
        deleted=arguments.id, removed=[step.text for step in removed.steps], export=directory,
    )  # fmt: skip
    return 0


async def _users(arguments: argparse.Namespace, store: Store, actor: Actor) -> int:
    from admin.cli.user import print_assignments
    from admin.services.tenants import tenant_users

    async def page_of(page: Any) -> Listed:
        return await tenant_users(store, actor, arguments.id, page)

    return await print_assignments(arguments, page_of)
