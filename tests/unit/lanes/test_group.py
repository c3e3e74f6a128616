"""A lane's backend comes from the pool as some session left it."""

from __future__ import annotations

from typing import Any

import pytest

from policy.sql.plan import ANYTHING
from proxy.postgres.lanes.group import Lanes
from proxy.postgres.statements import StatementBook


class Backend:
    """What a lane asks of one; it notes what it is told."""

    def __init__(self, settings: dict[str, str], left: int) -> None:
        self.settings = settings
        self.left = left
        self.told: list[str] = []

    async def exchange(self, *statements: str) -> list[Any]:
        self.told += statements
        return []

    def attach(self, _receiver: object) -> None: ...

    @property
    def closed(self) -> bool:
        return False


class Pool:
    def __init__(self, backend: Backend) -> None:
        self.backend = backend

    async def acquire(self) -> Backend:
        return self.backend


@pytest.mark.parametrize(
    ("settings", "left", "told"),
    [
        ({"datestyle": "'German'"}, 0, ["RESET datestyle"]),
        ({}, 0, []),
        ({}, ANYTHING, ["DISCARD SEQUENCES", "CLOSE ALL", "UNLISTEN *", "DISCARD TEMP", "RESET ALL"]),
    ],
)
async def test_a_lane_begins_with_its_own_settings(settings: dict[str, str], left: int, told: list[str]) -> None:
    backend: Any = Backend(settings, left)
    pool: Any = Pool(backend)
    lanes = Lanes(pool, StatementBook(), {}, lambda: 0.0, lambda work: work.close())
    await lanes._add()
    assert backend.told == told
    assert backend.settings == {}
    assert backend.left == 0
    assert len(lanes) == 1
