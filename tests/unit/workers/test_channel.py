"""Frames between supervisor and worker, whole or in pieces; questions that nobody answers."""

from __future__ import annotations

import asyncio
import socket

import pytest

from proxy.workers.channel import Answer, Channel, Message, PeerGone, encode, take_frame

MESSAGES = [Message("one", {"n": 1}), Message("two", {}, b"\0payload\xff"), Message("three", {"text": "ä"}, b"")]


def test_frames_in_any_pieces_are_the_same_messages() -> None:
    data = b"".join(map(encode, MESSAGES))
    for size in (1, 2, 7, len(data)):
        buffer, found = bytearray(), []
        for at in range(0, len(data), size):
            buffer += data[at : at + size]
            while (message := take_frame(buffer)) is not None:
                found.append(message)
        assert found == MESSAGES
        assert not buffer


async def never(message: Message) -> Answer:
    await asyncio.Event().wait()
    return {}


async def double(message: Message) -> Answer:
    if message.fields["n"] < 0:
        raise PeerGone
    return {"n": message.fields["n"] * 2}


async def channels(handle_one: object, handle_two: object, rest: bytes = b"") -> tuple[Channel, Channel]:
    ours, theirs = socket.socketpair()
    one, two = Channel(handle_one, lambda: None), Channel(handle_two, lambda: None, rest)  # type: ignore[arg-type]
    await one.open(ours)
    await two.open(theirs)
    return one, two


async def test_questions_are_answered_in_any_order_and_both_ways() -> None:
    one, two = await channels(double, double)
    answers = await asyncio.gather(*(one.ask("double", n=n) for n in range(5)), two.ask("double", n=21))
    assert [answer["n"] for answer in answers] == [0, 2, 4, 6, 8, 42]
    await one.finish()


async def test_a_peer_that_does_not_answer_or_goes_is_told_as_gone() -> None:
    one, two = await channels(never, never)
    with pytest.raises(PeerGone):
        await one.ask("any", timeout_s=0.05)
    asked = asyncio.create_task(one.ask("any"))
    await asyncio.sleep(0)
    await two.finish()
    with pytest.raises(PeerGone):
        await asked
    with pytest.raises(PeerGone):
        await one.ask("any")
    one.tell("nobody hears it")


async def test_what_was_read_of_a_frame_goes_along_to_the_next_image() -> None:
    frame = encode(Message("double", {"n": 4, "id": 1}))
    one, two = await channels(double, double, rest=frame[:9])
    assert two.rest == frame[:9]
    assert one._transport is not None
    one._asked[1] = asyncio.get_running_loop().create_future()
    one._transport.write(frame[9:])
    assert (await one._asked[1]).fields["n"] == 8
    await one.finish()
