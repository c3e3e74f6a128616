"""A configuration with policy, keys and certificate in a directory, and the command line run in this process."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pytest

from admin.cli.main import main
from tests.harness.tokens import Issuer

CONFIG = """
[tls]
mode = "off"
[auth]
plaintext_loopback = true
[[auth.issuers]]
issuer = "https://issuer.test"
audience = "gateway"
key_file = "issuer.pem"
tenant_claim = "org"
attribute_claims = ["region"]
tenants = ["acme"]
[targets.main]
host = "127.0.0.1"
database = "app"
user = "gateway"
password_env = "TARGET_PASSWORD"
"""
POLICY = """
tenants: {acme: {isolation: shared, target: main}}
roles:
  analyst: {replaces_builtin: true, permissions: ["table:orders:read"], row_filters: {orders: "region = :attr_region"}}
tables: {main: {orders: {tenant_column: tenant_id}}}
"""


@dataclass(frozen=True, slots=True)
class Outcome:
    status: int
    out: str
    err: str


class Run(Protocol):
    def __call__(self, *arguments: object) -> Outcome: ...


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def run_command(*arguments: object) -> Outcome:
        status = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Outcome(status, captured.out, captured.err)

    return run_command


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TARGET_PASSWORD", "s3cret")
    (tmp_path / "policy.yaml").write_text(POLICY)
    Issuer().write_public_key(tmp_path / "issuer.pem")
    path = tmp_path / "tenantgate.toml"
    path.write_text(CONFIG)
    return path
