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
POLICY = f"""
tenants:
  {DATABASE}: {{isolation: database, target: main, database: {DATABASE}}}
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
def stage(**target_keys: object) -> Iterator[tuple[Way, Way]]:
    """Start server and gateway; yield the way past the gateway, as superuser, and the way through it.

    target_keys: further keys of the target's configuration.
    """
    with contextlib.ExitStack() as stack:
        server = PostgresServer("debian15", settings={"max_prepared_transactions": "10"})
        server.start()
        stack.callback(server.stop)
        owner = Way("direct", server.port, "compat_owner", "compat")
        server.execute(f"CREATE ROLE {owner.user} LOGIN PASSWORD '{owner.password}'")
        server.execute(f"CREATE DATABASE {DATABASE} OWNER {owner.user}")
        server.create_database(DIRECT_DATABASE)
        server.execute(f"ALTER SCHEMA public OWNER TO {owner.user}", DATABASE)
        target: dict[str, object] = {
            "host": server.host, "port": server.port, "database": DATABASE,
            "user": owner.user, "password": owner.password, "tls": "disable", **target_keys,
        }  # fmt: skip
        gateway = GatewayProcess(
            targets={"main": target},
            policy=POLICY,
            settings={"tls": {"mode": "off"}, "auth": {"plaintext_loopback": True}},
        )
        gateway.start()
        stack.callback(gateway.stop)
        token = gateway.issuer.token(owner.user, DATABASE, ["owner"], ttl_s=DAY_S)
        yield (
            Way("direct", server.port, server.superuser, server.password, DIRECT_DATABASE),
            Way("gateway", gateway.port, owner.user, token),
        )


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
