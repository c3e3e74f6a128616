"""Compliance reports from a real log, configuration and policy: what they show, miss and sign."""

from __future__ import annotations

import json
import re
import shutil
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from admin.cli.main import main
from admin.compliance.controls import FRAMEWORKS, UnknownFramework, load_framework
from admin.compliance.report import FIGURES, Asked, make_report
from proxy.postgres.wire.scram import make_verifier
from tests.unit.audit_search.samples import BEGIN, Log, at

DAY_S = 86_400
CONFIG = """
policy = "policy.yaml"
[tls]
mode = "off"
[auth]
plaintext_loopback = true
[[auth.issuers]]
issuer = "https://issuer"
audience = "gw"
hs256_secret_env = "SECRET"
algorithms = ["HS256"]
[targets.main]
host = "127.0.0.1"
database = "app"
user = "gateway"
password_env = "SECRET"
[audit]
path = "audit.jsonl"
"""
POLICY = """
tenants:
  acme: {isolation: shared, target: main}
  globex: {isolation: shared, target: main}
tables:
  main:
    public.customers: {tenant_column: tenant_id}
    public.orders: {tenant_column: tenant_id}
roles:
  clerk:
    permissions: ["table:*:read"]
    masks: {customers: {card: "'****'"}}
"""


@pytest.fixture
def log(tmp_path: Path) -> Log:
    log = Log(tmp_path / "audit.jsonl")
    log.add(
        at(0, event="login", statement="", command="", relations=()),
        *(at(n, event="login", outcome="refused", subject="<script>mallory") for n in range(1, 26)),
        at(30, subject="ana", rows=7),
        at(31, tenant="globex", subject="gus", outcome="refused", sqlstate="42501", decision="refused"),
        at(2 * DAY_S, event="admin", subject="olga", action="role.create", statement="", relations=()),
    )
    return log


@pytest.fixture
def config(log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SECRET", "0123456789abcdef0123456789abcdef")
    (tmp_path / "policy.yaml").write_text(POLICY)
    path = tmp_path / "tenantgate.toml"
    path.write_text(CONFIG)
    return path


def report_of(log: Log, framework: str = "soc2", **more: Any) -> dict[str, Any]:
    return make_report(Asked(framework, BEGIN, BEGIN + 3 * DAY_S - 16 * 3600, **more), log.path)


def figure(report: Mapping[str, Any], title: str, control: str = "") -> dict[str, Any]:
    found = [
        figure
        for each in report["controls"]
        for figure in each["evidence"]
        if figure["title"] == title and control in ("", each["id"])
    ]
    assert found, title
    return dict(found[0])


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_every_control_asks_answers_and_names_figures_that_exist(name: str) -> None:
    framework = load_framework(name)
    assert len({control.id for control in framework.controls}) == len(framework.controls) > 5
    for control in framework.controls:
        assert control.asks
        assert control.answer
        assert control.beyond
        assert control.evidence
        for entry in control.evidence:
            assert entry["figure"] in FIGURES
            assert entry["figure"] not in ("count", "reached") or entry["title"]
            if "exception" in entry:
                entry["exception"]["says"].format(**dict.fromkeys((*entry["by"], "events", "rows"), ""))


def test_an_unknown_framework_is_said() -> None:
    with pytest.raises(UnknownFramework):
        load_framework("../secrets")


def test_figures_are_those_of_the_log(log: Log) -> None:
    report = report_of(log)
    logins = figure(report, "Logins that succeeded, by tenant")
    assert (logins["headers"], logins["rows"], logins["total"]) == (["tenant", "events", "rows"], [["acme", 1, 1]], 1)
    refused = figure(report, "Logins that were refused, by user")
    assert refused["rows"] == [["acme", "<script>mallory", 25, 25]]
    assert refused["exceptions"] == ["<script>mallory of acme was refused 25 times at login"]
    assert figure(report, "Statements that the policy refused, by user")["rows"] == [["globex", "gus", 1, 1]]
    changes = figure(report, "Administrative changes, by who made them")
    assert changes["rows"] == [["olga", "role.create", 1, 1]]


def test_the_period_is_kept(log: Log) -> None:
    report = make_report(Asked("soc2", BEGIN + DAY_S, BEGIN + 2 * DAY_S), log.path)
    assert figure(report, "Logins that succeeded, by tenant")["missing"]
    assert figure(report, "Administrative changes, by who made them")["total"] == 1
    assert (report["from"], report["to"]) == ("2025-11-25", "2025-11-26")


def test_days_without_a_record_are_exceptions(log: Log) -> None:
    days = figure(report_of(log), "Days covered by the audit log")
    assert days["exceptions"] == ["nothing was recorded on 2025-11-25"]
    assert ["days with events", "2 of 3"] in days["rows"]


def test_missing_evidence_is_a_finding_and_never_blank(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for framework in FRAMEWORKS:
        report = make_report(Asked(framework, BEGIN, BEGIN + DAY_S), tmp_path / "empty" / "audit.jsonl")
        for control in report["controls"]:
            assert control["state"] == "missing", control["id"]
            assert control["findings"]
            for each in control["evidence"]:
                assert each["missing"] or each["total"] == 0, each


def test_a_log_that_was_changed_is_said_on_the_first_page(log: Log) -> None:
    log.path.write_bytes(log.path.read_bytes().replace(b'"subject":"ana"', b'"subject":"eve"'))
    report = report_of(log)
    assert report["log"]["holds"] is False
    integrity = figure(report, "Verification of the audit log's chains")
    assert integrity["state"] == "exceptions"
    assert "changed" in integrity["exceptions"][0]


def test_without_verification_that_is_a_finding(log: Log) -> None:
    report = report_of(log, verify=False)
    assert report["log"] == {"verified": False, "holds": None, "lines": 0, "chains": 0}
    assert figure(report, "Verification of the audit log's chains")["missing"]


ACCOUNTS = """
[audit.sinks.acme-copy]
type = "stdout"
tenants = ["acme"]
[auth.service_accounts.acme-etl]
verifier = "{verifier}"
tenants = ["acme"]
roles = ["clerk"]
[auth.service_accounts.both-etl]
verifier = "{verifier}"
tenants = ["acme", "globex"]
roles = ["clerk"]
[[auth.issuers]]
issuer = "https://acme-only"
audience = "gw"
hs256_secret_env = "SECRET"
algorithms = ["HS256"]
tenants = ["acme"]
"""


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_report_of_one_tenant_shows_nothing_of_others(log: Log, config: Path, framework: str) -> None:
    verifier = make_verifier("password", iterations=4096)
    config.write_text(CONFIG + ACCOUNTS.format(verifier=verifier))
    policy = config.parent / "policy.yaml"
    policy.write_text(POLICY + '  acme/boss: {permissions: ["table:*:read"], masks: {secrets: {plan: "1"}}}\n')
    out = config.parent / "report.json"
    command = ["compliance", "report", framework, "-c", str(config), "--from", "2025-11-24", "--to", "2025-11-27",
               "--tenant", "globex", "-o", str(out)]  # fmt: skip
    assert main(command) == 1
    text = out.read_text()
    assert "globex" in text
    assert "could not be read" not in text
    for other in ("ana", "mallory", "olga", "acme", "secrets"):
        assert not re.search(rf"\b{other}\b", text), other
    policy.write_text(POLICY + "  acme/boss: {permissions: [nonsense]}\n")  # a policy that cannot be read
    assert main(command) == 1
    assert "acme" not in out.read_text()


def test_the_command_writes_every_form_and_signs_it(log: Log, config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    key = Ed25519PrivateKey.generate()
    form = serialization.PrivateFormat.PKCS8
    pem = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    (config.parent / "seal.key").write_bytes(b"handover: {}\n" + pem)
    public = key.public_key().public_bytes_raw().hex()
    (config.parent / "seal.pub").write_text(public + "\n")
    names = ["report.html", "report.pdf", "report.json"]
    outputs = [part for name in names for part in ("-o", str(config.parent / name))]
    status = main(["compliance", "report", "hipaa", "-c", str(config), "--from", "2025-11-24", "--to", "2025-11-27",
                   "--key", str(config.parent / "seal.key"), *outputs])  # fmt: skip
    assert status == 1
    assert "7 controls" in capsys.readouterr().out
    verify = ["compliance", "verify", "--public-key", str(config.parent / "seal.pub")]
    for name in names:
        path = config.parent / name
        assert main([*verify, str(path)]) == 0
        path.write_bytes(path.read_bytes() + b" ")
        assert main([*verify, str(path)]) == 1
    other = Ed25519PrivateKey.generate().public_key().public_bytes_raw().hex()
    (config.parent / "seal.pub").write_text(other)
    assert main([*verify, str(config.parent / "report.json")]) == 1
    assert "by another key" in capsys.readouterr().out

    html = (config.parent / "report.html").read_text()
    assert "&lt;script&gt;mallory" in html
    assert "<script" not in html
    report = json.loads((config.parent / "report.json").read_text())
    assert all(control["id"] in html and control["title"] in html for control in report["controls"])
    assert figure(report, "Encryption of connections")["exceptions"] == [
        "clients may connect without TLS (mode off)",
        "loopback clients may send a password without TLS",
        "the certificate of target main is not verified (tls prefer)",
    ]
    assert figure(report, "Relations with personal data, and their masks")["rows"] == [
        ["public.customers", "clerk: card"]
    ]
    assert figure(report, "Who reached relations with personal data")["rows"][0][:3] == [
        "public.customers", "acme", "<script>mallory",
    ]  # fmt: skip
    words = _pdf_text((config.parent / "report.pdf").read_bytes())
    for control in report["controls"]:
        assert control["id"].replace("(", "\\(").replace(")", "\\)") in words


def _pdf_text(data: bytes) -> str:
    assert data.startswith(b"%PDF-")
    streams = data.split(b"stream\n")[1::2]
    return "".join(_inflated(stream.split(b"\nendstream")[0]) for stream in streams)


def _inflated(data: bytes) -> str:
    try:
        return zlib.decompress(data).decode("latin-1")
    except zlib.error:
        return ""


def test_what_cannot_be_read_is_a_finding_and_the_report_is_made(log: Log, config: Path) -> None:
    (config.parent / "policy.yaml").write_text("version: [")
    out = config.parent / "report.json"
    command = ["compliance", "report", "iso27001", "-c", str(config), "--from", "2025-11-24", "-o", str(out)]
    assert main(command) == 1
    assert figure(json.loads(out.read_text()), "Roles and what they permit")["missing"]
    assert main([*command[:-1], str(config.parent / "report.doc")]) == 2
    shutil.rmtree(config.parent / "search")
    assert (
        main(["compliance", "report", "soc2", "-c", str(config.parent / "no.toml"), "--from", "1d", "-o", "x.pdf"]) == 2
    )
