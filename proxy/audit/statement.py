"""Events of statements that ran, the many: what all of one text in one session share is encoded once, in a frame.

A `StatementEvent` gives the same line as the `AuditEvent` with the same values; a test holds the two together.
"""

from __future__ import annotations

from json.encoder import encode_basestring as _quote

from policy.audit_event import AuditEvent


class StatementFrame:
    """The members of `event` that do not change from one run of a statement to the next, as canonical JSON.

    Lifetime: as the session's rendered statement. `event`'s fields must be of a sane size (`chain.bounded`).
    statement, rewritten: the texts of the last run, and beside them the same encoded: a prepared statement's are
    always the same objects.
    """

    __slots__ = (
        "after_bytes",
        "after_duration",
        "after_outcome",
        "after_protocol",
        "after_seq",
        "after_statement",
        "quoted_rewritten",
        "quoted_statement",
        "rewritten",
        "start",
        "statement",
    )

    def __init__(self, event: AuditEvent) -> None:
        q = _quote
        self.statement = self.rewritten = ""
        self.quoted_statement = self.quoted_rewritten = '""'
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


class StatementEvent:
    """One run of a statement. outcome, protocol and sqlstate are words of letters, digits and underscores."""

    __slots__ = (
        "bytes",
        "duration_us",
        "frame",
        "outcome",
        "protocol",
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


def encode_statement(event: StatementEvent, statement: str, rewritten: str, seq: int, prev: str) -> tuple[str, str]:
    """The canonical text before and after the `hash` member; `statement` and `rewritten` are encoded already."""
    frame = event.frame
    return (
        f"{frame.start}{event.bytes}{frame.after_bytes}{event.duration_us}{frame.after_duration}",
        f',"outcome":"{event.outcome}{frame.after_outcome}{prev}","protocol":"{event.protocol}{frame.after_protocol}'
        f'{rewritten},"rows":{event.rows},"seq":{seq}{frame.after_seq}{event.sqlstate}","statement":{statement}'
        f"{frame.after_statement}{event.time!r}}}",
    )
