"""Session fixture: the embedded server with a target's own database and the gateway's role, for tenants' places."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.harness.postgres import PostgresServer

ROLE, HOME = "places_gateway", "places_home"


@pytest.fixture(scope="session")
def places_server(postgres: PostgresServer) -> Iterator[PostgresServer]:
    """Leave no schema, database or role behind."""
    postgres.create_database(HOME)
    postgres.execute(f"CREATE ROLE {ROLE} LOGIN PASSWORD 'gateway'")
    postgres.execute(f"REVOKE ALL ON DATABASE {HOME} FROM PUBLIC")
    yield postgres
    postgres.drop_database(HOME)
    postgres.execute(f"DROP OWNED BY {ROLE}; DROP ROLE {ROLE}")
