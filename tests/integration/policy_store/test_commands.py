"""The commands on a policy store, as somebody types them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from admin.cli.main import main


@pytest.fixture
def store(tmp_path: Path, empty_file: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "policy.db"
    path.write_bytes(empty_file.read_bytes())
    monkeypatch.setenv("TENANTGATE_STORE", str(path))
    return path


def run(*words: str) -> int:
    return main(words)


def said(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """What a command prints; it must succeed."""
    capsys.readouterr()
    assert run(*words) == 0, capsys.readouterr().err
    return capsys.readouterr().out


def body(tmp_path: Path, text: str) -> str:
    path = tmp_path / "body.yaml"
    path.write_text(text)
    return str(path)


def test_a_policy_from_nothing_to_files_and_back(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("target", "set", "shop", "--body", body(tmp_path, "{database: shop}")) == 0
    assert run("tables", "set", "shop", "--body", body(tmp_path, "{orders: {tenant_column: tenant_id}}")) == 0
    assert run("role", "set", "analyst", "--body", body(tmp_path, 'permissions: ["table:*:read"]')) == 0
    created = json.loads(said(capsys, "tenant", "create", "acme", "--tier", "pro", "--json"))
    assert created["body"] == {"isolation": "shared", "target": "shop", "tier": "pro"}  # there is only one target
    said(capsys, "tenant", "set", "acme", "--quota", "connections=50", "--flag", "copy=off", "--etag", created["etag"])
    assert run("tenant", "set", "acme", "--tier", "free", "--etag", created["etag"]) == 1
    assert "was changed meanwhile" in capsys.readouterr().err
    assert "alice@acme" in said(capsys, "user", "roles", "alice", "--tenant", "acme", "--set", "analyst")
    files = tmp_path / "policy"
    said(capsys, "policy", "export", str(files))
    before = {path.name: path.read_bytes() for path in files.iterdir()}
    assert set(before) == {"targets.yaml", "tenants.yaml", "roles.yaml", "assignments.yaml", "tables.yaml"}
    assert "No changes" in said(capsys, "policy", "plan", str(files), "--exit-code")
    said(capsys, "policy", "apply", str(files))
    said(capsys, "policy", "export", str(files))
    assert {path.name: path.read_bytes() for path in files.iterdir()} == before
    elsewhere = tmp_path / "other.db"
    assert run("store", "upgrade", "--store", str(elsewhere)) == 0
    said(capsys, "policy", "apply", str(files), "--store", str(elsewhere), "--expect-version", "0")
    assert said(capsys, "policy", "export", "--store", str(elsewhere)) == said(capsys, "policy", "export")


def test_plan_shows_and_apply_does(store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text(
        "targets: {shop: {database: shop}}\ntenants: {acme: {isolation: shared, target: shop}}\nroles: {a: {}, b: {}}\n"
    )
    assert run("policy", "apply", str(policy)) == 0
    policy.write_text("roles: {a: {permissions: ['table:orders:read']}, c: {}}\n")
    capsys.readouterr()
    assert run("policy", "plan", str(policy), "--exit-code", "--color", "always") == 1
    shown = capsys.readouterr().out
    assert "\x1b[31m- roles.b\x1b[0m" in shown
    assert "\x1b[32m+ roles.c\x1b[0m" in shown
    assert "\x1b[33m~ roles.a\x1b[0m" in shown
    assert "table:public.orders:read" in shown
    assert "1 to make, 1 to change, 1 to take out, at version 1." in shown
    assert run("policy", "apply", str(policy), "--expect-version", "7") == 1
    assert "at version 1, not 7" in capsys.readouterr().err
    assert run("policy", "apply", str(policy), "--expect-version", "1") == 0
    policy.write_text("roles: {a: {inherits: [c]}, c: {inherits: [a]}}\n")
    assert run("policy", "apply", str(policy)) == 1
    assert "roles inherit in a cycle: a > c > a" in capsys.readouterr().err
    assert json.loads(said(capsys, "role", "list", "--json"))[0]["body"] == {
        "permissions": ["table:public.orders:read"]
    }


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("roles: {a: {}}\nrulez: {}\n", "rulez"),
        ("roles: {a: {}\n", "line 2"),
        ("roles: {a: {}, a: {}}\n", "stands twice"),
        ("roles: []\n", "must be a mapping"),
        ("tenants: {x: {isolation: shared, target: nowhere}}\n", "unknown target 'nowhere'"),
        ("roles: {a: {row_filters: {orders: '1; DROP TABLE x'}}}\n", "row_filters"),
        ("a: " + "x" * (10 * 1024 * 1024), "larger than 10 MB"),
    ],
)
def test_a_bad_file_is_refused_with_the_place_and_changes_nothing(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, problem: str
) -> None:
    before = store.read_bytes()
    policy = tmp_path / "policy.yaml"
    policy.write_text(text)
    assert run("policy", "apply", str(policy)) == 1
    assert problem in capsys.readouterr().err
    assert store.read_bytes() == before


def test_the_same_entity_in_two_files_is_told_with_both(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = tmp_path / "policy"
    files.mkdir()
    for name in ("a.yaml", "b.yaml"):
        (files / name).write_text("roles: {clerk: {}}\n")
    assert run("policy", "plan", str(files)) == 1
    assert "b.yaml: roles.clerk: stands in a.yaml, too" in capsys.readouterr().err


def test_revocations_the_log_and_what_is_missing(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said(capsys, "token-revoke", "subject", "alice", "--reason", "left the company")
    assert "subject/*/alice" in said(capsys, "token-revoke", "list")
    said(capsys, "token-revoke", "lift", "subject/*/alice")
    log = said(capsys, "store", "log")
    assert "revoke" in log
    assert "left the company" in log
    assert "3 lines" in said(capsys, "store", "log", "--verify")
    exported = tmp_path / "log.jsonl"
    exported.write_text(said(capsys, "store", "log", "--export"))
    assert run("audit", "verify", str(exported)) == 0
    assert run("tenant", "show", "nobody") == 1
    assert "does not exist" in capsys.readouterr().err
    assert run("tenant", "delete", "nobody", "--data", "keep", "--yes-delete", "nobody") == 1
    assert run("store", "status", "--store", str(tmp_path)) == 2  # a directory
    assert run("store", "status", "--store", "mysql://db/x") == 2


def test_policies_and_quotas_one_by_one(store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("target", "set", "shop", "--body", body(tmp_path, "{database: shop}")) == 0
    assert run("tenant", "create", "acme") == 0
    said(capsys, "quota", "set", "acme", "connections=5", "concurrent_statements=9")
    changed = said(capsys, "quota", "set", "acme", "concurrent_statements=", "--json")
    assert json.loads(changed) == {"connections": 5}
    assert said(capsys, "quota", "show", "acme") == "connections: 5\n"
    good = "cedar: 'forbid (principal, action, resource);'"
    assert run("policy", "validate", "none", "--body", body(tmp_path, "cedar: 'forbid (;'")) == 1
    assert "policies.none.cedar" in capsys.readouterr().out
    said(capsys, "policy", "validate", "none", "--body", body(tmp_path, good))
    assert said(capsys, "policy", "list") == "\n"
    said(capsys, "policy", "set", "none", "--body", body(tmp_path, good))
    assert said(capsys, "policy", "list") == "none\n"
    assert "forbid" in said(capsys, "policy", "show", "none")
    said(capsys, "policy", "delete", "none")
    said(capsys, "tier", "set", "pro", "--body", body(tmp_path, "{quotas: {connections: 9}}"))
    said(capsys, "tenant", "set", "acme", "--tier", "pro")
    assert run("tier", "delete", "pro") == 1
    assert "is that of 1 tenant(s)" in capsys.readouterr().err
    assert run("session", "list") == 2  # no configuration
    assert run("quota", "usage", "acme") == 2


def test_completion_is_a_script_that_completes(capsys: pytest.CaptureFixture[str]) -> None:
    script = said(capsys, "completion", "bash")
    ask = "COMP_WORDS=(tenantgate tenant s); COMP_CWORD=2; _tenantgate; echo ${COMPREPLY[@]}"
    done = subprocess.run(["bash", "-c", f"{script}\n{ask}"], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["set", "show", "suspend"]
    ask = (
        "COMP_WORDS=(tenantgate tenant create acme --tier pro --isol); COMP_CWORD=6; _tenantgate; echo ${COMPREPLY[@]}"
    )
    done = subprocess.run(["bash", "-c", f"{script}\n{ask}"], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["--isolation"]
    ask = "COMP_WORDS=(tenantgate tenant delete acme --data ''); COMP_CWORD=5; _tenantgate; echo ${COMPREPLY[@]}"
    done = subprocess.run(["bash", "-c", f"{script}\n{ask}"], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["export", "destroy", "keep"]
    assert "bashcompinit" in said(capsys, "completion", "zsh")


def test_a_gateway_does_not_start_without_its_store(tmp_path: Path) -> None:
    config = tmp_path / "tenantgate.toml"
    config.write_text(
        '[policy]\nstore = "nowhere.db"\n[tls]\nmode = "off"\n[auth]\nplaintext_loopback = true\n'
        '[[auth.issuers]]\nissuer = "i"\naudience = "a"\nhs256_secret = "00000000000000000000000000000000"\n'
        '[targets.main]\nhost = "localhost"\ndatabase = "x"\nuser = "x"\n[audit]\npath = "audit.jsonl"\n'
    )
    command = [sys.executable, "-m", "admin.cli.main", "serve", "-c", str(config)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 2
    assert "cannot be read" in ended.stdout + ended.stderr
