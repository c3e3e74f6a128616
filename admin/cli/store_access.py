"""What commands that work on the policy store have in common: which store, who asks, and how errors are told."""

from __future__ import annotations

import argparse
import asyncio
import getpass
import json
import os
import socket
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from admin.cli.findings import print_findings
from admin.cli.options import DEFAULT_CONFIG, add_command

if TYPE_CHECKING:
    from admin.services.actor import Actor
    from admin.services.entity import Entity
    from admin.store.engine import Store

VARIABLE = "TENANTGATE_STORE"
STATUS_HELP = "exit status: 0 done, 1 refused (what is wrong is told), 2 wrong usage or the store cannot be used"
Work = Callable[["Store", "Actor"], Awaitable[int]]


def add_group(
    subparsers: argparse._SubParsersAction[argparse.ArgumentParser], name: str, text: str, epilog: str
) -> argparse._SubParsersAction[argparse.ArgumentParser]:
    """A command of commands: `tenantgate tenant create`."""
    parser = add_command(subparsers, name, text, epilog)
    return parser.add_subparsers(metavar="ACTION", required=True)


def add_action(
    actions: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    text: str,
    example: str,
    work: Callable[[argparse.Namespace, Store, Actor], Awaitable[int]],
) -> argparse.ArgumentParser:
    """One action on the store, with --store, -c and --json."""
    parser = add_command(actions, name, text, f"{STATUS_HELP}\n\nexample:\n  {example}\n")
    add_store_options(parser)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=lambda arguments: run_on_store(arguments, lambda s, a: work(arguments, s, a)))
    return parser


def add_store_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--store", metavar="URL",
        help=f"a SQLite file or postgresql://… (default: ${VARIABLE}, else that of the configuration file)",
    )  # fmt: skip
    parser.add_argument("-c", "--config", type=Path, metavar="FILE", help=f"configuration file ({DEFAULT_CONFIG})")


def store_of(arguments: argparse.Namespace) -> str:
    """The store's URL. Raises ConfigurationError, or TenantGateError when none is named."""
    if arguments.store or os.environ.get(VARIABLE):
        return str(arguments.store or os.environ[VARIABLE])
    from policy.errors import TenantGateError
    from proxy.config_file import load_config

    path = arguments.config or DEFAULT_CONFIG
    if arguments.config or path.is_file():
        store = load_config(path, os.environ).policy.store
        if store is not None:
            return store
    raise TenantGateError("no store is named", hint=f"Give --store URL, or set {VARIABLE}.")


def run_on_store(arguments: argparse.Namespace, work: Work) -> int:
    """Do the work on the store that the arguments name; print what it refuses. Returns the exit status."""
    from admin.places.errors import PlaceRefused, PlaceTaken
    from admin.services.errors import Invalid, ServiceError, StoreUnavailable
    from admin.store.upgrade import open_store

    async def main() -> int:
        store = await open_store(store_of(arguments))
        try:
            return await work(store, operator())
        finally:
            await store.close()

    try:
        return asyncio.run(main())
    except StoreUnavailable:
        raise
    except Invalid as error:
        print_findings(error.problems, (), sys.stderr)
    except (ServiceError, PlaceRefused, PlaceTaken) as error:
        print(f"tenantgate: {error.message}", file=sys.stderr)
        if error.hint:
            print(f"    hint: {error.hint}", file=sys.stderr)
    return 1


def operator() -> Actor:
    """Who has the store's file or password may do everything; the audit log says which user of which machine it was."""
    from admin.services.actor import EVERYTHING, Actor

    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = f"uid {os.getuid()}"
    return Actor(f"{user}@{socket.gethostname()}", permissions=EVERYTHING, via="cli")


def show(arguments: argparse.Namespace, value: Entity | dict[str, Any], note: str = "") -> None:
    """An entity or an object: as JSON, or for people as YAML below a line that says what it is."""
    fields = value if isinstance(value, dict) else as_dict(value)
    if arguments.json:
        print(json.dumps(fields, indent=2, ensure_ascii=False))
        return
    from admin.policy_files.yaml_text import yaml_text
    from policy.canonical import in_canonical_order

    if isinstance(value, dict):
        print(yaml_text(value), end="")
        return
    print(f"# {note or value.kind + ' ' + value.id}, etag {value.etag}, policy version {value.version}")
    print(yaml_text(in_canonical_order(value.body)), end="")


def as_dict(entity: Entity) -> dict[str, Any]:
    return {
        "kind": entity.kind, "id": entity.id, "etag": entity.etag, "version": entity.version,
        "created_at": entity.created_at, "updated_at": entity.updated_at, "body": entity.body,
    }  # fmt: skip


def said(arguments: argparse.Namespace, text: str, **fields: object) -> None:
    """What was done, in one line."""
    print(json.dumps(fields) if arguments.json else text)


def print_table(rows: Sequence[tuple[str, ...]], head: tuple[str, ...]) -> None:
    """Columns as wide as they need to be, the last one as it is."""
    widths = [max(len(row[at]) for row in [head, *rows]) for at in range(len(head))]
    for row in [head, *rows]:
        print("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())
