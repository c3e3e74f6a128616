"""The section `assignments` of the policy document: who has which roles, besides what their credentials say."""

from __future__ import annotations

import re

from policy.document_roles import read_names
from policy.document_tenants import read_timestamp
from policy.identity import clean_text
from policy.model import EVERYWHERE, Assignment
from policy.problems import Problems, join_key
from policy.yaml_values import as_mapping, as_text

ASSIGNMENT_FIELDS = ("subject", "group", "role", "claim", "tenant", "roles", "issuer", "expires")
_KINDS = ("subject", "group", "role", "claim")
_ID = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.:@/-]{0,126}[A-Za-z0-9_])?")
_WHO = "Write one of subject: alice, group: dba, role: NAME-IN-TOKEN, claim: {department: sales}."


def read_assignments(problems: Problems, value: object) -> dict[str, Assignment]:
    """Every assignment, by id."""
    bodies = as_mapping(problems, "assignments", value)
    return {i: read_assignment_body(problems, join_key("assignments", i), i, body) for i, body in bodies.items()}


def read_assignment_body(problems: Problems, path: str, assignment_id: str, body: object) -> Assignment:
    """One assignment. Problems are noted below `path`; whether tenant and roles exist is not asked here."""
    fields = as_mapping(problems, path, body)
    problems.unknown_keys(path, fields, ASSIGNMENT_FIELDS)
    if _ID.fullmatch(assignment_id) is None:
        problems.add(path, "not an id for an assignment", "Letters, digits and _ . : @ / - , at most 128.")
    kind, key, value = _who(problems, path, fields)
    roles = read_names(problems, f"{path}.roles", fields.get("roles"))
    if not roles:
        problems.add(f"{path}.roles", "is empty or missing", "Write the roles that are given: [analyst].")
    return Assignment(
        assignment_id,
        kind,
        value,
        roles,
        _tenant(problems, path, fields),
        key,
        _issuer(problems, path, fields),
        read_timestamp(problems, f"{path}.expires", fields["expires"]) if "expires" in fields else None,
    )


def _who(problems: Problems, path: str, fields: dict[str, object]) -> tuple[str, str, str]:
    """(kind, key of a claim, value)."""
    given = [kind for kind in _KINDS if kind in fields]
    if len(given) != 1:
        problems.add(path, "must say to whom, once", _WHO)
        return "subject", "", ""
    kind, value = given[0], fields[given[0]]
    if kind != "claim":
        return kind, "", _compared(problems, f"{path}.{kind}", value)
    claim = as_mapping(problems, f"{path}.claim", value)
    if len(claim) != 1:
        problems.add(f"{path}.claim", "must be one claim and its value", "Write claim: {department: sales}.")
        return kind, "", ""
    ((key, text),) = claim.items()
    return kind, key, _compared(problems, join_key(f"{path}.claim", key), text)


def _compared(problems: Problems, path: str, value: object) -> str:
    """What is compared with a claim, which is clean text."""
    text = as_text(problems, path, value)
    if text is not None and clean_text(text) is None:
        problems.add(path, "no claim has such a value", "Up to 255 printable characters.")
    return text or ""


def _tenant(problems: Problems, path: str, fields: dict[str, object]) -> str:
    if "tenant" not in fields:
        problems.add(f"{path}.tenant", "is missing", f'Write the tenant\'s id, or "{EVERYWHERE}" for every tenant.')
        return ""
    return as_text(problems, f"{path}.tenant", fields["tenant"]) or ""


def _issuer(problems: Problems, path: str, fields: dict[str, object]) -> str:
    """Everywhere means in every tenant, so whose word is taken for it has to be said."""
    if "issuer" in fields:
        return _compared(problems, f"{path}.issuer", fields["issuer"])
    if fields.get("tenant") == EVERYWHERE:
        hint = "Name the issuer of the tokens, or local for accounts of the gateway's configuration."
        problems.add(f"{path}.issuer", "is missing", f"Another issuer could name the same subject. {hint}")
    return ""
