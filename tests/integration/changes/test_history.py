"""`tenantgate changes`: what it tells of a row, to whom, and how it is held against the audit log."""

from __future__ import annotations

import contextlib
import json
import time
from typing import Any

import pytest

from admin.cli.api_changes import TargetChanges
from admin.places.server import Login
from admin.provision.change_sql import DIGESTED
from admin.services.provisioning import TargetAccess
from tests.integration.admin_api.stage import TARGET, fill, serve_api
from tests.integration.changes.stage import Shop

Capture = pytest.CaptureFixture[str]


def told(shop: Shop, capsys: Capture, *arguments: str) -> tuple[int, list[dict[str, Any]]]:
    """Exit status and the changes, of the shared database and of umbrella's own."""
    capsys.readouterr()
    status = shop.command("changes", "--admin-url", shop.admin_url, "--json", *arguments)
    databases = json.loads(capsys.readouterr().out)["databases"]
    return status, [change for each in databases for change in each["changes"]]


def problems_of(shop: Shop, capsys: Capture) -> set[str]:
    capsys.readouterr()
    status = shop.command("changes", "--admin-url", shop.admin_url, "--json", "--verify")
    databases = json.loads(capsys.readouterr().out)["databases"]
    problems = {problem for each in databases for problem in each["problems"]}
    assert status == (1 if problems else 0)
    return problems


def logged(shop: Shop, what: str) -> None:
    """Wait until the audit log has it."""
    end = time.monotonic() + 60
    while what not in shop.gateway.audit_path.read_text():
        assert time.monotonic() < end, what
        time.sleep(0.02)


@contextlib.contextmanager
def tampering(shop: Shop) -> Any:
    """An administrator who touches what was recorded; it is put back as it was."""
    shop.superuser("CREATE TABLE IF NOT EXISTS kept AS SELECT * FROM tenantgate.changes")
    yield
    shop.superuser("TRUNCATE tenantgate.changes; INSERT INTO tenantgate.changes SELECT * FROM kept; DROP TABLE kept")


def test_the_history_of_a_row(shop: Shop, capsys: Capture) -> None:
    with shop.connect() as acme:
        acme.execute("INSERT INTO orders (id, note) VALUES (42, 'new')")
        acme.execute("UPDATE orders SET note = 'x', total = 7 WHERE id = 42")
        acme.execute("UPDATE orders SET note = 'other' WHERE id = 1")
        acme.execute("DELETE FROM orders WHERE id = 42")
    status, found = told(shop, capsys, "--table", "orders", "--key", "42")
    assert (status, [change["operation"] for change in found]) == (0, ["INSERT", "UPDATE", "DELETE"])
    assert {(change["user"], change["table"]) for change in found} == {("ann", "public.orders")}
    assert shop.command("changes", "--admin-url", shop.admin_url, "--table", "public.orders", "--key", "42") == 0
    out = capsys.readouterr().out
    assert 'note: "new" -> "x"' in out
    assert 'total: - -> "7.00"' in out
    assert "UPDATE public.orders 42  ann@acme session" in out
    assert told(shop, capsys, "--table", "orders", "--key", "43")[0] == 1
    assert len(told(shop, capsys, "--since", "1h")[1]) == 4
    assert told(shop, capsys, "--until", "1h") == (1, [])
    assert told(shop, capsys, "--user", "bob") == (1, [])
    assert [change["operation"] for change in told(shop, capsys, "--limit", "2")[1]] == ["UPDATE", "DELETE"]


def test_a_tenant_sees_its_own(shop: Shop, capsys: Capture) -> None:
    users = {"acme": "ann", "globex": "bob", "initech": "ivy"}
    for tenant, user in users.items():
        with shop.connect(tenant, user) as client:
            client.execute("UPDATE orders SET note = 'mine' WHERE id = 1")
    shop.superuser("UPDATE orders SET note = 'dba' WHERE tenant_id = 'globex'")
    for tenant, user in users.items():
        seen = [change["user"] for change in told(shop, capsys, "--tenant", tenant)[1]]
        assert seen == ([user, None] if tenant == "globex" else [user])
    assert told(shop, capsys, "--tenant", "umbrella") == (1, [])


def test_wrong_usage(shop: Shop, capsys: Capture) -> None:
    for arguments in (
        ("--tenant", "nobody"),
        ("--table", "a.b.c"),
        ("--since", "soon"),
        ("--prune", "--tenant", "acme"),
    ):
        assert shop.command("changes", "--admin-url", shop.admin_url, *arguments) == 2, arguments
        assert capsys.readouterr().err


def test_an_event_of_the_audit_log_has_the_digest(shop: Shop, capsys: Capture) -> None:
    with shop.connect() as acme:
        acme.execute("SELECT 1; UPDATE orders SET note = 'm' WHERE id < 3; UPDATE plain SET note = 'p'")
        acme.execute("UPDATE orders SET note = %s WHERE id = 1", ("n",), prepare=True)
    _, found = told(shop, capsys)
    logged(shop, found[-1]["digest"])
    lines = [json.loads(line) for line in shop.gateway.audit_path.read_text().splitlines()]
    events = {line["details"]["changes"]: line for line in lines if line.get("details", {}).get("changes")}
    for change in (found[1], found[2]):
        event = events[f"{change['transaction']}:{change['position']}:{change['digest']}"]
        assert (event["session"], event["tenant"], event["command"]) == (change["session"], "acme", "UPDATE")
        assert event["relations"] == ["public.orders"]
    assert not any(found[0]["digest"] in digest for digest in events)  # it is under the next one's


def test_what_was_recorded_verifies_and_tampering_shows(shop: Shop, capsys: Capture) -> None:
    earlier = problems_of(shop, capsys)  # what tests before this one had recorded was taken away
    with shop.connect() as acme:
        acme.execute("UPDATE orders SET note = 'x'")
        acme.execute("BEGIN")
        acme.execute("INSERT INTO orders (id, note) VALUES (50, 'i')")
        acme.execute("SAVEPOINT s")
        acme.execute("DELETE FROM orders WHERE id = 2")
        acme.execute("ROLLBACK TO s")
        acme.execute("UPDATE orders SET note = 'y' WHERE id = 50")
        acme.execute("COMMIT")
        acme.execute("BEGIN")
        acme.execute("DELETE FROM orders")
        acme.execute("ROLLBACK")
        acme.execute("DELETE FROM orders WHERE id = 50")
    shop.superuser("UPDATE orders SET note = 'dba'")
    logged(shop, told(shop, capsys)[1][-4]["digest"])
    assert problems_of(shop, capsys) == earlier
    tamperings = {
        "UPDATE tenantgate.changes SET after = jsonb_set(after, '{note}', '\"z\"') WHERE key = '1' AND position = 1":
            "not as it was written",
        "UPDATE tenantgate.changes SET subject = 'bob' WHERE key = '50'": "not as it was written",
        "DELETE FROM tenantgate.changes WHERE id = (SELECT min(id) FROM tenantgate.changes)": "are missing",
        "DELETE FROM tenantgate.changes WHERE key = '50' AND operation = 'DELETE'": "are missing",
        "DELETE FROM tenantgate.changes WHERE key = '50' AND operation = 'UPDATE'": "are missing",
        "UPDATE tenantgate.changes SET subject = 'bob' WHERE key = '50' AND operation = 'DELETE';"
        f"UPDATE tenantgate.changes c SET digest = sha256(convert_to({DIGESTED}, 'UTF8')) WHERE subject = 'bob'":
            "in no event",
        "INSERT INTO tenantgate.changes SELECT 1000000 + id, at, '3', began, 1, relation_schema, relation_name,"
        " operation, key, old_key, before, after, tenant_value, tenant, subject, session, role, digest"
        " FROM tenantgate.changes WHERE position = 1 LIMIT 1": "not as it was written",
    }  # fmt: skip
    for sql, problem in tamperings.items():
        with tampering(shop):
            shop.superuser(sql)
            problems = problems_of(shop, capsys) - earlier
            assert any(problem in each for each in problems), (sql, problems)
    assert problems_of(shop, capsys) == earlier


def test_pruning_follows_the_logs_retention(shop: Shop, capsys: Capture) -> None:
    config = shop.directory / "tenantgate.toml"
    with shop.connect() as acme, shop.connect("globex", "bob") as globex:
        acme.execute("UPDATE orders SET note = 'x'")
        globex.execute("UPDATE orders SET note = 'x'")
    shop.superuser("UPDATE tenantgate.changes SET began = began - interval '40 days'")
    before = config.read_text()
    config.write_text(before.replace("[audit]", "[audit]\nretention_days = 30\nretention_tenants = {globex = 90}"))
    try:
        assert shop.command("changes", "--admin-url", shop.admin_url, "--prune") == 0
        assert {change["tenant"] for change in told(shop, capsys)[1]} == {"globex"}
        ledger = (shop.gateway.audit_path.parent / "retention.jsonl").read_text()
        assert '"changes-removed"' in ledger
    finally:
        config.write_text(before)


async def test_the_api_shows_a_tenants_auditor_its_own(shop: Shop, tmp_path: Any) -> None:
    with shop.connect() as acme, shop.connect("globex", "bob") as globex:
        for number in range(5):
            acme.execute("UPDATE orders SET total = %s WHERE id = 1", (number + 10,))
            globex.execute("UPDATE orders SET total = %s WHERE id = 1", (number + 10,))
    login = Login("127.0.0.1", shop.server.port, shop.server.superuser, shop.server.password, "disable")
    access = TargetAccess(login.connect, shop.database, shop.roles["main"])
    async with serve_api(str(tmp_path / "store.db"), changes=TargetChanges({TARGET: access})) as api:
        await fill(api.store)
        answer = await api.call("ada", "GET", "/changes?table=orders&key=1&limit=3")
        assert answer.status_code == 200, answer.text
        items = answer.json()["items"]
        assert [item["after"]["total"] for item in items] == ["14.00", "13.00", "12.00"]
        rest = await api.call(
            "ada", "GET", f"/changes?table=orders&key=1&limit=3&cursor={answer.json()['next_cursor']}"
        )
        assert [item["after"]["total"] for item in rest.json()["items"]] == ["11.00", "10.00"]
        assert {item["tenant"] for item in [*items, *rest.json()["items"]]} == {"acme"}
        assert (await api.call("ada", "GET", "/changes?table=a.b.c")).status_code == 422
        assert (await api.call("ada", "GET", "/changes?key=%00")).status_code == 422
        foreign = {"TenantGate-Tenant": "globex"}
        assert (await api.call("ada", "GET", "/changes", headers=foreign)).status_code == 404
        assert (await api.call("olga", "GET", "/changes")).status_code == 400
        assert (await api.call("nina", "GET", "/changes")).status_code == 403
        others = (await api.call("olga", "GET", "/changes", headers=foreign)).json()["items"]
        assert {item["user"] for item in others} == {"bob"}
        assert (await api.call(None, "GET", "/changes")).status_code == 401
