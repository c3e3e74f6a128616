"""Keys behind a URL: cached, followed when they rotate, kept when the issuer is away; all against a real server."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from policy.errors import AuthenticationError
from proxy.config import AuthConfig, IssuerConfig, TlsConfig
from proxy.identity.authenticator import Authenticator
from proxy.identity.jwks import MAX_DOCUMENT_BYTES, MAX_STALE_S, FetchedKeys, check_url, fetch_keys
from proxy.identity.keys import KeyUnusable
from tests.harness.tokens import AUDIENCE, Issuer
from tests.unit.identity.jwks_server import JwksServer

START = 1_800_000_000.0


class Clock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def issuer() -> Issuer:
    return Issuer()


@pytest.fixture
def server(issuer: Issuer) -> Iterator[JwksServer]:
    with JwksServer(issuer.jwks) as running:
        yield running


@pytest.fixture
def authenticator(server: JwksServer, issuer: Issuer, clock: Clock) -> Authenticator:
    return Authenticator(auth(server.url, issuer), TlsConfig(), clock)


def auth(url: str, issuer: Issuer) -> AuthConfig:
    return AuthConfig(issuers=(IssuerConfig(issuer.issuer, AUDIENCE, jwks_url=url, jwks_cache_s=300.0),))


async def test_fetched_once_and_cached(
    authenticator: Authenticator, issuer: Issuer, server: JwksServer, clock: Clock
) -> None:
    for _ in range(3):
        assert (await authenticator.verify_token(issuer.token(now=clock.now))).subject == "alice"
        clock.now += 99
    assert server.requests == 1
    clock.now += 10
    assert await authenticator.verify_token(issuer.token(now=clock.now))
    assert server.requests == 2


async def test_many_logins_share_one_request(
    authenticator: Authenticator, issuer: Issuer, server: JwksServer, clock: Clock
) -> None:
    server.delay_s = 0.05
    tokens = [issuer.token(now=clock.now) for _ in range(20)]
    found = await asyncio.gather(*map(authenticator.verify_token, tokens))
    assert len(found) == 20
    assert server.requests == 1


async def test_a_login_that_is_given_up_does_not_spoil_the_others(
    authenticator: Authenticator, issuer: Issuer, server: JwksServer, clock: Clock
) -> None:
    server.delay_s = 0.05
    first = asyncio.create_task(authenticator.verify_token(issuer.token(now=clock.now)))
    second = asyncio.create_task(authenticator.verify_token(issuer.token(now=clock.now)))
    await asyncio.sleep(0.01)
    first.cancel()
    assert (await second).subject == "alice"
    assert server.requests == 1


async def test_rotation(authenticator: Authenticator, issuer: Issuer, server: JwksServer, clock: Clock) -> None:
    assert await authenticator.verify_token(issuer.token(now=clock.now))
    old, new = issuer, Issuer(kid="test-2")
    server.serve(new.jwks)
    clock.now += 11
    assert await authenticator.verify_token(new.token(now=clock.now))
    assert server.requests == 2
    clock.now += 11
    with pytest.raises(AuthenticationError):  # the retired key is out, though its token has not expired
        await authenticator.verify_token(old.token(now=clock.now))


async def test_unknown_keys_cause_one_request_in_ten_seconds(
    authenticator: Authenticator, issuer: Issuer, server: JwksServer, clock: Clock
) -> None:
    forged = Issuer(kid="forged")
    await authenticator.verify_token(issuer.token(now=clock.now))
    for second in range(1, 31):
        clock.now = START + second
        with pytest.raises(AuthenticationError):
            await authenticator.verify_token(forged.token(now=clock.now))
    assert server.requests == 4
    assert await authenticator.verify_token(issuer.token(now=clock.now))


@pytest.mark.parametrize(
    ("status", "document"),
    [(500, b"{}"), (200, b"not json"), (200, b"[]"), (200, b'{"keys": []}'), (200, b"[" * 100_000), (200, b"\xff")],
)
async def test_old_keys_serve_while_the_issuer_is_broken(
    authenticator: Authenticator, issuer: Issuer, server: JwksServer, clock: Clock, status: int, document: bytes
) -> None:
    await authenticator.verify_token(issuer.token(now=clock.now))
    server.status, server.document = status, document
    clock.now += 400
    assert await authenticator.verify_token(issuer.token(now=clock.now))
    assert server.requests == 2
    clock.now = START + MAX_STALE_S + 1
    with pytest.raises(AuthenticationError, match="cannot be fetched"):
        await authenticator.verify_token(issuer.token(now=clock.now))
    server.status = 200
    server.serve(issuer.jwks)
    clock.now += 11
    assert await authenticator.verify_token(issuer.token(now=clock.now))


async def test_an_issuer_that_is_away_from_the_start(issuer: Issuer, clock: Clock) -> None:
    with JwksServer(issuer.jwks) as gone:
        url = gone.url
    authenticator = Authenticator(auth(url, issuer), TlsConfig(), clock)
    with pytest.raises(AuthenticationError, match="cannot be fetched"):
        await authenticator.verify_token(issuer.token(now=clock.now))


async def test_fetched_keys_survive_a_reload(
    authenticator: Authenticator, issuer: Issuer, server: JwksServer, clock: Clock
) -> None:
    await authenticator.verify_token(issuer.token(now=clock.now))
    authenticator.reload(auth(server.url, issuer), TlsConfig())
    await authenticator.verify_token(issuer.token(now=clock.now))
    assert server.requests == 1


def test_documents_are_bounded(server: JwksServer) -> None:
    server.document = b" " * (MAX_DOCUMENT_BYTES + 1)
    with pytest.raises(KeyUnusable, match="too big"):
        fetch_keys(server.url)


def test_redirects_are_not_followed(server: JwksServer, issuer: Issuer) -> None:
    with JwksServer(issuer.jwks) as elsewhere:
        server.status, server.location = 302, elsewhere.url
        with pytest.raises(OSError, match="302"):
            fetch_keys(server.url)
        assert elsewhere.requests == 0


@pytest.mark.parametrize(
    "url", ["https://idp.test/jwks", "http://127.0.0.1:8/x", "http://[::1]/x", "http://localhost/x"]
)
def test_urls_that_may_be_fetched(url: str) -> None:
    check_url(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://idp.test/jwks",
        "http://169.254.169.254/latest",
        "file:///etc/passwd",
        "ftp://idp.test/x",
        "http://127.0.0.1.evil.test/x",
        "http://127.0.0.1@evil.test/x",
        "https:///x",
        "https://user@idp.test/",
        "",
        "http://[::1",
    ],
)
def test_urls_that_may_not(url: str, clock: Clock) -> None:
    with pytest.raises(KeyUnusable):
        FetchedKeys(url, 300.0, clock)
