"""The catalogue's world: one server, shared tables of several tenants, a gateway before them, and who may log in."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg

from tests.harness.gateway import GatewayProcess
from tests.harness.postgres import PostgresServer
from tests.harness.wire_client import WireClient

HERE = Path(__file__).parent
DATABASE = "catalogue"
ROLE = "gateway"
TABLES = (
    "orders", "items", "people", "tickets", '"Order"', "events", "padded", "folded", "ledger", "countries",
    "unlisted", "forbidden",
)  # fmt: skip
OWN = {"ledger": "tenant_id = 1", "countries": "false", "unlisted": "false", "forbidden": "false"}

POLICY = """
tenants:
  acme: {isolation: shared, target: main, value: acme}
  globex: {isolation: shared, target: main, value: globex}
  one: {isolation: shared, target: main, value: "1"}
  two: {isolation: shared, target: main, value: "2"}
roles:
  app: {permissions: ["table:*:read", "table:*:write", "table:*:copy"]}
  analyst:
    permissions: ["table:orders:read", "table:people:read"]
    row_filters: {people: "name <> 'Bob'"}
    masks: {people: {card: "'****' || right(card, 2)"}}
tables:
  main:
    public.orders: {tenant_column: tenant_id}
    public.items: {tenant_column: tenant_id}
    public.people: {tenant_column: tenant_id}
    public.tickets: {tenant_column: tenant_id}
    'public."Order"': {tenant_column: tenant_id}
    public.events: {tenant_column: tenant_id}
    public.padded: {tenant_column: tenant_id}
    public.folded: {tenant_column: tenant_id}
    public.ledger: {tenant_column: tenant_id}
    public.countries: {global: true}
    public.forbidden: {denied: true}
"""
# Session names of the steps: user, tenant, roles. A name with a digit behind it is another session of the same.
PEOPLE = {
    "acme": ("alice", "acme", ("app",)),
    "globex": ("gail", "globex", ("app",)),
    "ana": ("ana", "acme", ("analyst",)),
    "one": ("oda", "one", ("app",)),
}


@dataclass(slots=True)
class World:
    """admin: the superuser's connection to the database. bare: connect straight to the server, for comparison."""

    server: PostgresServer
    gateway: GatewayProcess
    admin: psycopg.Connection[object]
    password: str

    def connect(self, who: str) -> WireClient:
        """A session of `who` through the gateway."""
        user, tenant, roles = PEOPLE[who.rstrip("23456789")]
        client = WireClient(self.gateway.port)
        client.tls()
        answer = client.log_in(user, tenant, self.gateway.issuer.token(user, tenant, roles))
        assert answer.statuses == "I", answer.errors
        return client

    def reset(self) -> None:
        """Put the rows back as they were."""
        with self.admin.transaction():
            self.admin.execute("SET LOCAL session_replication_role = replica")
            for table in TABLES:
                self.admin.execute(f"DELETE FROM public.{table}")
                self.admin.execute(f"INSERT INTO public.{table} SELECT * FROM saved.{table}")

    def foreign_rows(self) -> dict[str, object]:
        """A digest of what is not acme's (for `ledger`: not tenant 1's), per table, and of the schema."""
        found = {table: self._digest(table) for table in TABLES}
        found["schema"] = self.admin.execute(
            "SELECT md5(string_agg(x, ' ' ORDER BY x)) FROM (SELECT concat(c.oid, relname, relkind, relacl,"
            " relrowsecurity, relowner) FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE nspname IN"
            " ('public', 'evil') UNION ALL SELECT concat(oid, proname, prosrc) FROM pg_proc WHERE oid >= 16384"
            " UNION ALL SELECT concat(rolname, rolsuper, rolconfig) FROM pg_roles"
            " UNION ALL SELECT concat(setdatabase, setrole, setconfig) FROM pg_db_role_setting) AS all_of_it (x)"
        ).fetchone()
        return found

    def _digest(self, table: str) -> object:
        own = OWN.get(table, "tenant_id::text COLLATE \"C\" = 'acme'")
        if table == "padded":
            own = "tenant_id = 'acme'"
        return self.admin.execute(
            f"SELECT count(*), md5(string_agg(x::text, '|' ORDER BY x::text)) FROM public.{table} x WHERE NOT ({own})"
        ).fetchone()


@contextlib.contextmanager
def make_world(server: PostgresServer) -> Iterator[World]:
    """Create the database and serve it."""
    password = secrets.token_urlsafe(12)
    server.execute(f"CREATE ROLE {ROLE} LOGIN PASSWORD '{password}'")
    server.create_database(DATABASE)
    with psycopg.connect(server.conninfo(DATABASE), autocommit=True) as admin:
        made = admin.pgconn.exec_((HERE / "schema.sql").read_bytes())
        assert made.status == psycopg.pq.ExecStatus.COMMAND_OK, made.error_message.decode()
        process = GatewayProcess(
            targets={
                "main": {
                    "host": server.host, "port": server.port, "database": DATABASE, "user": ROLE, "password": password,
                    "tls": "disable",
                }
            },
            policy=POLICY,
            settings={"tls": {"mode": "allow"}},
        )  # fmt: skip
        process.start()
        try:
            yield World(server, process, admin, password)
        finally:
            process.stop()
