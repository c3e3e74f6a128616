"""Session fixtures: real PostgreSQL servers."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest

from admin.demo.embedded import EmbeddedError
from tests.harness.missing import missing
from tests.harness.postgres import INSTALL, MissingServer, PostgresServer


@contextlib.contextmanager
def serve_postgres(flavour: str, *, tls: bool = False) -> Iterator[PostgresServer]:
    """Run a server of its own, or end the test with the install line when this machine has none."""
    try:
        server = PostgresServer(flavour, tls=tls)
    except (MissingServer, EmbeddedError):
        missing(f"PostgreSQL ({flavour})", INSTALL[flavour])
    server.start()
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """The embedded server (PostgreSQL 18, SCRAM, no TLS)."""
    with serve_postgres("embedded") as server:
        yield server


@pytest.fixture(scope="session")
def postgres_tls() -> Iterator[PostgresServer]:
    """Debian's PostgreSQL 15 with TLS and contrib; its CA is in `ca_file`."""
    with serve_postgres("debian15", tls=True) as server:
        yield server
