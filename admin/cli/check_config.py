"""`tenantgate check-config`: everything that is wrong with configuration and policy, at once."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from admin.cli.findings import print_findings
from admin.cli.options import add_command, add_config_option
from policy.errors import ConfigurationError

if TYPE_CHECKING:
    from policy.problems import Problem
    from policy.snapshot import Snapshot
    from proxy.config_file import ConfigReading

_EPILOG = """\
Reads the configuration and the policy it names; connects to nothing.
exit status: 0 both can be used, 1 errors (with --strict also warnings), 2 the configuration file cannot be read

example:
  tenantgate check-config -c /etc/tenantgate/tenantgate.toml --strict
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `check-config` to the command line."""
    parser = add_command(subparsers, "check-config", "report every error of configuration and policy", _EPILOG)
    add_config_option(parser)
    parser.add_argument("--strict", action="store_true", help="exit with 1 for warnings, too")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Check both files and print the findings."""
    from proxy.config_file import read_config

    path: Path = arguments.config
    reading = read_config(path, os.environ)
    snapshot, policy_problems, policy_warnings = _read_policy(reading)
    problems = [*reading.problems, *_api(path, reading), *policy_problems, *_shares(reading, snapshot)]
    warnings = [*reading.warnings, *policy_warnings, *_cross_check(reading, snapshot), *_mask_keys(reading, snapshot)]
    if arguments.json:
        print(json.dumps({"ok": not problems, "problems": _dicts(problems), "warnings": _dicts(warnings)}, indent=2))
    else:
        print_findings(problems, warnings, sys.stdout)
        print(_summary(path, reading, snapshot, len(problems), len(warnings)))
    if not path.is_file():
        return 2
    return 1 if problems or (arguments.strict and warnings) else 0


def _read_policy(reading: ConfigReading) -> tuple[Snapshot | None, list[Problem], list[Problem]]:
    """The policy as far as the configuration tells where it is, its problems and warnings; a file that is missing has
    been reported already."""
    from policy.document import load_policy
    from policy.problems import Problems

    path, problems = reading.policy_file, Problems()
    if path is None or not path.is_file():
        return None, [], []
    snapshot = None
    with contextlib.suppress(ConfigurationError):
        snapshot = load_policy(
            path, version=1, targets=reading.databases.keys(), databases=reading.databases, problems=problems
        )
    return snapshot, _of_file(path, problems.found), _of_file(path, problems.warnings)


def _api(path: Path, reading: ConfigReading) -> tuple[Problem, ...]:
    """The section [api], which the gateway leaves alone."""
    from admin.cli.api_settings import load_api_settings

    if reading.config is None:
        return ()
    try:
        load_api_settings(path, reading.config)
    except ConfigurationError as error:
        return error.problems
    return ()


def _of_file(path: Path, found: list[Problem]) -> list[Problem]:
    return [(f"{path.name}: {key}", message, hint) for key, message, hint in found]


def _shares(reading: ConfigReading, snapshot: Snapshot | None) -> list[Problem]:
    from proxy.workers.orders import share_problems

    return [] if snapshot is None or reading.config is None else share_problems(reading.config.workers, snapshot)


def _mask_keys(reading: ConfigReading, snapshot: Snapshot | None) -> list[Problem]:
    """Masks that need a key, where a target has none: statements that show such a column fail."""
    from policy.abac.masks import KEYED

    if snapshot is None or reading.config is None:
        return []
    keyed = [p.id for p in snapshot.policies.values() if p.effect.mask is not None and p.effect.mask.kind in KEYED]
    hint = "Set mask_key_file to a file of 32 random bytes or more, as text: openssl rand -hex 32"
    return [
        (f"targets.{target.name}.mask_key", f"is missing: policy {keyed[0]} has a mask that needs it", hint)
        for target in reading.config.targets.values()
        if keyed and target.mask_key is None
    ]


def _cross_check(reading: ConfigReading, snapshot: Snapshot | None) -> list[Problem]:
    from admin.cli.cross_check import cross_check

    return [] if snapshot is None or reading.config is None else cross_check(reading.config, snapshot)


def _dicts(findings: list[Problem]) -> list[dict[str, str]]:
    return [{"key": key, "message": message, "hint": hint} for key, message, hint in findings]


def _summary(path: Path, reading: ConfigReading, snapshot: Snapshot | None, errors: int, warnings: int) -> str:
    warned = f", {warnings} warning{'s'[: warnings != 1]}" if warnings else ""
    if not errors and reading.config is not None and reading.config.policy.store is not None:
        return f"{path}: ok: {len(reading.databases)} target(s); the policy is in a store, which was not read{warned}"
    if errors or reading.config is None or snapshot is None:
        return f"{path}: {errors} error{'s'[: errors != 1]}{warned}"
    counts = f"{len(reading.databases)} target(s), {len(snapshot.tenants)} tenant(s), {len(snapshot.roles)} role(s)"
    return f"{path}: ok: {counts}{warned}"
