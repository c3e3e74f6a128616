"""`tenantgate explain`: what a statement becomes for a tenant and roles, which rules applied, or why it is refused."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from admin.cli.options import add_command, add_config_option, name_and_value

if TYPE_CHECKING:
    from policy.model import Principal, Tenant
    from policy.snapshot import Snapshot
    from policy.sql.catalog import Catalog
    from proxy.config import GatewayConfig, TargetConfig

MAX_STATEMENT_BYTES = 8 * 1024 * 1024

_EPILOG = """\
Connects to the tenant's target to read its catalog; the statement itself is not run.
exit status: 0 it would be sent, 1 it would be refused, 2 something cannot be used or reached

examples:
  tenantgate explain -c tenantgate.toml --tenant acme --user alice --role analyst "SELECT * FROM orders"
  tenantgate explain --tenant acme --user alice --role sales --attr region=eu "SELECT count(*) FROM orders"
  tenantgate explain --tenant acme --user reporting --json - < query.sql
"""


@dataclass(frozen=True, slots=True)
class Subject:
    """For whom a statement is explained."""

    tenant: Tenant
    principal: Principal
    unknown_roles: tuple[str, ...]


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `explain` to the command line."""
    parser = add_command(subparsers, "explain", "show what a statement becomes, and why", _EPILOG)
    add_config_option(parser)
    parser.add_argument("--tenant", required=True, metavar="ID", help="the tenant's id")
    parser.add_argument("--user", required=True, metavar="WHO", help="the subject; a service account brings its roles")
    parser.add_argument("--role", action="append", default=[], metavar="NAME", help="a role; may be repeated")
    parser.add_argument(
        "--attr", action="append", default=[], type=name_and_value, metavar="NAME=VALUE", help="value of :attr_NAME"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("sql", metavar="SQL", help="one or more statements; - reads them from standard input")
    parser.set_defaults(run=run, error=parser.error)


def run(arguments: argparse.Namespace) -> int:
    """Load configuration, policy and catalog; compile; print."""
    from admin.cli.explanation import explain_query, print_explanation
    from policy.document import load_policy
    from proxy.config_file import read_config

    text = _read_sql(arguments)
    reading = read_config(arguments.config, os.environ)
    config = reading.config
    if config is None:
        from policy.errors import ConfigurationError

        raise ConfigurationError(reading.problems)
    snapshot = load_policy(config.policy_file, version=1, targets=config.targets.keys(), databases=reading.databases)
    subject = _subject(arguments, config, snapshot)
    catalog = asyncio.run(_load_catalog(config.targets[subject.tenant.target], subject.tenant))
    explanation = explain_query(text, snapshot, subject, catalog)
    if arguments.json:
        print(json.dumps(explanation.as_dict(), indent=2, ensure_ascii=False))
    else:
        print_explanation(explanation, text, sys.stdout)
    return 1 if explanation.refused else 0


def _read_sql(arguments: argparse.Namespace) -> str:
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


def _subject(arguments: argparse.Namespace, config: GatewayConfig, snapshot: Snapshot) -> Subject:
    from policy.model import Principal, TenantStatus
    from policy.problems import did_you_mean
    from policy.rbac import unknown_roles

    tenant = snapshot.tenants.get(arguments.tenant)
    if tenant is None:
        hint = did_you_mean(arguments.tenant, snapshot.tenants)
        arguments.error(f"the policy has no tenant {arguments.tenant!r}. {hint}")
        raise AssertionError("error() exits")
    if tenant.status is TenantStatus.SUSPENDED:
        print(f"note: tenant {tenant.id} is suspended: nobody can log in", file=sys.stderr)
    roles = frozenset(arguments.role) or _configured_roles(arguments.user, config)
    if not roles:
        print("note: no --role given: without roles nothing is allowed", file=sys.stderr)
    principal = Principal(
        subject=arguments.user,
        tenants=frozenset({tenant.id}),
        roles=roles,
        method="explain",
        attributes=dict(arguments.attr),
    )
    return Subject(tenant, principal, unknown_roles(snapshot, roles))


def _configured_roles(user: str, config: GatewayConfig) -> frozenset[str]:
    """The roles of a service account or certificate; those of other users stand in their tokens."""
    account = config.auth.service_accounts.get(user) or config.auth.certificates.get(user)
    return frozenset() if account is None else account.roles


async def _load_catalog(target: TargetConfig, tenant: Tenant) -> Catalog:
    from proxy.postgres.backend import connect_backend
    from proxy.postgres.catalog_loader import load_catalog

    database = tenant.database or target.database
    backend = await connect_backend(target, database, protocol_options={"application_name": "tenantgate explain"})
    try:
        return await load_catalog(backend.query, database, 1, rely_on_locks=target.relies_on_locks)
    finally:
        backend.close()
