"""What compiling the samples shows: one outcome for each isolation strategy.

The relations here are made up: `orders` and `customers` with a tenant column, `countries` that all tenants share, a
view and a materialised view. No server is asked.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from functools import cache

from policy.access import Access, TableAccess
from policy.errors import StatementRefused
from policy.model import Isolation, TableClass, TableRule
from policy.sql import builtin_functions as builtin
from policy.sql.catalog import Catalog, Column, Relation
from policy.sql.compile import compile_query
from policy.sql.plan import SlotValues, render
from policy.sql.shape import shape_of


class Became(Enum):
    """What a statement comes to."""

    PASSED = "passed"  # sent as it is
    REWRITTEN = "rewritten"
    VIRTUAL = "virtual"  # answered from what the tenant may see of the catalogs
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Verdict:
    """`refusal`: the error, when refused."""

    became: Became
    refusal: StatementRefused | None = None


class Strategy(Enum):
    """A column of the table."""

    SHARED = "shared"
    SCHEMA = "schema"
    DATABASE = "database"
    ALONE = "database, alone"  # on its target: stored code is allowed

    @property
    def isolation(self) -> Isolation:
        return Isolation.DATABASE if self is Strategy.ALONE else Isolation(self.value)


STRATEGIES = tuple(Strategy)
_SCHEMA = "initech"
_ORDERS = "id integer", "customer_id integer", "total numeric", "status text", "note text"
_CUSTOMERS = "id integer", "name text"
_EVERYTHING = TableAccess(read=True, write=True, copy=True)
_VALUES = SlotValues("'acme'", f'"{_SCHEMA}"', "'alice'", {}, namespace="tg_sample", lock_key="sample")


def judge(sql: str, strategy: Strategy) -> Verdict:
    """Compile a sample as a tenant with every permission. Of several statements, the first refused one counts."""
    schema = _SCHEMA if strategy is Strategy.SCHEMA else ""
    compiled = compile_query(sql, _access(strategy), catalog(), schema=schema)
    if compiled.denial is not None:
        return Verdict(Became.REFUSED, compiled.denial)
    shape = shape_of(sql) if compiled.by_shape else None
    literals = () if shape is None else shape.literals
    if all(render(p, _VALUES, literals) == p.original and p.copy_stamp is None for p in compiled.plans):
        return Verdict(Became.PASSED)
    reached = [name for plan in compiled.plans for name in plan.relations]
    virtual = any(name.startswith(("pg_catalog.", "information_schema.")) for name in reached)
    return Verdict(Became.VIRTUAL if virtual else Became.REWRITTEN)


@cache
def _access(strategy: Strategy) -> Access:
    shared = strategy is Strategy.SHARED
    rules = {
        ("public", "orders"): TableRule("public", "orders", TableClass.TENANT, "tenant_id"),
        ("public", "customers"): TableRule("public", "customers", TableClass.TENANT, "tenant_id"),
        ("public", "order_totals"): TableRule("public", "order_totals", TableClass.TENANT, "tenant_id", trusted=True),
        ("public", "countries"): TableRule("public", "countries", TableClass.GLOBAL),
    }
    return Access(
        "sample", strategy.isolation, "main", _EVERYTHING, {}, rules if shared else {},
        ddl=True, code=strategy is Strategy.ALONE,
    )  # fmt: skip


@cache
def catalog() -> Catalog:
    relations = [
        relation
        for schema, columns in (("public", ("tenant_id text",)), (_SCHEMA, ()))
        for relation in (
            _relation(schema, "orders", "r", (*columns, *_ORDERS), (*(c.split()[0] for c in columns), "id")),
            _relation(schema, "customers", "r", (*columns, *_CUSTOMERS), (*(c.split()[0] for c in columns), "id")),
            _view(schema, "open_orders", (*columns, *_ORDERS)),
            _relation(schema, "order_totals", "m", (*columns, "total numeric")),
            _relation(schema, "countries", "r", ("code text", "name text"), ("code",)),
        )
    ]
    return Catalog(
        version=1,
        database="app",
        server_version=180000,
        relations={(r.schema, r.name): r for r in relations},
        builtin_functions=_all_functions(),
        schemas=frozenset({"public", _SCHEMA}),
        system_columns={
            "pg_catalog.pg_class": ("oid", "relname", "relnamespace", "relkind"),
            "information_schema.tables": ("table_catalog", "table_schema", "table_name"),
        },
    )


def _relation(schema: str, name: str, kind: str, columns: tuple[str, ...], key: tuple[str, ...] = ()) -> Relation:
    made = tuple(Column(c.split()[0], 0, c.split()[1]) for c in columns)
    oid = 16384 + len(name) * 2 + (schema == _SCHEMA)
    keys = ((key,), (f"{name}_pkey",)) if key else ((), ())
    return Relation(oid, schema, name, kind, made, primary_key=key, unique_keys=keys[0], unique_key_names=keys[1])


def _view(schema: str, name: str, columns: tuple[str, ...]) -> Relation:
    """A view of some rows of orders."""
    listed = ", ".join(f"orders.{c.split()[0]}" for c in columns)
    definition = f" SELECT {listed}\n   FROM {schema}.orders\n  WHERE orders.status = 'open'::text;"  # noqa: S608
    return replace(_relation(schema, name, "v", columns), definition=definition)


def _all_functions() -> frozenset[str]:
    return builtin.ALLOWED.union(
        builtin.GUARDED_BY_OID, builtin.PRIVILEGE_TESTS, builtin.NAME_RESOLVERS, builtin.SEQUENCES,
        builtin.CHANNELS, builtin.ADVISORY_LOCKS, builtin.OWN_DATABASE_ONLY,
    )  # fmt: skip
