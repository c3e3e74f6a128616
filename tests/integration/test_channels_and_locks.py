"""LISTEN, NOTIFY and advisory locks through the gateway: between sessions of one tenant as on a server of its own, and
nothing from or to another tenant, in each isolation strategy."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from admin.demo.people import ALICE, ANA, BOB, CAROL, DAVE, Person
from tests.harness.demo_business import DemoGateway

Connection = psycopg.Connection[tuple[Any, ...]]
SHORT, LONG = "news", "ActionCable:room:Z2lkOi8vYXBwL1Jvb20vMTIzNDU2Nzg5MA-and-more"
TENANTS = {"shared": (ALICE, ANA), "schema": (CAROL, CAROL), "database": (DAVE, DAVE)}
TAKE = (
    ("SELECT pg_try_advisory_lock(%s)", "SELECT pg_advisory_unlock(%s)", (7,)),
    ("SELECT pg_try_advisory_lock(%s, %s)", "SELECT pg_advisory_unlock(%s, %s)", (0, 7)),
    ("SELECT pg_try_advisory_lock(-9223372036854775808)", "SELECT pg_advisory_unlock(-9223372036854775808)", ()),
)


@pytest.fixture(params=list(TENANTS.values()), ids=list(TENANTS))
def two(gateway: DemoGateway, request: pytest.FixtureRequest) -> Iterator[tuple[Connection, Connection]]:
    """Two sessions of one tenant."""
    one, other = request.param
    with gateway.connect(one, autocommit=True) as a, gateway.connect(other, autocommit=True) as b:
        yield a, b


def connect(gateway: DemoGateway, person: Person) -> Connection:
    return gateway.connect(person, autocommit=True)


def heard(connection: Connection, seconds: float = 5.0, count: int = 1) -> list[tuple[str, str, int]]:
    return [(n.channel, n.payload, n.pid) for n in connection.notifies(timeout=seconds, stop_after=count)]


@pytest.mark.parametrize("channel", [SHORT, LONG, "Ünïcode \"quoted\" 'x'"])
def test_a_notification_reaches_the_tenants_sessions_under_their_name(
    two: tuple[Connection, Connection], channel: str
) -> None:
    listener, sender = two
    name = '"' + channel.replace('"', '""') + '"'
    listener.execute(f"LISTEN {name}".encode())
    sender.execute(f"NOTIFY {name}, 'one'".encode())
    sender.execute("SELECT pg_notify(%s, %s)", (channel, "two"))
    sender.execute(b"NOTIFY another, 'unheard'")
    sender.execute("SELECT pg_notify(%s, %s)", (channel, "three"))
    assert [(c, p) for c, p, _ in heard(listener, count=3)] == [(channel, p) for p in ("one", "two", "three")]
    listener.execute(f"UNLISTEN {name}".encode())
    sender.execute(f"NOTIFY {name}".encode())
    assert heard(listener, 0.3) == []


def test_a_session_knows_its_own_notifications(two: tuple[Connection, Connection]) -> None:
    one, other = two
    one.execute("LISTEN news")
    one.execute("NOTIFY news, 'mine'")
    other.execute("NOTIFY news, 'theirs'")
    found = {payload: pid == one.info.backend_pid for _, payload, pid in heard(one, count=2)}
    assert found == {"mine": True, "theirs": False}


def test_the_list_of_channels_has_the_tenants_names(two: tuple[Connection, Connection]) -> None:
    session, _ = two
    session.execute("LISTEN b")
    session.execute('LISTEN "A"')
    cursor = session.execute("SELECT * FROM pg_listening_channels()")
    assert cursor.description is not None
    assert [column.name for column in cursor.description] == ["pg_listening_channels"]
    assert sorted(cursor.fetchall()) == [("A",), ("b",)]
    assert session.execute("SELECT pg_listening_channels() AS c, 1 ORDER BY c").fetchall() == [("A", 1), ("b", 1)]
    session.execute("UNLISTEN *")
    assert session.execute("SELECT count(*) FROM pg_listening_channels() AS x").fetchall() == [(0,)]


@pytest.mark.parametrize("name", ["", "x" * 64, None])
def test_bad_names_are_refused_as_by_the_server(two: tuple[Connection, Connection], name: str | None) -> None:
    with pytest.raises(psycopg.Error) as refused:
        two[0].execute("SELECT pg_notify(%s, '')", (name,))
    assert refused.value.sqlstate == "22023"


def test_no_tenant_hears_another(gateway: DemoGateway) -> None:
    target = "tg_" + hashlib.sha256(b"acme").hexdigest()[:20]
    people = (ALICE, BOB, CAROL, DAVE)
    sessions = [connect(gateway, person) for person in people]
    try:
        for session in sessions:
            session.execute("LISTEN news")
            session.execute(f'LISTEN "{target}_news"'.encode())
            session.execute("LISTEN tg")
        for session, person in zip(sessions, people, strict=True):
            session.execute("SELECT pg_notify('news', %s)", (person.tenant,))
            session.execute(f"NOTIFY \"{target}_news\", '{person.tenant}'".encode())
        for session, person in zip(sessions, people, strict=True):
            assert {payload for _, payload, _ in heard(session, 1.0, count=3)} == {person.tenant}
    finally:
        for session in sessions:
            session.close()


def test_the_owner_of_the_database_can_notify_a_tenant(gateway: DemoGateway) -> None:
    with connect(gateway, ALICE) as session:
        session.execute("LISTEN orders_changed")
        gateway.server.execute(
            "SELECT pg_notify('tg_' || left(encode(sha256('acme'), 'hex'), 20) || '_orders_changed', 'x')", "shop"
        )
        assert [(c, p) for c, p, _ in heard(session)] == [("orders_changed", "x")]
        gateway.server.execute("SELECT pg_notify('orders_changed', 'not for tenants')", "shop")
        assert heard(session, 0.3) == []


def test_the_next_session_listens_to_nothing(gateway: DemoGateway) -> None:
    for _ in range(3):
        with connect(gateway, ALICE) as session:
            assert session.execute("SELECT count(*) FROM pg_listening_channels() c").fetchone() == (0,)
            session.execute("LISTEN news")


@pytest.mark.parametrize(("take", "give", "key"), TAKE)
def test_a_lock_is_held_against_the_same_tenant_only(
    gateway: DemoGateway, two: tuple[Connection, Connection], take: str, give: str, key: tuple[int, ...]
) -> None:
    one, other = two
    assert one.execute(take.encode(), key).fetchone() == (True,)
    assert other.execute(take.encode(), key).fetchone() == (False,)
    with connect(gateway, BOB) as stranger:
        assert stranger.execute(take.encode(), key).fetchone() == (True,)
    assert one.execute(give.encode(), key).fetchone() == (True,)
    assert one.execute(give.encode(), key).fetchone() == (False,)
    assert other.execute(take.encode(), key).fetchone() == (True,)
    other.execute("SELECT pg_advisory_unlock_all()")
    assert one.execute(take.encode(), key).fetchone() == (True,)


def test_one_key_and_two_keys_are_different_locks(two: tuple[Connection, Connection]) -> None:
    one, other = two
    one.execute("SELECT pg_advisory_lock(7)")
    assert other.execute("SELECT pg_try_advisory_lock(0, 7)").fetchone() == (True,)
    assert other.execute("SELECT pg_try_advisory_lock(7, 0)").fetchone() == (True,)
    assert other.execute("SELECT pg_try_advisory_lock(1, 17), pg_try_advisory_lock(11, 7)").fetchone() == (True, True)
    assert one.execute("SELECT pg_try_advisory_lock(1, 17)").fetchone() == (False,)


def test_shared_locks_and_locks_of_a_transaction(two: tuple[Connection, Connection]) -> None:
    one, other = two
    one.execute("SELECT pg_advisory_lock_shared(5)")
    assert other.execute("SELECT pg_try_advisory_lock_shared(5), pg_try_advisory_lock(5)").fetchone() == (True, False)
    with one.transaction():
        one.execute("SELECT pg_advisory_xact_lock(hashtext('job'))")
        assert other.execute("SELECT pg_try_advisory_xact_lock(hashtext('job'))").fetchone() == (False,)
    assert other.execute("SELECT pg_try_advisory_xact_lock(hashtext('job'))").fetchone() == (True,)


def test_a_lock_of_no_key_is_none(two: tuple[Connection, Connection]) -> None:
    assert two[0].execute("SELECT pg_try_advisory_lock(NULL), pg_try_advisory_lock(1, NULL)").fetchone() == (None, None)


def test_keys_that_come_from_rows(gateway: DemoGateway) -> None:
    with connect(gateway, ALICE) as one, connect(gateway, ANA) as other:
        taken = one.execute("SELECT id FROM orders WHERE pg_try_advisory_lock(id) ORDER BY id LIMIT 1").fetchone()
        assert taken is not None
        assert other.execute("SELECT pg_try_advisory_lock(%s)", taken).fetchone() == (False,)
