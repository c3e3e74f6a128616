"""`tenantgate check-config`: both files at once, and what does not go together."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.unit.cli.conftest import CONFIG, POLICY, Run


def test_files_that_are_right(run: Run, config: Path) -> None:
    outcome = run("check-config", "-c", config, "--strict")
    assert outcome.status == 0
    assert outcome.out == f"{config}: ok: 1 target(s), 1 tenant(s), 1 role(s)\n"


def test_errors_of_both_files_with_key_and_hint(run: Run, config: Path) -> None:
    config.write_text(CONFIG + "pasword = 'x'\n[listen]\nport = 99999\n")
    policy = config.parent / "policy.yaml"
    policy.write_text(POLICY.replace("target: main", "target: mian"))
    outcome = run("check-config", "-c", config)
    assert outcome.status == 1
    for words in (
        "targets.main.pasword: unknown key\n    hint: Did you mean password?",
        "listen.port: must be from 0 to 65535",
        "policy.yaml: tenants.acme.target: unknown target 'mian'\n    hint: Did you mean main?",
        "3 errors",
    ):
        assert words in outcome.out
    assert "s3cret" not in outcome.out


def test_json(run: Run, config: Path) -> None:
    config.write_text(CONFIG + "pasword = 'x'\n")
    outcome = run("check-config", "-c", config, "--json")
    assert outcome.status == 1
    assert json.loads(outcome.out) == {
        "ok": False,
        "problems": [{"key": "targets.main.pasword", "message": "unknown key", "hint": "Did you mean password?"}],
        "warnings": [],
    }


@pytest.mark.parametrize(
    ("config_more", "policy", "key", "words"),
    [
        ('[auth.certificates.cn]\ntenants = ["acmee"]\nroles = []\n', POLICY, "auth.certificates.cn.tenants", "acmee"),
        (
            '[auth.certificates.cn]\ntenants = []\nroles = ["analist"]\n',
            POLICY,
            "auth.certificates.cn.roles",
            "analist",
        ),
        ("", POLICY.replace("attr_region", "attr_country"), "roles.analyst", "attr_country has no value"),
        ("", POLICY.replace("{tenant_column: tenant_id}", "").replace("orders: }", "}"), "tables.main", "no table"),
        ("", POLICY.replace("table:orders", "table:ordres"), "roles.analyst", "not classified"),
        (
            "",
            POLICY.replace("replaces_builtin: true, ", ""),
            "policy.yaml: roles.analyst",
            "replaces the built-in role",
        ),
        (
            '[auth.certificates.cn]\ntenants = []\nroles = ["service"]\n',
            POLICY,
            "auth.certificates.cn.roles",
            "service is a built-in role",
        ),
        ('[targets.b]\nhost="127.0.0.1"\ndatabase="x"\nuser="y"\n', POLICY, "targets.b", "same server"),
    ],
)
def test_what_does_not_go_together_is_a_warning(
    run: Run, config: Path, config_more: str, policy: str, key: str, words: str
) -> None:
    config.write_text(CONFIG + config_more)
    (config.parent / "policy.yaml").write_text(policy)
    outcome = run("check-config", "-c", config, "--json")
    warnings = json.loads(outcome.out)["warnings"]
    assert any(w["key"] == key and words in w["message"] for w in warnings), warnings
    assert outcome.status == 0
    assert run("check-config", "-c", config, "--strict").status == 1


def test_a_target_that_both_name_differently_is_seen(run: Run, config: Path) -> None:
    policy = (
        "tenants:\n  a: {isolation: database, target: main}\n  b: {isolation: database, target: main, database: app}\n"
    )
    (config.parent / "policy.yaml").write_text(policy)
    outcome = run("check-config", "-c", config)
    assert outcome.status == 1
    assert "tenants.b.database: tenant a has this database, too" in outcome.out


@pytest.mark.parametrize(("text", "status"), [(None, 2), ("[[", 1), ("", 1)])
def test_files_that_cannot_be_read(run: Run, tmp_path: Path, text: str | None, status: int) -> None:
    path = tmp_path / "tenantgate.toml"
    if text is not None:
        path.write_text(text)
    outcome = run("check-config", "-c", path)
    assert outcome.status == status
    assert "error" in outcome.out


def test_control_characters_of_a_file_do_not_reach_the_terminal(run: Run, config: Path) -> None:
    config.write_text(CONFIG + '"\\u001b[2J" = 1\n')
    assert "\x1b" not in run("check-config", "-c", config).out
