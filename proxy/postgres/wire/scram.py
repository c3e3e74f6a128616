"""SCRAM-SHA-256 and SCRAM-SHA-256-PLUS, server and client side, and PostgreSQL's stored verifier.

Sans-io. Source: RFC 5802 (exchange), RFC 7677 (SHA-256), RFC 4013 (SASLprep), RFC 5929 section 4
(tls-server-end-point), PostgreSQL's src/common/scram-common.c for the verifier and for what it does where the RFC
leaves a choice: the user name in the exchange is ignored (the startup packet has it), a password that SASLprep
prohibits is taken as it is, no authorization identities, no mandatory extensions.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import secrets
import stringprep
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field

from cryptography.x509 import load_der_x509_certificate

from proxy.postgres.wire.sasl import (
    SCRAM_SHA_256,
    SCRAM_SHA_256_PLUS,
    SaslRejected,
    malformed,
    split_gs2_header,
)

DEFAULT_ITERATIONS = 4096
MAX_ITERATIONS = 1_000_000  # a server that asks for more would keep its client busy for seconds
MAX_SALT_BYTES = 1024
END_POINT = "tls-server-end-point"
_DIGEST_BYTES = 32
_NONCE_BYTES = 18
_NONCE = re.compile(rb"[\x21-\x2b\x2d-\x7e]{1,512}")
_NUMBER = re.compile(r"[1-9][0-9]{0,9}")
_PROHIBITED = (
    stringprep.in_table_c12,
    stringprep.in_table_c21_c22,
    stringprep.in_table_c3,
    stringprep.in_table_c4,
    stringprep.in_table_c5,
    stringprep.in_table_c6,
    stringprep.in_table_c7,
    stringprep.in_table_c8,
    stringprep.in_table_c9,
    stringprep.in_table_a1,
)


@dataclass(frozen=True, slots=True)
class ScramVerifier:
    """What a server keeps instead of a password."""

    iterations: int
    salt: bytes = field(repr=False)
    stored_key: bytes = field(repr=False)
    server_key: bytes = field(repr=False)

    def __str__(self) -> str:
        salt, stored, server = map(_encode, (self.salt, self.stored_key, self.server_key))
        return f"{SCRAM_SHA_256}${self.iterations}:{salt}${stored}:{server}"


def make_verifier(password: str, *, salt: bytes | None = None, iterations: int = DEFAULT_ITERATIONS) -> str:
    """`SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>`, as in pg_authid.rolpassword."""
    salt = secrets.token_bytes(16) if salt is None else salt
    salted = _salted_password(password, salt, iterations)
    return str(ScramVerifier(iterations, salt, _sha256(_hmac(salted, b"Client Key")), _hmac(salted, b"Server Key")))


def parse_verifier(text: str) -> ScramVerifier:
    """Read PostgreSQL's form. Raises ValueError, whose text does not show the verifier."""
    try:
        mechanism, parameters, keys = text.split("$")
        iterations, salt = parameters.split(":")
        stored, server = map(_decode, keys.split(":"))
        verifier = ScramVerifier(int(iterations), _decode(salt), stored, server)
    except ValueError:
        raise ValueError("not of the form SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey") from None
    if mechanism != SCRAM_SHA_256 or not _NUMBER.fullmatch(iterations) or not verifier.salt:
        raise ValueError("not a SCRAM-SHA-256 verifier")
    if len(stored) != _DIGEST_BYTES or len(server) != _DIGEST_BYTES:
        raise ValueError("a key of the verifier has not 32 bytes")
    return verifier


def saslprep(text: str) -> str:
    """RFC 4013 for a stored string; like PostgreSQL, text that may not be prepared is returned unchanged."""
    mapped = "".join(
        " " if stringprep.in_table_c12(character) else character
        for character in text
        if not stringprep.in_table_b1(character)
    )
    prepared = unicodedata.normalize("NFKC", mapped)
    if not prepared or any(prohibited(character) for character in prepared for prohibited in _PROHIBITED):
        return text
    return prepared if _direction_is_clear(prepared) else text


class ServerScram:
    """One login at our side: `first`, then `final`. Not to be used again after an error.

    `end_point` is our certificate's tls-server-end-point; with it, SCRAM-SHA-256-PLUS may be offered.
    """

    __slots__ = ("_auth_message", "_end_point", "_expected_binding", "_nonce", "_plus", "_verifier")

    def __init__(
        self,
        verifier: ScramVerifier,
        mechanism: str = SCRAM_SHA_256,
        *,
        end_point: bytes | None = None,
        nonce: bytes | None = None,
    ) -> None:
        self._verifier = verifier
        self._plus = mechanism == SCRAM_SHA_256_PLUS
        self._end_point = end_point
        self._nonce = _new_nonce() if nonce is None else nonce
        self._auth_message = b""
        self._expected_binding = b""

    def first(self, message: bytes) -> bytes:
        """client-first-message in, server-first-message out. Raises RemoteProtocolError or SaslRejected."""
        header, bare = split_gs2_header(message)
        if (header.binding is not None) is not self._plus:
            raise malformed("The channel binding flag does not fit the mechanism.")
        if header.flag == "y" and self._end_point is not None:
            # RFC 5802 section 6: the client believes that we cannot, so somebody took PLUS out of our list.
            raise SaslRejected("channel binding was negotiated away")
        self._expected_binding = header.raw
        if self._plus:
            if header.binding != END_POINT or self._end_point is None:
                raise malformed(f"The only channel binding is {END_POINT}.")
            self._expected_binding += self._end_point
        attributes = bare.split(b",")
        if len(attributes) < 2 or not attributes[0].startswith(b"n=") or not attributes[1].startswith(b"r="):
            raise malformed("The client's first message is not n=,r= (mandatory extensions are not supported).")
        if not _NONCE.fullmatch(attributes[1][2:]):
            raise malformed("The client's nonce is empty, too long or not printable.")
        self._nonce = attributes[1][2:] + self._nonce
        salt = _encode(self._verifier.salt)
        answer = b"r=" + self._nonce + f",s={salt},i={self._verifier.iterations}".encode()
        self._auth_message = bare + b"," + answer
        return answer

    def final(self, message: bytes) -> bytes:
        """client-final-message in, server-final-message out. Raises RemoteProtocolError or SaslRejected."""
        without_proof, separator, encoded_proof = message.rpartition(b",p=")
        attributes = without_proof.split(b",")
        if not self._auth_message or not separator or len(attributes) < 2:
            raise malformed("The client's final message is not c=,r=,p=.")
        if not attributes[0].startswith(b"c=") or not attributes[1].startswith(b"r="):
            raise malformed("The client's final message is not c=,r=,p=.")
        proof = _decoded(encoded_proof)
        if len(proof) != _DIGEST_BYTES:
            raise malformed("The client's proof has not 32 bytes.")
        signed = self._auth_message + b"," + without_proof
        signature = _hmac(self._verifier.stored_key, signed)
        right = hmac.compare_digest(_sha256(_xor(proof, signature)), self._verifier.stored_key)
        right &= hmac.compare_digest(_decoded(attributes[0][2:]), self._expected_binding)
        right &= hmac.compare_digest(attributes[1][2:], self._nonce)
        if not right:
            raise SaslRejected("nonce, channel binding or proof is wrong")
        return b"v=" + _encode(_hmac(self._verifier.server_key, signed)).encode()


class ClientScram:
    """One login at a target's side: `first`, `final`, `finish`. The server has proved itself after `finish`."""

    __slots__ = ("_bare", "_binding", "_header", "_nonce", "_password", "_server_signature", "mechanism")

    def __init__(
        self,
        password: str,
        mechanisms: Sequence[str] = (SCRAM_SHA_256,),
        *,
        end_point: bytes | None = None,
        nonce: bytes | None = None,
    ) -> None:
        """`mechanisms` are those that the server offers; `end_point` its certificate's tls-server-end-point."""
        self.mechanism = choose_mechanism(mechanisms, end_point is not None)
        self._password = password
        self._nonce = _new_nonce() if nonce is None else nonce
        plus = self.mechanism == SCRAM_SHA_256_PLUS
        self._header = f"p={END_POINT},,".encode() if plus else b"y,," if end_point is not None else b"n,,"
        self._binding = end_point if plus and end_point is not None else b""
        self._bare = b"n=,r=" + self._nonce
        self._server_signature: bytes | None = None

    def first(self) -> bytes:
        """client-first-message."""
        return self._header + self._bare

    def final(self, message: bytes) -> bytes:
        """server-first-message in, client-final-message out. Computes PBKDF2: milliseconds, at the server's choice.

        Raises RemoteProtocolError.
        """
        nonce, salt, iterations = self._server_first(message)
        salted = _salted_password(self._password, salt, iterations)
        without_proof = b"c=" + _encode(self._header + self._binding).encode() + b",r=" + nonce
        signed = self._bare + b"," + message + b"," + without_proof
        client_key = _hmac(salted, b"Client Key")
        proof = _xor(client_key, _hmac(_sha256(client_key), signed))
        self._server_signature = _hmac(_hmac(salted, b"Server Key"), signed)
        self._password = ""
        return without_proof + b",p=" + _encode(proof).encode()

    def finish(self, message: bytes) -> None:
        """server-final-message. Raises SaslRejected unless the server knows the password's verifier."""
        if message.startswith(b"e="):
            raise SaslRejected("the server reports an error in the exchange")
        if self._server_signature is None or not message.startswith(b"v="):
            raise malformed("The server's final message is not v=.")
        if not hmac.compare_digest(_decoded(message[2:].split(b",")[0]), self._server_signature):
            raise SaslRejected("the server's signature is wrong")

    def _server_first(self, message: bytes) -> tuple[bytes, bytes, int]:
        attributes = message.split(b",")
        if len(attributes) < 3 or [item[:2] for item in attributes[:3]] != [b"r=", b"s=", b"i="]:
            raise malformed("The server's first message is not r=,s=,i=.")
        nonce, salt, number = (item[2:] for item in attributes[:3])
        if not nonce.startswith(self._nonce) or len(nonce) == len(self._nonce) or len(nonce) > 1024:
            raise malformed("The server's nonce does not go on from ours.")
        decoded_salt = _decoded(salt)
        if not 0 < len(decoded_salt) <= MAX_SALT_BYTES:
            raise malformed("The server's salt is empty or too long.")
        if not _NUMBER.fullmatch(number.decode("latin-1")) or int(number) > MAX_ITERATIONS:
            raise malformed("The server's iteration count is not acceptable.")
        return nonce, decoded_salt, int(number)


def choose_mechanism(offered: Sequence[str], can_bind: bool) -> str:
    """The best SCRAM mechanism that a server offers. Raises RemoteProtocolError when there is none."""
    if can_bind and SCRAM_SHA_256_PLUS in offered:
        return SCRAM_SHA_256_PLUS
    if SCRAM_SHA_256 in offered:
        return SCRAM_SHA_256
    raise malformed("The server offers no SCRAM-SHA-256.")


def tls_server_end_point(certificate_der: bytes) -> bytes:
    """The channel binding of a server's certificate (RFC 5929 section 4.1): its hash, MD5 and SHA-1 as SHA-256.

    Raises ValueError for a certificate whose signature has no hash function of its own (Ed25519).
    """
    algorithm = load_der_x509_certificate(certificate_der).signature_hash_algorithm
    if algorithm is None:
        raise ValueError("the certificate's signature algorithm defines no channel binding")
    name = "sha256" if algorithm.name in ("md5", "sha1") else algorithm.name
    return hashlib.new(name, certificate_der).digest()


def _salted_password(password: str, salt: bytes, iterations: int) -> bytes:
    return hashlib.pbkdf2_hmac("sha256", saslprep(password).encode("utf-8", "surrogateescape"), salt, iterations)


def _direction_is_clear(text: str) -> bool:
    """RFC 3454 section 6: right-to-left text has no left-to-right characters and begins and ends right-to-left."""
    if not any(map(stringprep.in_table_d1, text)):
        return True
    if any(map(stringprep.in_table_d2, text)):
        return False
    return stringprep.in_table_d1(text[0]) and stringprep.in_table_d1(text[-1])


def _new_nonce() -> bytes:
    return base64.b64encode(secrets.token_bytes(_NONCE_BYTES))


def _hmac(key: bytes, message: bytes) -> bytes:
    return hmac.digest(key, message, "sha256")


def _sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def _xor(left: bytes, right: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(left, right, strict=True))


def _encode(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _decode(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


def _decoded(data: bytes) -> bytes:
    try:
        return base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        raise malformed("A value is not base64.") from None
