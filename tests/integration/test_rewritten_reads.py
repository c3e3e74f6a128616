"""What statements become, run on a real server: the answers are those of a database with the tenant's rows only.

Each line of `reads.sql` is compiled as tenant acme and run on a database of two tenants, and as it is on a copy without
the other tenant's rows: columns, rows and SQLSTATEs must be equal.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
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
READS = [line for line in (HERE / "reads.sql").read_text().splitlines() if line]
SECRET = "GLOBEX-SECRET"
TENANTS = {"meters": "account"}
TABLES = ("customers orders items jobs events documents documents_archive meters", "Odd Name", "countries")
UUID = "00000000-0000-0000-0000-00000000acfe"


def _rules() -> dict[tuple[str, str], TableRule]:
    names = [*TABLES[0].split(), TABLES[1]]
    rules = {("public", n): TableRule("public", n, TableClass.TENANT, TENANTS.get(n, "tenant_id")) for n in names}
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


@dataclass(slots=True)
class Databases:
    shared: psycopg.Connection[Any]
    alone: psycopg.Connection[Any]
    catalog: Catalog


@pytest.fixture(scope="module")
def databases(postgres: PostgresServer) -> Iterator[Databases]:
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


def _run(connection: psycopg.Connection[Any], statements: list[str]) -> list[Result]:
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


def _rewritten(sql: str, access: Access, catalog: Catalog) -> list[str]:
    query = compile_query(sql, access, catalog)
    assert query.denial is None, f"{query.denial} {query.denial and query.denial.detail}"
    values = SlotValues(quote_literal("acme"), '""', quote_literal("alice"), {})
    if "meters" in sql:
        values = replace(values, tenant=quote_literal(UUID))
    shape = shape_of(sql) if query.by_shape else None
    return [render(plan, values, shape.literals if shape else ()) for plan in query.plans]


def _comparable(results: list[Result]) -> list[Result]:
    """An error's text is compared by its SQLSTATE only: it may name the position in another text."""
    return [(status, columns if rows or len(status) != 5 else [], rows) for status, columns, rows in results]


@pytest.mark.parametrize("sql", READS)
def test_the_answer_is_that_of_a_database_with_own_rows_only(sql: str, databases: Databases) -> None:
    sent = _rewritten(sql, OWNER, databases.catalog)
    got = _run(databases.shared, sent)
    assert SECRET not in repr(got)
    if "nope" not in sql and "BEGIN" not in sql:
        own_transaction = [s for s in sql.split("; ") if s]
        expected = _run(databases.alone, own_transaction)
        assert _comparable(got) == _comparable(expected), sent


@pytest.mark.parametrize("sql", [sql for sql in READS if "customers" in sql])
def test_masked_values_and_filtered_rows_are_never_seen(sql: str, databases: Databases) -> None:
    if compile_query(sql, ANALYST, databases.catalog).denial is not None:
        return
    got = repr(_run(databases.shared, _rewritten(sql, ANALYST, databases.catalog)))
    assert "ACME-CARD" not in got
    assert "deep" not in got
    assert SECRET not in got


LEAKY = [
    "SELECT id FROM {t} WHERE has_schema_privilege({c}, 'usage')",
    "SELECT id FROM {t} WHERE {c}::int > 0",
    "SELECT id FROM {t} o WHERE {c}::date > now() FOR UPDATE",
    "SELECT * FROM (SELECT {c}::int AS x FROM {t}) s WHERE x > 0",
    "WITH s AS (SELECT * FROM {t}) SELECT * FROM s WHERE {c}::int > 0",
    "SELECT a.id FROM {t} a JOIN {t} b ON a.{c}::int = b.id",
    "SELECT id FROM {t} GROUP BY id HAVING max({c})::int > 0",
    "SELECT (SELECT 1 FROM {t} WHERE {c}::int > 0)",
    "SELECT id FROM {t} UNION SELECT {c}::int FROM {t}",
    "SELECT id FROM {t} WHERE id IN (SELECT {c}::int FROM {t})",
    "SELECT id FROM {t} ORDER BY {c}::int",
]


@pytest.mark.parametrize("sql", LEAKY)
@pytest.mark.parametrize(("table", "column"), [("orders", "note"), ("customers", "name"), ("jobs", "body")])
def test_no_error_shows_a_value_of_another_tenant(sql: str, table: str, column: str, databases: Databases) -> None:
    query = compile_query(sql.format(t=table, c=column), OWNER, databases.catalog)
    if query.denial is not None:
        return
    got = _run(databases.shared, _rewritten(sql.format(t=table, c=column), OWNER, databases.catalog))
    assert SECRET not in repr(got)
