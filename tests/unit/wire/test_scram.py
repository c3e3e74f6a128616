"""SCRAM-SHA-256 both sides, PostgreSQL's verifier, SASL framing and OAUTHBEARER messages."""

from __future__ import annotations

import base64
import datetime
import hashlib
import json
import struct

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.errors import RemoteProtocolError
from proxy.postgres.wire import sasl
from proxy.postgres.wire.scram import (
    ClientScram,
    ServerScram,
    make_verifier,
    parse_verifier,
    saslprep,
    tls_server_end_point,
)

PLUS = sasl.SCRAM_SHA_256_PLUS
PLAIN = sasl.SCRAM_SHA_256

# RFC 7677 section 3, with the empty user name that libpq sends instead of "user".
SALT = base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")
CLIENT_NONCE = b"rOprNGfwEbeRWgbNEkqO"
SERVER_NONCE = b"%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"


def exchange(client: ClientScram, server: ServerScram) -> None:
    client.finish(server.final(client.final(server.first(client.first()))))


def test_vector_of_rfc_7677() -> None:
    server = ServerScram(parse_verifier(make_verifier("pencil", salt=SALT)), nonce=SERVER_NONCE)
    first = server.first(b"n,,n=user,r=" + CLIENT_NONCE)
    assert first == b"r=" + CLIENT_NONCE + SERVER_NONCE + b",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
    final = server.final(
        b"c=biws,r=" + CLIENT_NONCE + SERVER_NONCE + b",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
    )
    assert final == b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="


POSTGRESQL_VERIFIER = (
    "SCRAM-SHA-256$4096:OIaZ60Xs3adixeTxBAVvKA==$3Oln0Me3fmIdX0fy4q3XOTPkQ4f+KnvzSRw1MLzEaMI="
    ":BNKnhVNt4v9edd3UCEF5g7U2w5UB8nFATna+mjWdv3M="
)


def test_verifier_of_a_postgresql_server() -> None:
    """pg_authid.rolpassword for password 'pencil', written by PostgreSQL 15.18."""
    stored = POSTGRESQL_VERIFIER
    salt = parse_verifier(stored).salt
    assert make_verifier("pencil", salt=salt) == stored
    exchange(ClientScram("pencil"), ServerScram(parse_verifier(stored)))


def test_verifiers_are_salted() -> None:
    assert make_verifier("x") != make_verifier("x")
    assert str(parse_verifier(make_verifier("x", iterations=10))).startswith("SCRAM-SHA-256$10:")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "md5d41d8cd98f00b204e9800998ecf8427e",
        "SCRAM-SHA-1$4096:AAAA$" + "A" * 43 + "=:" + "A" * 43 + "=",
        "SCRAM-SHA-256$0:AAAA$" + "A" * 43 + "=:" + "A" * 43 + "=",
        "SCRAM-SHA-256$-1:AAAA$" + "A" * 43 + "=:" + "A" * 43 + "=",
        "SCRAM-SHA-256$4_096:AAAA$" + "A" * 43 + "=:" + "A" * 43 + "=",
        "SCRAM-SHA-256$4096:$" + "A" * 43 + "=:" + "A" * 43 + "=",
        "SCRAM-SHA-256$4096:AAAA$AAAA:AAAA",
        "SCRAM-SHA-256$4096:AAAA$" + "A" * 43 + "=",
        "SCRAM-SHA-256$4096:!!!!$" + "A" * 43 + "=:" + "A" * 43 + "=",
    ],
)
def test_verifiers_that_are_none(text: str) -> None:
    with pytest.raises(ValueError, match=r"SCRAM-SHA-256|bytes") as error:
        parse_verifier(text)
    assert "AAAA" not in str(error.value)


@settings(max_examples=30)
@given(st.text(max_size=20), st.text(max_size=20))
def test_the_right_password_and_no_other(password: str, other: str) -> None:
    verifier = parse_verifier(make_verifier(password, iterations=2))
    exchange(ClientScram(password), ServerScram(verifier))
    if saslprep(other) != saslprep(password):
        with pytest.raises(sasl.SaslRejected):
            exchange(ClientScram(other), ServerScram(verifier))


@pytest.mark.parametrize(
    ("text", "prepared"),
    [
        ("I\u00adX", "IX"),  # RFC 4013 section 3
        ("user", "user"),
        ("USER", "USER"),
        ("\u00aa", "a"),
        ("\u2168", "IX"),
        ("a\u00a0b", "a b"),
        ("\u0007", "\u0007"),  # prohibited: PostgreSQL takes it as it is
        ("\u0627\u0031", "\u0627\u0031"),  # wrong direction: as it is
        ("\u06271\u0628", "\u06271\u0628"),
        ("\u00ad", "\u00ad"),  # nothing left: as it is
        ("", ""),
        ("\U0001f600", "\U0001f600"),
    ],
)
def test_saslprep(text: str, prepared: str) -> None:
    assert saslprep(text) == prepared


END_POINT = b"\x01" * 32
VERIFIER = parse_verifier(make_verifier("pencil", iterations=2))


def test_channel_binding() -> None:
    client = ClientScram("pencil", [PLUS, PLAIN], end_point=END_POINT)
    assert client.mechanism == PLUS
    exchange(client, ServerScram(VERIFIER, PLUS, end_point=END_POINT))


def test_channel_binding_to_somebody_between_is_refused() -> None:
    with pytest.raises(sasl.SaslRejected):
        exchange(
            ClientScram("pencil", [PLUS, PLAIN], end_point=b"\x02" * 32),
            ServerScram(VERIFIER, PLUS, end_point=END_POINT),
        )


def test_channel_binding_that_was_taken_out_of_the_offer() -> None:
    client = ClientScram("pencil", [PLAIN], end_point=END_POINT)
    assert client.first().startswith(b"y,,")
    with pytest.raises(sasl.SaslRejected, match="negotiated away"):
        ServerScram(VERIFIER, PLAIN, end_point=END_POINT).first(client.first())
    exchange(ClientScram("pencil", [PLAIN], end_point=END_POINT), ServerScram(VERIFIER))


def test_no_mechanism_in_common() -> None:
    for offered in ([], ["SCRAM-SHA-1"], [PLUS]):
        with pytest.raises(RemoteProtocolError):
            ClientScram("pencil", offered)


def certificate(key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey, algorithm: object) -> bytes:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = datetime.datetime(2026, 1, 1)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(now).not_valid_after(now + datetime.timedelta(1))
    return builder.sign(key, algorithm).public_bytes(serialization.Encoding.DER)  # type: ignore[arg-type]


def test_tls_server_end_point() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    for algorithm, name in ((hashes.SHA256(), "sha256"), (hashes.SHA384(), "sha384")):
        der = certificate(key, algorithm)
        assert tls_server_end_point(der) == hashlib.new(name, der).digest()
    with pytest.raises(ValueError, match="no channel binding"):
        tls_server_end_point(certificate(ed25519.Ed25519PrivateKey.generate(), None))


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"n",
        b"n,,",
        b"n,,n=",
        b"n,,n=,",
        b"n,,n=,r=",
        b"n,,r=abc,n=",
        b"n,,m=x,n=,r=abc",
        b"x,,n=,r=abc",
        b"n,b,n=,r=abc",
        b"p=tls-unique,,n=,r=abc",
        b"n,,n=,r=a\0b",
        b"n,,n=,r=" + b"a" * 513,
        b"n,,n=,r=\xff",
        b"\0\0\0\0",
        b"S\0\0\0\x10SELECT",
    ],
)
def test_client_first_messages_that_are_malformed(message: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        ServerScram(VERIFIER).first(message)


def test_authorization_identities_are_not_supported() -> None:
    with pytest.raises(RemoteProtocolError) as error:
        ServerScram(VERIFIER).first(b"n,a=admin,n=,r=abc")
    assert error.value.sqlstate == "0A000"


def final_message(channel: bytes = b"biws", nonce: bytes = b"cs", proof: bytes = b"A" * 43 + b"=") -> bytes:
    return b"c=" + channel + b",r=" + nonce + b",p=" + proof


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"c=biws",
        b"c=biws,r=cs",
        b"c=biws,p=AAAA",
        b"r=cs,c=biws,p=AAAA",
        final_message(proof=b"AAAA"),
        final_message(proof=b""),
        final_message(proof=b"!" * 44),
        final_message(proof=b"A" * 43 + b"=" + b"\0"),
        final_message(channel=b"%%%%"),
        final_message(channel=b"\xff"),
    ],
)
def test_client_final_messages_that_are_malformed(message: bytes) -> None:
    server = ServerScram(VERIFIER, nonce=b"s")
    server.first(b"n,,n=,r=c")
    with pytest.raises(RemoteProtocolError):
        server.final(message)


@pytest.mark.parametrize("message", [final_message(), final_message(nonce=b"cx"), final_message(channel=b"eSws")])
def test_client_final_messages_that_prove_nothing(message: bytes) -> None:
    server = ServerScram(VERIFIER, nonce=b"s")
    server.first(b"n,,n=,r=c")
    with pytest.raises(sasl.SaslRejected):
        server.final(message)


def test_final_before_first() -> None:
    with pytest.raises(RemoteProtocolError):
        ServerScram(VERIFIER).final(final_message())


def test_right_proof_with_another_binding_or_nonce_is_refused() -> None:
    """The proof covers what the client says; what it says must also be what was agreed."""
    server = ServerScram(VERIFIER, nonce=b"server")
    client = ClientScram("pencil", nonce=b"client")
    answer = server.first(b"y,," + client.first()[3:])
    with pytest.raises(sasl.SaslRejected):
        server.final(client.final(answer))


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"r=other,s=AAAA,i=4096",
        b"r=client,s=AAAA,i=4096",
        b"r=clientx,s=,i=4096",
        b"r=clientx,s=%%%,i=4096",
        b"r=clientx,s=AAAA,i=0",
        b"r=clientx,s=AAAA,i=-5",
        b"r=clientx,s=AAAA,i=4096x",
        b"r=clientx,s=AAAA,i=2147483647",
        b"r=clientx,s=AAAA",
        b"m=x,r=clientx,s=AAAA,i=4096",
        b"r=client" + b"x" * 2000 + b",s=AAAA,i=4096",
    ],
)
def test_server_first_messages_that_are_malformed(message: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        ClientScram("pencil", nonce=b"client").final(message)


def test_the_server_must_prove_itself() -> None:
    server = ServerScram(VERIFIER)
    client = ClientScram("pencil")
    client.final(server.first(client.first()))
    for message in (b"v=" + base64.b64encode(b"x" * 32), b"e=other-error"):
        with pytest.raises(sasl.SaslRejected):
            client.finish(message)
    for message in (b"", b"v=%%%", b"x"):
        with pytest.raises(RemoteProtocolError):
            client.finish(message)
    with pytest.raises(RemoteProtocolError):
        ClientScram("pencil").finish(b"v=AAAA")


@given(st.binary(max_size=100), st.binary(max_size=100))
def test_garbage_ends_in_an_error(first: bytes, final: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        ServerScram(VERIFIER).first(first)
    server = ServerScram(VERIFIER)
    server.first(b"n,,n=,r=abc")
    with pytest.raises((RemoteProtocolError, sasl.SaslRejected)):
        server.final(final)
    with pytest.raises(RemoteProtocolError):
        ClientScram("pencil").final(first)


def test_sasl_initial_response() -> None:
    decode = sasl.decode_sasl_initial_response
    assert decode(b"SCRAM-SHA-256\0\0\0\0\x03abc") == ("SCRAM-SHA-256", b"abc")
    assert decode(b"SCRAM-SHA-256\0\xff\xff\xff\xff") == ("SCRAM-SHA-256", None)
    assert decode(b"X\0\0\0\0\0") == ("X", b"")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\0",
        b"X",
        b"X\0",
        b"X\0\0\0\0",
        b"X\0\0\0\0\x04abc",
        b"X\0\0\0\0\x02abc",
        b"X\0\xff\xff\xff\xffabc",
        b"X\0\xff\xff\xff\xfe",
        b"X\0\x7f\xff\xff\xf0n,,n=,r=a",  # PgBouncer CVE-2026-6664
        b"\0\0\0\0\x03abc",
        b"X" * 65 + b"\0\0\0\0\0",
        b"pw-acme\0",  # a plaintext password
    ],
)
def test_sasl_initial_responses_that_lie(body: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        sasl.decode_sasl_initial_response(body)


@given(st.binary(max_size=80))
def test_any_sasl_initial_response_is_decoded_exactly_or_refused(body: bytes) -> None:
    try:
        mechanism, data = sasl.decode_sasl_initial_response(body)
    except RemoteProtocolError:
        return
    length = -1 if data is None else len(data)
    assert body.endswith(b"\0" + struct.pack("!i", length) + (data or b""))
    assert mechanism


TOKEN = "abc.DEF-_~+/123=="


@pytest.mark.parametrize(
    ("message", "token"),
    [
        (f"n,,\x01auth=Bearer {TOKEN}\x01\x01", TOKEN),
        (f"y,,\x01auth=Bearer {TOKEN}\x01\x01", TOKEN),
        (f"n,,\x01host=db.test\x01port=5432\x01auth=bearer  {TOKEN}\x01\x01", TOKEN),
        ("n,,\x01auth=\x01\x01", None),  # libpq 18 asks where to get a token
        ("n,,\x01auth=Bearer \x01\x01", None),
    ],
)
def test_oauth_initial_response(message: str, token: str | None) -> None:
    assert sasl.decode_oauth_initial(message.encode()) == token


@pytest.mark.parametrize(
    "message",
    [
        "",
        "n,,",
        "n,,\x01",
        "n,,\x01\x01",
        "n,,\x01\x01\x01",
        f"n,,auth=Bearer {TOKEN}\x01\x01",
        f"n,,\x01auth=Bearer {TOKEN}\x01",
        f"n,,\x01auth=Bearer {TOKEN}",
        f"n,,\x01auth=Bearer {TOKEN}\x01\x01\x01",
        f"n,,\x01auth=Bearer {TOKEN}\x01auth=Bearer other\x01\x01",
        f"n,,\x01auth=Basic {TOKEN}\x01\x01",
        f"n,,\x01auth=Bearer {TOKEN} {TOKEN}\x01\x01",
        f"n,,\x01auth=Bearer {TOKEN}\0\x01\x01",
        "n,,\x01auth=Bearer é\x01\x01",
        f"n,,\x01host=x\x01\x01auth=Bearer {TOKEN}\x01\x01",
        f"n,,\x011=x\x01auth=Bearer {TOKEN}\x01\x01",
        f"n,,\x01host\x01auth=Bearer {TOKEN}\x01\x01",
        f"p=tls-server-end-point,,\x01auth=Bearer {TOKEN}\x01\x01",
        "n,,\x01host=x\x01\x01",
    ],
)
def test_oauth_initial_responses_that_are_malformed(message: str) -> None:
    with pytest.raises(RemoteProtocolError):
        sasl.decode_oauth_initial(message.encode())


def test_oauth_has_no_authorization_identity() -> None:
    with pytest.raises(RemoteProtocolError, match="authorization identities"):
        sasl.decode_oauth_initial(f"n,a=admin,\x01auth=Bearer {TOKEN}\x01\x01".encode())


@given(st.binary(max_size=100))
def test_garbage_in_oauth(message: bytes) -> None:
    for data in (message, b"n,,\x01" + message + b"\x01\x01"):
        try:
            sasl.decode_oauth_initial(data)
        except RemoteProtocolError:
            continue


def test_oauth_error() -> None:
    answer = json.loads(sasl.encode_oauth_error("https://idp.test/.well-known/openid-configuration", "db"))
    assert answer == {
        "status": "invalid_token",
        "openid-configuration": "https://idp.test/.well-known/openid-configuration",
        "scope": "db",
    }
    assert json.loads(sasl.encode_oauth_error(None, "db")) == {"status": "invalid_token", "scope": "db"}
    sasl.check_oauth_dummy(b"\x01")
    for other in (b"", b"\x01\x01", b"x"):
        with pytest.raises(RemoteProtocolError):
            sasl.check_oauth_dummy(other)
