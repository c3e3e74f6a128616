"""The stage's store is made once and copied for each test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.harness.postgres import PostgresServer
from tests.integration.admin_api.stage import Api, make_template, serve_api


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("admin-api") / "template.db"
    asyncio.run(make_template(path))
    return path


@pytest.fixture
async def api(template: Path, tmp_path: Path) -> AsyncIterator[Api]:
    async with serve_api(str(tmp_path / "store.db"), template=template) as served:
        yield served


@pytest.fixture
def server(places_server: PostgresServer) -> PostgresServer:
    """Where the stage's target has its places."""
    return places_server
