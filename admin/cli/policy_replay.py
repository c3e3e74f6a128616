"""`tenantgate policy replay`: what another policy would have made of the statements in an audit log."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from admin.cli.circumstances import time_of
from admin.cli.options import add_command, add_config_option

if TYPE_CHECKING:
    from policy.model import Tenant
    from policy.replay import Difference, Replay
    from policy.snapshot import Snapshot
    from policy.sql.catalog import Catalog
    from proxy.config import GatewayConfig

_EPILOG = """\
Judges the audited statements by the policy in force and by the draft, and shows those that are judged differently.
Nothing is run; the targets are asked for their catalogs only. In the draft, policies with `state: draft` count.
exit status: 0 nothing would change, 1 something would, 2 something cannot be used or reached

examples:
  tenantgate policy replay --audit audit/audit.jsonl --policy draft.yaml
  tenantgate policy replay --audit audit/audit.jsonl                # the drafts of the policy in force
  tenantgate policy replay --audit audit/audit.jsonl --policy draft.yaml --since 2026-11-20T00:00:00Z --json
"""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `replay` to `policy`."""
    parser = add_command(commands, "replay", "judge audited statements by another policy", _EPILOG)
    add_config_option(parser)
    parser.add_argument(
        "--audit", type=Path, required=True, metavar="FILE", action="append", help="a log; may be repeated"
    )
    parser.add_argument(
        "--policy", type=Path, metavar="FILE", help="the draft (default: the drafts of the one in force)"
    )
    parser.add_argument("--since", type=time_of, metavar="TIME", help="events from this time on")
    parser.add_argument("--until", type=time_of, metavar="TIME", help="events before this time")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Read everything, judge, print."""
    from admin.cli.configured_policy import configured_policy
    from policy.errors import ConfigurationError
    from policy.replay import Policies, replay
    from proxy.config_file import read_config

    reading = read_config(arguments.config, os.environ)
    config = reading.config
    if config is None:
        raise ConfigurationError(reading.problems)
    snapshots = [configured_policy(config, reading.databases, path) for path in (None, arguments.policy)]
    try:
        events = list(_events(arguments))
    except (OSError, ValueError) as error:
        print(f"tenantgate: {error}", file=sys.stderr)
        return 2
    catalogs = asyncio.run(load_catalogs(config, snapshots[0], events))
    before, after = Policies(snapshots[0]), Policies(snapshots[1], drafts=True)
    found = replay(events, before, after, lambda tenant: catalogs.get(tenant.id))
    if arguments.json:
        print(json.dumps(found.as_dict(), indent=2, ensure_ascii=False))
    else:
        _print(found)
    return 1 if found.differences else 0


def _events(arguments: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """The events of the period; logins before it, too, since sessions go on."""
    for path in arguments.audit:
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                if not line.endswith("\n"):
                    break  # being written
                try:
                    event = json.loads(line)
                except ValueError:
                    raise ValueError(f"{path}, line {number}: not an audit event") from None
                if _is_wanted(event, arguments):
                    yield event


def _is_wanted(event: dict[str, Any], arguments: argparse.Namespace) -> bool:
    at = float(event.get("time", 0.0))
    if arguments.until is not None and at >= arguments.until:
        return False
    return arguments.since is None or at >= arguments.since or event.get("event") in ("login", "logout")


async def load_catalogs(config: GatewayConfig, snapshot: Snapshot, events: list[dict[str, Any]]) -> dict[str, Catalog]:
    """By tenant: the catalog of its place, each place once."""
    from admin.cli.target_catalog import load_catalog_of

    found: dict[str, Catalog] = {}
    places: dict[tuple[str, str], Catalog] = {}
    for name in sorted({str(event.get("tenant")) for event in events if event.get("event") == "statement"}):
        tenant: Tenant | None = snapshot.tenants.get(name)
        if tenant is None:
            continue
        target = config.targets[tenant.target]
        place = (target.name, tenant.database or target.database)
        if place not in places:
            places[place] = await load_catalog_of(target, tenant)
        found[name] = places[place]
    return found


def _print(found: Replay) -> None:
    for difference in found.differences:
        _print_difference(difference)
    changed = found.replayed - found.unchanged
    print(f"{found.replayed} statements replayed: {changed} would change, {found.unchanged} would not")
    if found.unknown:
        print(f"{found.unknown} more could not be replayed: their login, tenant or whole text is not there")


def _print_difference(difference: Difference) -> None:
    people = ", ".join(sorted(difference.subjects)[:5]) + (" …" if len(difference.subjects) > 5 else "")
    print(f"{difference.runs} x {difference.before} -> {difference.after}, by {people}")
    print("  " + " ".join(difference.statement.split())[:200])
    if difference.refusal:
        print(f"  ! {difference.refusal}")
    for sign, rules in (("+", difference.gained), ("-", difference.lost)):
        for rule in rules:
            print(f"  {sign} {rule}")
    print()
