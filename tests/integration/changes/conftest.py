"""Shops with tracked tables: by server, and by what the target enforces."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.postgres import PostgresServer
from tests.integration.changes.stage import KEY, Shop

VARIANTS = {
    "embedded-rewrite": ("postgres", "rewrite", None),
    "embedded-both": ("postgres", "both", KEY),
    "debian15-rewrite": ("postgres_tls", "rewrite", KEY),
}


@pytest.fixture(scope="module", params=VARIANTS)
def serving(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """One for all tests of a module: each looks at its own changes."""
    name, enforcement, key = VARIANTS[request.param]
    server: PostgresServer = request.getfixturevalue(name)
    shop = Shop(server, tmp_path_factory.mktemp("changes"), enforcement, key)
    assert shop.provision() == 0
    shop.gateway.start()
    try:
        yield shop
    finally:
        shop.gateway.stop()
        shop.close()


@pytest.fixture
def shop(serving: Shop) -> Shop:
    """The same, with the rows that it began with and no changes."""
    serving.superuser(
        "DELETE FROM orders; DELETE FROM initech.orders; DELETE FROM events; DELETE FROM plain; DELETE FROM boxes;"
        "INSERT INTO orders VALUES ('acme', 1, 'a', 1.5, '4000'), ('acme', 2, 'b', 2, NULL),"
        " ('globex', 1, 'SECRET', 3, '4001'); INSERT INTO initech.orders VALUES (1, 'i')"
    )
    serving.forget()
    serving.superuser(
        "SELECT tenantgate.disarm(relation) FROM tenantgate.tracked WHERE relation_name <> 'stock';"
        'DROP TABLE IF EXISTS mine, pairs, built, "o\'d; --"; DROP TYPE IF EXISTS pair CASCADE;'
        "DROP FUNCTION IF EXISTS nothing(); DELETE FROM stock",
        serving.umbrella,
    )
    serving.forget(serving.umbrella)
    return serving


@pytest.fixture
def bare(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Shop]:
    """A shop that nobody has provisioned yet, behind no gateway yet."""
    shop = Shop(request.getfixturevalue("postgres"), tmp_path, "rewrite")
    yield shop
    shop.close()
