"""libpq as the client: cleartext, SCRAM with and without channel binding, OAUTHBEARER with discovery."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest
import trustme

from policy.errors import AuthenticationError
from policy.model import Isolation, Tenant
from proxy.config import AuthConfig, IssuerConfig, ServiceAccountConfig, TlsConfig
from proxy.identity.authenticator import Authenticator
from proxy.postgres.wire.scram import make_verifier, tls_server_end_point
from tests.harness.missing import missing
from tests.harness.tokens import AUDIENCE, Issuer
from tests.unit.identity.libpq_oauth import bearer_token, load_libpq
from tests.unit.identity.login_server import LoginServer

TENANTS = {"acme": Tenant("acme", Isolation.SHARED, "main", "acme")}
PASSWORD = "pencil Ⅸ ­"


@pytest.fixture
def issuer() -> Issuer:
    return Issuer()


@pytest.fixture
def ca() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
async def server(issuer: Issuer, ca: trustme.CA) -> AsyncIterator[LoginServer]:
    certificate = ca.issue_cert("localhost", "127.0.0.1")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    der = ssl.PEM_cert_to_DER_cert(certificate.cert_chain_pems[0].bytes().decode())
    accounts = {"etl": ServiceAccountConfig("etl", make_verifier(PASSWORD), frozenset({"acme"}), frozenset())}
    auth = AuthConfig(
        issuers=(IssuerConfig(issuer.issuer, AUDIENCE, jwks=issuer.jwks, oauth_scope="db read"),),
        service_accounts=accounts,
        plaintext_loopback=True,
    )
    authenticator = Authenticator(auth, TlsConfig(mode="allow"), _clock)
    async with LoginServer(authenticator, TENANTS, context, tls_server_end_point(der)) as running:
        yield running


def _clock() -> float:
    return 1_800_000_000.0


async def connect(server: LoginServer, **parameters: Any) -> None:
    defaults: dict[str, Any] = {
        "host": "127.0.0.1",
        "port": server.port,
        "dbname": "acme",
        "sslmode": "require",
        "gssencmode": "disable",
    }

    def run() -> None:
        psycopg.connect(**(defaults | parameters), connect_timeout=10).close()

    await asyncio.to_thread(run)


@pytest.mark.parametrize("sslmode", ["require", "disable"])
async def test_token_as_password(server: LoginServer, issuer: Issuer, sslmode: str) -> None:
    await connect(server, user="alice", password=issuer.token(now=_clock()), sslmode=sslmode, application_name="me")
    assert server.results[0].principal.subject == "alice"
    assert server.results[0].application_name == "me"


@pytest.mark.parametrize(
    ("sslmode", "channel_binding"), [("require", "require"), ("require", "disable"), ("disable", "prefer")]
)
async def test_service_account(server: LoginServer, sslmode: str, channel_binding: str) -> None:
    await connect(server, user="etl@acme", password=PASSWORD, sslmode=sslmode, channel_binding=channel_binding)
    assert server.results[0].principal.subject == "etl"


async def test_channel_binding_finds_somebody_between(server: LoginServer) -> None:
    server.end_point = b"\x00" * 32
    with pytest.raises(psycopg.OperationalError):
        await connect(server, user="etl", password=PASSWORD, channel_binding="require")
    assert isinstance(server.failures[0], AuthenticationError)


async def test_wrong_passwords_look_alike(server: LoginServer, issuer: Issuer) -> None:
    told = set()
    for user, password in (
        ("alice", "wrong"),
        ("alice", issuer.token(now=_clock() - 90_000)),
        ("bob", issuer.token(now=_clock())),
        ("etl", "wrong"),
    ):
        with pytest.raises(psycopg.OperationalError) as error:
            await connect(server, user=user, password=password)
        told.add(str(error.value).replace(user, "USER"))
    assert len(told) == 1
    assert "login failed" in told.pop()
    assert len({str(failure) for failure in server.failures}) == 4


async def test_oauthbearer_with_discovery(server: LoginServer, issuer: Issuer) -> None:
    """Without a token libpq asks first where to get one, then comes again with it."""
    library = load_libpq()
    if library is None:
        missing("libpq 18 with OAUTHBEARER", "pip install 'psycopg[binary]>=3.3'")
    oauth = {"oauth_issuer": issuer.issuer, "oauth_client_id": "test", "options": "-c tenantgate.auth=oauthbearer"}
    with bearer_token(library, issuer.token(now=_clock())) as asked:
        await connect(server, user="alice", **oauth)
    assert asked == [(f"{issuer.issuer}/.well-known/openid-configuration", "db read")]
    assert server.results[0].principal.subject == "alice"
    assert ["asked where" in str(failure) for failure in server.failures] == [True]


async def test_oauthbearer_with_a_refused_token(server: LoginServer, issuer: Issuer) -> None:
    library = load_libpq()
    if library is None:
        missing("libpq 18 with OAUTHBEARER", "pip install 'psycopg[binary]>=3.3'")
    oauth = {"oauth_issuer": issuer.issuer, "oauth_client_id": "test", "options": "-c tenantgate.auth=oauthbearer"}
    with bearer_token(library, issuer.token(now=_clock() - 90_000)), pytest.raises(psycopg.OperationalError):
        await connect(server, user="alice", **oauth)
    assert "expired" in str(server.failures[-1])
