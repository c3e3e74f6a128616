"""Events of statements that ran, the many: what all of one text in one session share is encoded once, in a frame.

A `StatementEvent` gives the same line as the `AuditEvent` with the same values; a test holds the two together.
"""

from __future__ import annotations

from json.encoder import encode_basestring as _quote
from typing import NamedTuple

from policy.audit_event import AuditEvent


class StatementFrame:
    """The members of `event` that do not change from one run of a statement to the next, as canonical JSON.

    Lifetime: as the session's rendered statement. `event`'s fields must be of a sane size (`chain.bounded`).
    """

    __slots__ = (
        "after_bytes",
        "after_duration",
        "after_outcome",
        "after_protocol",
        "after_seq",
        "after_statement",
        "start",
    )

    def __init__(self, event: AuditEvent) -> None:
        q = _quote
        self.start = f'{{"application":{q(event.application)},"bytes":'
        self.after_bytes = (
            f',"client":{q(event.client)},"command":{q(event.command)},"decision":{q(event.decision)},"duration_us":'
        )
        self.after_duration = f',"event":{q(event.event)},"fingerprint":{q(event.fingerprint)}'
        self.after_outcome = f'","policy_version":{event.policy_version},"prev":"'
        relations = ",".join(map(q, event.relations))
        self.after_protocol = f'","reason":{q(event.reason)},"relations":[{relations}],"rewritten":'
        self.after_seq = f',"session":{q(event.session)},"sqlstate":"'
        self.after_statement = f',"subject":{q(event.subject)},"tenant":{q(event.tenant)},"time":'


class StatementEvent(NamedTuple):
    """One run of a statement. outcome, protocol and sqlstate are words of letters, digits and underscores."""

    frame: StatementFrame
    time: float
    protocol: str
    outcome: str
    sqlstate: str
    statement: str
    rewritten: str
    rows: int
    bytes: int
    duration_us: int


def encode_statement(event: StatementEvent, statement: str, rewritten: str, seq: int, prev: str) -> tuple[str, str]:
    """The canonical text before and after the `hash` member; `statement` and `rewritten` are encoded already."""
    frame, time, protocol, outcome, sqlstate, _, _, rows, size, duration_us = event
    return (
        f"{frame.start}{size}{frame.after_bytes}{duration_us}{frame.after_duration}",
        f',"outcome":"{outcome}{frame.after_outcome}{prev}","protocol":"{protocol}{frame.after_protocol}{rewritten}'
        f',"rows":{rows},"seq":{seq}{frame.after_seq}{sqlstate}","statement":{statement}{frame.after_statement}{time!r}}}',
    )
