"""`tenantgate provision`: prepare a target: the gateway's role, its privileges, row-level security."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from admin.cli.options import add_command, add_config_option
from admin.cli.target_session import add_target_option, administrator_of, as_wanted, connected, load_targets

if TYPE_CHECKING:
    from admin.provision.facts import Query
    from admin.provision.steps import Step
    from admin.provision.wanted import Wanted
    from policy.snapshot import Snapshot
    from proxy.config import TargetConfig

_EPILOG = """\
Makes what a target lacks, each database in one transaction: the login role that the configuration names, without
powers and owning nothing; privileges on what the policy classifies; with enforcement = native or both also row-level
security; triggers on the tables that the policy tracks. Nothing is changed that is as it should
be, and --revert undoes what was made, and only that.

The administrator comes from --admin-url, or from PGUSER, PGPASSWORD, PGHOST and PGPORT; host and port are otherwise
the target's. Set enforcement and reload the gateway first: it must name the tenant before the tables ask for it.
exit status: 0 done, or nothing to do; 2 it cannot be done, and nothing of that database was changed

examples:
  tenantgate provision -c tenantgate.toml --dry-run
  PGPASSWORD=… tenantgate provision -c tenantgate.toml --target shop --admin-url postgresql://postgres@db.example.com
  tenantgate provision -c tenantgate.toml --revert
"""


@dataclass(frozen=True, slots=True)
class DatabaseSteps:
    """What is to be done, or was, in one database."""

    target: str
    database: str
    steps: list[Step]


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `provision` to the command line."""
    parser = add_command(subparsers, "provision", "prepare a target: role, privileges, row-level security", _EPILOG)
    add_config_option(parser)
    add_target_option(parser)
    parser.add_argument("--admin-url", metavar="URL", help="login of a superuser, postgresql://user:password@host:port")
    parser.add_argument("--dry-run", action="store_true", help="show the SQL and change nothing")
    parser.add_argument("--revert", action="store_true", help="undo what was made, and only that")
    parser.add_argument("--forget-changes", action="store_true", help="--revert takes what was tracked along")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Plan each database, show it, and unless it is a dry run, do it."""
    config, snapshot, targets = load_targets(arguments)
    hashed = (config.audit.hashed_columns, config.audit.hashed_tags)
    done = [entry for target in targets for entry in asyncio.run(_one_target(arguments, snapshot, target, hashed))]
    if arguments.json:
        print(json.dumps({"dry_run": arguments.dry_run, "databases": [_as_dict(entry) for entry in done]}, indent=2))
    return 0


async def _one_target(
    arguments: argparse.Namespace,
    snapshot: Snapshot,
    target: TargetConfig,
    hashed: tuple[tuple[str, ...], tuple[str, ...]],
) -> list[DatabaseSteps]:
    from admin.provision.wanted import wanted_databases

    administrator = administrator_of(target, arguments.admin_url, os.environ)
    databases = wanted_databases(snapshot, as_wanted(target, *hashed))
    found: list[DatabaseSteps] = []
    for wanted in reversed(databases) if arguments.revert else databases:
        async with connected(administrator, wanted.database, "provision") as backend:
            steps = await _one_database(arguments, backend.query, wanted, target, administrator.user)
        found.append(DatabaseSteps(target.name, wanted.database, steps))
        if not arguments.json:
            _show(found[-1], dry_run=arguments.dry_run)
    if not arguments.json and not arguments.revert and not target.native:
        print(f"-- target {target.name} has enforcement = rewrite: no row-level security", file=sys.stderr)
    return found


async def _one_database(
    arguments: argparse.Namespace, query: Query, wanted: Wanted, target: TargetConfig, administrator: str
) -> list[Step]:
    from admin.provision.apply import check_changes, check_lock, check_role, check_sole, load_key, run_steps
    from admin.provision.facts import load_facts
    from admin.provision.plan import plan_steps
    from admin.provision.revert import revert_steps
    from proxy.postgres.catalog_loader import load_catalog
    from proxy.postgres.wire.scram import make_verifier

    facts = await load_facts(query, target.user)
    check_lock(facts, administrator)
    if arguments.revert:
        if not arguments.forget_changes:
            check_changes(facts)
        steps = revert_steps(facts, target.user)
    else:
        check_role(wanted, facts)
        check_sole(wanted, facts)
        catalog = await load_catalog(query, wanted.database, 1)
        verifier = make_verifier(target.password) if target.password else None
        steps = plan_steps(wanted, facts, catalog, await load_key(query, facts), verifier)
    if steps and not arguments.dry_run:
        await run_steps(query, steps, note=not arguments.revert)
    return steps


def _show(entry: DatabaseSteps, *, dry_run: bool) -> None:
    """The SQL, ready for psql but for secrets, with the reason behind each statement."""
    if not entry.steps:
        print(f"-- target {entry.target}, database {entry.database}: nothing to do")
        return
    done = "to do" if dry_run else "done"
    print(f"-- target {entry.target}, database {entry.database}: {len(entry.steps)} statement(s) {done}")
    for step in entry.steps:
        print(f"{step.text};  -- {step.why}")
    print()


def _as_dict(entry: DatabaseSteps) -> dict[str, object]:
    steps = [{"sql": step.text, "why": step.why} for step in entry.steps]
    return {"target": entry.target, "database": entry.database, "steps": steps}
