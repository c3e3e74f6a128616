"""What policies may know of a session, as Cedar values: who it is, whose, from where, and the minute that runs."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from policy.abac.cedar import ALL_CLAIMS, SUBJECT, TENANT
from policy.model import Principal, Tenant

Json = Any
_CLAIM = "claim "


@dataclass(frozen=True, slots=True)
class Surroundings:
    """How a session reached us; none of it changes while it lasts.

    address: the client's IP address, "" when it has none. application: what it calls itself, which nobody has checked.
    """

    address: str = ""
    tls: bool = False
    application: str = ""
    read_replica: bool = False


NOWHERE = Surroundings()


def address_of(peer: str) -> str:
    """The IP address of `address:port`; IPv4 within IPv6 is IPv4. "" when it is none."""
    host = peer.rpartition(":")[0].strip("[]")
    try:
        found = ipaddress.ip_address(host)
    except ValueError:
        return ""
    mapped = getattr(found, "ipv4_mapped", None)
    return str(mapped or found)


@dataclass(frozen=True, slots=True)
class Asker:
    """Everything of one session that policies may ask. now: seconds since the epoch. roles: the keys of those that it
    holds in the tenant (held_roles.py)."""

    principal: Principal
    tenant: Tenant
    surroundings: Surroundings
    now: float
    roles: frozenset[str]

    def values(self, facts: Collection[str], time_zone: str) -> tuple[tuple[str, Json], ...]:
        """The wanted facts by name, hashable: equal values get equal answers. What is not there is left out."""
        found = ((name, self._value(name, time_zone)) for name in sorted(facts))
        return tuple((name, value) for name, value in found if value is not None)

    def _value(self, name: str, time_zone: str) -> Json:
        principal, around = self.principal, self.surroundings
        if name.startswith(_CLAIM):
            return principal.attributes.get(name.removeprefix(_CLAIM))
        match name:
            case "subject" | "method" | "acr":
                return getattr(principal, name)
            case "roles":
                return tuple(sorted(key.removeprefix("/") for key in self.roles))
            case "tenant":
                return _tenant_values(self.tenant)
            case "claims":
                return tuple(sorted(principal.attributes.items()))
            case "ip":
                return around.address or None
            case "amr":
                return tuple(sorted(principal.amr))
            case "tls" | "application" | "read_replica":
                return getattr(around, name)
        return self._time(name, time_zone)

    def _time(self, name: str, time_zone: str) -> Json:
        minute = int(self.now // 60) * 60
        here = datetime.fromtimestamp(minute, ZoneInfo(time_zone) if time_zone != "UTC" else UTC)
        match name:
            case "now":
                return minute * 1000
            case "hour":
                return here.hour
            case "minute":
                return here.minute
            case "weekday":
                return here.isoweekday()
        raise ValueError(f"unknown fact {name}")


def _tenant_values(tenant: Tenant) -> tuple[tuple[str, str], ...]:
    own = [("id", tenant.id), ("tier", tenant.tier), ("isolation", tenant.isolation.value)]
    own.append(("status", tenant.status.value))
    attributes: Mapping[str, object] = getattr(tenant, "attributes", {})
    return (*own, *((f"attribute {name}", str(value)) for name, value in sorted(attributes.items())))


def entities_of(values: tuple[tuple[str, Json], ...]) -> list[Json]:
    """The principal, and its tenant, as Cedar entities."""
    known = dict(values)
    attributes: dict[str, Json] = {name: known[name] for name in (SUBJECT, "method") if name in known}
    if "roles" in known:
        attributes["roles"] = list(known["roles"])
    claims = dict(known.get(ALL_CLAIMS, ()))
    claims |= {name.removeprefix(_CLAIM): value for name, value in values if name.startswith(_CLAIM)}
    entities: list[Json] = []
    if TENANT in known:
        attributes[TENANT] = {"__entity": {"type": "Tenant", "id": "own"}}
        entities.append(_tenant_entity(dict(known[TENANT])))
    user = {"type": "User", "id": known.get(SUBJECT, "")}
    return [*entities, {"uid": user, "attrs": attributes, "parents": [], "tags": claims}]


def _tenant_entity(values: dict[str, str]) -> Json:
    own = {name: value for name, value in values.items() if " " not in name}
    tags = {name.removeprefix("attribute "): value for name, value in values.items() if " " in name}
    return {"uid": {"type": "Tenant", "id": "own"}, "attrs": own, "parents": [], "tags": tags}


def principal_of(values: tuple[tuple[str, Json], ...]) -> Json:
    """The request's principal."""
    return {"type": "User", "id": dict(values).get(SUBJECT, "")}


def context_of(values: tuple[tuple[str, Json], ...]) -> dict[str, Json]:
    """The request's context."""
    context: dict[str, Json] = {}
    for name, value in values:
        if name == "ip":
            context[name] = {"__extn": {"fn": "ip", "arg": value}}
        elif name == "now":
            context[name] = _datetime(value)
        elif name == "amr":
            context[name] = list(value)
        elif name in ("acr", "tls", "application", "read_replica", "hour", "minute", "weekday"):
            context[name] = value
    return context


def _datetime(milliseconds: int) -> Json:
    when = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return {"__extn": {"fn": "datetime", "arg": when.strftime("%Y-%m-%dT%H:%M:%SZ")}}
