"""A shop on a fresh database of each server, the files that name it, and the command line run in this process."""

from __future__ import annotations

import itertools
import json
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from admin.cli.main import main
from policy.model import Isolation, Tenant
from policy.second_lock import SETTING, claim_of, setting_value
from tests.harness.postgres import PostgresServer

KEY = "0123456789abcdef0123456789abcdef"
PASSWORD = "a password of the gateway's"
SCHEMA = """
CREATE TABLE orders (tenant_id text NOT NULL, id serial, note text, PRIMARY KEY (tenant_id, id));
CREATE TABLE meters (account integer NOT NULL, value int, PRIMARY KEY (account));
CREATE TABLE events (tenant_id varchar(20) NOT NULL, at date NOT NULL) PARTITION BY RANGE (at);
CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM ('2024-01-01') TO ('2030-01-01');
CREATE TABLE countries (code text PRIMARY KEY);
CREATE TABLE secrets (body text);
CREATE SEQUENCE numbers;
CREATE SCHEMA initech; CREATE TABLE initech.orders (id int PRIMARY KEY, note text);
CREATE SCHEMA hooli; CREATE TABLE hooli.orders (id int PRIMARY KEY, note text);
INSERT INTO orders (tenant_id, note) VALUES ('acme', 'a'), ('acme', 'b'), ('globex', 'SECRET');
INSERT INTO meters VALUES (1, 10), (2, 20);
INSERT INTO events VALUES ('acme', '2024-02-02'), ('globex', '2024-02-03');
INSERT INTO countries VALUES ('CH'), ('DE');
INSERT INTO initech.orders VALUES (1, 'i');
INSERT INTO hooli.orders VALUES (1, 'h');
"""
POLICY = """
tenants:
  acme: {{isolation: shared, target: main}}
  globex: {{isolation: shared, target: main}}
  seven: {{isolation: shared, target: main, value: "1"}}
  initech: {{isolation: schema, target: main, schema: initech}}
  hooli: {{isolation: schema, target: main, schema: hooli}}
  umbrella: {{isolation: database, target: main, database: {umbrella}}}
roles:
  app: {{permissions: ["table:*:write", "table:secrets:read"]}}
tables:
  main:
    orders: {{tenant_column: tenant_id}}
    meters: {{tenant_column: account}}
    events: {{tenant_column: tenant_id}}
    countries: {{global: true}}
    secrets: {{denied: true}}
    numbers: {{sequence: true}}
    missing: {{tenant_column: tenant_id}}
"""
_CONFIG = """
[tls]
mode = "off"
[auth]
plaintext_loopback = true
[targets.main]
host = "127.0.0.1"
port = {port}
database = "{database}"
user = "{role}"
password = "{password}"
enforcement = "{enforcement}"
{key}
"""
_numbers = itertools.count()


class Shop:
    """Two databases and a role that are this test's own."""

    def __init__(self, server: PostgresServer, directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
        number = f"{next(_numbers)}_{secrets.token_hex(3)}"
        self.server, self.directory, self.capsys = server, directory, capsys
        self.database = server.create_database(f"lock_{number}")
        self.umbrella = server.create_database(f"lock_umbrella_{number}")
        self.role, self.owner = f"gate_{number}", f"owner_{number}"
        self.superuser(f"CREATE ROLE {self.owner} LOGIN PASSWORD 'owner'")
        self.superuser(SCHEMA)
        for table in ("orders", "meters", "events", "events_1"):
            self.superuser(f"ALTER TABLE {table} OWNER TO {self.owner}")
        self.server.execute("CREATE TABLE stock (id serial PRIMARY KEY, n int)", self.umbrella)
        (directory / "policy.yaml").write_text(POLICY.format(umbrella=self.umbrella))
        self.configure("both", KEY)

    def configure(self, enforcement: str, key: str | None) -> None:
        text = _CONFIG.format(
            port=self.server.port, database=self.database, role=self.role, password=PASSWORD, enforcement=enforcement,
            key="" if key is None else f'setting_key = "{key}"',
        )  # fmt: skip
        (self.directory / "tenantgate.toml").write_text(text)

    def command(self, *arguments: str) -> tuple[int, str, str]:
        """Exit status and what was printed."""
        status = main([arguments[0], "-c", str(self.directory / "tenantgate.toml"), *arguments[1:]])
        out, err = self.capsys.readouterr()
        return status, out, err

    def provision(self, *arguments: str) -> tuple[int, str, str]:
        url = f"postgresql://{self.server.superuser}:{self.server.password}@127.0.0.1"
        return self.command("provision", "--admin-url", url, *arguments)

    def provisioned(self) -> None:
        status, _, err = self.provision()
        assert status == 0, err

    def superuser(self, sql: str) -> list[tuple[Any, ...]]:
        return self.server.execute(sql, self.database)

    def connect(self, user: str | None = None, password: str = PASSWORD) -> psycopg.Connection[tuple[Any, ...]]:
        conninfo = self.server.conninfo(self.database, user=user or self.role, password=password)
        return psycopg.connect(conninfo, autocommit=True)

    def as_claim(self, claim: str, sql: str, key: str | None = KEY) -> list[tuple[Any, ...]]:
        """Rows of a query in a session of the gateway's role that makes this claim."""
        with self.connect() as connection:
            value = setting_value(claim, key.encode() if key else None)
            connection.execute("SELECT set_config(%s, %s, false)", (SETTING, value))
            return connection.execute(sql.encode()).fetchall()

    def findings(self, *arguments: str) -> list[dict[str, Any]]:
        _, out, err = self.command("doctor", "--json", *arguments)
        assert out, err
        found: list[dict[str, Any]] = json.loads(out)["findings"]
        return found

    def state(self) -> list[tuple[Any, ...]]:
        """Everything that provisioning could have touched."""
        queries = (
            f"SELECT rolname, rolsuper, rolcanlogin FROM pg_roles WHERE rolname = '{self.role}'",
            "SELECT nspname, coalesce(nspacl, acldefault('n', nspowner))::text FROM pg_namespace"
            " WHERE nspname !~ '^pg_' ORDER BY 1",
            "SELECT c.oid::regclass::text, coalesce(c.relacl, acldefault(CASE relkind WHEN 'S' THEN 's' ELSE 'r' END::"
            '"char", relowner))::text, c.relrowsecurity, c.relforcerowsecurity FROM pg_class c'
            " WHERE c.relnamespace::regnamespace::text !~ '^(pg_|information_schema)' ORDER BY 1",
            "SELECT * FROM pg_policies ORDER BY 1, 2, 3",
            "SELECT datname, coalesce(datacl, acldefault('d', datdba))::text FROM pg_database"
            " WHERE datname = current_database()",
        )
        return [row for query in queries for row in self.superuser(query)]


def claim(tenant: str, value: str | None = None) -> str:
    return claim_of(Tenant(tenant, Isolation.SHARED, "main", value or tenant))


@pytest.fixture(params=["embedded", "debian15"])
def shop(request: pytest.FixtureRequest, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Shop]:
    server = request.getfixturevalue("postgres" if request.param == "embedded" else "postgres_tls")
    made = Shop(server, tmp_path, capsys)
    yield made
    for database in (made.database, made.umbrella):
        server.drop_database(database)
    server.execute(f"DROP ROLE IF EXISTS {made.role}; DROP ROLE IF EXISTS {made.owner}")
