"""`tenantgate changes`: who changed which row of a tracked table from what to what; verified, pruned."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from typing import TYPE_CHECKING, Any

from admin.cli.options import add_command, add_config_option
from admin.cli.target_session import add_target_option, administrator_of, as_wanted, connected, load_targets
from policy.errors import ConfigurationError

if TYPE_CHECKING:
    from admin.changes.history import Change
    from admin.provision.facts import Query
    from policy.model import Tenant
    from policy.snapshot import Snapshot
    from proxy.config import GatewayConfig, TargetConfig

EXIT_FOUND, EXIT_NOTHING, EXIT_UNUSABLE = 0, 1, 2
_EPILOG = """\
Tables with `track: true` in the policy, once `tenantgate provision` has been run (docs/changes.md). Newest last; of
several, the newest --limit. The login is an administrator's of the target: --admin-url, or PGUSER and PGPASSWORD.
--verify recomputes every digest and looks for it in the audit log; --prune takes away what is older than the log's own
retention has it (audit.retention, holds count).
exit status: 0 found, verified or pruned; 1 nothing found, or not as it was written; 2 wrong usage or unreachable

examples:
  tenantgate changes -c tenantgate.toml --table orders --key 42
  tenantgate changes -c tenantgate.toml --tenant acme --since 7d --user ana --json
  tenantgate changes -c tenantgate.toml --verify
  tenantgate changes -c tenantgate.toml --prune
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `changes` to the command line."""
    parser = add_command(subparsers, "changes", "who changed which row from what to what", _EPILOG)
    add_config_option(parser)
    add_target_option(parser)
    parser.add_argument("--admin-url", metavar="URL", help="login of a superuser, postgresql://user:password@host:port")
    parser.add_argument("--table", default="", metavar="T", help="orders or public.orders")
    parser.add_argument("--key", metavar="K", help="the primary key's value, without the tenant column; a=1,b=2 of two")
    parser.add_argument("--tenant", default="", metavar="T", help="what this tenant's auditor may see")
    parser.add_argument("--user", default="", metavar="U", help="changes by this user (subject)")
    parser.add_argument("--since", metavar="TIME", help="not before: 2026-11-27T14:00Z, or ago: 12h, 7d")
    parser.add_argument("--until", metavar="TIME", help="before this time")
    parser.add_argument("--limit", type=int, default=100, metavar="N", help="at most so many of each database (100)")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.add_argument("--verify", action="store_true", help="hold digests against the audit log")
    parser.add_argument("--prune", action="store_true", help="take away what retention has over")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Show, verify or prune."""
    config, snapshot, targets = load_targets(arguments)
    if arguments.prune and (arguments.tenant or arguments.table or arguments.verify):
        raise ConfigurationError((("--prune", "goes by audit.retention alone", "Leave the other options out."),))
    status, answers = asyncio.run(_run(arguments, config, snapshot, targets))
    if arguments.prune:
        from admin.changes.prune import record_pruning

        record_pruning(config.audit, answers)
    return status


async def _run(
    arguments: argparse.Namespace, config: GatewayConfig, snapshot: Snapshot, targets: list[TargetConfig]
) -> tuple[int, list[dict[str, Any]]]:
    from admin.changes.history import IS_TRACKED

    tenant = _tenant(arguments.tenant, snapshot)
    answers: list[dict[str, Any]] = []
    for target in targets:
        administrator = administrator_of(target, arguments.admin_url, os.environ)
        for database in _databases(target, snapshot, tenant):
            async with connected(administrator, database, "changes") as backend:
                if await backend.query(IS_TRACKED) == [["t"]]:
                    answer = await _one_database(arguments, config, snapshot, target, backend.query, tenant, database)
                    answers.append({"target": target.name, "database": database, **answer})
    if arguments.json:
        print(json.dumps({"databases": answers}))
    elif not answers:
        print("nothing is tracked here: `track: true` in the policy, then `tenantgate provision`", file=sys.stderr)
    if arguments.verify:
        return EXIT_NOTHING if any(answer["problems"] for answer in answers) else EXIT_FOUND, answers
    found = arguments.prune or any(answer["changes"] for answer in answers)
    return EXIT_FOUND if found else EXIT_NOTHING, answers


async def _one_database(
    arguments: argparse.Namespace,
    config: GatewayConfig,
    snapshot: Snapshot,
    target: TargetConfig,
    query: Query,
    tenant: Tenant | None,
    database: str,
) -> dict[str, Any]:
    where = f"target {target.name}, database {database}"
    own = [each for each in snapshot.tenants.values() if each.target == target.name]
    here = [each for each in own if (each.database or target.database) == database]
    if arguments.verify:
        from admin.changes.verify import verify_changes

        rows, problems = await verify_changes(query, config.audit.path, {each.id for each in here})
        if not arguments.json:
            print(f"{where}: {rows} change(s), {len(problems)} problem(s)")
            for problem in problems:
                print(f"  {problem}")
        return {"rows": rows, "problems": problems}
    if arguments.prune:
        from admin.changes.prune import prune

        removed = await prune(query, config.audit, here)
        if not arguments.json:
            print(f"{where}: {sum(removed.values())} change(s) removed")
        return {"removed": removed}
    found = await _history(arguments, query, tenant)
    if not arguments.json:
        for change in found:
            print("\n".join(_lines(change)))
    return {"changes": [change.fields for change in found]}


async def _history(arguments: argparse.Namespace, query: Query, tenant: Tenant | None) -> list[Change]:
    from admin.audit_search.query import parse_time
    from admin.changes.history import Asked, Change, history_query, whose

    asked = Asked(
        table=arguments.table,
        key=arguments.key,
        user=arguments.user,
        since=None if arguments.since is None else parse_time(arguments.since),
        until=None if arguments.until is None else parse_time(arguments.until),
        limit=max(1, arguments.limit),
    )
    try:
        sql = history_query(asked, "true" if tenant is None else whose(tenant))
    except ValueError as error:
        raise ConfigurationError((("--table", str(error), "Write orders or public.orders."),)) from None
    return [Change.read(row[0]) for row in reversed(await query(sql))]


def _lines(change: Change) -> list[str]:
    fields = change.fields
    who = f"{fields['user']}@{fields['tenant']} session {fields['session']}" if fields["user"] else "past the gateway"
    key = f" {fields['key']}" if fields["key"] else ""
    head = f"{fields['at'][:19]}Z  {fields['operation']} {fields['table']}{key}  {who} (role {fields['role']})"
    return [head, *(f"    {name}: {_value(old)} -> {_value(new)}" for name, old, new in change.columns)]


def _value(value: Any) -> str:
    return "-" if value is None else json.dumps(value, ensure_ascii=False)


def _tenant(name: str, snapshot: Snapshot) -> Tenant | None:
    from policy.problems import did_you_mean

    if name and name not in snapshot.tenants:
        raise ConfigurationError((("--tenant", f"unknown tenant {name!r}", did_you_mean(name, snapshot.tenants)),))
    return snapshot.tenants[name] if name else None


def _databases(target: TargetConfig, snapshot: Snapshot, tenant: Tenant | None) -> list[str]:
    from admin.provision.wanted import wanted_databases

    if tenant is not None:
        return [tenant.database or target.database] if tenant.target == target.name else []
    return [wanted.database for wanted in wanted_databases(snapshot, as_wanted(target))]
