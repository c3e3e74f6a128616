"""Changes of the policy store in gateways: in force within a second, on open sessions, without a dropped one."""

from __future__ import annotations

import json
import os
import signal
import urllib.request
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from psycopg import errors

from admin.cli.main import main
from admin.demo.people import ALICE, ANA, BOB, CAROL, OLGA, Person
from admin.services.revocations import lift_revocation, revoke
from admin.services.roles import put_role
from admin.services.tenants import create_tenant, delete_tenant, patch_tenant, resume_tenant, suspend_tenant
from admin.store.change import policy_version
from admin.store.engine import Store
from tests.integration.policy_store.conftest import ROOT, Following
from tests.integration.test_workers import worker_pids

COUNT = "SELECT count(*) FROM orders"


def body_of(following: Following, kind: str, name: str) -> dict[str, Any]:
    from admin.services.keeping import get

    return following.stage.run(lambda store: get(store, ROOT, kind, name)).body


def may_log_in(following: Following, person: Person) -> bool:
    try:
        following.connect(person).close()
    except psycopg.OperationalError:
        return False
    return True


def test_a_role_change_reaches_an_open_session(following: Following) -> None:
    before = body_of(following, "role", "app")
    with following.connect(ALICE, autocommit=True) as session:
        assert session.execute(COUNT).fetchone()

        def is_refused() -> bool:
            try:
                session.execute(COUNT)
            except errors.InsufficientPrivilege:
                return True
            return False

        less = {"permissions": ["table:customers:read"]}
        following.stage.run(lambda store: put_role(store, ROOT, "app", less))
        following.wait_for(is_refused, "the role is as it was")
        following.stage.run(lambda store: put_role(store, ROOT, "app", before))
        following.wait_for(lambda: not is_refused(), "the role did not come back")


def test_a_suspended_tenant_loses_its_sessions_and_nobody_else_does(following: Following) -> None:
    with following.connect(ALICE, autocommit=True) as gone, following.connect(BOB, autocommit=True) as stays:
        assert gone.execute("SELECT 1").fetchone()
        following.stage.run(lambda store: suspend_tenant(store, ROOT, "acme"))
        following.wait_for(lambda: is_ended(gone), "the session goes on")
        assert stays.execute(COUNT).fetchone()
    following.wait_for(lambda: not may_log_in(following, ALICE), "a suspended tenant is let in")
    following.stage.run(lambda store: resume_tenant(store, ROOT, "acme"))
    following.wait_for(lambda: may_log_in(following, ALICE), "a resumed tenant is not let in")


def test_a_new_tenant_is_served_and_a_deleted_one_is_not(following: Following) -> None:
    newcomer = Person("nina", "newco", ("app",), "")
    following.tokens["nina"] = following.token_of(newcomer)
    body = {"isolation": "shared", "target": "shop"}
    following.stage.run(lambda store: create_tenant(store, ROOT, "newco", body))
    following.wait_for(lambda: may_log_in(following, newcomer), "a new tenant is not served")
    with following.connect(newcomer, autocommit=True) as session:
        assert session.execute(COUNT).fetchone() == (0,)
        following.stage.run(lambda store: delete_tenant(store, ROOT, "newco", word="newco"))
        following.wait_for(lambda: is_ended(session), "a deleted tenant is served")


@pytest.mark.parametrize("by", ["jti", "subject"])
def test_a_revoked_login_ends_on_live_sockets_and_is_not_let_in(following: Following, by: str) -> None:
    import jwt

    token = following.tokens["carol"]
    claims = jwt.decode(token, options={"verify_signature": False})
    body = {"jti": claims["jti"]} if by == "jti" else {"subject": "carol", "tenant": "initech"}
    with following.connect(CAROL, autocommit=True) as revoked, following.connect(BOB, autocommit=True) as other:
        assert revoked.execute("SELECT 1").fetchone()
        made = following.stage.run(lambda store: revoke(store, ROOT, body))
        following.wait_for(lambda: is_ended(revoked), "the session goes on")
        assert other.execute(COUNT).fetchone()
        following.wait_for(lambda: not may_log_in(following, CAROL), "the revoked token is taken")
    following.stage.run(lambda store: lift_revocation(store, ROOT, made.id))
    following.wait_for(lambda: may_log_in(following, CAROL), "a lifted revocation holds")


def test_what_is_not_understood_is_refused_and_the_last_policy_stays(following: Following) -> None:
    stage = following.stage
    with following.connect(ANA, autocommit=True) as session:
        stage.sql(
            """INSERT INTO policy_entries SELECT 'role', 'broken', version, '{"permissions": ["table:*:fly"]}'"""
            " FROM policy_version"
        )
        following.wait_for(lambda: "roles.broken.permissions[0]" in following.log, "the entry was not refused")
        assert session.execute(COUNT).fetchone()
        stage.sql(  # services would not get past the broken entry either
            """INSERT INTO policy_entries SELECT 'revocation', 'subject/acme/ana', version, """
            """'{"subject": "ana", "tenant": "acme"}' FROM policy_version"""
        )
        following.wait_for(lambda: is_ended(session), "a revocation waits behind a broken entry")
    stage.sql(
        "DELETE FROM policy_entries WHERE id = 'broken'",
        "UPDATE policy_entries SET body = NULL, version = (SELECT version FROM policy_version) WHERE id LIKE '%ana'",
    )
    following.wait_for(lambda: may_log_in(following, ANA), "the policy did not recover")


def is_ended(session: psycopg.Connection[Any]) -> bool:
    try:
        session.execute("SELECT 1")
    except psycopg.OperationalError:
        return True
    return False


def test_without_its_store_a_gateway_serves_until_the_policy_is_too_old(following: Following) -> None:
    with following.connect(BOB, autocommit=True) as session, following.connect(OLGA, "tenantgate") as console:
        console.autocommit = True
        with following.stage.away():
            assert session.execute(COUNT).fetchone()

            def is_refused() -> bool:
                try:
                    session.execute(COUNT)
                except errors.CannotConnectNow as error:
                    return "too old" in str(error)
                return False

            following.wait_for(is_refused, "an old policy is served by for ever")
            assert not may_log_in(following, BOB)
            rows = console.execute("SHOW POLICY").fetchall()
            assert any((row[3], row[6]) == ("away", False) for row in rows), rows
            assert metric(following, "tenantgate_policy_age_seconds") > 2
        following.wait_for(lambda: not is_refused(), "the store is back and statements are refused")
    assert {row[3] for row in console_rows(following)} == {"current"}


def console_rows(following: Following) -> list[Any]:
    with following.connect(OLGA, "tenantgate", autocommit=True) as console:
        return console.execute("SHOW POLICY").fetchall()


def metric(following: Following, name: str) -> float:
    with urllib.request.urlopen(f"http://127.0.0.1:{following.admin_port}/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    return float(next(line for line in lines if line.startswith(name + " ")).split()[1])


def test_commands_read_the_store_that_is_configured(following: Following, capsys: pytest.CaptureFixture[str]) -> None:
    config = ["-c", str(following.config_path)]
    assert main(["check-config", *config]) == 0
    assert "the policy is in a store" in capsys.readouterr().out
    assert main(["explain", *config, "--tenant", "globex", "--user", "bob", "--role", "app", COUNT]) == 0
    assert "'globex'" in capsys.readouterr().out
    if following.stage.is_sqlite:  # the gateway's own role may not change anything elsewhere
        assert main(["tenant", "show", "globex", *config]) == 0


def test_a_reload_keeps_the_stores_policy(following: Following) -> None:
    versions = {row[2] for row in console_rows(following)}
    count = following.log.count('"reloaded"')
    following.reload()
    following.wait_for(lambda: following.log.count('"reloaded"') > count, "no reload")
    assert {row[2] for row in console_rows(following)} == versions
    following.stage.run(lambda store: patch_tenant(store, ROOT, "globex", {"name": "Globex"}))
    following.wait_for(lambda: {row[2] for row in console_rows(following)} == {max(versions) + 1}, "no more changes")
    assert json.dumps("Globex") not in following.log


def test_new_workers_and_a_new_image_follow_too(following: Following) -> None:
    """A worker that is killed and started again, then all of them by a restart without a refused connection."""
    if following.stage.is_sqlite:
        pytest.skip("one process has no workers")
    check_renewed(following, lambda: kill_a_worker(following), 1)
    check_renewed(following, lambda: os.kill(following.pid, signal.SIGUSR2), 2)


def check_renewed(following: Following, act: Callable[[], None], workers: int) -> None:
    """So many other workers serve after it, and a change that is made then is in force in each."""
    before = set(worker_pids(following).values())
    act()
    following.wait_for(lambda: len(set(worker_pids(following).values()) - before) == workers, "no new workers")
    following.wait_for(lambda: len(console_rows(following)) == 2, "not two workers")
    name = f"Umbrella {workers}"
    following.stage.run(lambda store: patch_tenant(store, ROOT, "umbrella", {"name": name}))
    newest = following.stage.run(version_of)
    following.wait_for(lambda: {row[2] for row in console_rows(following)} == {newest}, "a worker does not follow")


def kill_a_worker(following: Following) -> None:
    os.kill(next(iter(worker_pids(following).values())), signal.SIGKILL)


async def version_of(store: Store) -> int:
    async with store.reading() as session:
        return await policy_version(session)
