"""A shop of two tenants behind a real gateway whose policy has a policy of every kind."""

from __future__ import annotations

from typing import Any

import psycopg

from tests.harness.gateway import GatewayProcess
from tests.harness.postgres import PostgresServer

DATABASE = "abac_shop"
DDL = """
CREATE TABLE customers (
  tenant_id text NOT NULL, id int NOT NULL, name text, email text, phone varchar(20), card text, salary int,
  born date, note text, token uuid, PRIMARY KEY (tenant_id, id)
);
CREATE TABLE orders (
  tenant_id text NOT NULL, id int NOT NULL, region text NOT NULL, amount numeric(10,2) NOT NULL, note text,
  PRIMARY KEY (tenant_id, id)
);
CREATE TABLE ledger (tenant_id text NOT NULL, id int NOT NULL, amount int, PRIMARY KEY (tenant_id, id));
CREATE TABLE wide (tenant_id text NOT NULL, id int NOT NULL, body text, PRIMARY KEY (tenant_id, id));
CREATE SCHEMA initech;
CREATE TABLE initech.customers (id int PRIMARY KEY, email text, card text, note text);
INSERT INTO initech.customers SELECT n, 'user' || n || '@initech.example', '4111-1111-1111-' || 1000 + n, 'note'
  FROM generate_series(1, 20) n;
CREATE VIEW initech.own_view AS SELECT id, email FROM initech.customers;
CREATE VIEW v_customers AS SELECT tenant_id, id, card, email FROM customers;
INSERT INTO customers SELECT t, n, 'Name ' || n, 'user' || n || '@' || t || '.example', '+49 171 ' || 1000000 + n,
  '4111-1111-1111-' || 1000 + n, 30000 + n * 137, date '1980-03-17' + n * 40, 'note ' || n,
  ('00000000-0000-0000-0000-' || lpad(n::text, 12, '0'))::uuid
  FROM unnest(ARRAY['acme', 'globex']) t, generate_series(1, 20) n;
INSERT INTO orders SELECT t, n, CASE WHEN n % 2 = 0 THEN 'eu' ELSE 'us' END, n * 10, 'o' || n
  FROM unnest(ARRAY['acme', 'globex']) t, generate_series(1, 20) n;
INSERT INTO ledger SELECT t, n, n FROM unnest(ARRAY['acme', 'globex']) t, generate_series(1, 5) n;
INSERT INTO wide SELECT t, n, repeat('x', 1000) FROM unnest(ARRAY['acme', 'globex']) t, generate_series(1, 500) n;
"""

POLICY = """
tenants:
  acme: {isolation: shared, target: shop, tier: gold}
  globex: {isolation: shared, target: shop}
  initech: {isolation: schema, target: shop, schema: initech}
roles:
  app: {permissions: ["table:*:write"]}
  analyst: {permissions: ["table:*:read"]}
  dpo: {}
  nobody: {}
  owner: {permissions: ["database:*", "schema:*:ddl"]}
tables:
  shop:
    customers:
      tenant_column: tenant_id
      tags: [crm]
      columns:
        email: [pii, mail]
        phone: [pii, phone]
        card: [pci]
        salary: [money]
        born: [birthday]
        note: [secret]
        token: [hashed]
        name: [hashed]
    orders: {tenant_column: tenant_id, tags: [sales]}
    ledger: {tenant_column: tenant_id, tags: [finance]}
    wide: {tenant_column: tenant_id, tags: [bulk]}
policies:
  mail:
    cedar: |
      permit (principal, action == Action::"select", resource is Column)
      when { resource.tags.contains("mail") && !principal.roles.contains("dpo") };
    effect: {mask: email}
  phone:
    cedar: |
      permit (principal, action == Action::"select", resource is Column)
      when { resource.tags.contains("phone") && !principal.roles.contains("dpo") };
    effect: {mask: {partial: {last: 3}}}
  card:
    cedar: |
      permit (principal, action == Action::"select", resource is Column)
      when { resource.tags.contains("pci") && !principal.roles.contains("dpo") };
    effect: {mask: token}
  salary:
    cedar: |
      permit (principal, action == Action::"select", resource is Column)
      when { resource.tags.contains("money") && !principal.roles.contains("dpo") };
    effect: {mask: {range: 1000}}
  born:
    cedar: |
      permit (principal, action == Action::"select", resource is Column)
      when { resource.tags.contains("birthday") && !principal.roles.contains("dpo") };
    effect: {mask: {range: year}}
  hashed:
    cedar: |
      permit (principal, action == Action::"select", resource is Column)
      when { resource.tags.contains("hashed") && !principal.roles.contains("dpo") };
    effect: {mask: hash}
  secret:
    cedar: |
      forbid (principal, action == Action::"select", resource is Column)
      when { resource.tags.contains("secret") && !principal.roles.contains("dpo") };
  region:
    cedar: |
      permit (principal, action, resource == Table::"orders") when { principal.hasTag("region") };
    effect: {row_filter: "region = :attr_region"}
  mfa:
    cedar: |
      permit (principal, action in [Action::"insert", Action::"update", Action::"delete"], resource)
      when { resource.tags.contains("finance") };
    effect: require_mfa
  approval:
    cedar: permit (principal, action == Action::"delete", resource == Table::"customers");
    effect: {require_approval: "CHG-[0-9]+"}
  office:
    cedar: |
      forbid (principal, action, resource == Table::"ledger")
      unless { context.ip.isInRange(ip("127.0.0.0/8")) && context.tls && context.application != "intruder" };
  few:
    cedar: |
      permit (principal, action, resource) when { resource.tags.contains("crm") && context.application == "limited" };
    effect: {limit: {rows: 3}}
  short:
    cedar: permit (principal, action, resource) when { resource.tags.contains("bulk") };
    effect: {limit: {bytes: 50kB}}
  gift:
    cedar: |
      permit (principal, action == Action::"select", resource == Table::"orders")
      when { principal.roles.contains("nobody") && principal.tenant.tier == "gold" };
  trial:
    state: dry_run
    cedar: forbid (principal, action == Action::"update", resource == Table::"orders");
  idea:
    state: draft
    cedar: forbid (principal, action, resource);
"""


def make_database(server: PostgresServer, name: str = DATABASE) -> None:
    server.create_database(name)
    with psycopg.connect(server.conninfo(name), autocommit=True) as connection:
        connection.execute(DDL)


def target_of(server: PostgresServer, database: str = DATABASE) -> dict[str, object]:
    return {
        "host": server.host, "port": server.port, "database": database, "user": server.superuser,
        "password": server.password, "mask_key": "k" * 32,
    }  # fmt: skip


class People:
    """Connections through one gateway."""

    def __init__(self, gateway: GatewayProcess) -> None:
        self.gateway = gateway

    def connect(
        self, *roles: str, tenant: str = "acme", application: str = "test", autocommit: bool = True, **claims: Any
    ) -> psycopg.Connection[tuple[Any, ...]]:
        token = self.gateway.issuer.token("alice", tenant, roles or ("app",), **claims)
        conninfo = self.gateway.conninfo("alice", token, tenant, application_name=application)
        return psycopg.connect(conninfo, autocommit=autocommit)
