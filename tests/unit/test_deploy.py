"""The promises of the container files: not root, a health check, no compiler at the end, nothing secret inside."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import jwt
import pytest
import yaml

from policy.document import load_policy
from proxy.config_file import read_config

ROOT = Path(__file__).parents[2]


def stages() -> list[list[tuple[str, str]]]:
    """The Dockerfile's instructions by stage, continuation lines joined."""
    text = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    found: list[list[tuple[str, str]]] = []
    for line in lines:
        word, _, rest = line.partition(" ")
        if word == "FROM":
            found.append([])
        found[-1].append((word, rest.strip()))
    return found


def last_of(stage: list[tuple[str, str]], word: str) -> str:
    return [rest for name, rest in stage if name == word][-1]


def test_the_image_is_not_root_and_checks_its_health_with_our_command() -> None:
    final = stages()[-1]
    user = last_of(final, "USER")
    assert user.split(":")[0].isdigit()
    assert user.split(":")[0] != "0"
    after_user = final[[name for name, _ in final].index("USER") :]
    assert not [rest for name, rest in after_user if name in {"RUN", "COPY", "ADD"}]
    command = json.loads(last_of(final, "HEALTHCHECK").partition("CMD ")[2])
    assert command[:2] == ["tenantgate", "healthcheck"]


def test_the_final_stage_installs_nothing() -> None:
    build, final = stages()
    assert "slim" in final[0][1]
    runs = " ".join(rest for name, rest in final if name == "RUN")
    assert not [tool for tool in ("apt", "pip", "gcc", "build-essential") if tool in runs]
    assert "--require-hashes" in " ".join(rest for name, rest in build if name == "RUN")
    copied = [rest for name, rest in final if name == "COPY"]
    assert copied == ["--from=build /opt/tenantgate /opt/tenantgate"]


def test_the_health_check_and_the_start_take_options_that_exist() -> None:
    from admin.cli.main import build_parser

    final = stages()[-1]
    for line in (last_of(final, "HEALTHCHECK").partition("CMD ")[2], last_of(final, "CMD")):
        command = [word for word in json.loads(line) if word != "tenantgate"]
        assert callable(build_parser().parse_args(command).run)


def compose() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())
    return document


def test_compose_publishes_the_gateway_only() -> None:
    services = compose()["services"]
    assert services["postgres"]["image"] == "postgres:18"
    assert "ports" not in services["postgres"]
    assert set(services["gateway"]["networks"]) & set(services["postgres"]["networks"]) == {"inside"}
    assert compose()["networks"]["inside"]["internal"] is True
    assert [p for p in services["gateway"]["ports"] if p.endswith(":9632")] == ["127.0.0.1:9632:9632"]
    assert services["gateway"]["depends_on"]["postgres"]["condition"] == "service_healthy"
    assert services["gateway"]["cap_drop"] == ["ALL"]


@pytest.fixture
def deploy(tmp_path: Path) -> Path:
    """A copy of deploy/ with the files that deploy/prepare makes."""
    directory = tmp_path / "deploy"
    shutil.copytree(ROOT / "deploy", directory, ignore=shutil.ignore_patterns("secrets"))
    subprocess.run([directory / "prepare"], check=True, capture_output=True)
    return directory


def test_what_compose_mounts_is_there(deploy: Path) -> None:
    services = compose()["services"]
    sources = [v.split(":")[0] for s in services.values() for v in s["volumes"] if v.startswith("./")]
    sources += [secret["file"] for secret in compose()["secrets"].values()]
    assert len(sources) > 4
    assert all((deploy / source).exists() for source in sources)


def test_secrets_are_the_owners_alone(deploy: Path) -> None:
    assert (deploy / "secrets").stat().st_mode & 0o777 == 0o700
    assert (deploy / "secrets" / "dev.pem").stat().st_mode & 0o777 == 0o600


def test_the_token_service_signs_what_the_gateway_trusts(deploy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from admin.cli.main import main

    command = [word.replace("/run/", f"{deploy}/secrets/") for word in compose()["services"]["token"]["entrypoint"]]
    assert command[0] == "tenantgate"
    assert main([*command[1:], "--subject", "alice", "--tenant", "acme", "--role", "app"]) == 0
    key = (deploy / "config" / "dev.pub.pem").read_bytes()
    issuer = tomllib.loads((deploy / "config" / "tenantgate.toml").read_text())["auth"]["issuers"][0]
    claims = jwt.decode(
        capsys.readouterr().out.strip(), key, ["EdDSA"], audience=issuer["audience"], issuer=issuer["issuer"]
    )
    assert (claims["sub"], claims["tenant"], claims["roles"]) == ("alice", "acme", ["app"])


def test_the_sample_configuration_is_right(deploy: Path) -> None:
    """With the secrets where the container has them."""
    config = deploy / "config" / "tenantgate.toml"
    text = config.read_text().replace("/run/secrets/server_key", str(deploy / "secrets" / "server.key"))
    config.write_text(text.replace("/run/secrets", str(deploy / "secrets")))
    reading = read_config(config, os.environ)
    assert reading.problems == ()
    assert reading.policy_file is not None
    snapshot = load_policy(reading.policy_file, version=1, targets=["shop"], databases=reading.databases)
    assert sorted(snapshot.tenants) == ["acme", "globex"]


def test_the_admin_api_is_configured_beside_the_gateway(deploy: Path) -> None:
    """compose.admin.yaml: what it mounts is there, its configuration and policy are right, the API's password fits."""
    from admin.cli.api_settings import load_api_settings
    from policy.document import parse_policy
    from proxy.postgres.wire.scram import parse_verifier

    added = yaml.safe_load((deploy / "compose.admin.yaml").read_text())
    services = added["services"]
    sources = [v.split(":")[0] for s in services.values() for v in s["volumes"] if v.startswith("./")]
    sources += [secret["file"] for secret in added["secrets"].values()]
    assert all((deploy / source).exists() for source in sources)
    assert services["admin"]["ports"] == ["127.0.0.1:9633:9633"]
    assert "superuser_password" not in services["gateway"]["secrets"]

    config = deploy / "config" / "with-store.toml"
    text = config.read_text().replace("/run/secrets/server_key", str(deploy / "secrets" / "server.key"))
    config.write_text(text.replace("/run/secrets", str(deploy / "secrets")))
    reading = read_config(config, os.environ)
    assert reading.problems == ()
    assert reading.config is not None
    settings = load_api_settings(config, reading.config)
    (gateway,) = settings.gateways
    account = reading.config.auth.service_accounts[gateway.user]
    assert parse_verifier(account.verifier) == _verifier_of(gateway.password, account.verifier)
    document = yaml.safe_load((deploy / "config" / "store-policy.yaml").read_text())
    targets = document.pop("targets")
    parse_policy(yaml.safe_dump(document), version=1, targets=targets, databases={"shop": "shop"})


def _verifier_of(password: str, like: str) -> object:
    """The verifier that this password has with the other's salt and iterations."""
    from proxy.postgres.wire.scram import parse_verifier

    salt = base64.b64decode(like.split("$")[1].partition(":")[2])
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, 4096)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    head = "$".join(like.split("$")[:2])
    return parse_verifier(f"{head}${base64.b64encode(stored).decode()}:{base64.b64encode(server).decode()}")


def test_no_secret_is_in_the_repository() -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    names = listed.stdout.splitlines()
    assert not [name for name in names if "/secrets/" in name or name.endswith((".key", ".pem"))]
