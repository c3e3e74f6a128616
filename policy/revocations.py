"""Revocations: which tokens and subjects are refused although their credentials are good. Pure; `now` is passed in.

A revocation names a token (`jti`) or a subject, in one tenant or in all. Its id says so, and is what a session is
looked up by: `jti/*/8f3c…`, `subject/acme/alice`. No tenant's id holds a slash or is a star: ids are told apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from policy.identity import clean_text
from policy.model import Principal
from policy.problems import Problems
from policy.timestamps import TIMESTAMP_HINT, parse_timestamp
from policy.yaml_values import as_mapping, as_text

EVERY_TENANT = "*"
REVOCATION_FIELDS = ("jti", "subject", "tenant", "issuer", "issued_before", "until", "reason")


@dataclass(frozen=True, slots=True)
class Revocation:
    """issuer: only tokens of this one; "": of any, and for a subject also service accounts and certificates.
    issued_before: only tokens issued before; one that does not say when is refused. until: when it ends by itself.
    Both are seconds since the epoch."""

    id: str
    issuer: str = ""
    issued_before: float | None = None
    until: float | None = None
    reason: str = ""


def revocation_id(body: Mapping[str, object]) -> str:
    """The id that a body's revocation has; of a body that is wrong, some text."""
    kind = "jti" if "jti" in body else "subject"
    return f"{kind}/{body.get('tenant', EVERY_TENANT)}/{body.get(kind)}"


def read_revocation_body(problems: Problems, path: str, entity_id: str, body: object) -> Revocation:
    """One revocation. Problems are noted below `path`."""
    fields = as_mapping(problems, path, body)
    problems.unknown_keys(path, fields, REVOCATION_FIELDS)
    if len({"jti", "subject"} & fields.keys()) != 1:
        problems.add(path, "must name either a token or a subject", "Write jti: 8f3c… or subject: alice.")
    for key in ("jti", "subject", "tenant", "issuer"):
        text = as_text(problems, f"{path}.{key}", fields[key]) if key in fields else None
        if text is not None and clean_text(text) is None:
            problems.add(f"{path}.{key}", "no token has such a value", "Up to 255 printable characters.")
    if entity_id != revocation_id(fields):
        problems.add(path, "is not named after what it revokes", f"Its id is {revocation_id(fields)}.")
    issuer, reason = fields.get("issuer", ""), fields.get("reason", "")
    return Revocation(
        entity_id,
        issuer if isinstance(issuer, str) else "",
        _time(problems, path, fields, "issued_before"),
        _time(problems, path, fields, "until"),
        (as_text(problems, f"{path}.reason", reason) or "") if reason else "",
    )


def find_revocation(
    revocations: Mapping[str, Revocation], principal: Principal, tenant: str | None, now: float
) -> Revocation | None:
    """The revocation that holds for a session of this principal. tenant: the session's; None: of the admin console."""
    if not revocations:
        return None
    names = [("subject", principal.subject)]
    if principal.token_id:
        names.append(("jti", principal.token_id))
    for kind, value in names:
        for scope in (EVERY_TENANT, tenant):
            found = revocations.get(f"{kind}/{scope}/{value}") if scope is not None else None
            if found is not None and _holds(found, principal, now):
                return found
    return None


def _holds(revocation: Revocation, principal: Principal, now: float) -> bool:
    if revocation.until is not None and now >= revocation.until:
        return False
    if revocation.issuer and revocation.issuer != principal.issuer:
        return False
    before = revocation.issued_before
    return before is None or principal.issued_at is None or principal.issued_at < before


def _time(problems: Problems, path: str, fields: Mapping[str, object], key: str) -> float | None:
    if key not in fields:
        return None
    text = as_text(problems, f"{path}.{key}", fields[key])
    try:
        return None if text is None else parse_timestamp(text)
    except ValueError as error:
        problems.add(f"{path}.{key}", str(error), TIMESTAMP_HINT)
        return None
