"""Run text SQL by the simple protocol, every value as text: what `load_catalog` asks of a connection."""

from __future__ import annotations

from typing import Any

import psycopg

from policy.sql.catalog import Catalog
from proxy.postgres.catalog_loader import Query, Row, load_catalog


def simple_query(connection: psycopg.Connection[Any]) -> Query:
    async def query(sql: str) -> list[Row]:
        result = connection.pgconn.exec_(sql.encode())
        assert result.status == psycopg.pq.ExecStatus.TUPLES_OK, result.error_message
        rows = range(result.ntuples)
        return [[_decode(result.get_value(row, column)) for column in range(result.nfields)] for row in rows]

    return query


async def load_catalog_from(conninfo: str, version: int = 1) -> Catalog:
    """The catalog of the database that `conninfo` names, as its user sees it with the gateway's search_path."""
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute("SET search_path = pg_catalog, public")
        return await load_catalog(simple_query(connection), connection.info.dbname, version)


def _decode(value: bytes | None) -> str | None:
    return None if value is None else value.decode()
