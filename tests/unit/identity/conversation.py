"""A client's side of the login conversation, in memory: what it will send, and what it was sent."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable

from proxy.errors import RemoteProtocolError
from proxy.postgres.login import Peer

Answer = bytes | tuple[int, bytes] | Callable[[bytes], bytes]

TLS_PEER = Peer("203.0.113.7", is_loopback=False, tls=True)
LOOPBACK_PEER = Peer("127.0.0.1", is_loopback=True, tls=False)
PLAIN_PEER = Peer("203.0.113.7", is_loopback=False, tls=False)


class ScriptedClient:
    """Answers in order; an answer that is a function is given the body of the last message it was sent."""

    def __init__(self, answers: Iterable[Answer] = ()) -> None:
        self.answers = list(answers)
        self.sent: list[bytes] = []

    def write(self, data: bytes) -> None:
        assert data[:1] == b"R"
        assert struct.unpack("!I", data[1:5])[0] == len(data) - 1
        self.sent.append(data)

    async def read_message(self, limit: int) -> tuple[int, bytes]:
        answer = self.answers.pop(0)
        if callable(answer):
            answer = answer(self.sent[-1][9:])
        tag, body = answer if isinstance(answer, tuple) else (ord("p"), answer)
        if len(body) > limit:
            raise RemoteProtocolError("message too long")
        return tag, body

    @property
    def requests(self) -> list[int]:
        """Codes of the Authentication messages that were sent (3 cleartext, 10 SASL, 11 continue, 12 final)."""
        return [struct.unpack("!I", message[5:9])[0] for message in self.sent]


def sasl_initial(mechanism: str, data: bytes | None) -> bytes:
    """Body of a SASLInitialResponse."""
    length = -1 if data is None else len(data)
    return mechanism.encode() + b"\0" + struct.pack("!i", length) + (data or b"")
