"""The text of a token taken apart, and its signature checked: JWS compact serialization (RFC 7515 section 7.1).

Stricter than libraries, because a difference between two parsers is how tokens are forged: canonical base64url
only, one JSON object each without duplicate members, NaN or Infinity, a header of known members only. `crit`, keys
inside the token (`jwk`, `x5c`) and places to fetch keys from (`jku`, `x5u`) are refused, not ignored.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import jwt

from policy.errors import AuthenticationError
from proxy.identity.keys import MAX_KID_CHARACTERS, VerificationKey

_COMPACT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_HEADER_MEMBERS = frozenset({"alg", "kid", "typ", "x5t", "x5t#S256"})  # x5t: a thumbprint, which we do not use
_TYPES = frozenset({"jwt", "at+jwt", "application/at+jwt"})


@dataclass(frozen=True, slots=True)
class Token:
    """A well-formed token. Nothing in it may be believed before `verify_signature`."""

    text: str = field(repr=False)
    algorithm: str
    kid: str | None
    claims: Mapping[str, object] = field(repr=False)


def parse_token(text: str, max_bytes: int) -> Token:
    """Take a token apart. The size is checked first. Raises AuthenticationError."""
    if len(text) > max_bytes:
        raise AuthenticationError(f"the token is longer than {max_bytes} bytes")
    if not _COMPACT.fullmatch(text):
        raise AuthenticationError("the password is not a token in JWS compact form")
    encoded_header, encoded_claims, encoded_signature = text.split(".")
    _decode_base64url(encoded_signature)
    header = parse_object(_decode_base64url(encoded_header))
    claims = parse_object(_decode_base64url(encoded_claims))
    return Token(text, _algorithm(header), _kid(header), claims)


def verify_signature(token: Token, key: VerificationKey) -> None:
    """Check the signature with a key that was chosen for the token's algorithm. Raises AuthenticationError."""
    if token.algorithm not in key.algorithms:
        raise AuthenticationError(f"the key is not one for algorithm {token.algorithm}")
    try:
        jwt.PyJWS(algorithms=[token.algorithm]).decode(token.text, key.key, algorithms=[token.algorithm])
    except jwt.PyJWTError as error:
        raise AuthenticationError(f"the signature is wrong: {type(error).__name__}") from None


def parse_object(data: bytes) -> dict[str, object]:
    """Exactly one JSON object in UTF-8, whose members (at every level) are named once."""
    try:
        value = json.loads(data.decode("utf-8"), object_pairs_hook=_members, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise AuthenticationError("a part of the token is not strict JSON") from None
    if not isinstance(value, dict):
        raise AuthenticationError("a part of the token is not a JSON object")
    return value


def _members(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("duplicate member")
    return members


def _refuse_constant(name: str) -> object:
    raise ValueError(name)


def _decode_base64url(part: str) -> bytes:
    """RFC 4648 section 5 without padding; trailing bits must be zero, so that a token has one spelling only."""
    try:
        data = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except binascii.Error:
        raise AuthenticationError("a part of the token is not base64url") from None
    if base64.urlsafe_b64encode(data).rstrip(b"=") != part.encode():
        raise AuthenticationError("a part of the token is not canonical base64url")
    return data


def _algorithm(header: Mapping[str, object]) -> str:
    if not header.keys() <= _HEADER_MEMBERS:
        raise AuthenticationError("the token's header has a member that is not allowed")
    kind = header.get("typ", "JWT")
    if not isinstance(kind, str) or kind.lower() not in _TYPES:
        raise AuthenticationError("the token's typ is not that of an access token")
    algorithm = header.get("alg")
    if not isinstance(algorithm, str):
        raise AuthenticationError("the token's alg is not a string")
    return algorithm


def _kid(header: Mapping[str, object]) -> str | None:
    if "kid" not in header:
        return None
    kid = header["kid"]
    if not isinstance(kid, str) or not 0 < len(kid) <= MAX_KID_CHARACTERS:
        raise AuthenticationError("the token's kid is not a short string")
    return kid
