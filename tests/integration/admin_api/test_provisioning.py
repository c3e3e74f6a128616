"""POST and DELETE of tenants with a place of their own: store and target together, whatever fails or is killed."""

from __future__ import annotations

import asyncio
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from admin.places.server import Connect, Login
from admin.services.provisioning import TargetAccess
from tests.fix_places import ROLE
from tests.harness.postgres import PostgresServer
from tests.integration.admin_api.stage import HOME, TARGET, Api, serve_api
from tests.integration.places.conftest import traces
from tests.integration.places.faults import Faulty

_BODIES: dict[str, dict[str, Any]] = {
    "schema": {"isolation": "schema", "target": TARGET, "schema": "prov_s"},
    "database": {"isolation": "database", "target": TARGET, "database": "prov_d"},
}


def access(connect: Connect) -> dict[str, TargetAccess]:
    return {TARGET: TargetAccess(connect, HOME, ROLE)}


def login_of(server: PostgresServer) -> Login:
    return Login(server.host, server.port, server.superuser, server.password, tls="disable")


@pytest.fixture
async def served(server: PostgresServer, template: Path, tmp_path: Path) -> AsyncIterator[Api]:
    async with serve_api(
        str(tmp_path / "store.db"), template=template, places=access(login_of(server).connect),
        exports=tmp_path / "exports",
    ) as api:  # fmt: skip
        yield api


async def test_a_tenant_comes_with_its_schema_and_goes_with_an_export(
    served: Api, server: PostgresServer, tmp_path: Path
) -> None:
    before = traces(server)
    made = await served.call("olga", "POST", "/tenants", {"id": "prov", **_BODIES["schema"]})
    assert made.status_code == 201, made.text
    assert any(sql.startswith('CREATE SCHEMA "prov_s"') for sql in made.json()["provisioned"])
    events = (await served.call("olga", "GET", "/audit?entity=prov")).json()["items"]
    assert [event["action"] for event in events] == ["create", "provision"]
    assert "CREATE SCHEMA" in events[0]["reason"]
    server.execute("SET ROLE prov_s_owner; CREATE TABLE prov_s.t AS SELECT generate_series(1, 7) AS n", HOME)
    gone = await served.change("olga", "DELETE", "/tenants/prov?data=export")
    assert gone.status_code == 200, gone.text
    export = gone.json()["export"]
    assert (export["rows"], export["tables"]) == (7, 1)
    assert (Path(export["directory"]) / "data" / "0001.csv").read_text().splitlines()[:2] == ["n", "1"]
    assert traces(server) == before
    assert (await served.call("olga", "GET", "/tenants/prov")).status_code == 404


async def test_a_database_is_destroyed_only_with_the_word(served: Api, server: PostgresServer) -> None:
    before = traces(server)
    assert (await served.call("olga", "POST", "/tenants", {"id": "prov", **_BODIES["database"]})).status_code == 201
    assert "database prov_d" in traces(server)
    for query in ("?data=destroy", "?data=destroy&confirm=prov_d"):
        assert (await served.change("olga", "DELETE", f"/tenants/prov{query}")).status_code == 403
    assert "database prov_d" in traces(server)
    gone = await served.change("olga", "DELETE", "/tenants/prov?data=destroy&confirm=prov")
    assert gone.status_code == 200, gone.text
    assert traces(server) == before


async def test_what_an_export_does_not_hold_keeps_the_tenant(served: Api, server: PostgresServer) -> None:
    for kind, database in (("schema", HOME), ("database", "prov_d")):
        await served.call("olga", "POST", "/tenants", {"id": "prov", **_BODIES[kind]})
        where = "prov_s" if kind == "schema" else "public"
        server.execute(f"CREATE TYPE {where}.mood AS ENUM ('ok'); CREATE TABLE {where}.t AS SELECT 1 AS a", database)
        kept = await served.change("olga", "DELETE", "/tenants/prov?data=export")
        assert kept.status_code == 409
        assert "type " + where in kept.json()["detail"]
        assert "status" not in (await served.call("olga", "GET", "/tenants/prov")).json()
        assert server.execute(f"SELECT a FROM {where}.t", database) == [(1,)]
        assert server.execute(f"SELECT has_database_privilege('{ROLE}', current_database(), 'CONNECT')", database) == [
            (True,)
        ]
        gone = await served.change("olga", "DELETE", "/tenants/prov?data=destroy&confirm=prov")
        assert gone.status_code == 200, gone.text


async def test_a_place_that_is_there_is_taken_or_adopted(served: Api, server: PostgresServer) -> None:
    server.execute("CREATE SCHEMA prov_s", HOME)
    before = traces(server)
    body = {"id": "prov", **_BODIES["schema"]}
    taken = await served.call("olga", "POST", "/tenants", body)
    assert (taken.status_code, taken.headers["content-type"]) == (409, "application/problem+json")
    assert traces(server) == before
    assert (await served.call("olga", "GET", "/tenants/prov")).status_code == 404
    assert (await served.call("olga", "POST", "/tenants?place=adopt", body)).status_code == 201
    assert traces(server) == before
    assert (await served.change("olga", "DELETE", "/tenants/prov?data=keep&confirm=prov")).status_code == 200
    server.execute("DROP SCHEMA prov_s", HOME)


@pytest.mark.parametrize(("kind", "faults"), [("schema", (1, 6, 12, 15)), ("database", (2, 10, 13, 21))])
async def test_whatever_fails_there_is_both_or_neither(
    server: PostgresServer, template: Path, tmp_path: Path, kind: str, faults: tuple[int, ...]
) -> None:
    """Some statement fails, for every other one the server is gone with it: neither tenant nor place are there, at the
    latest when recovery has run. (tests/integration/places tries each statement.)"""
    before = traces(server)
    path = tmp_path / "store.db"
    shutil.copy(template, path)
    for number, at in enumerate(faults):
        faulty = Faulty(login_of(server).connect, at, lost=number % 2 == 1)
        async with serve_api(str(path), places=access(faulty.connect)) as api:
            answer = await api.call("olga", "POST", "/tenants", {"id": "prov", **_BODIES[kind]})
            assert answer.status_code == 502, (at, faulty.count, answer.text)
            assert (await api.call("olga", "GET", "/tenants/prov")).status_code == 404
        async with serve_api(str(path), places=access(login_of(server).connect)) as api:
            await api.control.provisioner.recover()
            assert traces(server) == before, at
    async with serve_api(str(path), places=access(login_of(server).connect)) as api:
        again = await api.call("olga", "POST", "/tenants", {"id": "prov", **_BODIES[kind]})
        assert again.status_code == 201, again.text
        await api.change("olga", "DELETE", "/tenants/prov?data=destroy&confirm=prov")
    assert traces(server) == before


async def test_a_store_that_does_not_take_the_tenant_takes_its_place_back(served: Api, server: PostgresServer) -> None:
    before = traces(server)
    async with served.store.writing() as session:
        await session.execute(
            text("CREATE TRIGGER no BEFORE INSERT ON tenants BEGIN SELECT RAISE(ABORT, 'not this one'); END")
        )
    answer = await served.call("olga", "POST", "/tenants", {"id": "prov", **_BODIES["database"]})
    assert answer.status_code == 500
    assert "not this one" not in answer.text
    assert traces(server) == before
    async with served.store.writing() as session:
        await session.execute(text("DROP TRIGGER no"))
    assert (await served.call("olga", "POST", "/tenants", {"id": "prov", **_BODIES["database"]})).status_code == 201
    await served.change("olga", "DELETE", "/tenants/prov?data=destroy&confirm=prov")


@pytest.mark.parametrize(("kind", "faults"), [("schema", (5, 12, 20)), ("database", (4, 12, 21))])
async def test_a_removal_that_fails_is_finished_later(
    server: PostgresServer, template: Path, tmp_path: Path, kind: str, faults: tuple[int, ...]
) -> None:
    before = traces(server)
    path, real = tmp_path / "store.db", access(login_of(server).connect)
    shutil.copy(template, path)
    where, database = ("prov_s", HOME) if kind == "schema" else ("public", "prov_d")
    for at in faults:
        exports = tmp_path / f"exports-{at}"
        async with serve_api(str(path), places=real) as api:
            assert (await api.call("olga", "POST", "/tenants", {"id": "prov", **_BODIES[kind]})).status_code == 201
        server.execute(f"CREATE TABLE {where}.t AS SELECT 42 AS a", database)
        faulty = Faulty(login_of(server).connect, at, lost=True)
        async with serve_api(str(path), places=access(faulty.connect), exports=exports) as api:
            answer = await api.change("olga", "DELETE", "/tenants/prov?data=export")
            assert answer.status_code == 502, (at, faulty.count, answer.text)
            assert (await api.call("olga", "GET", "/tenants/prov")).json()["status"] == "deleting"
        async with serve_api(str(path), places=real, exports=exports) as api:
            assert await api.control.provisioner.recover() == 1
            assert (await api.call("olga", "GET", "/tenants/prov")).status_code == 404
        assert traces(server) == before, at
        (export,) = exports.iterdir()
        assert (export / "data" / "0001.csv").read_text() == "a\n42\n", at


_SHARED = """
CREATE TABLE orders (tenant_id text, n int);
INSERT INTO orders SELECT t, n FROM generate_series(1, 5) n, unnest('{globex,sub-b,acme}'::text[]) t
"""


async def test_rows_of_shared_tables_go_with_their_tenant(served: Api, server: PostgresServer) -> None:
    server.execute(_SHARED, HOME)
    try:
        for query in ("?data=destroy", "?data=destroy&confirm=acme"):
            assert (await served.change("olga", "DELETE", f"/tenants/globex{query}")).status_code == 403
        gone = await served.change("olga", "DELETE", "/tenants/globex?data=export")
        assert gone.status_code == 200, gone.text
        assert gone.json()["removed"] == [
            'DELETE FROM "public"."orders" WHERE "tenant_id" OPERATOR(pg_catalog.=) \'globex\'  -- 5 rows'
        ]
        export = gone.json()["export"]
        assert (export["rows"], export["tables"]) == (5, 1)
        assert "globex,3" in (Path(export["directory"]) / "data" / "0001.csv").read_text().splitlines()
        gone = await served.change("olga", "DELETE", "/tenants/sub-b?data=destroy&confirm=sub-b")
        assert (gone.status_code, gone.json()["export"]) == (200, None)
        assert server.execute("SELECT tenant_id, count(*) FROM orders GROUP BY 1", HOME) == [("acme", 5)]
        server.execute(
            "ALTER TABLE orders ADD UNIQUE (n, tenant_id);"
            "CREATE TABLE notes (n int, t text, FOREIGN KEY (n, t) REFERENCES orders (n, tenant_id));"
            "INSERT INTO notes VALUES (1, 'acme')",
            HOME,
        )
        kept = await served.change("olga", "DELETE", "/tenants/acme?data=destroy&confirm=acme")
        assert (kept.status_code, "nothing was deleted" in kept.json()["detail"]) == (409, True), kept.text
        assert "status" not in (await served.call("olga", "GET", "/tenants/acme")).json()
        assert server.execute("SELECT count(*) FROM orders", HOME) == [(5,)]
    finally:
        server.execute("DROP TABLE IF EXISTS notes, orders", HOME)


@pytest.mark.parametrize("at", [1, 6, 7, 10])
async def test_a_deletion_of_shared_rows_that_fails_is_finished_later(
    server: PostgresServer, template: Path, tmp_path: Path, at: int
) -> None:
    server.execute(_SHARED, HOME)
    path, exports, real = tmp_path / "store.db", tmp_path / "exports", access(login_of(server).connect)
    shutil.copy(template, path)
    try:
        faulty = Faulty(login_of(server).connect, at, lost=True)
        async with serve_api(str(path), places=access(faulty.connect), exports=exports) as api:
            answer = await api.change("olga", "DELETE", "/tenants/globex?data=export")
            assert answer.status_code == 502, (faulty.count, answer.text)
            assert (await api.call("olga", "GET", "/tenants/globex")).json()["status"] == "deleting"
        async with serve_api(str(path), places=real, exports=exports) as api:
            assert await api.control.provisioner.recover() == 1
            assert (await api.call("olga", "GET", "/tenants/globex")).status_code == 404
        assert server.execute("SELECT count(*) FROM orders WHERE tenant_id = 'globex'", HOME) == [(0,)]
        assert server.execute("SELECT count(*) FROM orders", HOME) == [(10,)]
        written = [(each / "data" / "0001.csv").read_text().count("globex") for each in exports.iterdir()]
        assert 5 in written
    finally:
        server.execute("DROP TABLE orders", HOME)


_CHILD = """
import asyncio, os, signal, sys
from pathlib import Path
from admin.places.server import Login
from tests.integration.admin_api.stage import serve_api
from tests.integration.admin_api.test_provisioning import access, _BODIES
from tests.integration.places.faults import Faulty

async def main(store, at, kind, host, port, user, password):
    def die(_sql):
        os.kill(os.getpid(), signal.SIGKILL)
    login = Login(host, int(port), user, password, tls="disable")
    faulty = Faulty(login.connect, int(at), die)
    async with serve_api(store, places=access(faulty.connect)) as api:
        print((await api.call("olga", "POST", "/tenants", {"id": "prov", **_BODIES[kind]})).status_code)

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.mark.parametrize(("kind", "at"), [("schema", 9), ("database", 16)])
async def test_a_process_that_is_killed_leaves_work_that_the_next_one_undoes(
    server: PostgresServer, template: Path, tmp_path: Path, kind: str, at: int
) -> None:
    before = traces(server)
    store = tmp_path / "store.db"
    shutil.copy(template, store)
    login = login_of(server)
    child = subprocess.run(
        [sys.executable, "-c", _CHILD, store, str(at), kind, login.host, str(login.port), login.user, login.password],
        capture_output=True, check=False,
    )  # fmt: skip
    assert child.returncode == -signal.SIGKILL, child.stderr.decode()
    async with serve_api(str(store), places=access(login.connect)) as api:
        body = {"id": "prov", **_BODIES[kind]}
        held = await api.call("olga", "POST", "/tenants", body)
        assert held.status_code == 409, "its lease is not over: it could be alive"
        assert await api.control.provisioner.recover() == 0
        api.store.clock = lambda: time.time() + 120
        assert await api.control.provisioner.recover() == 1
        for _ in range(100):  # the server may still be ending what the killed client had sent
            if traces(server) == before:
                break
            await asyncio.sleep(0.05)
        assert traces(server) == before
        made = await api.call("olga", "POST", "/tenants", body)
        assert made.status_code == 201, made.text
        await api.change("olga", "DELETE", "/tenants/prov?data=destroy&confirm=prov")
    assert traces(server) == before


async def test_two_at_once_make_one(served: Api, server: PostgresServer) -> None:
    before = traces(server)
    body = {"id": "prov", **_BODIES["schema"]}
    answers = await asyncio.gather(*(served.call("olga", "POST", "/tenants", body) for _ in range(4)))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409]
    await served.change("olga", "DELETE", "/tenants/prov?data=destroy&confirm=prov")
    assert traces(server) == before


async def test_no_administrator_no_place_and_no_export_directory_no_export(
    server: PostgresServer, template: Path, tmp_path: Path
) -> None:
    async with serve_api(str(tmp_path / "a.db"), template=template) as api:
        answer = await api.call("olga", "POST", "/tenants", {"id": "prov", **_BODIES["schema"]})
        assert answer.status_code == 422
        assert "api.targets" in answer.json()["errors"][0]["hint"]
    async with serve_api(str(tmp_path / "b.db"), template=template, places=access(login_of(server).connect)) as api:
        await api.call("olga", "POST", "/tenants", {"id": "prov", **_BODIES["schema"]})
        answer = await api.change("olga", "DELETE", "/tenants/prov?data=export")
        assert (answer.status_code, answer.json()["hint"][:4]) == (403, "Set ")
        await api.change("olga", "DELETE", "/tenants/prov?data=destroy&confirm=prov")
