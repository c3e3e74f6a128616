"""Tokens, keys and accounts as configured."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import given
from hypothesis import strategies as st

from policy.errors import AuthenticationError, ConfigurationError
from policy.model import Principal
from proxy.config import AuthConfig, CertificateConfig, IssuerConfig, ServiceAccountConfig, TlsConfig
from proxy.identity.authenticator import Authenticator
from proxy.identity.keys import KeyUnusable, UnknownKey, read_jwks, read_key_file
from proxy.identity.token import parse_token
from proxy.postgres.wire.scram import make_verifier
from tests.harness.tokens import AUDIENCE, Issuer

NOW = 1_800_000_000.0
SECRET = b"0123456789abcdef0123456789abcdef"
ISSUER = Issuer()
RSA_KEY = rsa.generate_private_key(65537, 2048)


def authenticator(**changes: Any) -> Authenticator:
    keys: dict[str, Any] = {"jwks": ISSUER.jwks} if not {"key_file", "hs256_secret"} & changes.keys() else {}
    auth = AuthConfig(issuers=(IssuerConfig(ISSUER.issuer, AUDIENCE, **(keys | changes)),))
    return Authenticator(auth, TlsConfig(), lambda: NOW)


def pem(key: Any) -> bytes:
    encoded: bytes = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return encoded


def sign(key: Any, algorithm: str, **headers: Any) -> str:
    claims = {"iss": ISSUER.issuer, "aud": AUDIENCE, "sub": "alice", "tenant": "acme", "exp": int(NOW) + 60}
    return jwt.encode(claims, key, algorithm=algorithm, headers=headers)


async def test_eddsa_token_with_inline_jwks() -> None:
    principal = await authenticator().verify_token(ISSUER.token(now=NOW, roles=["app"]))
    assert principal == Principal(
        "alice", frozenset({"acme"}), frozenset({"app"}), "jwt", {}, NOW + 3600, issuer=ISSUER.issuer,
        token_id=principal.token_id, issued_at=NOW,
    )  # fmt: skip
    assert principal.token_id


@pytest.mark.parametrize(
    ("key", "algorithm"),
    [
        (RSA_KEY, "RS256"),
        (ec.generate_private_key(ec.SECP256R1()), "ES256"),
        (ed25519.Ed25519PrivateKey.generate(), "EdDSA"),
    ],
)
@pytest.mark.parametrize("kid", [None, "anything"])
async def test_pem_key_files(tmp_path: Path, key: Any, algorithm: str, kid: str | None) -> None:
    path = tmp_path / "key.pem"
    path.write_bytes(pem(key))
    verifier = authenticator(key_file=path)
    headers = {} if kid is None else {"kid": kid}
    assert (await verifier.verify_token(sign(key, algorithm, **headers))).subject == "alice"
    with pytest.raises(AuthenticationError):
        await verifier.verify_token(sign(ISSUER.key, "EdDSA", **headers))


async def test_jwks_key_file(tmp_path: Path) -> None:
    path = tmp_path / "jwks.json"
    path.write_text(json.dumps(ISSUER.jwks))
    assert await authenticator(key_file=path).verify_token(ISSUER.token(now=NOW))


async def test_hs256_only_with_a_secret() -> None:
    token = sign(SECRET, "HS256")
    assert await authenticator(hs256_secret=SECRET).verify_token(token)
    with pytest.raises(AuthenticationError):
        await authenticator().verify_token(token)
    with pytest.raises(AuthenticationError):
        await authenticator(hs256_secret=SECRET).verify_token(ISSUER.token(now=NOW))


async def test_only_the_issuers_algorithms(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    path.write_bytes(pem(RSA_KEY))
    with pytest.raises(AuthenticationError, match="alg"):
        await authenticator(key_file=path).verify_token(sign(RSA_KEY, "PS256"))
    assert await authenticator(key_file=path, algorithms=("PS256",)).verify_token(sign(RSA_KEY, "PS256"))


@pytest.mark.parametrize(
    "headers",
    [
        {"crit": ["exp"]},
        {"jku": "https://evil.test/"},
        {"jwk": ISSUER.jwks["keys"][0]},
        {"x5u": "https://evil.test/"},
        {"x5c": ["AAAA"]},
        {"cty": "JWT"},
        {"zip": "DEF"},
        {"typ": "id_token+jwt"},
    ],
)
async def test_headers_that_are_refused(headers: dict[str, Any]) -> None:
    with pytest.raises(AuthenticationError, match=r"header|typ"):
        await authenticator().verify_token(ISSUER.token(now=NOW, headers=headers))


@pytest.mark.parametrize("headers", [{"typ": "at+jwt"}, {"typ": None}, {"x5t": "AAAA"}])
async def test_headers_that_are_fine(headers: dict[str, Any]) -> None:
    assert await authenticator().verify_token(ISSUER.token(now=NOW, headers=headers))


async def test_size_is_checked_before_anything_else() -> None:
    token = ISSUER.token(now=NOW, pad="x" * 1_000_000)
    with pytest.raises(AuthenticationError, match="longer than 16384"):
        await authenticator().verify_token(token)


async def test_tampered_claims() -> None:
    header, claims, signature = ISSUER.token(now=NOW).split(".")
    changed = base64.urlsafe_b64decode(claims + "==").replace(b"acme", b"evil")
    with pytest.raises(AuthenticationError, match="signature"):
        await authenticator().verify_token(
            ".".join((header, base64.urlsafe_b64encode(changed).rstrip(b"=").decode(), signature))
        )


@given(st.text() | st.from_regex(r"[A-Za-z0-9_-]{0,60}\.[A-Za-z0-9_-]{0,60}\.[A-Za-z0-9_-]{0,60}", fullmatch=True))
def test_garbage_is_an_authentication_error(text: str) -> None:
    with pytest.raises(AuthenticationError):
        parse_token(text, 16_384)


@given(st.binary(max_size=200))
def test_garbage_headers_are_an_authentication_error(header: bytes) -> None:
    encoded = base64.urlsafe_b64encode(header).rstrip(b"=").decode() or "AA"
    with pytest.raises(AuthenticationError):
        parse_token(f"{encoded}.e30.AAAA", 16_384)


@given(st.integers(0, 10_000), st.integers(1, 255))
async def test_any_changed_byte_spoils_the_token(position: int, change: int) -> None:
    token = bytearray(ISSUER.token(now=NOW).encode())
    token[position % len(token)] ^= change
    with pytest.raises(AuthenticationError):
        await authenticator().verify_token(token.decode("latin-1"))


async def test_secrets_are_not_shown() -> None:
    token = ISSUER.token(now=NOW)
    parsed = parse_token(token, 16_384)
    assert token not in repr(parsed)
    assert "0123456789abcdef" not in repr(authenticator(hs256_secret=SECRET).auth)
    verifier = make_verifier("pencil")
    config = ServiceAccountConfig("etl", verifier, frozenset({"acme"}), frozenset())
    account = Authenticator(AuthConfig(service_accounts={"etl": config}), TlsConfig(), lambda: NOW)
    assert verifier.rpartition("$")[2] not in repr((config, account.service_account("etl")))


def test_accounts_and_certificates() -> None:
    auth = AuthConfig(
        service_accounts={
            "etl": ServiceAccountConfig("etl", make_verifier("x"), frozenset({"acme", "globex"}), frozenset({"r"}))
        },
        certificates={"robot": CertificateConfig("robot", frozenset({"acme"}), frozenset({"r"}))},
    )
    verifier = Authenticator(auth, TlsConfig(), lambda: NOW)
    account = verifier.service_account("etl")
    assert account is not None
    assert account.principal == Principal(
        "etl", frozenset({"acme", "globex"}), frozenset({"r"}), "scram", issuer="local"
    )
    robot = Principal("robot", frozenset({"acme"}), frozenset({"r"}), "certificate", issuer="local")
    assert verifier.certificate("robot") == robot
    assert verifier.service_account("ETL") is None
    assert verifier.certificate("Robot") is None


def test_all_problems_are_told_and_a_failed_reload_changes_nothing(tmp_path: Path) -> None:
    verifier = authenticator()
    before = verifier.auth
    wrong = AuthConfig(
        issuers=(
            IssuerConfig("https://a", AUDIENCE),
            IssuerConfig("https://b", AUDIENCE, jwks=ISSUER.jwks, hs256_secret=SECRET),
            IssuerConfig("https://c", AUDIENCE, key_file=tmp_path / "missing.pem"),
            IssuerConfig("https://d", AUDIENCE, hs256_secret=b"short"),
            IssuerConfig("https://e", AUDIENCE, jwks=ISSUER.jwks, algorithms=("none",)),
            IssuerConfig("https://f", AUDIENCE, jwks=ISSUER.jwks, algorithms=("HS256",)),
            IssuerConfig("https://g", AUDIENCE, jwks_url="http://idp.test/"),
            IssuerConfig("https://g2", AUDIENCE, jwks=ISSUER.jwks),
            IssuerConfig("https://g2", AUDIENCE, jwks=ISSUER.jwks),
        ),
        service_accounts={"x": ServiceAccountConfig("x", "md5abc", frozenset(), frozenset())},
    )
    with pytest.raises(ConfigurationError) as error:
        verifier.reload(wrong, TlsConfig())
    assert len(error.value.problems) == 9
    assert verifier.auth is before


def test_discovery_names_the_first_issuer_on_the_web() -> None:
    found = authenticator().oauth_discovery()
    assert found.openid_configuration == f"{ISSUER.issuer}/.well-known/openid-configuration"
    assert found.scope == "openid"


OKP = ISSUER.jwks["keys"][0]
RSA_JWK = {**jwt.algorithms.RSAAlgorithm.to_jwk(RSA_KEY.public_key(), as_dict=True), "kid": "r"}


@pytest.mark.parametrize(
    "key",
    [
        {**OKP, "use": "enc"},
        {**OKP, "key_ops": ["encrypt"]},
        {**OKP, "key_ops": "verify"},
        {**OKP, "alg": "RS256"},
        {**OKP, "kid": 5},
        {**OKP, "x": "AAAA"},
        {**OKP, "x": 5},
        {**OKP, "kty": ["OKP"]},
        {"kty": "oct", "k": "AAAA", "kid": "s", "alg": "HS256"},
        {"kty": "RSA", "kid": "r", "n": "AQAB", "e": "AQAB"},
        {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"},
        {},
        5,
        None,
    ],
)
def test_unusable_keys_of_a_document_are_left_out(key: Any) -> None:
    assert len(read_jwks({"keys": [key, RSA_JWK]}).keys) == 1
    with pytest.raises(KeyUnusable):
        read_jwks({"keys": [key]})


def test_private_parts_of_a_document_are_not_kept() -> None:
    private = jwt.algorithms.RSAAlgorithm.to_jwk(RSA_KEY, as_dict=True) | {"key_ops": ["sign", "verify"]}
    assert isinstance(read_jwks({"keys": [private]}).keys[0].key, rsa.RSAPublicKey)


def test_keys_are_chosen_by_kid_and_algorithm() -> None:
    keys = read_jwks({"keys": [OKP, RSA_JWK]})
    assert keys.select("test-1", "EdDSA").kid == "test-1"
    assert keys.select("r", "RS256").kid == "r"
    with pytest.raises(UnknownKey):
        keys.select("zzz", "RS256")
    with pytest.raises(AuthenticationError):
        keys.select("r", "EdDSA")
    with pytest.raises(AuthenticationError):
        keys.select(None, "RS256")
    assert read_jwks({"keys": [OKP]}).select(None, "EdDSA")
    with pytest.raises(UnknownKey):
        read_jwks({"keys": [OKP]}).select("zzz", "EdDSA")


def private_pem(key: Any) -> bytes:
    encoded: bytes = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return encoded


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"garbage",
        b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
        b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        private_pem(RSA_KEY),
        pem(rsa.generate_private_key(65537, 1024)),
        pem(ec.generate_private_key(ec.SECP256K1())),
        b'{"keys": 5}',
        b"[" * 100_000,
    ],
    ids=range(9),
)
def test_files_that_hold_no_key(data: bytes) -> None:
    with pytest.raises(KeyUnusable):
        read_key_file(data)
