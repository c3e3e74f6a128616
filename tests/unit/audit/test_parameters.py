"""Parameter values in the audit log: what a Bind message brings, as text, null, binary, hashed or cut."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import struct
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from proxy.audit.chain import MAX_LINE_BYTES, NO_HASH, chain_event
from proxy.audit.identity import LineIds
from proxy.audit.parameters import MAX_PARAMETERS, MAX_VALUE_BYTES, Bound, encode_parameters
from proxy.audit.statement import StatementEvent, StatementFrame
from tests.unit.audit.samples import EVENT

Values = list[bytes | None]


def bind_message(values: Values, formats: list[int]) -> bytes:
    body = b"portal\0statement\0" + struct.pack(f"!H{len(formats)}H", len(formats), *formats)
    body += struct.pack("!H", len(values))
    body += b"".join(
        struct.pack("!i", -1) if value is None else struct.pack("!i", len(value)) + value for value in values
    )
    body += b"\0\0"
    return b"B" + struct.pack("!I", len(body) + 4) + body


def parameters(
    values: Values, formats: list[int] | None = None, key: bytes | None = None, types: tuple[int, ...] = ()
) -> list[Any]:
    declared = struct.pack(f"!H{len(types)}I", len(types), *types)
    return list(json.loads(encode_parameters(bind_message(values, formats or []), declared, key)))


def test_values_by_format() -> None:
    assert parameters([]) == []
    assert parameters([b"17", None, '\u00e9 "'.encode()]) == ["17", None, '\u00e9 "']
    assert parameters([b"\0\0\0\x11", None], [1]) == [{"binary": "00000011"}, None]
    assert parameters([b"\x01", b"a"], [1, 0]) == [{"binary": "01"}, "a"]
    assert parameters([b"\xff"]) == ["\ufffd"]


def test_binary_values_of_declared_types_are_shown_as_text() -> None:
    number = struct.pack("!q", -9_000_000_002)
    uuid = bytes.fromhex("0193719f8a3c7c1e8b4f0a1b2c3d4e5f")
    values: Values = [number, b"\0\7", b"\1", b"\xc3\xa9", uuid, b"\0\0\0\1", b"\1"]
    types = (20, 21, 16, 25, 2950, 700, 23)
    assert parameters(values, [1], None, types) == [
        "-9000000002", "7", "t", "\u00e9", "0193719f-8a3c-7c1e-8b4f-0a1b2c3d4e5f", {"binary": "00000001"},
        {"binary": "01"},
    ]  # fmt: skip
    assert parameters([b"\0\7"], [1], b"k", (21,)) == parameters([b"7"], [0], b"k")


def test_hashes_stand_for_values() -> None:
    key = b"k" * 32
    assert parameters([b"4000", None, b"4000"], [], key) == [
        {"hmac": hmac.digest(key, b"4000", "sha256").hex()}, None, {"hmac": hmac.digest(key, b"4000", "sha256").hex()},
    ]  # fmt: skip


def test_long_values_are_cut_and_described() -> None:
    value = b"x" * (MAX_VALUE_BYTES + 1)
    whole = {"bytes": len(value), "sha256": hashlib.sha256(value).hexdigest()}
    assert parameters([value]) == [{**whole, "text": "x" * MAX_VALUE_BYTES}]
    assert parameters([value], [1]) == [{**whole, "binary": "78" * MAX_VALUE_BYTES}]


def test_the_most_parameters_that_there_can_be_fit_a_line() -> None:
    message = bind_message([b"\0" * 2000] * 3000, [])
    assert json.loads(encode_parameters(message, b"\0\0", None))[-1]["more"] >= 3000 - MAX_PARAMETERS
    bound = Bound(message, b"\0\0", None)
    assert bound.size < 128 * 1024  # the message itself is not kept
    event = StatementEvent(StatementFrame(EVENT), 1.0, "extended", "ok", "", "SELECT 1", "", 0, 0, 0, bound)
    assert len(chain_event(event, 1, NO_HASH)[0]) < MAX_LINE_BYTES


@given(st.binary(max_size=60))
def test_what_is_no_bind_never_raises(data: bytes) -> None:
    json.loads(encode_parameters(b"B\0\0\0\0" + data, b"\0\0", None))


def test_a_message_that_ends_within_a_value_is_malformed() -> None:
    assert json.loads(encode_parameters(bind_message([b"abcdef"], [])[:-6], b"\0\0", None)) == ["malformed"]


def test_ids_are_version_7_and_tell_the_millisecond() -> None:
    ids = LineIds()
    made = [ids.take(1763912345.25) for _ in range(1000)]
    pattern = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-8[0-9a-f]{3}-[0-9a-f]{12}")
    assert all(pattern.fullmatch(each) for each in made)
    assert len(set(made)) == 1000
    assert {int(each.replace("-", "")[:12], 16) for each in made} == {1763912345250}
    assert int(ids.take(0.001).replace("-", "")[:12], 16) == 1
