"""Events of statements that ran, the many: what all of one text in one session share is encoded once, in a frame.

A `StatementEvent` gives the same line as the `AuditEvent` with the same values; a test holds the two together.
"""

from __future__ import annotations

from json.encoder import encode_basestring as _quote
from typing import Final

from policy.audit_event import LEVELS, AuditEvent
from proxy.audit.canonical import canonical, number
from proxy.audit.parameters import Bound

_OUTCOMES: Final[dict[str, str]] = {
    outcome: f'","level":"{level}","outcome":"{outcome}","parameters":' for outcome, level in LEVELS.items()
}
_PLAIN_LEAST: Final = 1e9
_PLAIN_MOST: Final = 1e10


def list_of(items: tuple[str, ...]) -> str:
    """A JSON array of texts."""
    return f"[{','.join(map(_quote, items))}]"


class StatementFrame:
    """The members of `event` that do not change from one run of a statement to the next, as canonical JSON.

    Lifetime: as the session's rendered statement. `event`'s fields must be of a sane size (`chain.bounded`).
    statement, rewritten: the texts of the last run, and beside them the same encoded: a prepared statement's are
    always the same objects.
    """

    __slots__ = (
        "after_bytes",
        "after_duration",
        "after_parameters",
        "after_protocol",
        "after_request",
        "after_rows",
        "after_seq",
        "after_statement",
        "quoted_rewritten",
        "quoted_statement",
        "rewritten",
        "start",
        "statement",
        "tenant",
    )

    def __init__(self, event: AuditEvent) -> None:
        q = _quote
        self.tenant = event.tenant
        self.statement = self.rewritten = ""
        self.quoted_statement = self.quoted_rewritten = '""'
        self.start = f'{{"action":{q(event.action)},"application":{q(event.application)},"bytes":'
        self.after_bytes = (
            f',"client":{q(event.client)},"columns":{list_of(event.columns)},"command":{q(event.command)}'
            f',"decision":{q(event.decision)},"details":{canonical(event.details)},"duration_us":'
        )
        self.after_duration = f',"event":{q(event.event)},"fingerprint":{q(event.fingerprint)}'
        self.after_parameters = f',"policy_version":{event.policy_version},"prev":"'
        self.after_protocol = f'","reason":{q(event.reason)},"relations":{list_of(event.relations)},"request":'
        self.after_request = f',"resource":{q(event.resource)},"rewritten":'
        self.after_rows = f',"rules":{list_of(event.rules)},"seq":'
        self.after_seq = f',"session":{q(event.session)},"sqlstate":"'
        self.after_statement = f',"subject":{q(event.subject)},"tenant":{q(event.tenant)},"time":'


class StatementEvent:
    """One run of a statement. outcome, protocol and sqlstate are words of letters, digits and underscores.

    bound: what its parameters were, None for none.
    """

    __slots__ = (
        "bound",
        "bytes",
        "duration_us",
        "frame",
        "outcome",
        "protocol",
        "request",
        "rewritten",
        "rows",
        "sqlstate",
        "statement",
        "time",
    )

    def __init__(
        self,
        frame: StatementFrame,
        time: float,
        protocol: str,
        outcome: str,
        sqlstate: str,
        statement: str,
        rewritten: str,
        rows: int,
        size: int,
        duration_us: int,
        bound: Bound | None = None,
        request: int = 0,
    ) -> None:
        self.frame = frame
        self.time = time
        self.protocol = protocol
        self.outcome = outcome
        self.sqlstate = sqlstate
        self.statement = statement
        self.rewritten = rewritten
        self.rows = rows
        self.bytes = size
        self.duration_us = duration_us
        self.bound = bound
        self.request = request


def encode_statement(
    event: StatementEvent, statement: str, rewritten: str, seq: int, prev: str, identity: str
) -> tuple[str, str]:
    """The canonical text before and after the `hash` member; `statement` and `rewritten` are encoded already."""
    frame, time = event.frame, event.time
    parameters = "[]" if event.bound is None else event.bound.as_json()
    shown = repr(time) if _PLAIN_LEAST < time < _PLAIN_MOST and time % 1.0 else number(time)
    return (
        f"{frame.start}{event.bytes}{frame.after_bytes}{event.duration_us}{frame.after_duration}",
        f',"id":"{identity}{_OUTCOMES[event.outcome]}{parameters}{frame.after_parameters}{prev}'
        f'","protocol":"{event.protocol}{frame.after_protocol}{event.request}{frame.after_request}{rewritten}'
        f',"rows":{event.rows}{frame.after_rows}{seq}{frame.after_seq}{event.sqlstate}","statement":{statement}'
        f"{frame.after_statement}{shown}}}",
    )
