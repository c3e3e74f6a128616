"""The corpus's JWT cases through the whole login: every forged token is refused, every control is let in."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from policy.errors import AuthenticationError, TenantRefused
from policy.model import Isolation, Tenant
from proxy.config import AuthConfig, IssuerConfig, TlsConfig
from proxy.errors import RemoteProtocolError
from proxy.identity.authenticator import Authenticator
from proxy.postgres.login import LoginResult, log_in
from proxy.postgres.wire.startup import StartupMessage
from tests.security import corpus
from tests.unit.identity.conversation import TLS_PEER, ScriptedClient

EXPECTED_CASES = 133
TENANTS = {
    name: Tenant(name, Isolation.DATABASE, "main", name, database=f"tenant_{name}_db") for name in ("acme", "globex")
}


@cache
def cases() -> list[dict[str, Any]]:
    root = corpus.locate()
    if root is None:
        return []
    listed: list[dict[str, Any]] = yaml.safe_load((root / "jwt" / "jwt_cases.yaml").read_text("utf-8"))["cases"]
    return listed


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with fresh keys and tokens, of the corpus's own clock (2030)."""
    place = tmp_path_factory.mktemp("jwt")
    script = shutil.copy(corpus.require() / "jwt" / "gen_jwt.py", place)
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=60, check=True)
    assert f"{EXPECTED_CASES} jwt cases, 0 problems" in done.stdout
    return place


@pytest.fixture(scope="module")
def setting(generated: Path) -> dict[str, Any]:
    return dict(json.loads((generated / "tokens.json").read_text()))


def authenticator(setting: dict[str, Any]) -> Authenticator:
    issuers = tuple(
        IssuerConfig(
            issuer=name,
            audience=setting["audience"],
            algorithms=("RS256", "ES256"),
            jwks={"keys": trusted["keys"]},
            tenants=frozenset(trusted["tenants"]),
            revoked_token_ids=frozenset(setting["revoked_jti"]),
        )
        for name, trusted in setting["issuers"].items()
    )
    return Authenticator(AuthConfig(issuers=issuers), TlsConfig(), lambda: float(setting["clock"]))


async def attempt(case: dict[str, Any], setting: dict[str, Any], generated: Path) -> LoginResult:
    token = setting["tokens"].get(case["id"])
    if token is None:
        token = (generated / f"{case['id']}.token").read_text()
    tenant = case["verify"]["strict_reference"]
    user = tenant if tenant in TENANTS else "acme"
    parameters = {"user": user, "database": f"tenant_{user}_db"} | case.get("startup", {})
    client = ScriptedClient([token.encode() + b"\0"])
    return await log_in(client, StartupMessage((3, 0), parameters), TLS_PEER, authenticator(setting), TENANTS)


@pytest.mark.parametrize("case", cases(), ids=lambda case: f"{case['id']}-{case['title'][:40]}")
async def test_case(case: dict[str, Any], setting: dict[str, Any], generated: Path) -> None:
    if case["accept"]:
        result = await attempt(case, setting, generated)
        assert result.tenant_id == case["verify"]["strict_reference"]
    elif "steps" in case:
        # The session that outlives its token: let in, with the time when it has to end.
        result = await attempt(case, setting, generated)
        assert result.principal.expires_at == setting["clock"] + 2
    else:
        with pytest.raises((AuthenticationError, RemoteProtocolError, TenantRefused)):
            await attempt(case, setting, generated)


def test_the_corpus_is_whole() -> None:
    corpus.require()
    assert len(cases()) == EXPECTED_CASES
    assert sum(case["accept"] for case in cases()) == 4


async def test_refusals_are_not_due_to_the_user_name(setting: dict[str, Any], generated: Path) -> None:
    """The attacks must fail in verify_token itself, not only later, but for the three that are about the login."""
    verifier = authenticator(setting)
    let_through = []
    for case in cases():
        token = setting["tokens"].get(case["id"])
        if token is None:
            token = (generated / f"{case['id']}.token").read_text()
        try:
            await verifier.verify_token(token)
        except AuthenticationError:
            continue
        let_through.append(case["id"])
    expected = [case["id"] for case in cases() if case["accept"] or "steps" in case or "startup" in case]
    assert let_through == expected
    print(f"JWT corpus: {len(cases())} cases, {len(cases()) - len(let_through)} refused by verify_token")
