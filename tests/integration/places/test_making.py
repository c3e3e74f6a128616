"""Schemas and databases of tenants on a real server: whole, or nothing left behind, whatever fails on the way."""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable

import psycopg
import pytest

from admin.places.errors import PlaceFailed, PlaceRefused, PlaceTaken
from admin.places.making import make_place, remove_place, undo_place
from admin.places.server import Login
from tests.fix_places import HOME, ROLE
from tests.harness.postgres import PostgresServer
from tests.integration.places.conftest import place, traces
from tests.integration.places.faults import Faulty


def as_gateway(server: PostgresServer, database: str, *statements: str) -> list[tuple[object, ...]]:
    conninfo = psycopg.conninfo.make_conninfo(server.conninfo(database), user=ROLE, password="gateway")
    rows: list[tuple[object, ...]] = []
    with psycopg.connect(conninfo, autocommit=True) as connection:
        for statement in statements:
            cursor = connection.execute(statement)
            rows = cursor.fetchall() if cursor.description else []
    return rows


async def failure(work: Awaitable[object]) -> PlaceFailed | None:
    try:
        await work
    except PlaceFailed as error:
        return error
    return None


async def test_the_gateway_can_use_what_the_owner_of_a_schema_makes(server: PostgresServer, login: Login) -> None:
    before = traces(server)
    where = place("initech")
    done = await make_place(where, login.connect)
    assert [step.sql.split()[0] for step in done][:2] == ["CREATE", "COMMENT"]
    server.execute("SET ROLE initech_owner; CREATE TABLE initech.t (id int GENERATED ALWAYS AS IDENTITY, v text)", HOME)
    assert as_gateway(
        server,
        HOME,
        "INSERT INTO initech.t (v) VALUES ('x')",
        "CREATE TABLE initech.own (a int)",
        "SELECT * FROM initech.t",
    ) == [(1, "x")]
    await remove_place(where, login.connect)
    assert traces(server) == before
    await remove_place(where, login.connect)  # again: nothing to do, and no error


async def test_a_database_is_nobody_elses(server: PostgresServer, login: Login) -> None:
    before = traces(server)
    where = place("umbrella_db", whole=True)
    await make_place(where, login.connect)
    server.execute("CREATE ROLE places_stranger LOGIN PASSWORD 'x'")
    try:
        stranger = psycopg.conninfo.make_conninfo(server.conninfo("umbrella_db"), user="places_stranger", password="x")
        with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
            psycopg.connect(stranger)
    finally:
        server.execute("DROP ROLE places_stranger")
    assert as_gateway(server, "umbrella_db", "CREATE TABLE own (a int)", "SELECT count(*) FROM own") == [(0,)]
    await remove_place(where, login.connect)
    assert traces(server) == before


@pytest.mark.parametrize("whole", [False, True], ids=["schema", "database"])
async def test_whichever_step_fails_nothing_is_left_behind(server: PostgresServer, login: Login, whole: bool) -> None:
    before = traces(server)
    where = place("faulty", whole=whole)
    faults = 0
    for at in range(1, 100, 2 if whole else 1):
        faulty = Faulty(login.connect, at)
        error = await failure(make_place(where, faulty.connect))
        if error is None:
            break
        assert error.message == "a fault of the test"
        assert traces(server) == before, f"fault at statement {at}"
        faults += 1
    assert faults > (7 if whole else 12)
    await remove_place(where, login.connect)
    assert traces(server) == before


@pytest.mark.parametrize("whole", [False, True], ids=["schema", "database"])
async def test_what_a_lost_server_keeps_is_undone_later(server: PostgresServer, login: Login, whole: bool) -> None:
    """The undoing fails with the making; done again when the server is back, it finds what the work's mark is on."""
    before = traces(server)
    where = place("lost", whole=whole)
    left = 0
    for at in range(4, 100, 4):
        faulty = Faulty(login.connect, at, lost=True)
        error = await failure(make_place(where, faulty.connect))
        if error is None:
            break
        assert "undone as soon as can be" in (error.hint or "")
        left += traces(server) != before
        await undo_place(where, login.connect)
        assert traces(server) == before, f"lost at statement {at}"
    assert left > 0 or not whole  # a schema is made in one transaction
    await undo_place(where, login.connect)  # even what is whole, when its tenant never came to be
    assert traces(server) == before


@pytest.mark.parametrize("whole", [False, True], ids=["schema", "database"])
async def test_what_was_there_before_is_refused_and_stays(server: PostgresServer, login: Login, whole: bool) -> None:
    mine, other = place("taken", whole=whole, mark="aa11"), place("taken", whole=whole, mark="bb22", tenant="other")
    await make_place(mine, login.connect)
    before = traces(server)
    with pytest.raises(PlaceTaken):
        await make_place(other, login.connect)
    await undo_place(other, login.connect)
    assert traces(server) == before
    await remove_place(mine, login.connect)


async def test_names_of_any_kind_stay_names(server: PostgresServer, login: Login) -> None:
    before = traces(server)
    for name in ('we"ird; DROP ROLE x --', "schöner name", "x" * 63, "ü" * 31):
        for whole in (False, True):
            where = place(name, whole=whole)
            await make_place(where, login.connect)
            assert f"{'database' if whole else 'schema'} {name}" in traces(server)
            await remove_place(where, login.connect)
    assert traces(server) == before


async def test_no_role_no_place_and_the_targets_own_database_is_not_dropped(
    server: PostgresServer, login: Login
) -> None:
    with pytest.raises(PlaceRefused, match="does not exist"):
        await make_place(dataclasses.replace(place("roleless"), role="nobody_such"), login.connect)
    with pytest.raises(PlaceRefused, match="target's own"):
        await remove_place(dataclasses.replace(place("x", whole=True), database=HOME), login.connect)


async def test_a_wrong_password_is_told_without_it(server: PostgresServer) -> None:
    wrong = Login(server.host, server.port, server.superuser, "not-the-password", tls="disable")
    with pytest.raises(PlaceFailed) as caught:
        await make_place(place("x"), wrong.connect)
    assert "not-the-password" not in f"{caught.value} {caught.value.statement} {wrong!r}"
