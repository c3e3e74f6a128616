"""`tenantgate token`: what it makes is what the gateway's own authenticator accepts."""

from __future__ import annotations

import io
import json
import stat
import time
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from proxy.config import AuthConfig, IssuerConfig, TlsConfig
from proxy.identity.authenticator import Authenticator
from proxy.postgres.wire.scram import parse_verifier
from tests.unit.cli.conftest import CONFIG, Run


@pytest.fixture
def key(run: Run, tmp_path: Path) -> Path:
    path = tmp_path / "dev.pem"
    assert run("token", "--new-key", path).status == 0
    return path


async def test_a_new_key_signs_tokens_that_the_gateway_accepts(run: Run, key: Path) -> None:
    outcome = run(
        *("token", "--key", key, "--subject", "alice", "--tenant", "acme", "--role", "analyst", "--role", "app"),
        *("--ttl", "10min", "--claim", "region=eu=west", "--issuer", "me", "--audience", "gw"),
    )
    assert (outcome.status, outcome.err) == (0, "")
    issuer = IssuerConfig("me", "gw", key_file=key.with_suffix(".pub.pem"), attribute_claims=("region",))
    authenticator = Authenticator(AuthConfig(issuers=(issuer,)), TlsConfig(), time.time)
    principal = await authenticator.verify_token(outcome.out.strip())
    assert principal.subject == "alice"
    assert principal.tenants == {"acme"}
    assert principal.roles == {"analyst", "app"}
    assert principal.attributes == {"region": "eu=west"}
    assert principal.expires_at == pytest.approx(time.time() + 600, abs=5)


def test_key_files_are_private_and_never_overwritten(run: Run, key: Path) -> None:
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    public = key.with_suffix(".pub.pem")
    before = (key.read_bytes(), public.read_bytes())
    outcome = run("token", "--new-key", key)
    assert outcome.status == 2
    assert "not overwritten" in outcome.err
    key.unlink()
    assert run("token", "--new-key", key).status == 2  # the public half is still there
    assert not key.exists()
    assert public.read_bytes() == before[1]


def test_the_public_half_is_printed(run: Run, tmp_path: Path) -> None:
    outcome = run("token", "--new-key", tmp_path / "k.pem")
    assert outcome.out == (tmp_path / "k.pub.pem").read_text()
    assert "PRIVATE" not in outcome.out + outcome.err


def test_a_configuration_gives_issuer_audience_and_claim_names(run: Run, config: Path, key: Path) -> None:
    (config.parent / "issuer.pem").write_bytes(key.with_suffix(".pub.pem").read_bytes())
    outcome = run("token", "-c", config, "--key", key, "--subject", "a", "--tenant", "acme", "--role", "r", "--json")
    assert (outcome.status, outcome.err) == (0, "")
    made = json.loads(outcome.out)
    assert made["claims"] | {"iss": "https://issuer.test", "aud": "gateway", "org": "acme"} == made["claims"]
    assert made["expires_at"] == made["claims"]["exp"]
    assert jwt.decode(made["token"], options={"verify_signature": False}) == made["claims"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--tenant", "acme", "--role", "r"], "not one that issuer"),
        (["--tenant", "globex", "--role", "r"], "may not speak for tenant globex"),
        (["--tenant", "acme"], "no --role"),
        (["--tenant", "acme", "--role", "r", "--ttl", "30d"], "live longer than 86400 s"),
        (["--tenant", "acme", "--role", "r", "--claim", "country=fr"], "attribute_claims"),
    ],
)
def test_what_the_gateway_will_refuse_is_said(
    run: Run, config: Path, key: Path, arguments: list[str], words: str
) -> None:
    outcome = run("token", "-c", config, "--key", key, "--subject", "a", *arguments)
    assert outcome.status == 0
    assert words in outcome.err
    assert outcome.out.count(".") == 2


def test_an_issuer_with_a_shared_secret_needs_no_key(run: Run, config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HS", "s" * 40)
    config.write_text(CONFIG.replace('key_file = "issuer.pem"', 'hs256_secret_env = "HS"'))
    outcome = run("token", "-c", config, "--subject", "a", "--tenant", "acme", "--role", "r")
    claims = jwt.decode(outcome.out.strip(), "s" * 40, algorithms=["HS256"], audience="gateway")
    assert claims["org"] == "acme"
    assert outcome.err == ""


@pytest.mark.parametrize("kind", ["rsa", "p256"])
def test_other_kinds_of_keys(run: Run, tmp_path: Path, kind: str) -> None:
    private = rsa.generate_private_key(65537, 2048) if kind == "rsa" else ec.generate_private_key(ec.SECP256R1())
    path = tmp_path / "k.pem"
    pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    path.write_bytes(private.private_bytes(pem, pkcs8, serialization.NoEncryption()))
    outcome = run("token", "--key", path, "--subject", "a", "--tenant", "t", "--role", "r", "--kid", "k1")
    header = jwt.get_unverified_header(outcome.out.strip())
    assert header == {"alg": {"rsa": "RS256", "p256": "ES256"}[kind], "kid": "k1", "typ": "JWT"}


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--subject", "a"],
        ["--subject", "a", "--tenant", "t"],
        ["--key", "no.pem", "--subject", "a", "--tenant", "t"],
        ["--key", "a", "--new-key", "b", "--subject", "a", "--tenant", "t"],
        ["--new-key", "no-such-directory/k.pem"],
        ["--claim", "novalue", "--new-key", "x"],
    ],
)
def test_wrong_usage(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str]) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = run("token", *arguments)
    assert outcome.status == 2
    assert outcome.out == ""
    assert list(tmp_path.iterdir()) == []


def test_claims_with_options_of_their_own_are_not_set_twice(run: Run, key: Path) -> None:
    outcome = run("token", "--key", key, "--subject", "a", "--tenant", "t", "--claim", "tenant=other")
    assert outcome.status == 2


def test_a_verifier_for_a_service_account(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("correct horse\n"))
    outcome = run("token", "--scram")
    assert outcome.status == 0
    parse_verifier(outcome.out.strip())
    assert "horse" not in outcome.out + outcome.err


def test_an_empty_password_makes_no_verifier(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("\n"))
    assert run("token", "--scram").status == 2
