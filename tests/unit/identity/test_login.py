"""The login conversation as a transcript: what is asked, what is answered, what comes of it."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.errors import AuthenticationError, TenantGateError, TenantRefused
from policy.model import Isolation, Tenant
from proxy.config import AuthConfig, CertificateConfig, IssuerConfig, ServiceAccountConfig, TlsConfig
from proxy.errors import RemoteProtocolError
from proxy.identity.authenticator import Authenticator
from proxy.postgres.login import LoginResult, Peer, log_in
from proxy.postgres.startup_options import StartupRefused
from proxy.postgres.wire.scram import ClientScram, make_verifier
from proxy.postgres.wire.startup import StartupMessage
from tests.harness.tokens import AUDIENCE, Issuer
from tests.unit.identity.conversation import (
    LOOPBACK_PEER,
    PLAIN_PEER,
    TLS_PEER,
    ScriptedClient,
    sasl_initial,
)

NOW = 1_800_000_000.0
ISSUER = Issuer()
TENANTS = {name: Tenant(name, Isolation.SHARED, "main", name, database="shop") for name in ("acme", "globex")}
AUTH = AuthConfig(
    issuers=(IssuerConfig(ISSUER.issuer, AUDIENCE, jwks=ISSUER.jwks),),
    service_accounts={
        "etl": ServiceAccountConfig("etl", make_verifier("pencil"), frozenset({"acme", "globex"}), frozenset({"r"}))
    },
    certificates={"robot": CertificateConfig("robot", frozenset({"acme"}), frozenset())},
)
SCRAM, PLUS, OAUTH = "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS", "OAUTHBEARER"


def token(**claims: Any) -> str:
    return ISSUER.token(now=NOW, **claims)


def password(text: str | None = None) -> bytes:
    return (token() if text is None else text).encode() + b"\0"


async def attempt(
    client: ScriptedClient,
    peer: Peer = TLS_PEER,
    auth: AuthConfig = AUTH,
    tls: TlsConfig | None = None,
    **parameters: Any,
) -> LoginResult:
    authenticator = Authenticator(auth, tls or TlsConfig(), lambda: NOW)
    startup = StartupMessage((3, 0), {"user": "alice", "database": "acme"} | parameters)
    return await log_in(client, startup, peer, authenticator, TENANTS)


async def test_token_as_password() -> None:
    client = ScriptedClient([password()])
    result = await attempt(client, application_name="psql")
    assert result.principal.subject == "alice"
    assert result.tenant_id == "acme"
    assert (result.user, result.database, result.application_name) == ("alice", "acme", "psql")
    assert dict(result.parameters) == {"application_name": "psql"}
    assert client.requests == [3]


@pytest.mark.parametrize(
    ("parameters", "tenant"),
    [
        ({"database": "shop"}, "acme"),
        ({"user": "alice@acme"}, "acme"),
        ({"user": "alice@acme", "database": "alice@acme"}, "acme"),
        ({"user": "alice@acme", "database": ""}, "acme"),
        ({"database": "alice", "options": "-c tenantgate.tenant=acme"}, "acme"),
        ({"user": "acme", "database": "acme"}, "acme"),
        ({"user": "acme", "database": ""}, "acme"),
        ({"database": "tenantgate"}, None),
        ({"database": "tenantgate", "user": "alice@acme"}, None),
    ],
)
async def test_ways_to_name_the_tenant(parameters: dict[str, Any], tenant: str | None) -> None:
    assert (await attempt(ScriptedClient([password()]), **parameters)).tenant_id == tenant


@pytest.mark.parametrize(
    ("parameters", "sqlstate"),
    [
        ({"database": "globex"}, "3D000"),
        ({"database": "nosuch"}, "3D000"),
        ({"database": ""}, "3D000"),
        ({"database": "alice"}, "3D000"),
        ({"user": "alice@globex"}, "28000"),
        ({"user": "alice@nosuch"}, "28000"),
        ({"options": "-c tenantgate.tenant=globex"}, "28000"),
        ({"database": "tenantgate", "user": "alice@globex"}, "28000"),
        ({"database": "tenantgate", "options": "-c tenantgate.tenant=nosuch"}, "28000"),
    ],
)
async def test_contradictions(parameters: dict[str, Any], sqlstate: str) -> None:
    with pytest.raises(TenantRefused) as refusal:
        await attempt(ScriptedClient([password()]), **parameters)
    assert refusal.value.sqlstate == sqlstate


@pytest.mark.parametrize("user", ["bob", "Alice", "globex", "bob@acme", "nosuch"])
async def test_a_token_is_good_for_its_own_user_only(user: str) -> None:
    with pytest.raises(AuthenticationError):
        await attempt(ScriptedClient([password()]), user=user)


async def test_server_name_selects() -> None:
    tls = TlsConfig(sni_suffix=".db.test")
    for sni in ("acme.db.test", "db.test", "localhost", None):
        peer = dataclasses.replace(TLS_PEER, sni=sni)
        assert (await attempt(ScriptedClient([password()]), peer, tls=tls)).tenant_id == "acme"
    with pytest.raises(TenantRefused):
        await attempt(ScriptedClient([password()]), dataclasses.replace(TLS_PEER, sni="globex.db.test"), tls=tls)


async def test_tenants_are_not_looked_at_before_the_credential() -> None:
    for database in ("acme", "globex", "nosuch"):
        with pytest.raises(AuthenticationError):
            await attempt(ScriptedClient([password("wrong")]), database=database)


@pytest.mark.parametrize(
    "body",
    [b"\0", b"wrong\0", b"\xff\xfe\0", "é\0".encode(), (token(tenant=["acme"]) + "\0").encode()],
)
async def test_wrong_passwords(body: bytes) -> None:
    with pytest.raises(AuthenticationError):
        await attempt(ScriptedClient([body]))


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"no terminator",
        f"{token()}\0{token(tenant='globex')}\0".encode(),
        password() + b"\0",
        password("x" * 1_000_000),
        (ord("Q"), b"SELECT 1\0"),
        (0, b"\x03\0\0user\0postgres\0\0"),  # a second StartupMessage (PgBouncer CVE-2026-107350)
        (ord("X"), b""),
    ],
    ids=range(8),
)
async def test_answers_that_break_the_protocol(answer: Any) -> None:
    with pytest.raises(RemoteProtocolError):
        await attempt(ScriptedClient([answer]))


@pytest.mark.parametrize(
    ("peer", "auth", "mode", "asked"),
    [
        (TLS_PEER, {}, "require", True),
        (TLS_PEER, {}, "allow", True),
        (PLAIN_PEER, {}, "allow", False),
        (PLAIN_PEER, {"plaintext_loopback": True}, "allow", False),
        (LOOPBACK_PEER, {}, "allow", False),
        (LOOPBACK_PEER, {"plaintext_loopback": True}, "allow", True),
        (LOOPBACK_PEER, {"plaintext_loopback": True}, "off", True),
        (LOOPBACK_PEER, {"plaintext_loopback": True}, "require", False),
    ],
)
@pytest.mark.parametrize("user", ["alice", "etl"])
async def test_nothing_is_asked_for_in_plaintext(
    peer: Peer, auth: dict[str, Any], mode: str, asked: bool, user: str
) -> None:
    client = ScriptedClient([b"\0"])
    with pytest.raises(TenantGateError) as error:
        await attempt(client, peer, dataclasses.replace(AUTH, **auth), TlsConfig(mode=mode), user=user)
    assert bool(client.sent) is asked
    if not asked:
        assert isinstance(error.value, StartupRefused)
        assert error.value.sqlstate == "28000"
        assert "sslmode=require" in (error.value.hint or "")


async def scram(client_side: ClientScram, peer: Peer = TLS_PEER, **parameters: Any) -> LoginResult:
    client = ScriptedClient([sasl_initial(client_side.mechanism, client_side.first()), client_side.final])
    result = await attempt(client, peer, **({"user": "etl"} | parameters))
    assert client.requests == [10, 11, 12]
    client_side.finish(client.sent[-1][9:])
    return result


@pytest.mark.parametrize("user", ["etl", "etl@acme"])
async def test_service_account(user: str) -> None:
    result = await scram(ClientScram("pencil"), user=user)
    assert result.principal.subject == "etl"
    assert result.principal.method == "scram"
    assert result.tenant_id == "acme"


async def test_service_account_with_several_tenants_must_choose() -> None:
    with pytest.raises(TenantRefused, match="several tenants"):
        await scram(ClientScram("pencil"), database="shop")
    assert (await scram(ClientScram("pencil"), database="shop", user="etl@globex")).tenant_id == "globex"


async def test_service_account_with_a_wrong_password() -> None:
    with pytest.raises(AuthenticationError, match="etl"):
        await scram(ClientScram("pen"))


async def test_service_account_binds_to_the_channel() -> None:
    peer = dataclasses.replace(TLS_PEER, server_end_point=b"\x01" * 32)
    result = await scram(ClientScram("pencil", [PLUS, SCRAM], end_point=b"\x01" * 32), peer)
    assert result.principal.subject == "etl"
    with pytest.raises(AuthenticationError):
        await scram(ClientScram("pencil", [PLUS, SCRAM], end_point=b"\x02" * 32), peer)


async def test_initial_response_may_come_later() -> None:
    side = ClientScram("pencil")
    client = ScriptedClient([sasl_initial(SCRAM, None), side.first(), side.final])
    assert (await attempt(client, user="etl")).principal.subject == "etl"
    assert client.requests == [10, 11, 11, 12]


@pytest.mark.parametrize(
    "body",
    [
        sasl_initial(PLUS, b"p=tls-server-end-point,,n=,r=abc"),  # not offered
        sasl_initial(OAUTH, b"n,,\x01auth=\x01\x01"),
        sasl_initial("x", b""),
        b"pw-acme\0",
        bytes.fromhex("534352414d2d5348412d323536007ffffff06e2c2c6e3d2c723d61"),
        b"",
        sasl_initial(SCRAM, b"n,,n=,r=" + b"a" * 5000),
    ],
)
async def test_sasl_that_breaks_the_protocol(body: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        await attempt(ScriptedClient([body]), user="etl")


def bearer(text: str) -> bytes:
    return sasl_initial(OAUTH, f"n,,\x01auth={text}\x01\x01".encode())


async def test_oauthbearer() -> None:
    client = ScriptedClient([bearer(f"Bearer {token()}")])
    result = await attempt(client, options="-c tenantgate.auth=oauthbearer")
    assert (result.principal.subject, result.tenant_id) == ("alice", "acme")
    assert client.requests == [10]
    auth = dataclasses.replace(AUTH, default_method="oauthbearer")
    assert await attempt(ScriptedClient([bearer(f"Bearer {token()}")]), auth=auth)
    assert await attempt(ScriptedClient([password()]), auth=auth, options="-c tenantgate.auth=password")


@pytest.mark.parametrize("text", ["", "Bearer ", "Bearer wrong", f"Bearer {token(tenant=['acme'])}"])
async def test_oauthbearer_tells_where_to_get_a_token_and_fails(text: str) -> None:
    client = ScriptedClient([bearer(text), b"\x01"])
    with pytest.raises(AuthenticationError):
        await attempt(client, options="-c tenantgate.auth=oauthbearer")
    assert client.requests == [10, 11]
    assert json.loads(client.sent[-1][9:]) == {
        "status": "invalid_token",
        "openid-configuration": f"{ISSUER.issuer}/.well-known/openid-configuration",
        "scope": "openid",
    }


async def test_oauthbearer_error_must_be_acknowledged() -> None:
    with pytest.raises(RemoteProtocolError):
        await attempt(
            ScriptedClient([bearer(""), f"n,,\x01auth=Bearer {token()}\x01\x01".encode()]),
            options="-c tenantgate.auth=oauthbearer",
        )


async def test_certificate() -> None:
    peer = dataclasses.replace(TLS_PEER, certificate_cn="robot")
    client = ScriptedClient()
    result = await attempt(client, peer, user="robot")
    assert (result.principal.subject, result.principal.method, result.tenant_id) == ("robot", "certificate", "acme")
    assert client.sent == []
    assert (await attempt(ScriptedClient(), peer, user="robot@acme")).tenant_id == "acme"
    with pytest.raises(TenantRefused):
        await attempt(ScriptedClient(), peer, user="robot", database="globex")


@pytest.mark.parametrize(
    ("common_name", "user", "tls"),
    [("robot", "alice", True), ("robot", "globex", True), ("nobody", "nobody", True), ("robot", "robot", False)],
)
async def test_certificate_of_somebody_else_is_no_credential(common_name: str, user: str, tls: bool) -> None:
    peer = Peer("203.0.113.7", is_loopback=True, tls=tls, certificate_cn=common_name)
    auth = dataclasses.replace(AUTH, plaintext_loopback=True)
    client = ScriptedClient([b"\0"])
    with pytest.raises(AuthenticationError):
        await attempt(client, peer, auth, TlsConfig(mode="allow"), user=user)
    assert client.requests == [3]


@given(st.lists(st.binary(max_size=60), min_size=2, max_size=2), st.sampled_from(["alice", "etl"]), st.booleans())
async def test_garbage_never_logs_in(answers: list[bytes], user: str, oauth: bool) -> None:
    options = "-c tenantgate.auth=oauthbearer" if oauth else ""
    with pytest.raises((AuthenticationError, RemoteProtocolError)):
        await attempt(ScriptedClient(answers), user=user, options=options)
