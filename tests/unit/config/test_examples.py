"""The examples in deploy/ can be used as they are, and the documents name every key."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest
import yaml

from policy import document, document_quotas, document_tenants, document_tiers
from policy.abac.cases import read_cases
from policy.abac.masks import KINDS as MASK_KINDS
from policy.abac.model import EFFECTS, STATEMENT_ACTIONS, STATES, TABLE_ACTIONS
from policy.abac.schema import CONTEXT
from policy.builtin_roles import BUILTIN_ROLES
from policy.document import load_policy
from policy.document_assignments import ASSIGNMENT_FIELDS
from policy.document_policies import POLICY_KEYS
from policy.document_roles import ROLE_FIELDS
from policy.permissions import ACTIONS, SCOPES
from policy.problems import Problems
from policy.settled import BUILTIN_FLAGS
from proxy import config
from proxy.config_file import read_config
from proxy.postgres.wire.scram import make_verifier

ROOT = Path(__file__).resolve().parents[3]
DEPLOY = ROOT / "deploy"


@pytest.fixture
def example(base: Path) -> Path:
    """The example with the files that it names."""
    for name in ("tls", "keys"):
        (base / name).mkdir()
    for source, name in [
        ("server.pem", "tls/server.crt"),
        ("server.key", "tls/server.key"),
        ("ca.pem", "tls/clients-ca.crt"),
        ("ca.pem", "tls/internal-ca.crt"),
        ("issuer.pem", "keys/globex.pub.pem"),
    ]:
        (base / name).write_bytes((base / source).read_bytes())
    (base / "keys/reporting.scram").write_text(make_verifier("x"))
    (base / "keys/main.password").write_text("secret\n")
    (base / "keys/main.setting").write_text("0123456789abcdef" * 4)
    for path in (*base.glob("keys/*"), base / "tls/server.key"):
        path.chmod(0o600)
    (base / "policy.yaml").write_bytes((DEPLOY / "policy.example.yaml").read_bytes())
    (base / "tenantgate.toml").write_bytes((DEPLOY / "tenantgate.example.toml").read_bytes())
    return base / "tenantgate.toml"


def test_the_example_loads_without_a_warning(example: Path) -> None:
    from admin.cli.cross_check import cross_check

    reading = read_config(example, {"EU_PASSWORD": "x"})
    assert (reading.problems, reading.warnings) == ((), ())
    assert reading.config is not None
    assert reading.config.targets["main"].host == "pg-main.internal"
    snapshot = load_policy(
        reading.config.policy_file, version=1, targets=reading.config.targets, databases=reading.databases
    )
    assert cross_check(reading.config, snapshot) == []
    assert set(snapshot.tenants) == {"acme", "globex", "initech", "umbrella", "hooli"}


def test_the_policy_of_the_compose_file_loads() -> None:
    assert load_policy(DEPLOY / "config/policy.yaml", version=1, targets={"shop"}).tenants


def test_configuration_md_names_every_key() -> None:
    words = set(re.findall(r"[a-z0-9_]+", " ".join(re.findall(r"`([^`]+)`", _read("configuration.md")))))
    sections = {
        "policy_file",
        "name",
        "common_name",
        "auth",
        "issuers",
        "sinks",
        "kind",
        "watch",
        "enabled",
    }  # NAME, CN and section titles
    fields = {
        field.name
        for value in vars(config).values()
        if dataclasses.is_dataclass(value)
        for field in dataclasses.fields(value)
    }
    assert fields - sections - words == set()


def test_configuration_md_has_the_right_defaults() -> None:
    text = _read("configuration.md")
    for section, defaults in (("listen", config.ListenConfig()), ("limits", config.LimitsConfig())):
        rows = text.partition(f"`[{section}]`")[2].partition("\n| `[")[0]
        for field in dataclasses.fields(defaults):
            row = next(line for line in rows.splitlines() if f"`{field.name}`" in line)
            keys, shown = (re.split(r",\s*", cell) for cell in row.split("|")[-4:-2])
            value = shown[keys.index(next(key for key in keys if field.name in key))].strip()
            assert value in _ways_to_write(getattr(defaults, field.name)), field.name


def _ways_to_write(value: object) -> set[str]:
    if isinstance(value, float):
        return {f"{value:g}"}
    ways = {str(value)}
    if isinstance(value, int):
        ways |= {f"{value // 1024} kB", f"{value // 1024**2} MB"}
    return ways


def test_policy_md_names_every_key_and_permission() -> None:
    text = _read("policy.md")
    keys = {*document._SECTIONS, *document_tenants.TENANT_FIELDS, *document_quotas.QUOTAS}
    keys |= {*document_tiers.TIER_FIELDS, *document_tiers.FLAG_FIELDS, *ASSIGNMENT_FIELDS, *ROLE_FIELDS, *BUILTIN_FLAGS}
    keys |= {*BUILTIN_ROLES, *SCOPES}
    keys |= {"permissions", "row_filters", "masks", "tenant_column", "global", "denied"}
    keys -= {"*"}
    keys |= {*ACTIONS, *(action for actions in ACTIONS.values() for action in actions if action != "*")}
    assert {key for key in keys if not re.search(rf"\b{key}\b", text)} == set()


_AROUND = {  # what an example may name without showing it
    "tenants": {"acme": {"isolation": "shared", "target": "shop"}},
    "roles": {"acme/boss": {}, "clerk": {}},
}


def test_examples_in_policy_md_are_policies() -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", _read("policy.md"), re.DOTALL)
    assert len(blocks) >= 4
    for block in blocks:
        whole = yaml.safe_dump(_AROUND | yaml.safe_load(block))
        assert document.parse_policy(whole, version=1, targets={"shop"})


def test_examples_in_abac_md_are_policies_and_cases() -> None:
    blocks = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", _read("abac.md"), re.DOTALL)]
    (policy,) = (block for block in blocks if "policies" in block)
    snapshot = document.parse_policy(yaml.safe_dump(_AROUND | policy), version=1, targets={"shop"})
    assert {each.state for each in snapshot.policies.values()} == {"active", "dry_run"}
    (cases,) = (block for block in blocks if "cases" in block)
    problems = Problems()
    assert len(read_cases(problems, cases)) == 2
    assert problems.found == []


def test_abac_md_names_every_word() -> None:
    text = _read("abac.md")
    words = {*EFFECTS, *MASK_KINDS, *STATES, *CONTEXT, *POLICY_KEYS, *TABLE_ACTIONS, *STATEMENT_ACTIONS}
    assert {word for word in words if not re.search(rf"\b{word}\b", text)} == set()


def _read(name: str) -> str:
    return (ROOT / "docs" / name).read_text()
