"""Places on the server of tests/fix_places.py."""

from __future__ import annotations

import pytest

from admin.places.place import Place
from admin.places.server import Login
from tests.fix_places import HOME, ROLE
from tests.harness.postgres import PostgresServer


def place(name: str, *, whole: bool = False, mark: str = "aa11", tenant: str = "") -> Place:
    return Place(
        tenant=tenant or name, target="main", home=HOME, database=name if whole else HOME,
        schema=None if whole else name, role=ROLE, ddl=True, mark=mark,
    )  # fmt: skip


@pytest.fixture
def login(places_server: PostgresServer) -> Login:
    return Login(places_server.host, places_server.port, places_server.superuser, places_server.password, tls="disable")


_TRACES = """
SELECT 'role ' || rolname FROM pg_roles UNION ALL SELECT 'database ' || datname FROM pg_database
UNION ALL SELECT 'schema ' || nspname FROM pg_namespace WHERE nspname !~ '^pg_'
UNION ALL SELECT 'default ' || defaclrole::regrole || defaclacl::text FROM pg_default_acl
"""


def traces(server: PostgresServer) -> set[str]:
    """Every role, database and schema that is there."""
    return {str(row[0]) for row in server.execute(_TRACES, HOME)}


@pytest.fixture
def server(places_server: PostgresServer) -> PostgresServer:
    return places_server
