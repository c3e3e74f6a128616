"""Fixtures of the corpus tests: one Debian PostgreSQL with the corpus's database."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.harness.missing import missing
from tests.harness.postgres import INSTALL, MissingServer, PostgresServer
from tests.security import corpus, fixture


@dataclass(frozen=True, slots=True)
class CorpusServer:
    """The server with the template database `fixture`; `password` is the backend role's."""

    server: PostgresServer
    password: str

    def conninfo(self, database: str) -> str:
        """As the role that the gateway uses."""
        return self.server.conninfo(database, user=fixture.BACKEND_ROLE, password=self.password)


@pytest.fixture(scope="session")
def corpus_server() -> Iterator[CorpusServer]:
    corpus.require()
    try:
        server = PostgresServer("debian15", settings={"autovacuum": "off"})
    except MissingServer:
        missing("PostgreSQL 15 with contrib", INSTALL["debian15"])
    server.start()
    try:
        password = secrets.token_urlsafe(12)
        fixture.create_fixture(server, password)
        yield CorpusServer(server, password)
    finally:
        server.stop()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of one environment of the full corpus follow each other, whatever the random order: each is a gateway."""
    places = [n for n, item in enumerate(items) if _environment_of(item) is not None]
    order: dict[object, int] = {}
    for place in places:
        order.setdefault(_environment_of(items[place]), len(order))
    grouped = sorted((items[place] for place in places), key=lambda item: order[_environment_of(item)])
    for place, item in zip(places, grouped, strict=True):
        items[place] = item


def _environment_of(item: pytest.Item) -> object:
    callspec = getattr(item, "callspec", None)
    return None if callspec is None else callspec.params.get("environment")
