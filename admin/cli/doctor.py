"""`tenantgate doctor`: what could leak on a target, how bad it is, and the SQL that mends it."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from admin.cli.options import add_command, add_config_option
from admin.cli.target_session import add_target_option, as_wanted, connected, load_targets

if TYPE_CHECKING:
    from admin.doctor.findings import Finding
    from policy.snapshot import Snapshot
    from proxy.config import TargetConfig

_EPILOG = """\
Connects to every database of the target that the policy names, as the gateway's own role, and changes nothing. Each
finding comes with the SQL that mends it; read it before you run it.
exit status: 0 nothing as bad as --fail-on, 1 something is, 2 a target cannot be reached or the files be used

examples:
  tenantgate doctor -c tenantgate.toml
  tenantgate doctor -c tenantgate.toml --target shop --fail-on medium --json
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `doctor` to the command line."""
    parser = add_command(subparsers, "doctor", "find what could leak on a target", _EPILOG)
    add_config_option(parser)
    add_target_option(parser)
    parser.add_argument(
        "--fail-on",
        choices=("low", "medium", "high", "critical"),
        default="high",
        help="exit with 1 for findings of this severity and worse (default: high)",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Examine the targets and print what was found."""
    from admin.doctor.findings import Severity, worst_first
    from admin.doctor.report import as_dict, print_report

    _, snapshot, targets = load_targets(arguments)
    findings = worst_first(finding for target in targets for finding in asyncio.run(_examine(snapshot, target)))
    if arguments.json:
        print(json.dumps({"findings": [as_dict(finding) for finding in findings]}, indent=2, ensure_ascii=False))
    else:
        print_report(findings, sys.stdout)
    limit = Severity[arguments.fail_on.upper()]
    return 1 if any(finding.severity >= limit for finding in findings) else 0


async def _examine(snapshot: Snapshot, target: TargetConfig) -> list[Finding]:
    from admin.doctor.examination import findings_of
    from admin.doctor.examined import examine
    from admin.doctor.policy_columns import check_columns
    from admin.provision.wanted import wanted_databases
    from proxy.postgres.catalog_loader import load_catalog

    found: list[Finding] = []
    for wanted in wanted_databases(snapshot, as_wanted(target)):
        async with connected(target, wanted.database, "doctor") as backend:
            catalog = await load_catalog(backend.query, wanted.database, 1)
            found += findings_of(await examine(backend.query, wanted, catalog))
            columns = check_columns(snapshot, wanted, catalog)
            found += [replace(finding, target=target.name, database=wanted.database) for finding in columns]
    return found
