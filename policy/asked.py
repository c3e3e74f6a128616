"""Who asked a statement, where from and when: into the audit log with the login, and out of it again."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from policy.abac.facts import Surroundings, address_of
from policy.model import Principal

Event = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Asked:
    """Who asked, where from, and when."""

    principal: Principal
    tenant: str
    surroundings: Surroundings
    at: float


def asked(login: Event, event: Event) -> Asked:
    """Who asked, of a session's login event and one of its statements."""
    details: Mapping[str, str] = login.get("details", {})
    tenant = str(event["tenant"])
    principal = Principal(
        subject=str(login.get("subject", "")),
        tenants=frozenset(_words(details, "tenants") or (tenant,)),
        roles=frozenset(_words(details, "roles")),
        method=details.get("method", "jwt"),
        attributes=_attributes(details.get("attributes", "{}")),
        issuer=details.get("issuer", ""),
        groups=frozenset(_words(details, "groups")),
        amr=frozenset(_words(details, "amr")),
        acr=details.get("acr", ""),
    )
    around = Surroundings(
        address_of(str(login.get("client", ""))),
        details.get("tls") == "on",
        str(login.get("application", "")),
        details.get("read_replica") == "on",
    )
    return Asked(principal, tenant, around, float(event["time"]))


def details_of(principal: Principal, surroundings: Surroundings) -> dict[str, str]:
    """What a login event has to hold for `asked` to make the principal again. Lists are JSON, since names may have
    spaces in them."""
    details = {
        "tenants": _json(principal.tenants),
        "roles": _json(principal.roles),
        "method": principal.method,
        "issuer": principal.issuer,
        "groups": _json(principal.groups) if principal.groups else "",
        "attributes": json.dumps(dict(principal.attributes)) if principal.attributes else "",
        "amr": _json(principal.amr) if principal.amr else "",
        "acr": principal.acr,
        "tls": "on" if surroundings.tls else "off",
        "read_replica": "on" if surroundings.read_replica else "",
    }
    return {name: value for name, value in details.items() if value}


def _json(names: Iterable[str]) -> str:
    return json.dumps(sorted(names))


def _words(details: Mapping[str, str], name: str) -> list[str]:
    try:
        found = json.loads(details.get(name, "[]"))
    except ValueError:
        return []
    return [word for word in found if isinstance(word, str)] if isinstance(found, list) else []


def _attributes(text: str) -> dict[str, str]:
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return {str(name): str(value) for name, value in found.items()} if isinstance(found, dict) else {}
