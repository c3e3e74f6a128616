"""Client messages that must wait, in their order, and what they wait for."""

from __future__ import annotations

from collections import deque
from enum import Enum

MAX_HELD_BYTES = 1024 * 1024  # then the client is no longer read


class Wait(Enum):
    """Why messages are held back."""

    NOTHING = "nothing"
    COPY = "copy"  # until the target asks for the data of a COPY FROM, or the statement has ended
    ANSWERS = "answers"  # until all requests that were sent are answered: what a name means hangs on them
    COMPILATION = "compilation"  # until a long text has been compiled
    BACKEND = "backend"  # until the pool has one
    LANE = "lane"  # until the reply has come that a lane brings
    SETTLED = "settled"  # until all that was sent is answered: settings hang on it


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
