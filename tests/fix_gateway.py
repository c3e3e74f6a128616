"""Session fixture: a gateway before the demo's data, with TLS and a token for each of the demo's people."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fix_postgres import serve_postgres
from tests.harness.demo_business import DemoGateway, demo_gateway


@pytest.fixture(scope="session")
def gateway() -> Iterator[DemoGateway]:
    """One gateway for the whole run, with a PostgreSQL 18 of its own. Leave the data as you found them."""
    with serve_postgres("embedded") as server:
        process = demo_gateway(server)
        process.start()
        yield process
        process.stop()


@pytest.fixture(autouse=True)
def _clean_gateway_log(request: pytest.FixtureRequest) -> Iterator[None]:
    """A test that made the gateway log an unexpected exception has failed, whatever it saw itself."""
    if "gateway" not in request.fixturenames:
        yield
        return
    process: DemoGateway = request.getfixturevalue("gateway")
    before = len(process.log)
    yield
    process.assert_clean_log(before)
