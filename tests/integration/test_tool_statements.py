"""Statements that ORMs and BI tools send to shared tables: hardly any is refused that PostgreSQL takes."""

from __future__ import annotations

from tests.compat.statements import measure, share_refused, shop
from tests.harness.postgres import PostgresServer

MAX_SHARE = 0.03


def test_few_are_refused_and_these_for_a_reason(postgres: PostgresServer) -> None:
    with shop(postgres) as (alone, shared):
        outcomes = measure(alone, shared)
    assert len(outcomes) > 450
    refused = [outcome for outcome in outcomes if outcome.error]
    assert share_refused(outcomes) < MAX_SHARE, refused
    internal = [outcome for outcome in refused if outcome.error.startswith("XX")]
    assert internal == []
