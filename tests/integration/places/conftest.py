"""A server for tenants' places: the gateway's role is there, and a database of the target's own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from admin.places.place import Place
from admin.places.server import Login
from tests.harness.postgres import PostgresServer

ROLE, HOME = "places_gateway", "places_home"


def place(name: str, *, whole: bool = False, mark: str = "aa11", tenant: str = "") -> Place:
    return Place(
        tenant=tenant or name, target="main", home=HOME, database=name if whole else HOME,
        schema=None if whole else name, role=ROLE, ddl=True, mark=mark,
    )  # fmt: skip


@pytest.fixture(scope="session")
def server(postgres: PostgresServer) -> Iterator[PostgresServer]:
    postgres.create_database(HOME)
    postgres.execute(f"CREATE ROLE {ROLE} LOGIN PASSWORD 'gateway'")
    postgres.execute(f"REVOKE ALL ON DATABASE {HOME} FROM PUBLIC")
    yield postgres
    postgres.drop_database(HOME)
    postgres.execute(f"DROP OWNED BY {ROLE}; DROP ROLE {ROLE}")


@pytest.fixture
def login(server: PostgresServer) -> Login:
    return Login(server.host, server.port, server.superuser, server.password, tls="disable")


_TRACES = """
SELECT 'role ' || rolname FROM pg_roles UNION ALL SELECT 'database ' || datname FROM pg_database
UNION ALL SELECT 'schema ' || nspname FROM pg_namespace WHERE nspname !~ '^pg_'
UNION ALL SELECT 'default ' || defaclrole::regrole || defaclacl::text FROM pg_default_acl
"""


def traces(server: PostgresServer) -> set[str]:
    """Every role, database and schema that is there."""
    return {str(row[0]) for row in server.execute(_TRACES, HOME)}
