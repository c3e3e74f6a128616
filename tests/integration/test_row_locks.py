"""Row locks of guarded reads: no more rows are locked than come out, so that workers share a queue as in one alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from tests.integration.shop_twins import OWNER, Databases, rewritten


@pytest.fixture
def other_worker(databases: Databases) -> Iterator[psycopg.Connection[Any]]:
    info = databases.shared.info
    with psycopg.connect(info.dsn, password=info.password, autocommit=True) as connection:
        yield connection


QUEUES = [
    "SELECT id FROM jobs WHERE state = 'new' ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED",
    "SELECT id FROM jobs WHERE body ~ 'job' ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED",
    "SELECT j.id FROM jobs j JOIN customers c ON c.id = j.id WHERE lower(j.body) LIKE 'job%' ORDER BY j.id LIMIT 1"
    " FOR UPDATE OF j SKIP LOCKED",
    "UPDATE jobs SET state = 'run' WHERE id = (SELECT id FROM jobs WHERE body ~ 'job' ORDER BY id LIMIT 1"
    " FOR UPDATE SKIP LOCKED) RETURNING id",
    "WITH n AS (SELECT id FROM jobs WHERE body ~ 'job' ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED)"
    " UPDATE jobs SET state = 'run' FROM n WHERE n.id = jobs.id RETURNING jobs.id",
    "DELETE FROM jobs WHERE id IN (SELECT id FROM jobs WHERE body ~ 'job' ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED)"
    " RETURNING id",
]


@pytest.mark.parametrize("sql", QUEUES)
def test_two_workers_take_different_jobs(sql: str, databases: Databases, other_worker: psycopg.Connection[Any]) -> None:
    (sent,) = rewritten(sql, OWNER, databases.catalog)
    workers = databases.shared, other_worker
    try:
        taken = []
        for worker in workers:
            worker.execute("BEGIN")
            taken.append(worker.execute(sent.encode()).fetchall())
        assert [len(rows) for rows in taken] == [1, 1]
        assert taken[0] != taken[1]
    finally:
        for worker in workers:
            worker.execute("ROLLBACK")
