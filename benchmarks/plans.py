"""What rewriting costs: compiling a statement, keeping and finding its plan, and what it adds inside PostgreSQL.

python -m benchmarks.plans [--rounds N] [--json FILE]

Exit code 1 when a mark is missed: a statement of leakproof functions only runs as the one written by hand with the
tenant's predicate does (the same plan, at most 1.02 of its time), and no form is slower than row-level security.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import secrets
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import psycopg

from policy.access import Access, TableAccess
from policy.model import Isolation, TableClass, TableRule
from policy.sql.catalog import Catalog
from policy.sql.compile import compile_query
from policy.sql.plan import SlotValues, render
from policy.sql.shape import shape_of
from proxy.plans.cache import PlanScope
from proxy.plans.room import PlanRoom
from tests.harness.postgres import PostgresServer
from tests.harness.simple_query import load_catalog_from

TENANTS, ROWS = 8, 40_000  # of orders, by tenant
SCHEMA = f"""
CREATE TABLE nation (n_nationkey int PRIMARY KEY, n_name text);
CREATE TABLE customer (tenant_id text, c_custkey int, c_name text, c_nationkey int, c_mktsegment text, c_note text,
    PRIMARY KEY (tenant_id, c_custkey));
CREATE TABLE orders (tenant_id text, o_orderkey int, o_custkey int, o_orderdate date, o_shippriority int,
    o_totalprice numeric, PRIMARY KEY (tenant_id, o_orderkey));
CREATE TABLE lineitem (tenant_id text, l_orderkey int, l_linenumber int, l_extendedprice numeric, l_discount numeric,
    l_shipdate date, PRIMARY KEY (tenant_id, l_orderkey, l_linenumber));
INSERT INTO nation SELECT n, 'nation ' || n FROM generate_series(1, 25) n;
INSERT INTO customer SELECT 't' || t, n, 'customer ' || n, n % 25 + 1, (ARRAY['BUILDING', 'AUTO', 'FOOD'])[n % 3 + 1], n
    FROM generate_series(1, {TENANTS}) t, generate_series(1, {ROWS // 10}) n;
INSERT INTO orders SELECT 't' || t, n, n % {ROWS // 10} + 1, date '1992-01-01' + n % 2400, 0, n % 1000
    FROM generate_series(1, {TENANTS}) t, generate_series(1, {ROWS}) n;
INSERT INTO lineitem SELECT 't' || t, n, l, n % 900, 0.05, date '1992-01-01' + (n + l) % 2500
    FROM generate_series(1, {TENANTS}) t, generate_series(1, {ROWS}) n, generate_series(1, 3) l;
"""
TABLES = ("customer", "orders", "lineitem")
Q3 = """SELECT l_orderkey, sum(l_extendedprice * (1 - l_discount)) AS revenue, o_orderdate, o_shippriority
FROM customer c, orders o, lineitem l
WHERE c.c_mktsegment = 'BUILDING' AND c.c_custkey = o.o_custkey AND l.l_orderkey = o.o_orderkey
  AND o.o_orderdate < '1995-03-15' AND l.l_shipdate > '1995-03-15'
GROUP BY l_orderkey, o_orderdate, o_shippriority ORDER BY revenue DESC, o_orderdate LIMIT 10"""
JOIN = """SELECT c.c_name, o.o_totalprice, l.l_extendedprice FROM customer c JOIN orders o ON o.o_custkey = c.c_custkey
JOIN lineitem l ON l.l_orderkey = o.o_orderkey WHERE c.c_custkey = 77"""


@dataclass(frozen=True, slots=True)
class Statement:
    """A client's statement, and the same with the tenant's predicate as one writes it by hand (%s: the test)."""

    name: str
    sql: str
    by_hand: str
    leakproof: bool = True


def _by_hand(sql: str, clause: str, names: str) -> str:
    tests = " AND ".join(f"{name + '.' if name else ''}tenant_id = 't3'" for name in names.split(","))
    return sql.replace(clause, f"{clause} {tests} AND", 1)


_POINT = "SELECT * FROM orders WHERE o_orderkey = 77"
_RANGE = "SELECT count(*), sum(o_totalprice) FROM orders WHERE o_orderkey BETWEEN 1000 AND 30000"
_LEAKY = "SELECT count(*) FROM orders WHERE 1 / o_orderkey < 5"
_LEAKY_NONE = "SELECT count(*) FROM orders WHERE 1 / o_orderkey > 5"
_LEAKY_KEY = "SELECT * FROM orders WHERE o_orderkey = 77 AND 1 / o_orderkey < 5"
_LEAKY_JOIN = """SELECT count(*) FROM orders o JOIN customer c ON c.c_custkey = o.o_custkey
WHERE o.o_orderkey < 3000 AND 1 / o.o_orderkey < 5"""
_LEAKY_ON = """SELECT count(*) FROM orders o JOIN customer c ON lower(c.c_name) = 'customer ' || o.o_custkey
WHERE o.o_orderkey < 3000"""
_UPDATE = "UPDATE orders SET o_shippriority = 1 WHERE o_orderkey = 77"
_LEAKY_UPDATE = "UPDATE orders SET o_shippriority = 1 WHERE o_orderkey < 2000 AND 1 / o_orderkey < 5"
_LEAKY_KEY_UPDATE = "UPDATE orders SET o_shippriority = 1 WHERE o_orderkey = 77 AND 1 / o_orderkey < 5"
STATEMENTS = (
    Statement("point", _POINT, _by_hand(_POINT, "WHERE", "")),
    Statement("range", _RANGE, _by_hand(_RANGE, "WHERE", "")),
    Statement("three-way join", JOIN, _by_hand(JOIN, "WHERE", "c,o,l")),
    Statement("TPC-H 3", Q3, _by_hand(Q3, "WHERE", "c,o,l")),
    Statement("UPDATE by key", _UPDATE, _by_hand(_UPDATE, "WHERE", "")),
    Statement("leaky scan: COALESCE", _LEAKY, _by_hand(_LEAKY, "WHERE", ""), leakproof=False),
    Statement("the same, none passes", _LEAKY_NONE, _by_hand(_LEAKY_NONE, "WHERE", ""), leakproof=False),
    Statement("leaky, by key: COALESCE", _LEAKY_KEY, _by_hand(_LEAKY_KEY, "WHERE", ""), leakproof=False),
    Statement("leaky join: COALESCE", _LEAKY_JOIN, _by_hand(_LEAKY_JOIN, "WHERE", "o,c"), leakproof=False),
    Statement("leaky ON: OFFSET 0", _LEAKY_ON, _by_hand(_LEAKY_ON, "WHERE", "o,c"), leakproof=False),
    Statement("leaky UPDATE: CASE", _LEAKY_UPDATE, _by_hand(_LEAKY_UPDATE, "WHERE", ""), leakproof=False),
    Statement(
        "leaky UPDATE by key: CASE", _LEAKY_KEY_UPDATE, _by_hand(_LEAKY_KEY_UPDATE, "WHERE", ""), leakproof=False
    ),
)
VALUES = SlotValues("'t3'", '""', "'bench'", {})
RATIO_MARK = 1.02
NOISE_MS = 0.02  # below, a difference is the clock's


def main() -> int:
    """Exit code 0: all marks met, 1: one is missed."""
    arguments = _arguments()
    server = PostgresServer("embedded")
    server.start()
    try:
        report = _measure(server, arguments.rounds)
    finally:
        server.stop()
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=1) + "\n")
    _print(report)
    return 0 if all(row["met"] for row in report["inside"]) else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.plans", description=__doc__)
    parser.add_argument("--rounds", type=int, default=25, help="executions of each form (default 25)")
    parser.add_argument("--json", type=Path, help="write the report there, too")
    return parser.parse_args()


def _measure(server: PostgresServer, rounds: int) -> dict[str, Any]:
    password = secrets.token_hex(8)
    server.create_database("plans")
    conninfo = server.conninfo("plans")
    with psycopg.connect(conninfo, autocommit=True) as admin:
        admin.execute(SCHEMA)
        admin.execute("VACUUM ANALYZE")
        catalog = asyncio.run(load_catalog_from(conninfo))
        scope = PlanScope(_access(), catalog, "", PlanRoom(64 << 20))
        compiling = [_compiling(s, scope) for s in STATEMENTS if s.name in ("point", "three-way join", "TPC-H 3")]
        _make_native(admin, password)
        native = server.conninfo("plans", user="native", password=password)
        with psycopg.connect(native, autocommit=True) as locked:
            for connection in (admin, locked):
                connection.execute("SET max_parallel_workers_per_gather = 0; SET jit = off")
            locked.execute("SET app.tenant = 't3'")
            inside = [_inside(s, catalog, admin, locked, rounds) for s in STATEMENTS]
    return {"compiling": compiling, "inside": inside}


def _access() -> Access:
    rules = {("public", t): TableRule("public", t, TableClass.TENANT, "tenant_id") for t in TABLES}
    rules["public", "nation"] = TableRule("public", "nation", TableClass.GLOBAL)
    return Access("bench", Isolation.SHARED, "main", TableAccess(read=True, write=True), {}, rules)


def _make_native(admin: psycopg.Connection[Any], password: str) -> None:
    admin.execute(f"CREATE ROLE native LOGIN PASSWORD '{password}'")
    for table in TABLES:
        admin.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        admin.execute(f"CREATE POLICY own ON {table} USING (tenant_id = current_setting('app.tenant'))")
    admin.execute("GRANT ALL ON ALL TABLES IN SCHEMA public TO native")


# -- compiling ----------------------------------------------------------------------------------------------------


def _compiling(statement: Statement, scope: PlanScope) -> dict[str, Any]:
    """Milliseconds of processor time for a cold plan, nanoseconds for a warm one, bytes of a kept one."""
    texts = [statement.sql + " " * n for n in range(300)]
    cold = sorted(_timed(lambda text=text: scope.compile(text), time.process_time) * 1e3 for text in texts)  # type: ignore[misc]
    compiled, _ = scope.plan(statement.sql)
    again = [_timed(lambda: [scope.plan(statement.sql) for _ in range(500)], time.process_time) for _ in range(20)]
    return {
        "name": statement.name,
        "cold_median_ms": median(cold),
        "cold_p99_ms": quantiles(cold, n=100)[98],
        "warm_ns": min(again) / 500 * 1e9,
        "plan_bytes": _size(compiled, set()),
    }


def _timed(work: Callable[[], object], clock: Callable[[], float]) -> float:
    began = clock()
    work()
    return clock() - began


def _size(value: Any, seen: set[int]) -> int:
    """Bytes of a plan and what only it holds: enums, small constants and shared strings count once."""
    if id(value) in seen:
        return 0
    seen.add(id(value))
    parts: list[Any] = []
    if is_dataclass(value):
        parts = [getattr(value, field.name) for field in fields(value)]
    elif isinstance(value, tuple | frozenset):
        parts = list(value)
    return sys.getsizeof(value) + sum(_size(part, seen) for part in parts)


# -- inside PostgreSQL --------------------------------------------------------------------------------------------


def _inside(
    statement: Statement,
    catalog: Catalog,
    admin: psycopg.Connection[Any],
    locked: psycopg.Connection[Any],
    rounds: int,
) -> dict[str, Any]:
    """The quickest of the rounds for each form, in ms of execution; forms take turns."""
    rewritten = _rewritten(statement.sql, catalog)
    forms = {"by hand": (admin, statement.by_hand), "rewritten": (admin, rewritten), "native": (locked, statement.sql)}
    times: dict[str, list[float]] = {form: [] for form in forms}
    shapes: dict[str, Any] = {}
    for _ in range(rounds):
        for form, (connection, sql) in forms.items():
            plan = _explain(connection, sql)
            times[form].append(plan["Execution Time"])
            shapes[form] = _nodes(plan["Plan"])
    best = {form: min(found) for form, found in times.items()}
    same = shapes["rewritten"] == shapes["by hand"]
    close = best["rewritten"] <= best["by hand"] * RATIO_MARK + NOISE_MS
    not_slower = best["rewritten"] <= best["native"] * RATIO_MARK + NOISE_MS
    return {
        "name": statement.name,
        "ms": best,
        "ratio": best["rewritten"] / best["by hand"],
        "to_native": best["rewritten"] / best["native"],
        "same_plan": same,
        "met": not_slower and (not statement.leakproof or (same and close)),
    }


def _rewritten(sql: str, catalog: Catalog) -> str:
    compiled = compile_query(sql, _access(), catalog)
    if compiled.denial is not None:
        raise compiled.denial
    shape = shape_of(sql) if compiled.by_shape else None
    return render(compiled.plans[0], VALUES, shape.literals if shape is not None else ())


def _explain(connection: psycopg.Connection[Any], sql: str) -> dict[str, Any]:
    """Run it in a transaction that is taken back."""
    with connection.transaction(force_rollback=True):
        row = connection.execute(f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {sql}").fetchone()
    assert row is not None
    plan: dict[str, Any] = row[0][0]
    return plan


def _nodes(plan: dict[str, Any]) -> tuple[Any, ...]:
    """The plan's shape: its nodes with their indexes and conditions of indexes."""
    return (plan["Node Type"], plan.get("Index Name"), *(_nodes(child) for child in plan.get("Plans", ())))


def _print(report: dict[str, Any]) -> None:
    print(f"{'statement':<28}{'cold ms':>9}{'p99':>8}{'warm ns':>9}{'bytes':>8}")
    for row in report["compiling"]:
        print(
            f"{row['name']:<28}{row['cold_median_ms']:>9.2f}{row['cold_p99_ms']:>8.2f}"
            f"{row['warm_ns']:>9.0f}{row['plan_bytes']:>8}"
        )
    print(f"\n{'inside PostgreSQL, ms':<28}{'by hand':>9}{'rewritten':>11}{'ratio':>7}{'native':>9}{'ratio':>7}  plan")
    for row in report["inside"]:
        ms = row["ms"]
        print(
            f"{row['name']:<28}{ms['by hand']:>9.3f}{ms['rewritten']:>11.3f}{row['ratio']:>7.2f}{ms['native']:>9.3f}"
            f"{row['to_native']:>7.2f}  {'same' if row['same_plan'] else 'another'}{'' if row['met'] else '  MISSED'}"
        )


if __name__ == "__main__":
    sys.exit(main())
