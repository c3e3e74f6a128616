"""Fixtures of the corpus tests: one Debian PostgreSQL with the corpus's database, and the scores at the end."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.harness.missing import missing
from tests.harness.postgres import INSTALL, MissingServer, PostgresServer
from tests.security import corpus, fixture
from tests.security.score import SCORES


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


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if SCORES:
        terminalreporter.section("isolation corpus")
        for line in SCORES.lines():
            terminalreporter.write_line(line)
