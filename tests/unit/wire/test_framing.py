"""Any bytes fed whole or byte by byte give the same messages, or the same refusal."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import RemoteProtocolError
from proxy.postgres.wire.framing import SMALL_MESSAGE_BYTES, MessageReader

LIMIT = 4096
Outcome = tuple[list[tuple[int, bytes]], str | None]


def run(chunks: list[bytes]) -> Outcome:
    reader, taken = MessageReader(LIMIT), list[tuple[int, bytes]]()
    try:
        for chunk in chunks:
            taken.extend(reader.feed(chunk))
    except RemoteProtocolError as error:
        return taken, error.message
    return taken, None


def message(tag: bytes, body: bytes) -> bytes:
    return tag + struct.pack("!I", len(body) + 4) + body


valid = st.builds(message, st.sampled_from([bytes([t]) for t in b"QPBDECHSFXdcfp"]), st.binary(max_size=60))


@given(st.lists(valid, max_size=8), st.data())
def test_messages_survive_any_split(messages: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(messages)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    chunks = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    expected: Outcome = [(m[0], m) for m in messages], None
    assert run(chunks) == expected
    assert run([stream[i : i + 1] for i in range(len(stream))]) == expected


@given(st.binary(max_size=200))
def test_garbage_gives_the_same_messages_whole_and_byte_by_byte(garbage: bytes) -> None:
    whole, split = run([garbage]), run([garbage[i : i + 1] for i in range(len(garbage))])
    assert whole[0] == split[0]
    assert (whole[1] is None) == (split[1] is None)


@pytest.mark.parametrize("length", [0, 1, 3, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, LIMIT + 1])
def test_lying_lengths_are_refused_with_the_header(length: int) -> None:
    with pytest.raises(RemoteProtocolError, match="invalid message length"):
        list(MessageReader(LIMIT).feed(b"Q" + struct.pack("!I", length)))


@pytest.mark.parametrize("tag", b"SHEDCcX")
def test_small_messages_have_a_small_limit(tag: int) -> None:
    with pytest.raises(RemoteProtocolError):
        list(MessageReader(10**9).feed(bytes([tag]) + struct.pack("!I", SMALL_MESSAGE_BYTES + 1)))


@pytest.mark.parametrize("tag", sorted(set(range(256)) - set(b"QPBDECHSFXdcfp")))
def test_unknown_tags_are_refused_with_their_first_byte(tag: int) -> None:
    with pytest.raises(RemoteProtocolError, match="invalid frontend message type"):
        list(MessageReader(LIMIT).feed(bytes([tag])))


def test_what_is_held_back_is_bounded_by_one_message() -> None:
    reader = MessageReader(LIMIT)
    list(reader.feed(b"d" + struct.pack("!I", LIMIT)))
    for _ in range(LIMIT - 5):
        assert not list(reader.feed(b"x"))
    assert reader.pending_bytes <= LIMIT
    assert len(list(reader.feed(b"x"))) == 1
    assert reader.pending_bytes == 0
