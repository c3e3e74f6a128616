"""A small shared database as a Catalog, roles as Access, and how to compile and read the outcome in one line."""

from __future__ import annotations

from dataclasses import replace

from policy.access import NO_ACCESS, Access, TableAccess
from policy.errors import StatementRefused
from policy.model import Isolation, TableClass, TableRule
from policy.sql.catalog import Catalog, Column, Relation
from policy.sql.compile import compile_query
from policy.sql.plan import CompiledQuery, Plan, SlotValues, quote_literal, render
from policy.sql.shape import shape_of

ORDERS = ("tenant_id text", "id integer", "customer_id integer", "total numeric", "status text", "note text")
CUSTOMERS = ("tenant_id text", "id integer", "name text", "region text", "card text")
EVENTS = ("account uuid", "at timestamp with time zone", "kind text")

_BUILTINS = "now lower upper count sum avg min max left right random set_config current_setting coalesce pg_sleep"


def _relation(oid: int, schema: str, name: str, columns: tuple[str, ...], key: tuple[str, ...] = ()) -> Relation:
    made = tuple(Column(c.split(" ", 1)[0], 0, c.split(" ", 1)[1]) for c in columns)
    return Relation(oid, schema, name, "r", made, primary_key=key, unique_keys=(key,) if key else ())


RELATIONS = (
    _relation(16401, "public", "orders", ORDERS, ("tenant_id", "id")),
    _relation(16402, "public", "customers", CUSTOMERS, ("tenant_id", "id")),
    _relation(16403, "public", "events", EVENTS),
    _relation(16404, "public", "countries", ("code text", "name text"), ("code",)),
    _relation(16405, "public", "exports", ("id integer", "payload text")),
    _relation(16406, "public", "secrets", ("id integer",)),
    _relation(16411, "initech", "orders", ORDERS[1:], ("id",)),
    _relation(16412, "initech", "customers", CUSTOMERS[1:], ("id",)),
    _relation(16421, "globex", "orders", ORDERS[1:], ("id",)),
)
CATALOG = Catalog(
    version=1,
    database="app",
    server_version=180006,
    relations={(r.schema, r.name): r for r in RELATIONS},
    user_functions=frozenset({"newest_secret"}),
    user_types=frozenset({"mood"}),
    builtin_functions=frozenset(_BUILTINS.split()),
    system_columns={"pg_catalog.pg_class": ("oid", "relname", "relkind")},
)
RULES = {
    ("public", "orders"): TableRule("public", "orders", TableClass.TENANT, "tenant_id"),
    ("public", "customers"): TableRule("public", "customers", TableClass.TENANT, "tenant_id"),
    ("public", "events"): TableRule("public", "events", TableClass.TENANT, "account"),
    ("public", "countries"): TableRule("public", "countries", TableClass.GLOBAL),
    ("public", "secrets"): TableRule("public", "secrets", TableClass.DENIED),
}
EVERYTHING = TableAccess(read=True, write=True, copy=True, reasons=("owner",))
SHARED = Access("shared", Isolation.SHARED, "main", EVERYTHING, {}, RULES)
ANALYST = replace(
    SHARED,
    id="analyst",
    tables={
        ("public", "customers"): TableAccess(
            read=True,
            row_filter="region = :attr_region",
            masks={"card": "'****' || right(card, 4)", "name": "NULL"},
            reasons=("analyst",),
        ),
        ("public", "events"): NO_ACCESS,
    },
)
SCHEMA = Access("schema", Isolation.SCHEMA, "main", EVERYTHING, {}, {})
SCHEMA_DDL = replace(SCHEMA, id="schema-ddl", ddl=True)
SCHEMA_CODE = replace(SCHEMA_DDL, id="schema-code", code=True)
DATABASE = Access("database", Isolation.DATABASE, "main", EVERYTHING, {}, {})
DATABASE_DDL = replace(DATABASE, id="database-ddl", ddl=True)
DATABASE_CODE = replace(DATABASE_DDL, id="database-code", code=True)
VALUES = SlotValues(quote_literal("acme"), '"initech"', quote_literal("alice"), {"region": "'EU'"})


def compiled(sql: str, access: Access = SHARED) -> CompiledQuery:
    return compile_query(sql, access, CATALOG, schema="initech" if access.isolation is Isolation.SCHEMA else "")


def plan_of(sql: str, access: Access = SHARED) -> Plan:
    """The plan of the only statement."""
    (plan,) = compiled(sql, access).plans
    return plan


def becomes(sql: str, access: Access = SHARED) -> str:
    """What is sent for a query string, statements joined by `; `."""
    query = compiled(sql, access)
    if query.denial is not None:
        raise query.denial
    shape = shape_of(sql) if query.by_shape else None
    literals = shape.literals if shape is not None else ()
    return "; ".join(render(plan, VALUES, literals) for plan in query.plans)


def denial(sql: str, access: Access = SHARED) -> StatementRefused:
    """The error of a query string that has to be refused."""
    found = compiled(sql, access).denial
    assert found is not None, f"not refused, but became: {becomes(sql, access)}"
    return found
