"""Who may log in at a running gateway: tokens of every algorithm and key source, OAUTHBEARER, SCRAM, client
certificates; and failures that tell a client nothing and the log everything."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jwt
import psycopg
import pytest
import trustme

from proxy.postgres.wire import messages, startup
from tests.harness.demo_business import DemoGateway
from tests.harness.tokens import Issuer
from tests.harness.wire_client import Answer, WireClient
from tests.integration.doors import PASSWORD, SECRET, Doors, claims, connect, rs256, who
from tests.unit.identity.jwks_server import JwksServer

KEY_REFRESH_S = 10.0  # proxy/identity/jwks.py: a new key is asked for at most that often

# Tokens

TOKENS: dict[str, Callable[[Doors], str]] = {
    "RS256, PEM file": rs256,
    "ES256, inline JWKS": lambda doors: jwt.encode(claims("ec"), doors.ec, "ES256", {"kid": "ec"}),
    "HS256, secret": lambda doors: jwt.encode(claims("hs"), SECRET, "HS256"),
    "EdDSA, PEM file": lambda doors: doors.issuer.token(),
}


@pytest.mark.parametrize("make", TOKENS.values(), ids=TOKENS.keys())
def test_a_token_as_password(doors: Doors, gateway: DemoGateway, make: Callable[[Doors], str]) -> None:
    with connect(doors, "alice", make(doors), "acme") as connection:
        expected = gateway.server.execute("SELECT count(*) FROM customers WHERE tenant_id = 'acme'", "shop")
        assert who(connection) == expected[0][0]


def test_keys_from_a_url_and_their_rotation(doors: Doors, rotating: tuple[JwksServer, Issuer]) -> None:
    server, old = rotating
    connect(doors, "alice", old.token(), "acme").close()
    fetched_at = time.monotonic()
    new = Issuer("https://url.test", kid="new")
    server.serve({"keys": [*new.jwks["keys"]]})
    connect(doors, "alice", old.token(), "acme").close()
    requests = server.requests
    time.sleep(max(0.0, fetched_at + KEY_REFRESH_S + 0.2 - time.monotonic()))
    connect(doors, "alice", new.token(), "acme").close()
    with pytest.raises(psycopg.OperationalError, match="authentication failed"):
        connect(doors, "alice", old.token(), "acme")
    assert server.requests == requests + 1, "unknown keys make no more requests than one in ten seconds"


# Failures


def bad_tokens(doors: Doors) -> dict[str, str]:
    now = int(time.time())
    public = (doors.directory / "rsa.pem").read_bytes()
    good = rs256(doors)
    head, body, signature = good.split(".")
    stranger = Issuer(doors.issuer.issuer)
    return {
        "garbage": "gibberish/gibberish",
        "empty": "",
        "signature of another token": f"{head}.{body}.{rs256(doors, jti='2').split('.')[2]}",
        "cut signature": f"{head}.{body}.{signature[:-8]}",
        "key of a stranger": stranger.token(),
        "alg none": jwt.encode(claims("rsa"), "", "none"),
        "public key as HS256 secret": _hs256_by_hand(claims("rsa"), public),
        "HS256 at an RSA issuer": jwt.encode(claims("rsa"), SECRET, "HS256"),
        "issuer unknown": jwt.encode(claims("nobody"), doors.rsa, "RS256"),
        "another issuer's key": jwt.encode(claims("ec"), doors.rsa, "RS256"),
        "expired": rs256(doors, exp=now - 1),
        "no expiry": rs256(doors, exp=None),
        "not yet": rs256(doors, nbf=now + 300),
        "audience": rs256(doors, aud="elsewhere"),
        "revoked": rs256(doors, jti="stolen"),
        "tenant as list": rs256(doors, tenant=["acme", "globex"]),
        "no tenant": rs256(doors, tenant=None),
        "tenant that the issuer may not name": rs256(doors, tenant="initech"),
        "two tenants": rs256(doors, Tenant="globex"),
        "somebody else's": rs256(doors, sub="mallory"),
        "lives too long": rs256(doors, exp=now + 10 * 86_400),
        "service account's password": PASSWORD,
    }


def _hs256_by_hand(payload: dict[str, object], key: bytes) -> str:
    """PyJWT refuses to sign with a public key."""
    import base64
    import hmac

    def part(value: object) -> bytes:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=")

    signed = part({"alg": "HS256", "typ": "JWT"}) + b"." + part(payload)
    digest = base64.urlsafe_b64encode(hmac.digest(key, signed, "sha256")).rstrip(b"=")
    return (signed + b"." + digest).decode()


def test_failures_look_alike_to_the_client_and_differ_in_the_log(doors: Doors) -> None:
    tokens = bad_tokens(doors)
    tokens["not ASCII"] = "pässword"
    told: set[bytes] = set()
    reasons: dict[str, str] = {}
    for name, token in tokens.items():
        before = len(doors.log)
        with doors.wire() as client:
            answer = client.log_in("alice", "acme", token)
        assert answer.tags == "RE", (name, answer)
        assert answer.closed or client.receive(until="Z").closed
        told.add(b"".join(message for _, message in answer.messages))
        refused = [json.loads(line) for line in doors.log[before:].splitlines() if "login refused" in line]
        assert len(refused) == 1, (name, refused)
        reasons[name] = refused[0]["message"]
    assert len(told) == 1, told
    assert len(set(reasons.values())) >= 15, reasons
    _nothing_secret(doors, tokens)


def test_failures_take_about_the_same_time(doors: Doors) -> None:
    taken = []
    for token in ("x", rs256(doors, sub="mallory"), rs256(doors)[:-3]):
        with doors.wire() as client:
            started = time.monotonic()
            assert client.log_in("alice", "acme", token).sqlstates == ["28P01"]
            taken.append(time.monotonic() - started)
    assert min(taken) >= 0.2, "a pause makes guessing slow"
    assert max(taken) - min(taken) < 0.15


def _nothing_secret(doors: Doors, tokens: dict[str, str]) -> None:
    """No token, signature or password stands in what the gateway wrote."""
    deadline = time.monotonic() + 2
    while len(doors.audit_events()) < len(tokens) and time.monotonic() < deadline:
        time.sleep(0.02)
    written = doors.log + doors.audit_path.read_text()
    config = {"tenantgate.toml"}
    for path in doors.directory.rglob("*"):
        if path.is_file() and path.name not in config and path.suffix not in (".pem", ".key", ".crt", ".yaml"):
            written += path.read_text(errors="replace")
    for name, token in tokens.items():
        for piece in (token, *token.split(".")[1:]):
            assert len(piece) < 8 or piece not in written, f"{name}: {piece[:12]}… was written"
    assert PASSWORD not in written
    assert SECRET not in written


# OAUTHBEARER


def oauth(client: WireClient, token: str, *, user: str = "alice", database: str = "acme") -> Answer:
    """The conversation of RFC 7628 as libpq holds it; the answer up to ReadyForQuery or the end."""
    parameters = {"user": user, "database": database, "options": "-c tenantgate.auth=oauthbearer"}
    client.send(startup.encode_startup(parameters))
    offered = client.receive(until="RE")
    assert b"OAUTHBEARER\0" in offered.messages[0][1]
    initial = f"n,,\x01auth={'Bearer ' + token if token else ''}\x01\x01".encode()
    client.send(messages.encode(b"p", b"OAUTHBEARER\0" + len(initial).to_bytes(4, "big") + initial))
    answer = client.receive(until="RE")
    if answer.messages[-1][1][8:9] == b"\x0b":  # AuthenticationSASLContinue: the error as JSON
        challenge = json.loads(answer.messages[-1][1][9:])
        assert challenge["status"] == "invalid_token"
        assert challenge["openid-configuration"].startswith("https://")
        client.send(messages.encode(b"p", b"\x01"))
    rest = client.receive(until="ZE")
    return Answer(answer.messages + rest.messages, rest.closed)


def test_oauthbearer(doors: Doors, gateway: DemoGateway) -> None:
    expected = gateway.server.execute("SELECT count(*) FROM customers WHERE tenant_id = 'acme'", "shop")
    with doors.wire() as client:
        assert oauth(client, rs256(doors)).statuses == "I"
        assert client.query("SELECT count(*) FROM customers").rows == [[str(expected[0][0])]]
    for token in ("", "nonsense", rs256(doors, sub="mallory"), rs256(doors, exp=1)):
        with doors.wire() as client:
            assert oauth(client, token).sqlstates == ["28P01"]
    _nothing_secret(doors, {"good": rs256(doors)})


def test_oauthbearer_is_for_people_not_for_service_accounts(doors: Doors) -> None:
    with doors.wire() as client:
        parameters = {"user": "etl", "database": "acme", "options": "-c tenantgate.auth=oauthbearer"}
        client.send(startup.encode_startup(parameters))
        assert b"SCRAM-SHA-256" in client.receive(until="R").messages[0][1]


# Service accounts and certificates


@pytest.mark.parametrize("binding", ["require", "disable"])
def test_a_service_account_by_scram(doors: Doors, binding: str) -> None:
    for user, database in (("etl", "acme"), ("etl@initech", "initech"), ("etl@acme", "etl@acme")):
        with connect(doors, user, PASSWORD, database, channel_binding=binding) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
    for user, database in (("etl", "globex"), ("etl@globex", "globex"), ("etl@acme", "initech")):
        with pytest.raises(psycopg.OperationalError, match="FATAL"):
            connect(doors, user, PASSWORD, database, channel_binding=binding)
    with pytest.raises(psycopg.OperationalError, match="authentication failed"):
        connect(doors, "etl", PASSWORD + "!", "acme", channel_binding=binding)
    with pytest.raises(psycopg.OperationalError):
        connect(doors, "etl", rs256(doors, sub="etl"), "acme")


def test_a_service_account_that_is_changed_or_removed_loses_its_sessions(gateway: DemoGateway) -> None:
    changing = Doors(gateway, "http://127.0.0.1:9/none")
    changing.start()
    before = changing.config_path.read_text()
    section = before[before.index("[auth.service_accounts.etl]") : before.index("[auth.certificates.robot]")]
    for text in (before.replace(section, ""), before.replace(section, section.replace('["app"]', '["analyst"]'))):
        with (
            connect(changing, "etl", PASSWORD, "acme") as session,
            connect(changing, "alice", rs256(changing), "acme") as other,
        ):
            changing.config_path.write_text(text)
            changing.reload()
            assert _is_lost(session)
            assert not other.closed
            other.execute("SELECT 1")
        changing.config_path.write_text(before)
        changing.reload()
        time.sleep(0.3)
    changing.stop()


def _is_lost(session: psycopg.Connection[Any]) -> bool:
    """Whether the session ends within a few seconds."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            session.execute("SELECT 1")
        except psycopg.OperationalError:
            return True
        time.sleep(0.02)
    return False


def _certificate(doors: Doors, authority: trustme.CA, name: str, tmp_path: Path) -> dict[str, str]:
    leaf = authority.issue_cert("client@example.test", common_name=name)
    certificate, key = tmp_path / f"{name}.crt", tmp_path / f"{name}.key"
    leaf.cert_chain_pems[0].write_to_path(str(certificate))
    key.touch(mode=0o600)
    leaf.private_key_pem.write_to_path(str(key))
    return {"sslcert": str(certificate), "sslkey": str(key)}


def test_a_client_certificate(doors: Doors, tmp_path: Path) -> None:
    shown = _certificate(doors, doors.client_ca, "robot", tmp_path)
    for user in ("robot", "robot@acme", "acme"):
        with connect(doors, user, "no password", "acme", **shown) as connection:
            assert who(connection) > 0
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        connect(doors, "robot", "no password", "globex", **shown)
    with pytest.raises(psycopg.OperationalError, match="authentication failed"):
        connect(doors, "alice", "no password", "acme", **shown)
    with connect(doors, "alice", rs256(doors), "acme", **shown) as connection:
        assert who(connection) > 0


def test_certificates_that_are_nobodys(doors: Doors, tmp_path: Path) -> None:
    unmapped = _certificate(doors, doors.client_ca, "stranger", tmp_path)
    with pytest.raises(psycopg.OperationalError, match="authentication failed"):
        connect(doors, "stranger", "no password", "acme", **unmapped)
    forged = _certificate(doors, trustme.CA(), "robot", tmp_path)
    with pytest.raises(psycopg.OperationalError, match=r"FATAL|alert|SSL|closed"):
        connect(doors, "robot", "no password", "acme", **forged)


# Plaintext


def test_plaintext_is_refused_before_a_password_is_asked_for(doors: Doors) -> None:
    for user in ("alice", "etl", "robot", "nobody"):
        with doors.wire(tls=False) as client:
            answer = client.log_in(user, "acme", "unused")
            assert answer.tags == "E"
            assert answer.errors[0]["M"] == "TLS is required"


def test_plaintext_from_loopback_when_it_is_configured(
    gateway: DemoGateway, rotating: tuple[JwksServer, Issuer]
) -> None:
    open_door = Doors(gateway, rotating[0].url, auth={"plaintext_loopback": True})
    open_door.start()
    with open_door.wire(tls=False) as client:
        assert client.log_in("alice", "acme", rs256(open_door)).statuses == "I"
    with psycopg.connect(
        host="127.0.0.1", port=open_door.port, user="etl", password=PASSWORD, dbname="acme", sslmode="disable"
    ) as connection:
        assert who(connection) > 0
    with open_door.wire(tls=False) as client:
        assert client.log_in("alice", "acme", rs256(open_door, exp=1)).sqlstates == ["28P01"]
    open_door.stop()
