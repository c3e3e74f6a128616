"""Fixtures that several integration tests share: a gateway with every way in, one with two backends only, an issuer's
web server, a shop twice."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import yaml

from tests.fix_postgres import serve_postgres
from tests.harness.demo_business import DemoGateway, demo_gateway
from tests.harness.postgres import PostgresServer
from tests.harness.tokens import Issuer
from tests.integration.doors import Doors
from tests.integration.shop_twins import Databases, shop_and_twin
from tests.unit.identity.jwks_server import JwksServer


@pytest.fixture(scope="session")
def rotating() -> Iterator[tuple[JwksServer, Issuer]]:
    issuer = Issuer("https://url.test", kid="old")
    with JwksServer(issuer.jwks) as server:
        yield server, issuer


@pytest.fixture(scope="session")
def doors(gateway: DemoGateway, rotating: tuple[JwksServer, Issuer]) -> Iterator[Doors]:
    process = Doors(gateway, rotating[0].url)
    process.start()
    yield process
    process.stop()


@pytest.fixture(scope="session")
def databases(postgres: PostgresServer) -> Iterator[Databases]:
    with shop_and_twin(postgres) as made:
        yield made


@pytest.fixture(scope="session")
def narrow() -> Iterator[DemoGateway]:
    """A gateway with two backends of its target, and short patience."""
    with serve_postgres("embedded") as server:
        process = demo_gateway(server)
        target = next(iter(process._targets.values()))
        assert isinstance(target, dict)
        target |= {"max_backends": 2, "acquire_timeout_s": 2, "lanes": False}
        process.write_config({})
        process.start()
        yield process
        process.stop()


@pytest.fixture(scope="session")
def faulty() -> Iterator[DemoGateway]:
    """A gateway with six backends, lanes and no quotas, whose server and clients may come to grief; TLS is optional."""
    with serve_postgres("embedded") as server:
        process = demo_gateway(server)
        target = next(iter(process._targets.values()))
        assert isinstance(target, dict)
        target |= {"max_backends": 6, "acquire_timeout_s": 5}
        process.write_config({"tls": {"mode": "allow"}, "auth": {"plaintext_loopback": True}})
        policy = yaml.safe_load(process.policy_path.read_text())
        for tenant in policy["tenants"].values():
            tenant.pop("quotas", None)
        process.policy_path.write_text(yaml.safe_dump(policy))
        process.start()
        yield process
        process.stop()
