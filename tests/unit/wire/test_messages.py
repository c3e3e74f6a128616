"""Decoders take exactly what PostgreSQL takes; everything else is 08P01."""

from __future__ import annotations

import struct
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import RemoteProtocolError
from proxy.postgres.wire import messages, replies, startup

names = st.binary(max_size=10).map(lambda b: b.replace(b"\0", b""))
values = st.lists(st.none() | st.binary(max_size=12), max_size=5)


def bind(
    portal: bytes, statement: bytes, formats: list[int], parameters: list[bytes | None], results: list[int]
) -> bytes:
    body = portal + b"\0" + statement + b"\0" + struct.pack(f"!H{len(formats)}H", len(formats), *formats)
    body += struct.pack("!H", len(parameters))
    for value in parameters:
        body += b"\xff\xff\xff\xff" if value is None else struct.pack("!I", len(value)) + value
    return messages.encode(b"B", body + struct.pack(f"!H{len(results)}H", len(results), *results))


@given(names, names, values, st.lists(st.sampled_from([0, 1]), max_size=2))
def test_bind_round_trip(portal: bytes, statement: bytes, parameters: list[bytes | None], results: list[int]) -> None:
    encoded = bind(portal, statement, [1], parameters, results)
    decoded = messages.decode_bind(encoded)
    assert (decoded.portal, decoded.statement) == (portal, statement)


@given(names, names, values, st.integers(1, 200))
def test_a_bind_cut_short_or_longer_is_refused(
    portal: bytes, statement: bytes, parameters: list[bytes | None], cut: int
) -> None:
    encoded = bind(portal, statement, [], parameters, [])
    with pytest.raises(RemoteProtocolError):
        messages.decode_bind(encoded[: max(5, len(encoded) - cut)])
    with pytest.raises(RemoteProtocolError):
        messages.decode_bind(encoded + b"x" * cut)


@pytest.mark.parametrize("length", [-2, -(2**31), 100, 2**31 - 1])
def test_parameter_lengths_below_minus_one_or_beyond_the_message_are_refused(length: int) -> None:
    body = b"\0\0" + struct.pack("!HHi", 0, 1, length) + b"AAAA" + b"\0\0"
    with pytest.raises(RemoteProtocolError):
        messages.decode_bind(messages.encode(b"B", body))


@given(names, names, st.lists(st.integers(0, 2**32 - 1), max_size=4))
def test_parse_round_trip(name: bytes, query: bytes, oids: list[int]) -> None:
    types = struct.pack(f"!H{len(oids)}I", len(oids), *oids)
    encoded = messages.encode_parse(name, query, types)
    assert messages.decode_parse(encoded) == (name, query, types)
    with pytest.raises(RemoteProtocolError):
        messages.decode_parse(encoded + b"\0")


@pytest.mark.parametrize(
    ("decode", "message"),
    [
        (messages.decode_query, b"Q\0\0\0\x08SELE"),
        (messages.decode_query, b"Q\0\0\0\x04"),
        (messages.decode_query, messages.encode(b"Q", b"SELECT 1\0 FROM orders\0")),
        (messages.decode_parse, messages.encode(b"P", b"\0SELECT 1\0\xff\xff")),
        (messages.decode_parse, messages.encode(b"P", b"no terminator")),
        (messages.decode_execute, messages.encode(b"E", b"p\0\0\0")),
        (messages.decode_execute, messages.encode(b"E", b"p\0\0\0\0\0\0")),
        (messages.decode_copy_fail, messages.encode(b"f", b"x")),
    ],
)
def test_malformed_messages(decode: Callable[[bytes], object], message: bytes) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        decode(message)
    assert caught.value.sqlstate == "08P01"


@pytest.mark.parametrize("body", [b"", b"S", b"X\0", b"Sname", b"Pp\0x"])
def test_describe_of_something_else_is_refused(body: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        messages.decode_target(messages.encode(b"D", body), "Describe")


def test_sync_has_no_body() -> None:
    messages.decode_empty(messages.SYNC, "Sync")
    with pytest.raises(RemoteProtocolError):
        messages.decode_empty(messages.encode(b"S", b"ABCD"), "Sync")


@given(st.dictionaries(st.text("abc_", min_size=1, max_size=5), st.text("xyz é", max_size=5), max_size=4))
def test_startup_round_trip(parameters: dict[str, str]) -> None:
    packet = startup.encode_startup(parameters, minor=2)
    assert startup.decode_startup(packet[4:]) == startup.StartupMessage((3, 2), parameters)


def test_startup_keeps_duplicates_and_protocol_options_apart() -> None:
    body = struct.pack("!I", 196608) + b"user\0a\0user\0b\0_pq_.x\0y\0\0"
    decoded = startup.decode_startup(body)
    assert decoded.parameters == {"user": "a"}
    assert decoded.duplicates == ("user",)
    assert decoded.protocol_options == ("_pq_.x",)


@pytest.mark.parametrize(
    "body",
    [
        struct.pack("!I", 196608),
        struct.pack("!I", 196608) + b"user\0a",
        struct.pack("!I", 196608) + b"user\0\0",
        struct.pack("!I", 196608) + b"user\0\xff\xfe\0\0",
        struct.pack("!I", 2 << 16) + b"\0",
        struct.pack("!I", 0xFFFFFFFF) + b"\0",
    ],
)
def test_malformed_startup_packets(body: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        startup.decode_startup(body)


@pytest.mark.parametrize("length", [0, 4, 7, 10_001, 10 * 1024 * 1024, 0xFFFFFFFF])
def test_startup_lengths_are_bounded(length: int) -> None:
    with pytest.raises(RemoteProtocolError):
        startup.check_packet_length(length)


def test_error_fields_round_trip() -> None:
    encoded = replies.error_response("ERROR", "42501", "no", "detail", "hint", 7)
    fields = replies.decode_error_fields(encoded)
    assert fields == {"S": b"ERROR", "V": b"ERROR", "C": b"42501", "M": b"no", "D": b"detail", "H": b"hint", "P": b"7"}
    assert replies.encode_error_fields(b"E", fields) == encoded


def test_copy_in_response_loses_its_last_column() -> None:
    three = messages.encode(b"G", b"\0" + struct.pack("!4H", 3, 0, 0, 0))
    assert replies.copy_in_without_last_column(three) == messages.encode(b"G", b"\0" + struct.pack("!3H", 2, 0, 0))
