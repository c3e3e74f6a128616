"""Gateways that follow a policy store: one process on SQLite, two workers on PostgreSQL, before the demo's data."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from admin.demo.policy import TARGET, policy_text
from admin.demo.schema import SHOP
from admin.services.actor import EVERYTHING, Actor
from admin.services.documents import apply_document
from admin.store.engine import Store
from admin.store.upgrade import open_store, upgrade
from policy.strict_yaml import parse_strict_yaml
from tests.harness.demo_business import DemoGateway, demo_gateway
from tests.harness.postgres import PostgresServer

T = TypeVar("T")
ROOT = Actor("root@tests", permissions=EVERYTHING, via="cli")


class StoreStage:
    """A store, by its URL. `away` makes it unreachable for a while."""

    def __init__(self, url: str, server: PostgresServer | None = None) -> None:
        self.url = self.gateway_url = url
        self.server = server

    @property
    def is_sqlite(self) -> bool:
        return "://" not in self.url

    def run(self, work: Callable[[Store], Awaitable[T]]) -> T:
        """Open the store, do the work, close it."""

        async def main() -> T:
            store = await open_store(self.url)
            try:
                return await work(store)
            finally:
                await store.close()

        return asyncio.run(main())

    def sql(self, *statements: str) -> None:
        """A change past all services, as nobody should make one."""

        async def main(store: Store) -> None:
            async with store.connecting() as connection:
                await connection.exec_driver_sql("UPDATE policy_version SET version = version + 1")
                for statement in statements:
                    await connection.exec_driver_sql(statement)
                await connection.commit()

        self.run(main)

    @contextlib.contextmanager
    def away(self) -> Iterator[None]:
        if self.server is None:
            paths = [Path(self.url + ending) for ending in ("", "-wal", "-shm")]
            there = [path for path in paths if path.exists()]
            for path in there:
                path.rename(path.with_name(path.name + ".away"))
            try:
                yield
            finally:
                for path in there:
                    path.with_name(path.name + ".away").rename(path)
            return
        name = self.url.rpartition("/")[2]
        self.server.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        self.server.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
        try:
            yield
        finally:
            self.server.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")


def postgres_url(server: PostgresServer, name: str) -> str:
    server.create_database(name)
    return url_of(server, name)


def url_of(server: PostgresServer, name: str) -> str:
    return f"postgresql://{server.superuser}:{server.password}@{server.host}:{server.port}/{name}"


@pytest.fixture(scope="session")
def directory() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="tenantgate-store-") as path:
        yield Path(path)


@pytest.fixture(scope="session")
def empty_database(postgres: PostgresServer) -> Iterator[str]:
    """A store's database to be copied."""
    make_tables(postgres_url(postgres, "empty_store"))
    yield "empty_store"
    postgres.drop_database("empty_store")


@pytest.fixture(scope="session")
def empty_file(directory: Path) -> Path:
    path = directory / "empty.db"
    make_tables(str(path))
    return path


@pytest.fixture(params=["sqlite", "postgres"])
def stage(request: pytest.FixtureRequest, directory: Path) -> Iterator[StoreStage]:
    """An empty store of the test's own."""
    name = f"store_{time.monotonic_ns()}"
    if request.param == "sqlite":
        yield StoreStage(str(shutil.copy(request.getfixturevalue("empty_file"), directory / f"{name}.db")))
        return
    postgres: PostgresServer = request.getfixturevalue("postgres")
    postgres.execute(f"CREATE DATABASE {name} TEMPLATE {request.getfixturevalue('empty_database')}")
    yield StoreStage(url_of(postgres, name), postgres)
    postgres.drop_database(name)


def reader_url(server: PostgresServer, name: str) -> str:
    """For a role that may read the feed and nothing else, as docs/control-plane.md has it."""
    server.execute("CREATE ROLE gateway_policy LOGIN PASSWORD 'reader'")
    server.execute("GRANT SELECT ON policy_version, policy_entries TO gateway_policy", name)
    return f"postgresql://gateway_policy:reader@{server.host}:{server.port}/{name}"


def make_tables(url: str) -> None:
    async def main() -> None:
        from admin.store.engine import store_url

        store = Store(store_url(url))
        await upgrade(store)
        await store.close()

    asyncio.run(main())


@pytest.fixture(scope="module")
def demo() -> Iterator[DemoGateway]:
    server = PostgresServer("embedded")
    server.start()
    yield demo_gateway(server)
    server.stop()


class Following(DemoGateway):
    """A gateway that follows a store which holds the demo's policy."""

    def __init__(self, demo: DemoGateway, stage: StoreStage, settings: dict[str, Any]) -> None:
        super().__init__(demo.server, str(next(iter(demo._targets.values()))["password"]))
        self.stage = stage
        policy = {"store": stage.gateway_url, **settings.pop("policy", {})}
        self.write_config({"policy": policy, **settings})

    def wait_for(self, condition: Callable[[], object], what: str) -> None:
        deadline = time.monotonic() + 30
        while not condition():
            assert time.monotonic() < deadline, what
            time.sleep(0.02)


@pytest.fixture(scope="module", params=["one process on SQLite", "two workers on PostgreSQL"])
def following(request: pytest.FixtureRequest, demo: DemoGateway, directory: Path) -> Iterator[Following]:
    """With max_age 5 s. Tests leave the policy as they found it."""
    if request.param.startswith("one"):
        stage = StoreStage(str(directory / "followed.db"))
    else:
        stage = StoreStage(postgres_url(demo.server, "followed"), demo.server)
        make_tables(stage.url)
        stage.gateway_url = reader_url(demo.server, "followed")
    stage.run(lambda store: apply_document(store, ROOT, demo_document()))
    workers = {} if stage.is_sqlite else {"": {"workers": 2}}
    process = Following(demo, stage, {"policy": {"max_age": "5s"}, **workers})
    process.start()
    yield process
    process.stop()


def demo_document() -> dict[str, Any]:
    document = parse_strict_yaml(policy_text())
    assert isinstance(document, dict)
    return {"targets": {TARGET: {"database": SHOP}}, **document}
