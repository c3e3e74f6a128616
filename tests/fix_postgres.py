"""Session fixtures: real PostgreSQL servers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from admin.demo.embedded import EmbeddedError
from tests.harness.missing import missing
from tests.harness.postgres import INSTALL, MissingServer, PostgresServer


def _serve(flavour: str, *, tls: bool) -> Iterator[PostgresServer]:
    try:
        server = PostgresServer(flavour, tls=tls)
    except (MissingServer, EmbeddedError):
        missing(f"PostgreSQL ({flavour})", INSTALL[flavour])
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """The embedded server (PostgreSQL 18, SCRAM, no TLS)."""
    yield from _serve("embedded", tls=False)


@pytest.fixture(scope="session")
def postgres_tls() -> Iterator[PostgresServer]:
    """Debian's PostgreSQL 15 with TLS and contrib; its CA is in `ca_file`."""
    yield from _serve("debian15", tls=True)
