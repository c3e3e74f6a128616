"""Lines are canonical JSON, chained as the module says, and bounded whatever an event holds."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.audit_event import LEVELS, AuditEvent
from proxy.audit.canonical import canonical
from proxy.audit.chain import MAX_LINE_BYTES, MAX_TEXT_BYTES, NO_HASH, ChainHead, chain_event, chain_fields
from proxy.audit.errors import MalformedLine
from proxy.audit.lines import head_of, parse_line
from proxy.audit.parameters import Bound
from proxy.audit.statement import StatementEvent, StatementFrame
from proxy.postgres.wire import messages
from tests.unit.audit.samples import EVENT

_texts = st.text(max_size=40)  # of all characters but surrogates
_counts = st.integers(min_value=0, max_value=2**53)
_events = st.builds(
    AuditEvent,
    event=_texts,
    time=st.floats(min_value=0, max_value=1e12),
    session=_texts,
    tenant=_texts,
    subject=_texts,
    client=_texts,
    decision=_texts,
    outcome=_texts,
    statement=_texts,
    rewritten=_texts,
    reason=_texts,
    application=_texts,
    relations=st.lists(_texts, max_size=3).map(tuple),
    rows=_counts,
    bytes=_counts,
    duration_us=_counts,
    policy_version=_counts,
    request=_counts,
    details=st.dictionaries(_texts, _texts, max_size=3),
    columns=st.lists(_texts, max_size=3).map(tuple),
    rules=st.lists(_texts, max_size=3).map(tuple),
    parameters=st.lists(_texts.map(canonical), max_size=3).map(tuple),
)


def changed(name: str, text: str) -> AuditEvent:
    fields: dict[str, Any] = {name: text}
    return EVENT._replace(**fields)


def by_hand(event: AuditEvent, seq: int, prev: str, identity: str) -> bytes:
    """The line as the documentation describes it, made member by member."""
    fields = {**event._asdict(), "seq": seq, "prev": prev, "id": identity}
    fields["level"] = event.level or LEVELS.get(event.outcome, "info")
    fields["parameters"] = [json.loads(text) for text in event.parameters]
    body = canonical(fields).encode()
    fields["hash"] = hashlib.sha256(prev.encode() + body).hexdigest()
    return canonical(fields).encode() + b"\n"


@given(_events, st.integers(min_value=1, max_value=10**15))
def test_a_line_is_canonical_json_with_the_documented_hash(event: AuditEvent, seq: int) -> None:
    prev = hashlib.sha256(b"before").hexdigest()
    line, digest = chain_event(event, seq, prev)
    assert line == by_hand(event, seq, prev, json.loads(line)["id"])
    assert line.count(b"\n") == 1
    assert head_of(line[:-1]) == ChainHead(seq, digest)


def test_the_documented_check_in_ten_lines_of_python_holds() -> None:
    line, _ = chain_event(EVENT, 7, NO_HASH)
    event = json.loads(line)
    digest = event.pop("hash")
    body = json.dumps(event, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    assert digest == hashlib.sha256(event["prev"].encode() + body).hexdigest()


@given(
    _events,
    st.integers(min_value=1, max_value=10**15),
    st.sampled_from(sorted(LEVELS)),
    st.integers(min_value=0, max_value=2**40),
)
def test_a_statement_event_gives_the_line_of_the_audit_event(
    event: AuditEvent, seq: int, outcome: str, request: int
) -> None:
    event = event._replace(
        outcome=outcome, protocol="extended", sqlstate="22012", level="", request=request, parameters=('"17"',)
    )
    message = messages.encode(b"B", b"\0\0\0\0\0\1\0\0\0\x0217\0\0")
    statement = StatementEvent(
        StatementFrame(event), event.time, "extended", outcome, "22012", event.statement, event.rewritten, event.rows,
        event.bytes, event.duration_us, Bound(message, b"\0\0", None), request,
    )  # fmt: skip
    line, digest = chain_event(statement, seq, NO_HASH)
    assert line == by_hand(event, seq, NO_HASH, json.loads(line)["id"])
    assert head_of(line[:-1]) == ChainHead(seq, digest)


def test_members_of_details_do_not_confuse_the_parser() -> None:
    trap = {"hash": "0" * 64, "prev": "1" * 64, "seq": "9", "tenant": "globex"}
    line, digest = chain_event(EVENT._replace(details=trap), 7, NO_HASH)
    seq, prev, found, _ = parse_line(line[:-1])
    assert (seq, prev, found) == (7, NO_HASH.encode(), digest.encode())
    assert head_of(line[:-1]).seq == 7


@pytest.mark.parametrize("name", ["statement", "rewritten", "reason", "application", "tenant"])
def test_text_that_imitates_members_does_not_confuse_the_parser(name: str) -> None:
    trap = '","hash":"' + "0" * 64 + '","prev":"' + "1" * 64 + '","seq":99,"x":"'
    line, digest = chain_event(changed(name, trap), 7, NO_HASH)
    seq, prev, found, _ = parse_line(line[:-1])
    assert (seq, prev, found) == (7, NO_HASH.encode(), digest.encode())


def test_other_lines_have_the_same_form() -> None:
    line, digest = chain_fields({"event": "gap", "lost": 3, "time": 1.5, "reason": 'a "b"'}, 2, NO_HASH)
    assert json.loads(line) == {
        "event": "gap", "lost": 3, "time": 1.5, "reason": 'a "b"', "seq": 2, "prev": NO_HASH, "hash": digest,
        "id": json.loads(line)["id"],
    }  # fmt: skip
    assert head_of(line[:-1]) == ChainHead(2, digest)


@pytest.mark.parametrize("name", ["statement", "rewritten"])
def test_long_texts_are_cut_and_described(name: str) -> None:
    text = "é" * MAX_TEXT_BYTES
    fields = json.loads(chain_event(changed(name, text), 1, NO_HASH)[0])
    assert fields[name] == "é" * (MAX_TEXT_BYTES // 2)
    assert fields[f"{name}_bytes"] == 2 * MAX_TEXT_BYTES
    assert fields[f"{name}_sha256"] == hashlib.sha256(text.encode()).hexdigest()
    assert list(fields) == sorted(fields)


def test_text_of_just_the_limit_is_whole() -> None:
    fields = json.loads(chain_event(EVENT._replace(statement="x" * MAX_TEXT_BYTES), 1, NO_HASH)[0])
    assert fields["statement"] == "x" * MAX_TEXT_BYTES
    assert "statement_sha256" not in fields


def test_no_event_makes_a_line_above_the_limit() -> None:
    huge = "\0" * 10_000
    strings: dict[str, Any] = {name: huge for name, value in EVENT._asdict().items() if isinstance(value, str)}
    many = ("\0" * 500,) * 500
    details = {f"{number:1000}": huge for number in range(100)}
    event = EVENT._replace(**strings, relations=many, rules=many, columns=many, details=details)
    line, _ = chain_event(event, 1, NO_HASH)
    assert len(line) < MAX_LINE_BYTES
    assert json.loads(line)["relations"][-1] == "... and 435 more"
    assert head_of(line[:-1]).seq == 1


def test_a_lone_surrogate_is_written_out() -> None:
    """A JWT can bring one, and no canonical JSON can hold it (RFC 8785 section 3.2.2.2)."""
    line, _ = chain_event(EVENT._replace(subject="a\udc80b"), 1, NO_HASH)
    assert json.loads(line)["subject"] == "a\\udc80b"
    assert head_of(line[:-1]).seq == 1


@pytest.mark.parametrize("line", [b"", b"{}", b"garbage", b'{"event":"x","seq":1}', b"\x00" * 500])
def test_what_is_no_line_is_malformed(line: bytes) -> None:
    with pytest.raises(MalformedLine):
        parse_line(line)
