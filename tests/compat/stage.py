"""The stage of other people's test suites: PostgreSQL 15, a gateway before it, one tenant in a database of its own.

The tenant is the only one on its target and may do everything there, so this is what a driver sees of the wire, of
pooling by transaction and of lanes. `python -m tests.compat.stage` serves until Ctrl-C and prints both ways in, for
suites that are run by hand.
"""

from __future__ import annotations

import contextlib
import shlex
import signal
from collections.abc import Iterator
from dataclasses import dataclass

from psycopg.conninfo import make_conninfo

from tests.harness.gateway import GatewayProcess
from tests.harness.postgres import PostgresServer

DATABASE, DIRECT_DATABASE = "compat", "direct"
OWNER, OWNER_PASSWORD = "compat_owner", "compat"
POLICY = """
tenants:
  {database}: {{isolation: database, target: main, database: {database}}}
roles:
  owner: {{permissions: ["database:*", "schema:*:ddl"]}}
"""
DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class Way:
    """One way to the database."""

    name: str
    port: int
    user: str
    password: str
    database: str = DATABASE

    @property
    def dsn(self) -> str:
        return make_conninfo("", host="127.0.0.1", **self._parts)

    @property
    def environment(self) -> dict[str, str]:
        """libpq's variables, which most drivers know."""
        return {
            "PGHOST": "127.0.0.1", "PGPORT": str(self.port), "PGUSER": self.user,
            "PGPASSWORD": self.password, "PGDATABASE": self.database, "PGSSLMODE": "disable",
        }  # fmt: skip

    @property
    def _parts(self) -> dict[str, str]:
        return {
            "port": str(self.port), "user": self.user, "password": self.password,
            "dbname": self.database, "sslmode": "disable",
        }  # fmt: skip


@contextlib.contextmanager
def stage(
    *,
    database: str = DATABASE,
    user: str = OWNER,
    setup: str = "",
    direct_superuser: bool = True,
    **target_keys: object,
) -> Iterator[tuple[Way, Way]]:
    """Start server and gateway; yield the way past the gateway and the way through it.

    database: the tenant's name and its database's. user: who logs in to the gateway. setup: what the superuser runs in
    the database before. direct_superuser: the way past the gateway is the superuser's, in a database of its own; else
    it is the gateway's role's, in the same database. target_keys: further keys of the target's configuration.
    """
    with contextlib.ExitStack() as stack:
        server = PostgresServer("debian15", settings={"max_prepared_transactions": "10"})
        server.start()
        stack.callback(server.stop)
        _make_databases(server, database, setup)
        target: dict[str, object] = {
            "host": server.host, "port": server.port, "database": database,
            "user": OWNER, "password": OWNER_PASSWORD, "tls": "disable", **target_keys,
        }  # fmt: skip
        gateway = GatewayProcess(
            targets={"main": target},
            policy=POLICY.format(database=database),
            settings={"tls": {"mode": "off"}, "auth": {"plaintext_loopback": True}},
        )
        gateway.start()
        stack.callback(gateway.stop)
        token = gateway.issuer.token(user, database, ["owner"], ttl_s=DAY_S)
        direct = (
            Way("direct", server.port, server.superuser, server.password, DIRECT_DATABASE)
            if direct_superuser
            else Way("direct", server.port, OWNER, OWNER_PASSWORD, database)
        )
        yield direct, Way("gateway", gateway.port, user, token, database)


def _make_databases(server: PostgresServer, database: str, setup: str) -> None:
    server.execute(f"CREATE ROLE {OWNER} LOGIN PASSWORD '{OWNER_PASSWORD}'")
    server.create_database(DIRECT_DATABASE)
    if database == "postgres":
        server.execute(f"ALTER DATABASE {database} OWNER TO {OWNER}")
    else:
        server.execute(f'CREATE DATABASE "{database}" OWNER {OWNER}')
    server.execute(f"ALTER SCHEMA public OWNER TO {OWNER}", database)
    if setup:
        server.execute(setup, database)


def main() -> None:
    with stage() as ways:
        for way in ways:
            print(f"# {way.name}")
            print("export " + " ".join(f"{k}={shlex.quote(v)}" for k, v in way.environment.items()))
            print(f"dsn {way.dsn}", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            signal.pause()


if __name__ == "__main__":
    main()
