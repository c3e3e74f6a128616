"""`tenantgate explain`, `policy test` and `policy replay` for a policy with conditions."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from admin.cli.main import main
from tests.integration.abac.stage import POLICY, People


def _run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    status = main([*arguments])
    captured = capsys.readouterr()
    return status, captured.out + captured.err


def _explain(capsys: pytest.CaptureFixture[str], people: People, *arguments: str) -> dict[str, Any]:
    config = str(people.gateway.config_path)
    command = ("explain", "-c", config, "--tenant", "acme", "--user", "ann", "--role", "app", "--json")
    _, printed = _run(capsys, *command, *arguments)
    found: dict[str, Any] = json.loads(printed)["statements"][0]
    return found


def test_explain_names_the_policies(people: People, capsys: pytest.CaptureFixture[str]) -> None:
    told = _explain(capsys, people, "SELECT email FROM customers")
    assert "customers: policy mail: mask of email: email" in told["rules"]
    assert "k" * 32 not in json.dumps(told)
    told = _explain(capsys, people, "UPDATE ledger SET amount = 1")
    assert told["error"]["message"] == "policy mfa requires a second factor for update on ledger"
    told = _explain(capsys, people, "--amr", "mfa", "UPDATE ledger SET amount = 1")
    assert told["decision"] == "rewritten"
    assert "ledger: policy mfa: second factor for update: given" in told["rules"]
    told = _explain(capsys, people, "--address", "10.1.2.3", "SELECT * FROM ledger")
    assert told["error"]["message"] == "policy office denies select on ledger"
    told = _explain(capsys, people, "UPDATE orders SET note = ''")
    assert "on trial: orders: policy trial would deny update" in told["rules"]


CASES = """
cases:
  - name: an address is masked
    as: {subject: ann, tenant: acme, roles: [app]}
    sql: SELECT email, card FROM customers WHERE id = 1
    expect: rewritten
    rules: ["customers: policy mail: mask of email: email"]
  - name: masked rows
    as: {subject: ann, tenant: acme, roles: [app]}
    sql: SELECT email, phone, salary, born FROM customers WHERE id = 1
    expect: rewritten
    rows: [["u***@acme.example", "************001", 30000, "1980-01-01"]]
  - name: a factor is missing
    as: {subject: ann, tenant: acme, roles: [app]}
    sql: DELETE FROM ledger
    expect: refused
    error: policy mfa
    sqlstate: "42501"
  - name: a factor is there
    as: {subject: ann, tenant: acme, roles: [app], amr: [mfa]}
    sql: DELETE FROM ledger
    expect: rewritten
  - name: from afar
    as: {subject: ann, tenant: acme, roles: [app], address: 192.0.2.1}
    sql: SELECT 1 FROM ledger
    expect: refused
"""
WRONG = """
  - name: wrong
    as: {tenant: acme, roles: [app]}
    sql: SELECT id FROM customers WHERE id = 1
    expect: refused
  - name: wrong rows
    as: {tenant: acme, roles: [app]}
    sql: SELECT id FROM customers WHERE id = 1
    expect: rewritten
    rows: [[2]]
"""


def test_cases_of_a_policy(people: People, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, config = tmp_path / "cases.yaml", str(people.gateway.config_path)
    file.write_text(CASES)
    status, printed = _run(capsys, "policy", "test", str(file), "-c", config)
    assert (status, printed.splitlines()[-1]) == (0, "5 cases: 5 hold, 0 do not"), printed
    file.write_text(CASES + WRONG)
    status, printed = _run(capsys, "policy", "test", str(file), "-c", config, "--json")
    assert status == 1
    failed = {case["name"]: case["failures"] for case in json.loads(printed)["cases"] if not case["ok"]}
    assert failed == {"wrong": ["it is rewritten, not refused"], "wrong rows": ['the rows are [["1"]]']}
    file.write_text("cases:\n  - {sql: SELECT 1, expect: maybe, as: {tenant: nobody, role: x}}\n")
    status, printed = _run(capsys, "policy", "test", str(file), "-c", config)
    assert status == 2
    assert "cases[0].expect" in printed
    assert "Did you mean roles?" in printed


def test_a_draft_is_replayed_on_what_was_audited(
    people: People, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with people.connect(application="replay", amr=["mfa"]) as session:
        for number in range(3):
            session.execute(f"SELECT region FROM orders WHERE id = {number}")
        session.execute("SELECT note FROM orders WHERE id = %s", (1,))
        session.execute("UPDATE ledger SET amount = amount WHERE id = 1")
    log = tmp_path / "audit.jsonl"
    _take_over(people, log, 5)
    config = str(people.gateway.config_path)
    draft = tmp_path / "draft.yaml"
    without_ideas = POLICY[: POLICY.index("  idea:")]
    draft.write_text(without_ideas + _DRAFT)
    status, printed = _run(
        capsys, "policy", "replay", "-c", config, "--audit", str(log), "--policy", str(draft), "--json"
    )
    found = json.loads(printed)
    assert status == 1, printed
    assert (found["replayed"], found["unchanged"], found["unknown"]) == (5, 1, 0)
    difference, other = found["differences"]
    assert (other["runs"], other["gained"]) == (1, difference["gained"])
    assert difference["runs"] == 3
    assert (difference["before"], difference["after"], difference["refusal"]) == ("sent", "sent", "")
    assert difference["gained"] == ["orders: policy hide: mask of region: null"]
    assert (difference["subjects"], difference["tenants"]) == (["alice"], ["acme"])
    draft.write_text(without_ideas)
    arguments = ("policy", "replay", "-c", config, "--audit", str(log))
    status, printed = _run(capsys, *arguments, "--policy", str(draft))
    assert (status, printed) == (0, "5 statements replayed: 0 would change, 5 would not\n")
    status, printed = _run(capsys, *arguments)  # the draft `idea` denies everything
    assert status == 1
    assert "5 statements replayed: 5 would change, 0 would not" in printed
    assert "! policy idea denies select on orders" in printed
    status, printed = _run(capsys, *arguments, "--until", "2020-01-01T00:00:00Z")
    assert (status, printed) == (0, "0 statements replayed: 0 would change, 0 would not\n")


_DRAFT = """
  hide:
    state: draft
    cedar: permit (principal, action, resource == Column::"orders.region") when { context.amr.contains("mfa") };
    effect: {mask: "null"}
"""


def _take_over(people: People, log: Path, statements: int) -> None:
    """The session's part of the audit log."""
    deadline = time.monotonic() + 60
    while True:
        events = people.gateway.audit_events("replay")
        if sum(1 for event in events if event["event"] == "statement") >= statements:
            break
        assert time.monotonic() < deadline
        time.sleep(0.02)
    log.write_text("".join(json.dumps(event) + "\n" for event in events))
