"""Client messages that must wait, in their order, and what they wait for."""

from __future__ import annotations

from collections import deque
from typing import Final

MAX_HELD_BYTES: Final = 1024 * 1024  # then the client is no longer read


class Wait:
    """Why messages are held back. Numbers, since they are compared several times per statement: Python 3.11 takes as
    long for a member of an Enum as for a message's whole header."""

    NOTHING: Final = 0
    COPY: Final = 1  # until the target asks for the data of a COPY FROM, or the statement has ended
    ANSWERS: Final = 2  # until all requests that were sent are answered: what a name means hangs on them
    COMPILATION: Final = 3  # until a long text has been compiled
    BACKEND: Final = 4  # until the pool has one
    LANE: Final = 5  # until the reply has come that a lane brings
    SETTLED: Final = 6  # until all that was sent is answered: settings hang on it


class HeldMessages:
    """A queue of (tag, message). Most sessions hold nothing most of the time, and then there is no queue."""

    __slots__ = ("_bytes", "_messages")

    def __init__(self) -> None:
        self._messages: deque[tuple[int, bytes]] | None = None
        self._bytes = 0

    def __len__(self) -> int:
        return 0 if self._messages is None else len(self._messages)

    @property
    def is_full(self) -> bool:
        return self._bytes > MAX_HELD_BYTES

    def append(self, tag: int, message: bytes) -> None:
        if self._messages is None:
            self._messages = deque()
        self._messages.append((tag, message))
        self._bytes += len(message)

    def put_back(self, message: bytes) -> None:
        """The message at hand, to be handled again first of all."""
        if self._messages is None:
            self._messages = deque()
        self._messages.appendleft((message[0], message))
        self._bytes += len(message)

    def take(self) -> tuple[int, bytes]:
        """The first one. Raises IndexError when there is none."""
        if self._messages is None:
            raise IndexError("nothing is held")
        tag, message = self._messages.popleft()
        self._bytes -= len(message)
        if not self._messages:
            self._messages = None
        return tag, message
