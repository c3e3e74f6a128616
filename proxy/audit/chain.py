"""Audit lines and the chain that joins them. Pure: bytes in, bytes out; no files, no clock.

A line is one JSON object in canonical form (RFC 8785, canonical.py), in UTF-8, ended by one newline. Each has

- `id`: a UUIDv7 (identity.py), so that a line that comes twice to a sink is known;
- `seq`: 1 for the first line of a chain, then one more per line, without gaps, also across rotated files;
- `prev`: the `hash` of the line before (64 zeros for the first line of a chain);
- `hash`: SHA-256 in lower-case hex over the 64 ASCII digits of `prev`, followed by the line's canonical bytes
  without the `hash` member and without the newline.

The first line of every file is a `header` event: random `chain` id, `format`, `version`, `time`. When the log is
rotated the new file's header keeps the chain id and carries `prev` and `seq` on. Other lines that are no
`AuditEvent`: `resumed` (the gateway was started again), `recovered` (it had not stopped cleanly), `gap` (events
were lost and how many), `stopped` (a clean end).

Texts above `MAX_TEXT_BYTES` are cut; `<name>_bytes` and `<name>_sha256` then describe the whole text.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from json.encoder import encode_basestring as _quote
from typing import Final

from policy.audit_event import LEVELS, AuditEvent
from proxy.audit.canonical import canonical, encoded, number
from proxy.audit.identity import LineIds
from proxy.audit.statement import StatementEvent, encode_statement, list_of

FORMAT: Final = 2
FORMATS: Final = (1, 2)  # that can be read: 1 had fewer members, and a time of whole seconds as 5.0
NO_HASH: Final = "0" * 64
MAX_TEXT_BYTES: Final = 16 * 1024
MAX_LINE_BYTES: Final = 1024 * 1024  # no line of ours is longer, so a reader may give up there

_SURELY_SHORT: Final = MAX_TEXT_BYTES // 4  # characters: at most four bytes each
_LARGE_PART_CHARS: Final = 192 * 1024  # more than two cut texts can be: some other field is out of all bounds
_MAX_FIELD_CHARS: Final = 1024
_KEPT_CHARS: Final = 2048  # of the texts of a run, kept encoded for the next one
_MAX_RELATIONS: Final = 200
_MAX_RELATION_CHARS: Final = 256
_MAX_LIST_CHARS: Final = 16 * 1024
_MAX_DETAILS: Final = 16
_MAX_DETAIL_CHARS: Final = 1024
_MAX_COLUMNS: Final = 1000
_IDS: Final = LineIds()

Fields = Mapping[str, str | int | float]


@dataclass(frozen=True, slots=True)
class ChainHead:
    """Where a chain stands: the last line's number and hash."""

    seq: int = 0
    hash: str = NO_HASH


def chain_event(event: AuditEvent | StatementEvent, seq: int, prev: str) -> tuple[bytes, str]:
    """The line (with newline) of `event` as number `seq` after the line with hash `prev`, and its own hash."""
    identity = _IDS.take(event.time)
    if isinstance(event, StatementEvent):
        statement, rewritten = _texts(event)
        left, right = encode_statement(event, statement, rewritten, seq, prev, identity)
    else:
        statement, rewritten = _text("statement", event.statement), _text("rewritten", event.rewritten)
        left, right = _encode(event, statement, rewritten, seq, prev, identity)
        if len(left) + len(right) > _LARGE_PART_CHARS:
            left, right = _encode(bounded(event), statement, rewritten, seq, prev, identity)
    return _chained(left, right, prev)


def chain_fields(fields: Fields, seq: int, prev: str) -> tuple[bytes, str]:
    """Like `chain_event` for lines that are no `AuditEvent`; `fields` must name `event` and `time`."""
    identity = _IDS.take(float(fields["time"]))
    text = canonical({**fields, "id": identity, "seq": seq, "prev": prev, "hash": ""})
    left, right = text.split(',"hash":""', 1)
    return _chained(left, right, prev)


def _chained(left: str, right: str, prev: str) -> tuple[bytes, str]:
    digest = hashlib.sha256(encoded(f"{prev}{left}{right}")).hexdigest()
    return encoded(f'{left},"hash":"{digest}"{right}\n'), digest


def _encode(e: AuditEvent, statement: str, rewritten: str, seq: int, prev: str, identity: str) -> tuple[str, str]:
    """The canonical text before and after the `hash` member; `tests` hold it equal to canonical.py's."""
    q = _quote
    left = (
        f'{{"action":{q(e.action)},"application":{q(e.application)},"bytes":{e.bytes},"client":{q(e.client)}'
        f',"columns":{list_of(e.columns)},"command":{q(e.command)},"decision":{q(e.decision)}'
        f',"details":{canonical(e.details)},"duration_us":{e.duration_us},"event":{q(e.event)}'
        f',"fingerprint":{q(e.fingerprint)}'
    )
    right = (
        f',"id":"{identity}","level":{q(e.level or LEVELS.get(e.outcome, "info"))},"outcome":{q(e.outcome)}'
        f',"parameters":[{",".join(e.parameters)}],"policy_version":{e.policy_version},"prev":"{prev}"'
        f',"protocol":{q(e.protocol)},"reason":{q(e.reason)},"relations":{list_of(e.relations)},"request":{e.request}'
        f',"resource":{q(e.resource)},"rewritten":{rewritten},"rows":{e.rows},"rules":{list_of(e.rules)},"seq":{seq}'
        f',"session":{q(e.session)},"sqlstate":{q(e.sqlstate)},"statement":{statement},"subject":{q(e.subject)}'
        f',"tenant":{q(e.tenant)},"time":{number(e.time)}}}'
    )
    return left, right


def _texts(event: StatementEvent) -> tuple[str, str]:
    """Both texts of a run, encoded; what is the same object as the last time was encoded then."""
    frame, statement, rewritten = event.frame, event.statement, event.rewritten
    if len(statement) + len(rewritten) > _KEPT_CHARS:
        return _text("statement", statement), _text("rewritten", rewritten)
    if statement is not frame.statement:
        frame.statement, frame.quoted_statement = statement, _quote(statement)
    if rewritten is not frame.rewritten:
        frame.rewritten, frame.quoted_rewritten = rewritten, _quote(rewritten)
    return frame.quoted_statement, frame.quoted_rewritten


def _text(name: str, text: str) -> str:
    """The value of member `name`, encoded."""
    return _quote(text) if len(text) <= _SURELY_SHORT else _cut(name, text)


def _cut(name: str, text: str) -> str:
    """The value of member `name` and, if it had to be cut, the two members that describe the whole text."""
    data = encoded(text)
    if len(data) <= MAX_TEXT_BYTES:
        return _quote(text)
    kept = data[:MAX_TEXT_BYTES].decode("utf-8", "ignore")
    whole = hashlib.sha256(data).hexdigest()
    return f'{_quote(kept)},"{name}_bytes":{len(data)},"{name}_sha256":"{whole}"'


def bounded(event: AuditEvent) -> AuditEvent:
    """The event with every field but the two texts and the parameters cut to a sane size: a line stays readable."""
    details = {
        name[:_MAX_RELATION_CHARS]: value[:_MAX_DETAIL_CHARS]
        for name, value in sorted(event.details.items())[:_MAX_DETAILS]
    }
    return event._replace(
        relations=_cut_list(event.relations, _MAX_RELATIONS),
        columns=_cut_list(event.columns, _MAX_COLUMNS),
        rules=_cut_list(event.rules, _MAX_RELATIONS),
        details=details,
        **{name: getattr(event, name)[:_MAX_FIELD_CHARS] for name in _SHORT_FIELDS},
    )


def _cut_list(items: tuple[str, ...], most: int) -> tuple[str, ...]:
    kept: list[str] = []
    chars = 0
    for item in items[:most]:
        if chars > _MAX_LIST_CHARS:
            break
        kept.append(item[:_MAX_RELATION_CHARS])
        chars += len(kept[-1])
    more = len(items) - len(kept)
    return (*kept, f"... and {more} more") if more else tuple(kept)


_SHORT_FIELDS: Final = (
    "action", "application", "client", "command", "decision", "event", "fingerprint", "level", "outcome", "protocol",
    "reason", "resource", "session", "sqlstate", "subject", "tenant",
)  # fmt: skip
