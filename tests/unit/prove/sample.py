"""A small schema for tests of the prover's pure parts."""

from __future__ import annotations

from admin.prove.model import Column, ForeignKey, Schema, Table

CUSTOMERS = Table(
    "public",
    "customers",
    (
        Column("tenant_id", "text", "text", not_null=True, tenant=True, samples=("acme",), strange=("globex",)),
        Column("id", "int", "integer", not_null=True, samples=("1", "2", "3")),
        Column("name", "text", "text", not_null=True, samples=("Ann", "O'Brien"), strange=("Gil",)),
        Column("balance", "numeric", "numeric", samples=("10.50",)),
        Column("since", "date", "date", samples=("2025-03-01",)),
        Column("attrs", "jsonb", "jsonb", samples=('{"n": 1}',)),
    ),
    primary_key=("tenant_id", "id"),
    keys=(("tenant_id", "id"),),
    constraints=(("customers_pkey", ("tenant_id", "id")),),
    writable=True,
)
ORDERS = Table(
    "public",
    "orders",
    (
        Column("tenant_id", "text", "text", not_null=True, tenant=True, samples=("acme",)),
        Column("id", "int", "integer", not_null=True, has_default=True, identity="default", samples=("7", "8")),
        Column("customer_id", "int", "integer", not_null=True, samples=("1", "2")),
        Column("paid", "bool", "boolean", samples=("true",)),
        Column("status", "enum order_status", "order_status", not_null=True, samples=("open",)),
    ),
    primary_key=("tenant_id", "id"),
    keys=(("tenant_id", "id"),),
    constraints=(("orders_pkey", ("tenant_id", "id")),),
    foreign_keys=(ForeignKey(("tenant_id", "customer_id"), "customers", ("tenant_id", "id")),),
    writable=True,
)
COUNTRIES = Table("public", "countries", (Column("code", "text", "character(2)", samples=("DE",)),), ("code",))
SCHEMA = Schema(180000, (CUSTOMERS, ORDERS, COUNTRIES), {"enum order_status": ("open", "paid")}, "acme")
