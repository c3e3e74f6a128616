"""`tenantgate admin` with TLS, a store on PostgreSQL, a gateway of two workers, a target, open sessions: all real."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from psycopg import errors

from admin.cli.main import main
from admin.demo.people import ALICE, ANA, BOB, Person
from admin.demo.schema import SHOP
from admin.services.assignments import create_assignment
from admin.services.documents import apply_document
from policy.timestamps import write_timestamp
from proxy.cancel import seat_of
from tests.harness.tokens import Issuer
from tests.integration.admin_api.process import ACCOUNT_SETTINGS, PASSWORD, AdminProcess
from tests.integration.policy_store.conftest import (
    ROOT,
    Following,
    StoreStage,
    demo_document,
    make_tables,
    postgres_url,
)
from tests.integration.policy_store.conftest import demo as demo

COUNT = "SELECT count(*) FROM orders"
OLGA = Person("operator", "acme", (), "operates everything")
ANN, GUS = Person("ann", "acme", (), "administers acme"), Person("gus", "globex", (), "administers globex")


@pytest.fixture(scope="module")
def gateway(demo: Following) -> Iterator[Following]:
    stage = StoreStage(postgres_url(demo.server, "admin_store"), demo.server)
    make_tables(stage.url)
    stage.run(lambda store: apply_document(store, ROOT, demo_document()))
    process = Following(demo, stage, {"": {"workers": 2}, **ACCOUNT_SETTINGS})
    issuer = process.issuer.issuer
    for name, body in (
        ("operator", {"subject": "operator", "tenant": "*", "issuer": issuer, "roles": ["super_admin"]}),
        ("ann", {"subject": "ann", "tenant": "acme", "roles": ["tenant_admin"]}),
        ("gus", {"subject": "gus", "tenant": "globex", "roles": ["tenant_admin"]}),
    ):
        stage.run(lambda store, name=name, body=body: create_assignment(store, ROOT, name, body))  # type: ignore[misc]
    process.tokens |= {person.name: process.token_of(person) for person in (OLGA, ANN, GUS)}
    process.admin = AdminProcess(process)  # type: ignore[attr-defined]
    process.start()
    yield process
    process.stop()


@pytest.fixture(scope="module")
def admin(gateway: Following) -> Iterator[AdminProcess]:
    process: AdminProcess = gateway.admin  # type: ignore[attr-defined]
    process.start()
    yield process
    process.stop()


def eventually(condition: Callable[[], object], what: str) -> float:
    """Seconds until it was so."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() < began + 60, what
        time.sleep(0.01)
    return time.monotonic() - began


def is_ended(session: psycopg.Connection[tuple[object, ...]]) -> bool:
    try:
        session.execute("SELECT 1")
    except psycopg.OperationalError:
        return True
    return False


def test_a_role_change_by_the_api_reaches_an_open_session(
    gateway: Following, admin: AdminProcess, record_property: Callable[[str, object], None]
) -> None:
    operator = gateway.tokens["operator"]
    before = admin.call(operator, "GET", "/roles/app").json()
    with gateway.connect(ALICE, autocommit=True) as session:
        assert session.execute(COUNT).fetchone() == (1900,)

        def is_refused() -> bool:
            try:
                session.execute(COUNT)
            except errors.InsufficientPrivilege:
                return True
            return False

        changed = admin.change(operator, "PUT", "/roles/app", {"permissions": ["table:customers:read"]})
        assert changed.status_code == 200, changed.text
        record_property("seconds", eventually(is_refused, "the role is as it was"))
        assert admin.change(operator, "PUT", "/roles/app", before).status_code == 200
        eventually(lambda: not is_refused(), "the role did not come back")


def test_sessions_of_all_workers_are_seen_and_ended_within_ones_tenants(
    gateway: Following, admin: AdminProcess
) -> None:
    operator, ann, gus = (gateway.tokens[name] for name in ("operator", "ann", "gus"))
    seats = set()
    with gateway.connect(BOB, autocommit=True, application_name="bystander") as bystander:
        for number in range(60):
            victim = gateway.connect(ALICE, autocommit=True, application_name=f"victim-{number}")
            seats.add(seat_of(victim.info.backend_pid))
            listed = admin.call(ann, "GET", "/sessions").json()
            assert {item["tenant"] for item in listed["items"]} == {"acme"}
            assert listed["silent_gateways"] == 0
            (mine,) = [item for item in listed["items"] if item["application_name"] == f"victim-{number}"]
            foreign = admin.call(gus, "DELETE", f"/sessions/{mine['id']}")
            nobody = admin.call(gus, "DELETE", "/sessions/0123456789abcdef")
            assert foreign.status_code == nobody.status_code == 404
            assert foreign.text.replace(mine["id"], "ID") == nobody.text.replace("0123456789abcdef", "ID")
            assert victim.execute("SELECT 1").fetchone() == (1,)
            assert admin.call(ann, "DELETE", f"/sessions/{mine['id']}").status_code == 204
            assert is_ended(victim)
            victim.close()
            assert admin.call(ann, "DELETE", f"/sessions/{mine['id']}").status_code == 404
            if len(seats) == 2:
                break
        assert len(seats) == 2
        assert bystander.execute(COUNT).fetchone() == (1500,)
        everybodys = admin.call(operator, "GET", "/sessions").json()["items"]
        assert "globex" in {item["tenant"] for item in everybodys}
        events = admin.call(ann, "GET", "/audit?action=kill&subject=ann").json()["items"]
        assert {(event["subject"], event["tenant"]) for event in events} == {("ann", "acme")}


def test_a_revoked_subject_loses_its_session_and_the_api(gateway: Following, admin: AdminProcess) -> None:
    ann, victim = gateway.tokens["ann"], Person("vic", "acme", ("app",), "leaves the company")
    gateway.tokens["vic"] = gateway.token_of(victim)
    with gateway.connect(victim, autocommit=True) as session, gateway.connect(ALICE, autocommit=True) as other:
        assert session.execute(COUNT).fetchone() == (1900,)
        revoked = admin.call(ann, "POST", "/tokens/revoke", {"subject": "vic", "reason": "left"})
        assert revoked.status_code == 201, revoked.text
        eventually(lambda: is_ended(session), "a revoked subject's session goes on")
        assert other.execute(COUNT).fetchone() == (1900,)
    assert admin.call(gateway.tokens["vic"], "GET", "/tenants").status_code == 401
    with pytest.raises(psycopg.OperationalError):
        gateway.connect(victim)
    assert admin.call(ann, "DELETE", f"/tokens/revocations/{revoked.json()['id']}").status_code == 204


def test_a_tenant_that_the_api_makes_is_served_and_gone_when_it_is_deleted(
    gateway: Following, admin: AdminProcess
) -> None:
    operator = gateway.tokens["operator"]
    for tenant, place in (
        ("hooli", {"isolation": "schema", "schema": "hooli"}),
        ("pied", {"isolation": "database", "database": "pied"}),
    ):
        made = admin.call(operator, "POST", "/tenants", {"id": tenant, "target": "shop", **place})
        assert made.status_code == 201, made.text
        gavin = Person("gavin", tenant, ("owner",), "owns it")
        gateway.tokens["gavin"] = gateway.token_of(gavin)

        def lets_in(person: Person = gavin) -> bool:
            try:
                gateway.connect(person).close()
            except psycopg.OperationalError:
                return False
            return True

        eventually(lets_in, "a new tenant is not served")
        with gateway.connect(gavin, autocommit=True) as session:
            session.execute("CREATE TABLE boxes (id int PRIMARY KEY, what text)")
            session.execute("INSERT INTO boxes VALUES (1, 'signature'), (2, 'edition')")
            usage = admin.call(operator, "GET", f"/tenants/{tenant}/usage").json()
            assert (usage["now"]["cl_active"], usage["gateways"]) == (1, 1), admin.log.read_text()[-2000:]
            assert usage["totals"]["total_query_count"] >= 2
            gone = admin.change(operator, "DELETE", f"/tenants/{tenant}?data=export")
            assert gone.status_code == 200, gone.text
            assert gone.json()["export"]["rows"] == 2
            assert (Path(gone.json()["export"]["directory"]) / "load.sql").exists()
            eventually(lambda: is_ended(session), "the session of a deleted tenant goes on")
        assert not lets_in()
    assert gateway.server.execute("SELECT FROM pg_namespace WHERE nspname = 'hooli'", SHOP) == []
    assert gateway.server.execute("SELECT FROM pg_database WHERE datname = 'pied'") == []


def test_statements_are_explained_and_targets_examined(gateway: Following, admin: AdminProcess) -> None:
    ann, operator = gateway.tokens["ann"], gateway.tokens["operator"]
    query = {"subject": "ana", "role": "analyst", "sql": "SELECT card FROM customers"}
    answer = admin.client.get("/explain", params=query, headers={"Authorization": f"Bearer {ann}"})
    assert answer.status_code == 200, answer.text
    assert "tenant_id" in answer.json()["statements"][0]["sent"]
    other = admin.call(ann, "POST", "/explain", {"tenant": "globex", "subject": "x", "sql": "SELECT 1"})
    assert other.status_code == 404
    findings = admin.call(operator, "GET", "/targets/shop/doctor")
    assert findings.status_code == 200, findings.text
    assert all({"severity", "object", "why"} <= finding.keys() for finding in findings.json()["findings"])
    assert admin.call(ann, "GET", "/targets/shop/doctor").status_code in (403, 404)


def test_the_data_planes_audit_is_searched_within_ones_tenants(gateway: Following, admin: AdminProcess) -> None:
    operator, ann = gateway.tokens["operator"], gateway.tokens["ann"]
    for person in (ALICE, BOB):
        with gateway.connect(person, autocommit=True) as session:
            session.execute("SELECT count(*) AS audited_by_api FROM orders")

    def found(token: str, query: str = "text=audited_by_api") -> list[dict[str, Any]]:
        answer = admin.call(token, "GET", f"/audit/events?{query}&budget_ms=60000")
        assert answer.status_code == 200, answer.text
        return [item["event"] for item in answer.json()["items"]]

    eventually(lambda: len(found(operator)) == 2, "not both are found")
    assert {event["tenant"] for event in found(ann)} == {"acme"}
    assert found(ann, "user=bob") == []
    first = admin.call(ann, "GET", "/audit/events?limit=1&budget_ms=60000").json()
    second = admin.call(ann, "GET", f"/audit/events?limit=1&budget_ms=60000&cursor={first['next_cursor']}")
    assert second.json()["items"] != first["items"]
    assert (
        admin.call(operator, "GET", f"/audit/events?limit=1&budget_ms=60000&cursor={first['next_cursor']}").status_code
        == 400
    )
    assert admin.call(ann, "GET", "/audit/events?risk=enormous").status_code == 422


def test_a_search_within_a_budget_goes_on_with_its_cursor_to_the_same_events(
    gateway: Following, admin: AdminProcess
) -> None:
    operator, query = gateway.tokens["operator"], "/audit/events?user=alice"
    with gateway.connect(ALICE, autocommit=True) as session:
        for _ in range(20):
            session.execute("SELECT count(*) AS paged_by_budget FROM orders")
    whole = "/audit/events?text=paged_by_budget&budget_ms=60000"
    eventually(lambda: len(admin.call(operator, "GET", whole).json()["items"]) == 20, "not all are found")
    until = admin.call(operator, "GET", whole).json()["items"][0]["event"]["time"]
    query += f"&budget_ms=0&limit=500&since={write_timestamp(until - 2)}&until={write_timestamp(until)}"
    found: list[str] = []
    cursor, pages = "", 0
    while cursor is not None:
        page = admin.call(operator, "GET", query + (f"&cursor={cursor}" if cursor else "")).json()
        found += [item["event"]["id"] for item in page["items"]]
        cursor, pages = page["next_cursor"], pages + 1
    assert pages > 1
    in_one = query.replace("budget_ms=0&", "budget_ms=60000&")
    assert found == [item["event"]["id"] for item in admin.call(operator, "GET", in_one).json()["items"]]


def test_reports_are_of_ones_tenant(gateway: Following, admin: AdminProcess) -> None:
    ann, gus = gateway.tokens["ann"], gateway.tokens["gus"]
    report = admin.call(ann, "GET", "/compliance/soc2?since=2026-01-01T00:00:00Z")
    assert report.status_code == 200, report.text
    assert (report.json()["tenant"], bool(report.json()["controls"])) == ("acme", True)
    headers = {"TenantGate-Tenant": "acme"}
    assert admin.call(gus, "GET", "/compliance/soc2?since=2026-01-01T00:00:00Z", **headers).status_code == 404
    assert admin.call(ann, "GET", "/compliance/nonsense?since=2026-01-01T00:00:00Z").status_code == 404


def test_a_policy_is_tried_before_it_is_in_force(gateway: Following, admin: AdminProcess) -> None:
    operator, ann = gateway.tokens["operator"], gateway.tokens["ann"]
    policy = {
        "id": "no-cards",
        "cedar": 'forbid (principal, action == Action::"select", resource == Table::"customers");',
    }
    bad = admin.call(operator, "POST", "/policies/validate", {"id": "x", "cedar": "forbid (;"})
    assert (bad.status_code, bad.json()["valid"]) == (200, False)
    good = admin.call(operator, "POST", "/policies/validate", policy)
    assert good.json() == {"valid": True, "errors": []}, good.text
    with gateway.connect(ALICE, autocommit=True) as session:
        session.execute("SELECT count(*) AS tried FROM customers")
    question = {"tenant": "acme", "subject": "alice", "roles": ["app"], "sql": "SELECT count(*) FROM customers"}
    tried = admin.call(operator, "POST", "/policies/dry-run", {"policy": policy, **question})
    assert tried.status_code == 200, tried.text
    assert (tried.json()["now"]["decision"], tried.json()["then"]["decision"]) == ("sent", "refused")
    replayed = admin.call(operator, "POST", "/policies/replay", {"policy": policy})
    assert replayed.status_code == 200, replayed.text
    assert any("tried" in each["statement"] for each in replayed.json()["differences"]), replayed.text
    assert admin.call(ann, "POST", "/policies/replay", {"policy": policy}).status_code == 403
    assert admin.call(operator, "GET", "/policies/no-cards").status_code == 404


def test_an_explanation_is_what_the_gateway_does(gateway: Following, admin: AdminProcess) -> None:
    """By a policy that asks for time, network, application and MFA: the audit log's decision and text are explain's."""
    operator = gateway.tokens["operator"]
    policy = {
        "id": "guarded",
        "cedar": 'forbid (principal, action == Action::"select", resource == Table::"customers") unless {'
        ' context.amr.contains("mfa") && context.application == "backoffice" && context.tls &&'
        ' context.ip.isInRange(ip("127.0.0.0/8")) && context.now < datetime("2100-01-01") };',
    }
    made = admin.call(operator, "POST", "/policies", policy)
    assert made.status_code == 201, made.text
    sql = "SELECT name, card AS guarded_card FROM customers WHERE id < 3"
    fits = {"amr": ["mfa"], "application": "backoffice"}
    gateway.tokens["ana-mfa"] = gateway.token_of(ANA, amr=["mfa"])

    def audited(token: str, application: str) -> dict[str, Any]:
        options = {"application_name": application, "hostaddr": "127.0.0.1"}
        info = gateway.conninfo("ana", gateway.tokens[token], "acme", **options)
        with psycopg.connect(info, autocommit=True) as session:
            try:
                session.execute(sql)
            except errors.InsufficientPrivilege:
                pass
        found: list[dict[str, Any]] = []

        def is_there() -> bool:
            answer = admin.call(operator, "GET", "/audit/events?text=guarded_card&limit=1").json()
            found[:] = [item["event"] for item in answer["items"]]
            return bool(found) and found[0]["application"] == application

        eventually(is_there, "it is not in the log")
        return found[0]

    def explained(**circumstances: Any) -> dict[str, Any]:
        question = {"tenant": "acme", "subject": "ana", "roles": ["analyst"], "sql": sql, **circumstances}
        answer = admin.call(operator, "POST", "/explain", question)
        assert answer.status_code == 200, answer.text
        statement: dict[str, Any] = answer.json()["statements"][0]
        return statement

    try:
        eventually(lambda: audited("ana", f"try-{time.monotonic_ns()}")["decision"] == "refused", "it is not in force")
        event, told = audited("ana", "plain"), explained(application="plain")
        assert (event["decision"], event["sqlstate"]) == (told["decision"], told["error"]["sqlstate"])
        assert told["error"]["message"] in event["reason"]
        event, told = audited("ana-mfa", "backoffice"), explained(**fits)
        assert (event["decision"], event["rewritten"]) == (told["decision"], told["sent"])
        for other in (
            {"amr": ["pwd"]}, {"application": "psql"}, {"address": "10.1.2.3"}, {"tls": False},
            {"at": "2101-01-01T00:00:00Z"},
        ):  # fmt: skip
            assert explained(**(fits | other))["decision"] == "refused", other
        query = {"tenant": "acme", "subject": "ana", "role": "analyst", "sql": sql, **fits}
        answer = admin.client.get("/explain", params=query, headers={"Authorization": f"Bearer {operator}"})
        assert answer.json()["decision"] == "sent", answer.text
        for wrong in ({"address": "here"}, {"at": "soon"}, {"amr": "mfa"}, {"tls": "yes"}, {"weather": "fair"}):
            assert admin.call(operator, "POST", "/explain", query | wrong).status_code == 422, wrong
    finally:
        assert admin.change(operator, "DELETE", "/policies/guarded").status_code == 204


def test_commands_see_and_end_sessions_and_try_policies(
    gateway: Following, admin: AdminProcess, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(*words: str) -> tuple[int, str]:
        capsys.readouterr()
        status = main([*words, "-c", str(gateway.config_path), "--store", gateway.stage.url])
        return status, capsys.readouterr().out

    with gateway.connect(BOB, autocommit=True) as other, gateway.connect(ALICE, autocommit=True) as session:
        other.execute(COUNT)
        session.execute(COUNT)
        status, out = run("session", "list", "--tenant", "acme", "--user", "alice", "--json")
        (mine,) = json.loads(out)["items"]
        assert (status, mine["tenant"]) == (0, "acme")
        assert mine["id"] in run("session", "list")[1]
        assert "cl_active" in run("quota", "usage", "acme")[1]
        assert run("session", "kill", mine["id"])[0] == 0
        eventually(lambda: is_ended(session), "its session goes on")
        assert run("session", "kill", mine["id"])[0] == 1
        assert other.execute(COUNT).fetchone() == (1500,)
    assert f"session {mine['id']}" in run("store", "log", "--limit", "5")[1]
    draft = tmp_path / "draft.yaml"
    draft.write_text("cedar: 'forbid (principal, action, resource == Table::\"orders\") unless { context.tls };'")
    ask = ("policy", "dry-run", "plain", "--body", str(draft), "--tenant", "acme", "--user", "alice", "--role", "app")
    assert run(*ask, COUNT)[0] == 0
    status, out = run(*ask, COUNT, "--no-tls", "--json")
    decisions = [json.loads(out)[when]["decision"] for when in ("now", "then")]
    assert (status, decisions) == (1, ["sent", "refused"])


def test_a_reload_takes_another_issuers_key(gateway: Following, admin: AdminProcess) -> None:
    """The issuer rotates its key; tokens of the old one are refused from then on, and taken back they work again."""
    ann, key_file = gateway.tokens["ann"], gateway.directory / "issuer.pem"
    old = key_file.read_bytes()
    try:
        Issuer().write_public_key(key_file)
        admin.reload()
        assert admin.call(ann, "GET", "/tenants/acme").status_code == 401
    finally:
        key_file.write_bytes(old)
        admin.reload()
    assert admin.call(ann, "GET", "/tenants/acme").status_code == 200


def test_its_log_has_who_did_what_and_no_secret(gateway: Following, admin: AdminProcess) -> None:
    ann = gateway.tokens["ann"]
    admin.call(ann, "GET", "/tenants/acme")
    admin.call(ann + "x", "GET", "/tenants/acme")
    log = admin.log.read_text()
    assert '"path": "/v1/tenants/acme"' in log.replace('":"', '": "')
    assert "Traceback" not in log
    for secret in (ann, ann.rpartition(".")[2], PASSWORD, gateway.server.password):
        assert secret not in log


@pytest.mark.timeout(400)
def test_scheduled_reports_are_made_by_one_of_several_processes_and_failures_are_events(
    gateway: Following, admin: AdminProcess
) -> None:
    operator = gateway.tokens["operator"]
    key = gateway.directory / f"{uuid4()}.key"
    assert main(["audit", "keygen", "-o", str(key)]) == 0
    schedules = f"""
[[compliance.schedule]]
framework = "soc2"
every = "day"
directory = "reports"
formats = ["json", "pdf"]
key_file = "{key}"

[[compliance.schedule]]
framework = "gdpr"
every = "day"
directory = "reports"
tenant = "nobody"
"""
    others = [admin.another(schedules, number) for number in range(2)]
    try:

        def events(action: str) -> list[dict[str, Any]]:
            items = admin.call(operator, "GET", f"/audit?kind=compliance&action={action}").json()["items"]
            return [item for item in items if item["entity"].startswith(("soc2/*/day/", "gdpr/nobody/day/"))]

        eventually(lambda: all("serving" in other.log.read_text() for other in others), "not both serve")
        eventually(lambda: events("report") and events("report_failed"), "no report, or no failure")
    finally:
        for other in others:
            other.stop()
    assert len(events("report")) == 1
    assert events("report_failed")[0]["reason"] == "there is no tenant nobody"
    (pdf,) = gateway.directory.glob("reports/soc2-*.pdf")
    assert sorted(path.suffix for path in gateway.directory.glob("reports/*")) == [".json", ".pdf", ".sig", ".sig"]
    assert main(["compliance", "verify", str(pdf), "--public-key", f"{key}.pub"]) == 0
