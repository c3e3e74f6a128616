"""A shop in shared tables and its twin, a database with one tenant's rows only, and how statements are run on them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psycopg
from psycopg.pq import ExecStatus

from policy.access import Access, TableAccess
from policy.model import Isolation, TableClass, TableRule
from policy.sql.catalog import Catalog
from policy.sql.compile import compile_query
from policy.sql.plan import SlotValues, quote_literal, render
from policy.sql.shape import shape_of
from tests.harness.postgres import PostgresServer
from tests.harness.simple_query import load_catalog_from

HERE = Path(__file__).parent
SECRET = "GLOBEX-SECRET"
TENANTS = {"meters": "account"}
TABLES = ("customers orders items jobs events documents documents_archive meters", "Odd Name", "countries")
UUID = "00000000-0000-0000-0000-00000000acfe"


def _rules() -> dict[tuple[str, str], TableRule]:
    names = [*TABLES[0].split(), TABLES[1]]
    rules = {("public", n): TableRule("public", n, TableClass.TENANT, TENANTS.get(n, "tenant_id")) for n in names}
    for view in ("labelled", "totals"):
        rules["public", view] = TableRule("public", view, TableClass.TENANT, "tenant_id")
    return rules | {("public", "countries"): TableRule("public", "countries", TableClass.GLOBAL)}


ALL = TableAccess(read=True, write=True, copy=True)
OWNER = Access("owner", Isolation.SHARED, "main", ALL, {}, _rules())
ANALYST = replace(
    OWNER,
    id="analyst",
    tables={
        ("public", "customers"): TableAccess(
            read=True, write=True, row_filter="region = 'CH'", masks={"card": "left(card, 2) || '…'", "info": "NULL"}
        )
    },
)


def filtered(isolation: Isolation) -> Access:
    """In the tenant's own schema (public) or database, with row filters that do what the tenant test does."""
    tables = {
        (("" if isolation is Isolation.SCHEMA else "public"), name): TableAccess(
            read=True, write=True, copy=True, row_filter=f"{rule.tenant_column} = :tenant"
        )
        for (_, name), rule in OWNER.rules.items()
        if rule.table_class is TableClass.TENANT and name != "totals"
    }
    return Access(f"filtered {isolation.value}", isolation, "main", ALL, tables, {})


@dataclass(slots=True)
class Databases:
    shared: psycopg.Connection[Any]
    alone: psycopg.Connection[Any]
    catalog: Catalog


@contextlib.contextmanager
def shop_and_twin(postgres: PostgresServer) -> Iterator[Databases]:
    """Make both databases; they are left to the server, which the tests throw away."""
    everything = (HERE / "shop.sql").read_text()
    own, others = everything.split("-- :others\n")
    # ids collide on purpose, so the other tenant's rows of tables keyed by id alone are numbered differently
    for name, script in (("shop_shared", own + others), ("shop_alone", own)):
        postgres.create_database(name)
        with psycopg.connect(postgres.conninfo(name), autocommit=True) as connection:
            connection.execute(script.encode())
    shared, alone = (psycopg.connect(postgres.conninfo(n), autocommit=True) for n in ("shop_shared", "shop_alone"))
    yield Databases(shared, alone, asyncio.run(load_catalog_from(postgres.conninfo("shop_shared"))))
    shared.close()
    alone.close()


Result = tuple[str, list[str], list[tuple[str | None, ...]]]


def run(connection: psycopg.Connection[Any], statements: list[str]) -> list[Result]:
    """(status or SQLSTATE, column names, rows) of each statement, in one transaction that is rolled back."""
    connection.execute("BEGIN")
    out: list[Result] = []
    try:
        for statement in statements:
            result = connection.pgconn.exec_(statement.encode())
            if result.status == ExecStatus.FATAL_ERROR:
                out.append(((result.error_field(67) or b"").decode(), [result.error_message.decode()], []))
                break
            columns = [(result.fname(i) or b"").decode() for i in range(result.nfields)]
            rows = [
                tuple(v.decode() if (v := result.get_value(r, c)) is not None else None for c in range(result.nfields))
                for r in range(result.ntuples)
            ]
            out.append(
                (result.command_status.decode() if result.command_status else "", columns, sorted(rows, key=repr))
            )
    finally:
        connection.pgconn.exec_(b"ROLLBACK")
    return out


def rewritten(sql: str, access: Access, catalog: Catalog) -> list[str]:
    schema = "public" if access.isolation is Isolation.SCHEMA else ""
    query = compile_query(sql, access, catalog, schema=schema)
    assert query.denial is None, f"{query.denial} {query.denial and query.denial.detail}"
    values = SlotValues(quote_literal("acme"), f'"{schema}"', quote_literal("alice"), {})
    if "meters" in sql:
        values = replace(values, tenant=quote_literal(UUID))
    shape = shape_of(sql) if query.by_shape else None
    return [render(plan, values, shape.literals if shape else ()) for plan in query.plans]
