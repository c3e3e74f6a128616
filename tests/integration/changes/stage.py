"""A shop with tracked tables on a fresh database of a server, provisioned, behind a gateway; and its command line."""

from __future__ import annotations

import itertools
import json
import secrets
from pathlib import Path
from typing import Any

import psycopg

from admin.cli.main import main
from tests.harness.gateway import GatewayProcess
from tests.harness.postgres import PostgresServer

KEY = "0123456789abcdef0123456789abcdef"
PASSWORD = "a password of the gateway's"
SCHEMA = """
CREATE TABLE orders (tenant_id text NOT NULL, id int, note text, total numeric(10,2), card text,
  PRIMARY KEY (tenant_id, id));
CREATE TABLE lines (tenant_id text NOT NULL, order_id int, nr int, what text, PRIMARY KEY (tenant_id, order_id, nr),
  FOREIGN KEY (tenant_id, order_id) REFERENCES orders ON DELETE CASCADE);
CREATE TABLE parcels (tenant_id text NOT NULL, id int, order_id int, PRIMARY KEY (tenant_id, id),
  FOREIGN KEY (tenant_id, order_id) REFERENCES orders ON DELETE CASCADE);
CREATE TABLE boxes (tenant_id text NOT NULL, id int, note text, PRIMARY KEY (tenant_id, id));
CREATE TABLE events (tenant_id text NOT NULL, at date NOT NULL, what text) PARTITION BY RANGE (at);
CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM ('2020-01-01') TO ('2025-01-01');
CREATE TABLE events_2 PARTITION OF events FOR VALUES FROM ('2025-01-01') TO ('2030-01-01');
CREATE TABLE plain (tenant_id text NOT NULL, id int, note text, PRIMARY KEY (tenant_id, id));
CREATE SCHEMA initech; CREATE TABLE initech.orders (id int PRIMARY KEY, note text);
INSERT INTO orders VALUES ('acme', 1, 'a', 1.5, '4000'), ('acme', 2, 'b', 2, NULL), ('globex', 1, 'SECRET', 3, '4001');
INSERT INTO initech.orders VALUES (1, 'i');
"""
POLICY = """
tenants:
  acme: {{isolation: shared, target: main}}
  globex: {{isolation: shared, target: main}}
  initech: {{isolation: schema, target: main, schema: initech}}
  umbrella: {{isolation: database, target: own, database: {umbrella}}}
roles:
  app: {{permissions: ["table:*:write", "table:*:copy", "schema:*:ddl"]}}
tables:
  main:
    orders: {{tenant_column: tenant_id, track: true}}
    lines: {{tenant_column: tenant_id}}
    parcels: {{tenant_column: tenant_id, track: true, columns: {{order_id: [pii]}}}}
    events: {{tenant_column: tenant_id, track: true}}
    boxes: {{tenant_column: tenant_id}}
    plain: {{tenant_column: tenant_id}}
  own:
    stock: {{track: true}}
"""
_CONFIG = """
[tls]
mode = "off"
[auth]
plaintext_loopback = true
[audit]
hashed_columns = ["orders.card"]
hashed_tags = ["pii"]
path = "{audit}"
{targets}
"""
_numbers = itertools.count()
Connection = psycopg.Connection[tuple[Any, ...]]


class Shop:
    """Two databases, two roles and a gateway that are this test's own. `provision` before `serve`, or not."""

    def __init__(self, server: PostgresServer, directory: Path, enforcement: str, key: str | None = KEY) -> None:
        number = f"{next(_numbers)}_{secrets.token_hex(3)}"
        self.server, self.directory = server, directory
        self.enforcement, self.key = enforcement, key
        self.database = server.create_database(f"changes_{number}")
        self.umbrella = server.create_database(f"changes_own_{number}")
        self.roles = {"main": f"gate_{number}", "own": f"own_{number}"}
        self.superuser(SCHEMA)
        self.superuser("CREATE TABLE stock (id int PRIMARY KEY, n int)", self.umbrella)
        self.gateway = GatewayProcess(
            targets={name: self._target(name) for name in self.roles},
            policy=POLICY.format(umbrella=self.umbrella),
            settings={"audit": {"hashed_columns": ["orders.card"], "hashed_tags": ["pii"]}},
        )
        (directory / "policy.yaml").write_text(POLICY.format(umbrella=self.umbrella))
        targets = "\n".join(
            f"[targets.{name}]\n" + "\n".join(f"{k} = {json.dumps(v)}" for k, v in self._target(name).items())
            for name in self.roles
        )
        (directory / "tenantgate.toml").write_text(_CONFIG.format(targets=targets, audit=self.gateway.audit_path))

    def _target(self, name: str) -> dict[str, object]:
        target: dict[str, object] = {
            "host": "127.0.0.1", "port": self.server.port, "tls": "disable", "user": self.roles[name],
            "database": self.database if name == "main" else self.umbrella, "password": PASSWORD,
            "enforcement": self.enforcement,
        }  # fmt: skip
        return target if self.key is None else {**target, "setting_key": self.key}

    def command(self, *arguments: str) -> int:
        return main([arguments[0], "-c", str(self.directory / "tenantgate.toml"), *arguments[1:]])

    @property
    def admin_url(self) -> str:
        return f"postgresql://{self.server.superuser}:{self.server.password}@127.0.0.1"

    def provision(self, *arguments: str) -> int:
        return self.command("provision", "--admin-url", self.admin_url, *arguments)

    def superuser(self, sql: str, database: str | None = None) -> list[tuple[Any, ...]]:
        return self.server.execute(sql, database or self.database)

    def connect(self, tenant: str = "acme", user: str = "ann", **options: str) -> Connection:
        token = self.gateway.issuer.token(user, tenant, ["app"])
        return psycopg.connect(self.gateway.conninfo(user, token, tenant, **options), autocommit=True)

    def changes(self, database: str | None = None) -> list[tuple[Any, ...]]:
        """(table, operation, key, before, after, tenant, subject) in order."""
        return self.superuser(
            "SELECT relation_schema || '.' || relation_name, operation, key, before, after, tenant, subject"
            " FROM tenantgate.changes ORDER BY id",
            database,
        )

    def forget(self, database: str | None = None) -> None:
        self.superuser("TRUNCATE tenantgate.changes", database)

    def close(self) -> None:
        for database in (self.database, self.umbrella):
            self.server.drop_database(database)
        for role in self.roles.values():
            self.server.execute(f"DROP ROLE IF EXISTS {role}")
