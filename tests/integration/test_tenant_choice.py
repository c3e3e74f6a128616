"""Which tenant a login gets: what names one, what contradicts, and what nobody learns from it, at a running gateway."""

from __future__ import annotations

import json

import pytest

from proxy.postgres.wire import messages, startup
from tests.harness.wire_client import Answer
from tests.integration.doors import Doors, rs256

CHOICES = {
    "nothing but the token": ("alice", "alice", "", None),
    "database": ("alice", "acme", "", None),
    "user suffix": ("alice@acme", "acme", "", None),
    "tenant as user": ("acme", "acme", "", None),
    "option": ("alice", "alice", "acme", None),
    "server name": ("alice", "alice", "", "acme.db.test"),
    "all of them": ("alice@acme", "acme", "acme", "ACME.db.test"),
    "a server name that is nobody's": ("alice", "acme", "", "www.example.test"),
}
CONTRADICTIONS = {
    "database": ("alice", "globex", "", None),
    "user suffix": ("alice@globex", "acme", "", None),
    "option": ("alice", "acme", "globex", None),
    "server name": ("alice", "acme", "", "globex.db.test"),
    "an option that does not exist": ("alice", "acme", "nosuch", None),
    "case": ("alice", "Acme", "", None),
    "blank": ("alice", "acme ", "", None),
}


def choose(doors: Doors, user: str, database: str, option: str, sni: str | None, token: str) -> Answer:
    options = f"-c tenantgate.tenant={option}" if option else ""
    with doors.wire(sni=sni) as client:
        answer = client.log_in(user, database, token, options=options)
        if answer.statuses:
            answer.messages += client.query("SELECT DISTINCT tenant_id FROM customers").messages
        return answer


@pytest.mark.parametrize("choice", CHOICES.values(), ids=CHOICES.keys())
def test_ways_to_name_the_tenant(doors: Doors, choice: tuple[str, str, str, str | None]) -> None:
    if choice[1] == "alice" and not choice[2] and not choice[3]:
        assert choose(doors, *choice, rs256(doors)).sqlstates == ["3D000"]
        return
    assert choose(doors, *choice, rs256(doors)).rows == [["acme"]]


def test_without_a_database_there_is_no_tenant_to_fall_back_to(doors: Doors) -> None:
    """The startup packet names none at all (corpus START-015): PostgreSQL would take the user's name for one."""
    with doors.wire() as client:
        client.send(startup.encode_startup({"user": "alice"}))
        assert client.receive(until="RE").tags == "R"
        client.send(messages.encode(b"p", rs256(doors).encode() + b"\0"))
        assert client.receive().sqlstates == ["3D000"]


@pytest.mark.parametrize("choice", CONTRADICTIONS.values(), ids=CONTRADICTIONS.keys())
def test_contradictions_are_refused(doors: Doors, choice: tuple[str, str, str, str | None]) -> None:
    user, database, option, sni = choice
    answer = choose(doors, user, database, option, sni, rs256(doors))
    assert len(answer.errors) == 1
    assert answer.errors[0]["S"] == "FATAL"
    assert answer.errors[0]["C"] in ("3D000", "28000", "28P01")
    unknown = [(text or "").replace("globex", "nosuch") or None for text in choice]
    other = choose(doors, unknown[0] or "", unknown[1] or "", unknown[2] or "", unknown[3], rs256(doors))
    told, again = (json.dumps(a.errors).replace("globex", "nosuch") for a in (answer, other))
    assert told == again, "a tenant that exists and one that does not are told alike"


def test_suspended_and_unknown_tenants_are_told_after_the_credential_is_found_good(doors: Doors) -> None:
    for tenant, text in (("dormant", "is suspended"), ("nowhere", "is not served here")):
        answer = choose(doors, "alice", tenant, "", None, rs256(doors, tenant=tenant))
        assert answer.sqlstates == ["28000"]
        assert text in answer.errors[0]["M"]
        bad = choose(doors, "alice", tenant, "", None, rs256(doors, tenant=tenant)[:-4])
        assert bad.sqlstates == ["28P01"]
        assert text not in bad.errors[0]["M"]
