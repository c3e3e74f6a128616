"""`tenantgate audit forward` and its section of the configuration."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from admin.cli.main import main
from policy.errors import ConfigurationError
from proxy.config_file import read_audit_section
from tests.unit.audit_search.samples import Log, at

SINKS = """
[audit]
path = "audit.jsonl"
[audit.sinks.out]
type = "stdout"
[audit.sinks.globex]
type = "table"
url = "sqlite:///{directory}/events.sqlite"
tenants = ["globex"]
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    Log(tmp_path / "audit.jsonl").add(at(1), at(2, tenant="globex"))
    path = tmp_path / "tenantgate.toml"
    path.write_text(SINKS.format(directory=tmp_path))
    return path


def test_once_forwards_to_all_sinks_and_status_tells(config: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", "forward", "-c", str(config), "--once"]) == 0
    assert capfd.readouterr().out == (config.parent / "audit.jsonl").read_text()
    assert main(["audit", "forward", "-c", str(config), "--status"]) == 0
    out, globex = (json.loads(line) for line in capfd.readouterr().out.splitlines())
    assert (out["behind_bytes"], globex["behind_bytes"]) == (0, 0)
    assert next(iter(out["chains"].values()))["seq"] == 3


def test_a_sink_that_is_not_there_is_said(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", "forward", "-c", str(config), "--sink", "nowhere"]) == 2
    assert "no sink nowhere" in capsys.readouterr().err


def test_it_serves_metrics_until_it_is_told_to_stop(config: Path) -> None:
    command = [sys.executable, "-m", "admin.cli.main", "audit", "forward", "-c", str(config), "--sink", "out"]
    command += ["--metrics", "127.0.0.1:0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            url = process.stderr.readline().decode().split()[-1]
            lines = [process.stdout.readline() for _ in range(3)]
            assert b"".join(lines) == (config.parent / "audit.jsonl").read_bytes()
            with urllib.request.urlopen(url, timeout=10) as answer:
                assert 'tenantgate_audit_sink_up{sink="out"} 1' in answer.read().decode()
        finally:
            process.terminate()
        assert process.wait(20) == 0


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('type = "carrier-pigeon"', "must be one of"),
        ('type = "syslog"', "url"),
        ('type = "syslog"\nurl = "https://x"', "must begin with"),
        ('type = "webhook"\nurl = "https://x/"', "secret"),
        ('type = "webhook"\nurl = "https://a:b@x/"\nsecret_env = "HOME"', "holds a user"),
        ('type = "stdout"\ncolour = "red"', "colour"),
        ('type = "stdout"\ncertificate = "c.pem"', "certificate"),
    ],
)
def test_what_is_wrong_with_a_sink_is_a_problem_with_its_place(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "tenantgate.toml"
    (tmp_path / "c.pem").write_text("")
    path.write_text(f"[audit.sinks.one]\n{text}\n")
    with pytest.raises(ConfigurationError) as raised:
        read_audit_section(path, os.environ)
    assert any("audit.sinks.one" in key and problem in f"{key} {said}" for key, said, _ in raised.value.problems)


def test_secrets_are_in_no_repr(tmp_path: Path) -> None:
    path = tmp_path / "tenantgate.toml"
    path.write_text('[audit.sinks.one]\ntype = "webhook"\nurl = "https://x/"\nsecret_env = "S"\n')
    config = read_audit_section(path, {"S": "very-secret"})
    assert config.sinks[0].secret == "very-secret"
    assert "very-secret" not in repr(config)
