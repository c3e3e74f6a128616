"""`tenantgate explain`: what a statement becomes for a tenant and roles, which rules applied, or why it is refused."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from admin.cli.circumstances import add_circumstances
from admin.cli.options import add_command, add_config_option, name_and_value

if TYPE_CHECKING:
    from admin.cli.explanation import Explanation
    from policy.abac.facts import Surroundings
    from policy.access_explained import PrincipalExplained
    from policy.model import Principal, Tenant
    from policy.snapshot import Snapshot
    from proxy.config import GatewayConfig

MAX_STATEMENT_BYTES = 8 * 1024 * 1024

_EPILOG = """\
Connects to the tenant's target to read its catalog; the statement itself is not run. --why asks the target, too, which
of the statement's tables have rows that the session sees, and says which filter or mask hides the others.
exit status: 0 it would be sent, 1 it would be refused, 2 something cannot be used or reached

examples:
  tenantgate explain -c tenantgate.toml --tenant acme --user alice --role analyst "SELECT * FROM orders"
  tenantgate explain --tenant acme --user alice --role sales --attr region=eu "SELECT count(*) FROM orders"
  tenantgate explain --tenant acme --user alice --role sales --why "SELECT * FROM orders WHERE card LIKE '4%'"
  tenantgate explain --tenant acme --user reporting --json - < query.sql
  tenantgate explain --tenant acme --user alice --role app --amr mfa --address 10.1.2.3 --at 2026-11-28T22:00:00Z "…"
"""


@dataclass(frozen=True, slots=True)
class Subject:
    """For whom a statement is explained, where it comes from and when (seconds since the epoch)."""

    tenant: Tenant
    principal: Principal
    explained: PrincipalExplained
    surroundings: Surroundings
    now: float


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `explain` to the command line."""
    parser = add_command(subparsers, "explain", "show what a statement becomes, and why", _EPILOG)
    add_config_option(parser)
    add_subject(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=run)


def add_subject(parser: argparse.ArgumentParser) -> None:
    """The statement, for whom, and under which circumstances."""
    parser.add_argument("--tenant", required=True, metavar="ID", help="the tenant's id")
    parser.add_argument("--user", required=True, metavar="WHO", help="the subject; a service account brings its roles")
    parser.add_argument("--role", action="append", default=[], metavar="NAME", help="a role; may be repeated")
    parser.add_argument(
        "--attr", action="append", default=[], type=name_and_value, metavar="NAME=VALUE", help="value of :attr_NAME"
    )
    parser.add_argument("--group", action="append", default=[], metavar="NAME", help="a group that the token names")
    parser.add_argument("--issuer", default="", metavar="NAME", help="the token's issuer (default: the first one)")
    parser.add_argument("--why", action="store_true", help="say why the statement gives no rows, or fewer")
    add_circumstances(parser)
    parser.add_argument("sql", metavar="SQL", help="one or more statements; - reads them from standard input")
    parser.set_defaults(error=parser.error)


def run(arguments: argparse.Namespace) -> int:
    """Load configuration, policy and catalog; compile; print."""
    from admin.cli.configured_policy import configured_policy
    from admin.cli.explanation import print_explanation
    from proxy.config_file import read_config

    text = read_sql(arguments)
    reading = read_config(arguments.config, os.environ)
    config = reading.config
    if config is None:
        from policy.errors import ConfigurationError

        raise ConfigurationError(reading.problems)
    snapshot = configured_policy(config, reading.databases)
    subject = subject_of(arguments, config, snapshot)
    explanation = asyncio.run(explain_on_target(text, config, snapshot, subject, arguments.why))
    if arguments.json:
        print(json.dumps(explanation.as_dict(), indent=2, ensure_ascii=False))
    else:
        print_explanation(explanation, text, sys.stdout)
    return 1 if explanation.refused else 0


def read_sql(arguments: argparse.Namespace) -> str:
    """The statements' text; wrong usage ends the program."""
    if arguments.sql != "-":
        return str(arguments.sql)
    data = sys.stdin.buffer.read(MAX_STATEMENT_BYTES + 1)
    if len(data) > MAX_STATEMENT_BYTES:
        arguments.error(f"more than {MAX_STATEMENT_BYTES} bytes of SQL")
    try:
        return data.decode()
    except UnicodeDecodeError:
        arguments.error("the SQL is not UTF-8")
        raise  # not reached: error() exits


def subject_of(arguments: argparse.Namespace, config: GatewayConfig, snapshot: Snapshot) -> Subject:
    """As the options have it; wrong usage ends the program."""
    from policy.abac.facts import Surroundings
    from policy.access_explained import explain_principal
    from policy.model import LOCAL_ISSUER, Principal
    from policy.problems import did_you_mean

    tenant = snapshot.tenants.get(arguments.tenant)
    if tenant is None:
        hint = did_you_mean(arguments.tenant, snapshot.tenants)
        arguments.error(f"the policy has no tenant {arguments.tenant!r}. {hint}")
        raise AssertionError("error() exits")
    own = _configured_roles(arguments.user, config)
    roles = frozenset(arguments.role) or own or frozenset()
    issuer = LOCAL_ISSUER if own is not None else arguments.issuer or _first_issuer(config)
    principal = Principal(
        subject=arguments.user,
        tenants=frozenset({tenant.id}),
        roles=roles,
        method="explain",
        attributes=dict(arguments.attr),
        issuer=issuer,
        groups=frozenset(arguments.group),
        amr=frozenset(arguments.amr),
        acr=arguments.acr,
    )
    now = time.time() if arguments.at is None else arguments.at
    around = Surroundings(arguments.address, not arguments.no_tls, arguments.application, arguments.read_replica)
    explained = explain_principal(snapshot, principal, tenant, now)
    for note in explained.notes:
        print(f"note: {note}", file=sys.stderr)
    if not explained.roles:
        print("note: no --role given and none assigned: without roles nothing is allowed", file=sys.stderr)
    return Subject(tenant, principal, explained, around, now)


def _configured_roles(user: str, config: GatewayConfig) -> frozenset[str] | None:
    """The roles of a service account or certificate; None: those of other users stand in their tokens."""
    account = config.auth.service_accounts.get(user) or config.auth.certificates.get(user)
    return None if account is None else account.roles


def _first_issuer(config: GatewayConfig) -> str:
    return config.auth.issuers[0].issuer if config.auth.issuers else ""


async def explain_on_target(
    text: str, config: GatewayConfig, snapshot: Snapshot, subject: Subject, why: bool
) -> Explanation:
    """With the catalog of the subject's target. why: also why no rows would come, which asks for rows there."""
    from admin.cli.explanation import explain_no_rows, explain_query
    from policy.second_lock import SETTING, claim_of, setting_value
    from proxy.gateway import database_of, place
    from proxy.postgres.backend import connect_backend
    from proxy.postgres.catalog_loader import load_catalog

    target, tenant = config.targets[subject.tenant.target], subject.tenant
    database = database_of(tenant, target)
    options = {"application_name": "tenantgate explain", "search_path": place(tenant, target)[2]}
    if target.native and claim_of(tenant):
        options[SETTING] = setting_value(claim_of(tenant), target.setting_key)
    backend = await connect_backend(target, database, protocol_options=options)
    try:
        catalog = await load_catalog(backend.query, database, 1, rely_on_locks=target.relies_on_locks)
        explanation = explain_query(text, snapshot, subject, catalog)
        return await explain_no_rows(explanation, snapshot, catalog, backend.query) if why else explanation
    finally:
        backend.close()
