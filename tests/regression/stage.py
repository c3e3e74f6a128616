"""The stage: the same PostgreSQL three times, each with a database of the same owner, and a gateway before one.

- `plain` runs every statement of a file directly.
- `tenant` is behind the gateway, as the database of a tenant that has its target to itself and may do everything.
- `twin` runs directly what the gateway did not refuse: what comes back there must come back through the gateway.

The owner is no superuser, as the gateway's role must not be one; so a direct run is not pg_regress's either.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.harness.gateway import GatewayProcess
from tests.harness.postgres import PostgresServer

DATABASE = OWNER = "regression"
PASSWORD = "regression"
FLAVOURS = ("debian15", "embedded")  # the first that is there
_SETTINGS = {
    "autovacuum": "off",  # statistics, and so plans, would hang on when it runs
    "max_prepared_transactions": "0",
    "lc_messages": "C",
    "stats_fetch_consistency": "snapshot",
}
_DATABASE_SETTINGS = (  # of pg_regress.c, create_database()
    "lc_messages TO 'C'", "lc_monetary TO 'C'", "lc_numeric TO 'C'", "lc_time TO 'C'", "bytea_output TO 'hex'",
    "timezone_abbreviations TO 'Default'", "intervalstyle TO 'postgres_verbose'",
)  # fmt: skip
_POLICIES = {
    "database": "{isolation: database, target: main, database: regression}",
    "schema": "{isolation: schema, target: main, database: regression, schema: public}",
}
_POLICY = """
tenants:
  regression: %s
roles:
  app: {permissions: ["database:*", "schema:*:ddl"]}
"""


@dataclass(frozen=True, slots=True)
class Way:
    """One way to a database `regression`."""

    name: str
    conninfo: str
    server: PostgresServer


class Stage:
    """Lifetime: one run. The gateway may be None when only the direct ways are wanted."""

    def __init__(self, servers: Mapping[str, PostgresServer], gateway: GatewayProcess) -> None:
        self.gateway = gateway
        token = gateway.issuer.token(OWNER, DATABASE, ttl_s=86_400)
        direct = {name: server.conninfo(DATABASE, user=OWNER, password=PASSWORD) for name, server in servers.items()}
        self.direct = {name: Way(name, direct[name], servers[name]) for name in servers}
        self.tenant = Way("tenant", gateway.conninfo(OWNER, token, DATABASE), servers["tenant"])


def environment(files: Path, results: Path, application: str) -> dict[str, str]:
    """What pg_regress sets for psql (pg_regress.c, initialize_environment)."""
    return {
        "PGTZ": "PST8PDT",
        "PGDATESTYLE": "Postgres, MDY",
        "PGCLIENTENCODING": "UTF8",
        "PGAPPNAME": application,
        "LC_MESSAGES": "C",
        "PG_ABS_SRCDIR": str(files),
        "PG_ABS_BUILDDIR": str(results),
        "PG_LIBDIR": "/nowhere",
        "PG_DLSUFFIX": ".so",
        "PGPASSFILE": "/dev/null",
    }


@contextlib.contextmanager
def open_stage(flavour: str, isolation: str) -> Iterator[Stage]:
    """Start everything; all of it is gone afterwards."""
    with contextlib.ExitStack() as stack:
        servers = {}
        for name in ("plain", "tenant", "twin"):
            servers[name] = PostgresServer(flavour, settings=_SETTINGS)
            servers[name].start()
            stack.callback(servers[name].stop)
            _prepare(servers[name])
        gateway = GatewayProcess(
            targets={"main": {
                "host": "127.0.0.1", "port": servers["tenant"].port, "database": DATABASE,
                "user": OWNER, "password": PASSWORD, "tls": "disable",
            }},
            policy=_POLICY % _POLICIES[isolation],
        )  # fmt: skip
        gateway.start()
        stack.callback(gateway.stop)
        yield Stage(servers, gateway)


def _prepare(server: PostgresServer) -> None:
    server.execute(f"CREATE ROLE {OWNER} LOGIN PASSWORD '{PASSWORD}'")
    server.execute(f"CREATE DATABASE {DATABASE} OWNER {OWNER} TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'")
    for setting in _DATABASE_SETTINGS:
        server.execute(f"ALTER DATABASE {DATABASE} SET {setting}")
