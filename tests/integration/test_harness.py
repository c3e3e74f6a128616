"""The harness itself: both flavours run, with the promised version, TLS and passwords."""

from __future__ import annotations

import psycopg
import pytest

from tests.harness.postgres import PostgresServer


def test_embedded_is_postgresql_18_with_scram(postgres: PostgresServer) -> None:
    assert int(postgres.execute("SHOW server_version_num")[0][0]) >= 180000
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(postgres.conninfo(password="wrong"))


def test_databases_come_and_go(postgres: PostgresServer) -> None:
    postgres.create_database("harness_test")
    assert postgres.execute("SELECT current_database()", database="harness_test") == [("harness_test",)]
    postgres.drop_database("harness_test")
    assert postgres.execute("SELECT 1 FROM pg_database WHERE datname = 'harness_test'") == []


def test_debian_speaks_tls_with_a_verifiable_certificate(postgres_tls: PostgresServer) -> None:
    info = postgres_tls.conninfo() + f" sslmode=verify-full sslrootcert={postgres_tls.ca_file}"
    with psycopg.connect(info) as connection:
        row = connection.execute("SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid()").fetchone()
    assert row == ("TLSv1.3",)
