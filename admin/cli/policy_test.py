"""`tenantgate policy test FILE`: cases of a policy, each with what must come of it."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from admin.cli.options import add_command, add_config_option

if TYPE_CHECKING:
    from policy.abac.cases import Case, Outcome
    from policy.snapshot import Snapshot
    from policy.sql.catalog import Catalog
    from proxy.config import GatewayConfig, TargetConfig

_EPILOG = """\
A case says who runs which statement and what is expected: allowed, rewritten or refused; a part of the error; the text
that is sent; rules that apply. With `rows` the statement is run on the target, read-only, and its rows are compared.

  cases:
    - name: analysts see no address
      as: {subject: ann, tenant: acme, roles: [analyst], amr: [mfa], address: 10.1.2.3, at: "2026-11-28T09:00:00Z"}
      sql: SELECT email FROM customers WHERE id = 1
      expect: rewritten
      rows: [["a***@acme.example"]]

exit status: 0 all cases hold, 1 one does not, 2 something cannot be used or reached

examples:
  tenantgate policy test cases.yaml
  tenantgate policy test cases.yaml --policy draft.yaml --json
"""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `test` to `policy`."""
    parser = add_command(commands, "test", "run cases of a policy", _EPILOG)
    add_config_option(parser)
    parser.add_argument("file", type=Path, metavar="FILE", help="the cases")
    parser.add_argument("--policy", type=Path, metavar="FILE", help="the policy (default: the configuration's)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Read cases and policy, judge, print."""
    from admin.cli.configured_policy import configured_policy
    from policy.errors import ConfigurationError
    from proxy.config_file import read_config

    reading = read_config(arguments.config, os.environ)
    config = reading.config
    if config is None:
        raise ConfigurationError(reading.problems)
    snapshot = configured_policy(config, reading.databases, arguments.policy)
    outcomes = asyncio.run(_judge_all(_read(arguments.file, snapshot), config, snapshot))
    failed = sum(1 for outcome in outcomes if outcome.failures)
    if arguments.json:
        print(json.dumps({"ok": not failed, "cases": [each.as_dict() for each in outcomes]}, indent=2))
    else:
        _print(outcomes)
        print(f"{len(outcomes)} cases: {len(outcomes) - failed} hold, {failed} do not")
    return 1 if failed else 0


def _read(path: Path, snapshot: Snapshot) -> list[Case]:
    """The cases. Raises ConfigurationError."""
    from policy.abac.cases import read_cases
    from policy.errors import ConfigurationError
    from policy.problems import Problems, did_you_mean
    from policy.strict_yaml import StrictYamlError, parse_strict_yaml

    problems = Problems()
    try:
        document = parse_strict_yaml(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, StrictYamlError) as error:
        raise ConfigurationError(((str(path), f"cannot be read: {error}", "It is YAML in UTF-8."),)) from None
    cases = read_cases(problems, document)
    for case in cases:
        if case.who.tenant not in snapshot.tenants:
            problems.add(
                case.name, f"there is no tenant {case.who.tenant!r}", did_you_mean(case.who.tenant, snapshot.tenants)
            )
    problems.raise_if_any()
    return cases


async def _judge_all(cases: list[Case], config: GatewayConfig, snapshot: Snapshot) -> list[Outcome]:
    from admin.cli.target_catalog import load_catalog_of
    from policy.abac.cases import judge
    from proxy.session import slot_values

    catalogs: dict[tuple[str, str], Catalog] = {}
    outcomes = []
    for case in cases:
        tenant = snapshot.tenants[case.who.tenant]
        target = config.targets[tenant.target]
        place = (target.name, tenant.database or target.database)
        if place not in catalogs:
            catalogs[place] = await load_catalog_of(target, tenant)
        outcome = judge(case, snapshot, catalogs[place], slot_values(case.who.principal, tenant, catalogs[place].salt))
        if case.rows is not None and outcome.sent:
            outcome = await _compare_rows(outcome, target, place[1])
        outcomes.append(outcome)
    return outcomes


async def _compare_rows(outcome: Outcome, target: TargetConfig, database: str) -> Outcome:
    """Run what would be sent, read-only, and compare."""
    from policy.errors import TenantGateError
    from proxy.postgres.backend import connect_backend

    backend = await connect_backend(target, database, protocol_options=_options(target))
    try:
        await backend.query("BEGIN READ ONLY")
        rows = tuple(tuple(row) for row in await backend.query(outcome.sent))
    except TenantGateError as error:
        return replace(outcome, failures=(*outcome.failures, f"the target says: {error.message}"))
    finally:
        backend.close()
    if rows == outcome.case.rows:
        return outcome
    shown = json.dumps(rows[:20], ensure_ascii=False)
    return replace(outcome, failures=(*outcome.failures, f"the rows are {shown}"))


def _options(target: TargetConfig) -> Mapping[str, str]:
    from policy.abac.masks import KEY_SETTING

    options = {"application_name": "tenantgate policy test"}
    return {**options, KEY_SETTING: target.mask_key} if target.mask_key else options


def _print(outcomes: list[Outcome]) -> None:
    for outcome in outcomes:
        print(f"{'FAIL' if outcome.failures else 'ok  '}  {outcome.case.name}")
        for failure in outcome.failures:
            print(f"      {failure}")
