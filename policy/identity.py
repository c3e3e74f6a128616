"""From verified claims to a principal: strict types, exact comparisons, no defaults that let anybody in.

Pure: the caller has checked the signature, says which issuer's rules apply, and passes `now`. Knows nothing of keys,
tokens as text, or the wire. Source: RFC 7519 section 4, RFC 8725 (best current practices), RFC 9068.

What is refused although some verifiers take it: numbers given as text or booleans, tenants given as lists, a
claim that spells the tenant claim another way (`Tenant`, `tenant_id`), a token without an end, and one that lives
longer than the issuer's `max_lifetime_s`. The leeway forgives an issuer's clock that is ahead of ours (nbf, iat). It
does not prolong `exp`: a session ends when its token does, so a login after that would be cut off at once.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType

from policy.errors import AuthenticationError
from policy.model import NO_ITEMS, Principal

MAX_TEXT_CHARACTERS = 255
_LATEST_TIME = 4_102_444_800  # 2100-01-01: later times are milliseconds, overflows or jokes


@dataclass(frozen=True, slots=True)
class ClaimRules:
    """What one issuer's claims must look like. `tenants`: the tenant ids it may speak for, None: all."""

    issuer: str
    audience: str
    tenant_claim: str = "tenant"
    roles_claim: str = "roles"
    groups_claim: str = "groups"
    attribute_claims: tuple[str, ...] = ()
    tenants: frozenset[str] | None = None
    leeway_s: float = 30.0
    max_lifetime_s: float = 86_400.0
    revoked_token_ids: frozenset[str] = frozenset()


def principal_from_claims(
    claims: Mapping[str, object], rules: ClaimRules, now: float, method: str = "jwt"
) -> Principal:
    """Check every claim against `rules` and return who it is. `now` is seconds since the epoch.

    Raises AuthenticationError, whose message says (for the log) which claim is wrong.
    """
    if claims.get("iss") != rules.issuer:
        raise AuthenticationError("claim iss is not the issuer whose key signed the token")
    _check_audience(claims.get("aud"), rules.audience)
    expires_at = _check_times(claims, rules, now)
    _check_not_revoked(claims, rules)
    subject = _text(claims, "sub")
    tenant = _tenant(claims, rules)
    token_id = claims.get("jti")
    return Principal(
        subject=subject,
        tenants=_one_of(frozenset({tenant})),
        roles=_one_of(_roles(claims.get(rules.roles_claim), rules.roles_claim)),
        method=method,
        attributes=_attributes(claims, rules.attribute_claims),
        expires_at=expires_at,
        issuer=rules.issuer,
        groups=_one_of(_groups(claims.get(rules.groups_claim))),
        token_id=token_id if isinstance(token_id, str) else "",
        issued_at=_time(claims, "iat"),
        amr=_one_of(_methods(claims.get("amr"))),
        acr=clean_text(claims.get("acr")) or "",
    )


@lru_cache(4096)
def _one_of(names: frozenset[str]) -> frozenset[str]:
    """Equal sets become one: thousands of sessions have the same tenant and the same roles."""
    return names


def clean_text(value: object) -> str | None:
    """The value if it is a non-empty string without control characters that UTF-8 can hold, else None."""
    if not isinstance(value, str) or not value or len(value) > MAX_TEXT_CHARACTERS:
        return None
    if any(character < " " or "\x7f" <= character <= "\x9f" for character in value):
        return None
    if any("\ud800" <= character <= "\udfff" for character in value):
        return None
    return value


def _text(claims: Mapping[str, object], name: str) -> str:
    value = clean_text(claims.get(name))
    if value is None:
        raise AuthenticationError(f"claim {name} is not a non-empty string of printable characters")
    return value


def _check_audience(value: object, audience: str) -> None:
    if isinstance(value, str):
        listed: list[object] = [value]
    elif isinstance(value, list) and all(isinstance(item, str) for item in value):
        listed = value
    else:
        raise AuthenticationError("claim aud is neither a string nor a list of strings")
    if audience not in listed:
        raise AuthenticationError("claim aud does not name this gateway")


def _check_times(claims: Mapping[str, object], rules: ClaimRules, now: float) -> float:
    expires_at = _time(claims, "exp")
    not_before = _time(claims, "nbf")
    issued_at = _time(claims, "iat")
    if expires_at is None:
        raise AuthenticationError("claim exp is missing")
    if expires_at <= now:
        raise AuthenticationError("the token has expired")
    if not_before is not None and not_before > now + rules.leeway_s:
        raise AuthenticationError("claim nbf is in the future")
    if issued_at is not None and issued_at > now + rules.leeway_s:
        raise AuthenticationError("claim iat is in the future")
    if expires_at - (now if issued_at is None else issued_at) > rules.max_lifetime_s:
        raise AuthenticationError(f"the token lives longer than {rules.max_lifetime_s:.0f} s")
    return expires_at


def _time(claims: Mapping[str, object], name: str) -> float | None:
    """A NumericDate (RFC 7519 section 2), None when absent."""
    if name not in claims:
        return None
    value = claims[name]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise AuthenticationError(f"claim {name} is not a number")
    if isinstance(value, float) and not math.isfinite(value):
        raise AuthenticationError(f"claim {name} is not finite")
    if not 0 <= value <= _LATEST_TIME:
        raise AuthenticationError(f"claim {name} is out of range")
    return float(value)


def _check_not_revoked(claims: Mapping[str, object], rules: ClaimRules) -> None:
    if "jti" not in claims:
        if rules.revoked_token_ids:
            raise AuthenticationError("claim jti is missing, but the issuer has revoked tokens")
        return
    token_id = claims["jti"]
    if not isinstance(token_id, str):
        raise AuthenticationError("claim jti is not a string")
    if token_id in rules.revoked_token_ids:
        raise AuthenticationError("the token is revoked")


def _tenant(claims: Mapping[str, object], rules: ClaimRules) -> str:
    tenant = _text(claims, rules.tenant_claim)
    spelling = _folded(rules.tenant_claim)
    if any(name != rules.tenant_claim and _folded(name) == spelling for name in claims):
        raise AuthenticationError(f"a second claim is spelled like {rules.tenant_claim}: ambiguous")
    if rules.tenants is not None and tenant not in rules.tenants:
        raise AuthenticationError("the issuer may not speak for the tenant that the token names")
    return tenant


def _folded(name: str) -> str:
    """`tenant`, `Tenant`, `tenant_id`, `tenantId` are one spelling to somebody's parser."""
    return name.lower().replace("_", "").replace("-", "").removesuffix("id")


def _roles(value: object, name: str) -> frozenset[str]:
    """A list of names, or names separated by spaces (RFC 8693 section 4.2); absent: none."""
    if value is None:
        return frozenset()
    listed = [word for word in value.split(" ") if word] if isinstance(value, str) else value
    if not isinstance(listed, list):
        raise AuthenticationError(f"claim {name} is neither a string nor a list")
    roles = [role for role in map(clean_text, listed) if role is not None]
    if len(roles) != len(listed):
        raise AuthenticationError(f"claim {name} holds something that is no role name")
    return frozenset(roles)


def _groups(value: object) -> frozenset[str]:
    """A list of names, or one name. Nobody asked for this claim: what has another form is no group."""
    listed = [value] if isinstance(value, str) else value
    if not isinstance(listed, list):
        return frozenset()
    return frozenset(group for group in map(clean_text, listed) if group is not None)


def _methods(value: object) -> frozenset[str]:
    """How the login was proven (RFC 8176); what is no list of names proves nothing."""
    listed = value if isinstance(value, list) else []
    return frozenset(method for method in map(clean_text, listed) if method is not None)


def _attributes(claims: Mapping[str, object], names: tuple[str, ...]) -> Mapping[str, str]:
    found = {name: _text(claims, name) for name in names if name in claims}
    return MappingProxyType(found) if found else NO_ITEMS
