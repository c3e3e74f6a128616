"""One gateway for the tests of policies."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.harness.gateway import GatewayProcess
from tests.harness.postgres import PostgresServer
from tests.integration.abac.stage import DATABASE, POLICY, People, make_database, target_of


@pytest.fixture(scope="session")
def people(postgres: PostgresServer) -> Iterator[People]:
    """Leave the data as you found them."""
    make_database(postgres)
    gateway = GatewayProcess(targets={"shop": target_of(postgres)}, policy=POLICY)
    gateway.start()
    yield People(gateway)
    gateway.stop()
    postgres.drop_database(DATABASE)
