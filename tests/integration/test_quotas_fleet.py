"""Two gateways and one Redis: limits per period hold for both together, whatever becomes of one, or of Redis."""

from __future__ import annotations

import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from tests.harness.demo_business import DemoGateway
from tests.harness.lanes import metrics_of
from tests.harness.metered import MeteredGateway
from tests.harness.redis import RedisServer

LIMIT, ROOM = 400, 7
QUOTAS: dict[str, dict[str, Any]] = {
    name: {"rows": {"limit": LIMIT, "per": "month"}} for name in ("together", "left", "alone", "denied")
} | {"crowd": {"connections": ROOM}, "shut": {"connections": 3}}


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    server = RedisServer()
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def fleet(gateway: DemoGateway, redis: RedisServer) -> Iterator[list[MeteredGateway]]:
    """One with workers, one without; the second refuses what it cannot check."""
    made = []
    for workers, when_away in ((2, "local"), (1, "deny")):
        shared = {"url": redis.url, "when_away": when_away, "lease_s": 1.5}
        settings: dict[str, dict[str, Any]] = {"": {"workers": workers}, "quotas.redis": shared}
        process = MeteredGateway(gateway, QUOTAS, settings)
        process.start()
        made.append(process)
    yield made
    for process in made:
        if process.running:
            process.stop()


def eventually(condition: Callable[[], Any], what: str) -> Any:
    deadline = time.monotonic() + 60
    while not (found := condition()):
        assert time.monotonic() < deadline, what
        time.sleep(0.05)
    return found


def use_one(session: psycopg.Connection[Any]) -> bool:
    """Read a row; whether there was one left. A share that comes too late is asked for again."""
    while True:
        try:
            session.execute("SELECT 1")
            return True
        except psycopg.errors.ConfigurationLimitExceeded as error:
            if "share" not in (error.diag.message_primary or ""):
                return False
            time.sleep(0.02)


def use_up(session: psycopg.Connection[Any]) -> int:
    """Read rows one by one until nothing is left; how many there were."""
    done = 0
    while use_one(session):
        done += 1
    return done


def used(session: psycopg.Connection[Any]) -> float:
    return float(session.execute("SHOW QUOTA").fetchall()[0][2])


def readiness(gateway: MeteredGateway) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{gateway.admin_port}/readyz") as answer:
        text: str = answer.read().decode()
    return text


def test_together_they_never_go_over_the_limit_and_reach_it(fleet: list[MeteredGateway]) -> None:
    with fleet[0].session("together") as one, fleet[1].session("together") as other, ThreadPoolExecutor() as threads:
        assert sum(threads.map(use_up, (one, other))) == LIMIT
        eventually(lambda: used(one) == used(other) == LIMIT, "they do not agree")


Sessions = list[psycopg.Connection[Any]]


def enter(gateway: MeteredGateway, tenant: str, sessions: Sessions) -> bool:
    """One more session; False: there is no room for it."""
    try:
        sessions.append(gateway.session(tenant))
    except psycopg.OperationalError as error:
        if "too many connections" not in str(error):
            raise
        return False
    return True


def test_connections_of_all_together_stay_within_the_limit_and_reach_it(
    fleet: list[MeteredGateway], redis: RedisServer
) -> None:
    third = MeteredGateway(fleet[0], QUOTAS, {"quotas.redis": {"url": redis.url, "lease_s": 1.5}})
    third.start()
    gateways = [*fleet, third]
    sessions: list[Sessions] = [[], [], []]

    def crowd(at: int, most: int = ROOM) -> None:
        def is_full() -> bool:
            return sum(map(len, sessions)) >= most or (
                enter(gateways[at], "crowd", sessions[at]) and sum(map(len, sessions)) >= most
            )

        eventually(is_full, "there is no room where there should be")

    def is_anybody_let_in() -> bool:
        return any(enter(gateway, "crowd", group) for gateway, group in zip(gateways, sessions, strict=True))

    try:
        with ThreadPoolExecutor() as threads:
            list(threads.map(crowd, range(3)))
        assert sum(map(len, sessions)) == ROOM
        assert not is_anybody_let_in()
        for group in sessions[:2]:
            while group:
                group.pop().close()
        crowd(1)  # what the others gave back
        assert not is_anybody_let_in()
        assert third._child.process is not None
        third._child.process.kill()
        third._child.process.wait()
        gateways.pop()
        for session in sessions.pop():
            session.close()
        crowd(0)  # what a dead one had
        assert not is_anybody_let_in()
    finally:
        for session in (session for group in sessions for session in group):
            session.close()
        if third.running:
            third.stop()


def test_one_that_dies_leaves_its_share_to_others_and_redis_may_be_away(
    fleet: list[MeteredGateway], redis: RedisServer
) -> None:
    with fleet[0].session("left") as session, fleet[1].session("left") as other:
        for _ in range(30):
            use_one(other)
        eventually(lambda: used(session) >= 30, "the other's use is not known")
    third = MeteredGateway(fleet[0], QUOTAS, {"quotas.redis": {"url": redis.url, "lease_s": 1.5}})
    third.start()
    with third.session("left") as doomed:
        use_one(doomed)
        with fleet[0].session("left") as session:
            eventually(lambda: used(session) >= 31, "its use is not known")
        assert third._child.process is not None
        third._child.process.kill()
        third._child.process.wait()
    with fleet[0].session("left") as session:
        assert 31 + use_up(session) == LIMIT  # what the dead one and the quiet one held is its own after a while

    with fleet[0].session("alone") as local, fleet[1].session("denied") as denied:
        use_one(local)
        use_one(denied)
        with fleet[1].session("alone") as other:  # so that Redis forgets something that it was told
            eventually(lambda: used(other) == 1, "its use is not known")
        assert "degraded" not in readiness(fleet[0])
        redis.stop()
        eventually(lambda: "is away: local" in readiness(fleet[0]), "nobody says so")
        eventually(lambda: "is away: deny" in readiness(fleet[1]), "nobody says so")
        for gateway in fleet:
            assert "tenantgate_quota_shares_up 0.0" in metrics_of(gateway)
            assert "keeper of quotas (Redis) is away" in gateway.log

        def is_denied() -> bool:
            try:
                denied.execute("SELECT 1")
            except psycopg.errors.CannotConnectNow:
                return True
            return False

        eventually(is_denied, "it is not refused")
        assert use_up(local) == LIMIT - 1  # counted by itself
        fleet[0].session("shut").close()
        with pytest.raises(psycopg.OperationalError, match="cannot be counted: the fleet's keeper of quotas is away"):
            fleet[1].session("shut")
        redis.start()
        eventually(lambda: "degraded" not in readiness(fleet[1]), "it does not come back")
        eventually(lambda: not is_denied(), "it is refused for ever")
        fleet[1].session("shut").close()
    with fleet[0].session("alone") as local, pytest.raises(psycopg.errors.ConfigurationLimitExceeded):
        local.execute("SELECT 1")
    with fleet[1].session("alone") as other:  # Redis has lost all, and was told again
        eventually(lambda: used(other) == LIMIT, "what was used is forgotten")
