"""The corpus's fixture database on a real server, and the policy that classifies it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import psycopg
import yaml

from tests.harness.postgres import PostgresServer
from tests.security import corpus

TEMPLATE = "fixture"
DATABASE = "case_x"
BACKEND_ROLE = "app_rw"
OWNER_ROLE = "app_owner"
TARGET = "main"
TENANTS = ("acme", "globex")


def create_fixture(server: PostgresServer, password: str) -> None:
    """Build the template database and set the backend role's password; the runner's `Env` makes the others."""
    server.create_database(TEMPLATE)
    with psycopg.connect(server.conninfo(TEMPLATE), autocommit=True) as connection:
        connection.pgconn.exec_((corpus.require() / "schema.sql").read_bytes())
        for role in (BACKEND_ROLE, OWNER_ROLE):
            _exec(connection, f"ALTER ROLE {role} PASSWORD '{password}'")


def copy_database(server: PostgresServer, template: str, name: str) -> None:
    """Copy a database file by file: the copy keeps every oid."""
    server.drop_database(name)
    server.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}" STRATEGY FILE_COPY')


def _exec(connection: psycopg.Connection[Any], sql: str) -> None:
    result = connection.pgconn.exec_(sql.encode())
    assert result.status != psycopg.pq.ExecStatus.FATAL_ERROR, result.error_message.decode()


def policy_document(isolation: str = "shared") -> dict[str, object]:
    """The policy document of the fixture: acme and globex, one role that may read and write."""
    tenancy = corpus.tenancy()
    tenants: dict[str, dict[str, str]] = {
        name: {"isolation": isolation, "target": TARGET, "database": DATABASE} for name in TENANTS
    }
    for name in TENANTS:
        if isolation == "shared":
            tenants[name]["value"] = name
        if isolation == "schema":
            tenants[name]["schema"] = tenancy["schema_mode"][name]
    if isolation == "database":
        tenants["globex"]["database"] = tenancy["database_mode"]["globex"]
    document: dict[str, object] = {
        "tenants": tenants,
        "roles": {"app": {"permissions": ["table:*:read", "table:*:write", "table:*:copy"]}},
    }
    if isolation == "shared":
        document["tables"] = {TARGET: _tables(tenancy)}
    return document


def policy_text(isolation: str = "shared") -> str:
    return yaml.safe_dump(policy_document(isolation), allow_unicode=True)


def _tables(tenancy: Mapping[str, Any]) -> dict[str, dict[str, object]]:
    tables: dict[str, dict[str, object]] = {
        f"public.{table}": {"tenant_column": column} for table, column in tenancy["tenant_tables"].items()
    }
    tables |= {f"public.{table}": {"global": True} for table in tenancy["global_tables"]}
    denied = [*tenancy["denied_tables"], *tenancy["denied_relations"]]
    tables["public.invoice_no_seq"] = {"sequence": True}
    return tables | {f"public.{table}": {"denied": True} for table in denied}
