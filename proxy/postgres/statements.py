"""Prepared statements that sessions share: one text, one name on every backend that has it.

A client's name for a statement means nothing to a backend, since sessions share backends. What a backend is told is a
name of ours, which nobody can guess and which stands for this text and these parameter types for ever. A statement
also knows how it does: what runs fast and answers little may go on a lane.
"""

from __future__ import annotations

from itertools import count
from typing import Final

from proxy.postgres.reserved_names import SHARED_PREFIX
from proxy.postgres.wire import messages

_numbers = count(1)
MAX_ON_BACKEND: Final = 500
MAX_KNOWN: Final = 20_000
MAX_SHARED_BYTES: Final = 16_384  # longer texts are prepared for their session only

PROBATION_RUNS: Final = 2
MAX_PROBATION_RUNS: Final = 4096
FAST_S: Final = 0.025
SMALL_BYTES: Final = 32 * 1024
_WEIGHT: Final = 1 / 8
_THERE: Final = -1  # instead of a request's number
_NOWHERE: Final = -2


class SharedStatement:
    """`row_description`: the RowDescription of its results in text format, once it is known.

    described: a target has parsed it and said whether it returns rows. refused: a target would not have it as it is.
    retired: the target refuses it now (its result type has changed, for one); who holds it asks the book for its
    successor.
    """

    __slots__ = (
        "_need",
        "_runs",
        "_seconds",
        "_size",
        "described",
        "name",
        "parse",
        "refused",
        "retired",
        "row_description",
        "text",
        "types",
    )

    def __init__(self, text: str, types: bytes, need: int = PROBATION_RUNS) -> None:
        self.name = f"{SHARED_PREFIX}{next(_numbers)}".encode()  # one that no other statement of this process has
        self.text = text
        self.types = types
        self.parse = messages.encode_parse(self.name, text.encode(), types)
        self.row_description: bytes | None = None
        self.described = False
        self.refused = False
        self.retired = False
        self._need = need
        self._runs = 0
        self._seconds = 0.0
        self._size = 0.0

    @property
    def proven(self) -> bool:
        """Enough runs in a row were fast and small."""
        return self._runs >= self._need

    @property
    def need(self) -> int:
        return self._need

    def parse_in(self, codec: str | None) -> bytes:
        """Its Parse for a client encoding. Raises UnicodeEncodeError."""
        if codec is None or self.text.isascii():
            return self.parse
        return messages.encode_parse(self.name, self.text.encode(codec), self.types)

    def observe(self, seconds: float, size: int) -> None:
        """It ran to its end, in `seconds`, and answered `size` bytes."""
        if self._runs:
            self._seconds += (seconds - self._seconds) * _WEIGHT
            self._size += (size - self._size) * _WEIGHT
        else:
            self._seconds, self._size = seconds, float(size)
        if self._seconds <= FAST_S and self._size <= SMALL_BYTES:
            self._runs += 1
        else:
            self.demote()

    def demote(self) -> None:
        """Off the lanes, and longer on probation than before."""
        if self._runs >= self._need:
            self._need = min(self._need * 2, MAX_PROBATION_RUNS)
        self._runs = 0


def private_statement(text: str, types: bytes) -> SharedStatement:
    """One that no book keeps: for its session only."""
    return SharedStatement(text, types, MAX_PROBATION_RUNS)


class StatementBook:
    """The shared statements of one place (target, database, search_path). Bounded: the oldest is forgotten first."""

    __slots__ = ("_known", "_seen")

    def __init__(self) -> None:
        self._known: dict[tuple[str, bytes], SharedStatement] = {}
        self._seen: dict[int, None] = {}

    def __len__(self) -> int:
        return len(self._known)

    def statement(self, text: str, types: bytes) -> SharedStatement:
        """The statement of this text and these parameter types (as in a Parse: their number and OIDs)."""
        found = self._known.get((text, types))
        if found is None:
            found = self._add(text, types, PROBATION_RUNS)
        return found

    def statement_seen_before(self, text: str, types: bytes) -> SharedStatement | None:
        """The same, but None the first time: texts that come once are not worth a place."""
        found = self._known.get((text, types))
        if found is not None or len(text) > MAX_SHARED_BYTES:
            return found
        key = hash((text, types))
        if key in self._seen:
            del self._seen[key]
            return self._add(text, types, PROBATION_RUNS)
        if len(self._seen) >= MAX_KNOWN:
            del self._seen[next(iter(self._seen))]
        self._seen[key] = None
        return None

    def retire(self, statement: SharedStatement) -> None:
        """A target refused it: its text gets another name, and a longer probation."""
        statement.retired = True
        statement.demote()
        if self._known.get((statement.text, statement.types)) is statement:
            del self._known[statement.text, statement.types]
            self._add(statement.text, statement.types, min(max(statement.need, 2) * 4, MAX_PROBATION_RUNS))

    def retire_all(self) -> None:
        """The catalog is another one: results may have other types."""
        for statement in self._known.values():
            statement.retired = True
        self._known.clear()

    def _add(self, text: str, types: bytes, need: int) -> SharedStatement:
        if len(self._known) >= MAX_KNOWN:
            oldest = self._known.pop(next(iter(self._known)))
            oldest.retired = True
        statement = self._known[text, types] = SharedStatement(text, types, need)
        return statement


class BackendStatements:
    """Which shared statements one backend has, or will have when it has answered what was sent to it.

    A Parse takes effect when its request does not fail before it: what one request of a session prepares, the next one
    that is sent unanswered may not rely on. Names in doubt may be there or not: they are closed before use.
    """

    __slots__ = ("_doubtful", "_names")

    def __init__(self) -> None:
        self._names: dict[bytes, int] = {}  # the request that is to define it, or _THERE
        self._doubtful: set[bytes] = set()

    def __len__(self) -> int:
        return len(self._names)

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def has(self, name: bytes, request: int) -> bool:
        """Whether messages of this request may rely on `name`."""
        return self._names.get(name, _NOWHERE) in (_THERE, request)

    def add(self, name: bytes, request: int = _THERE) -> list[bytes]:
        """A Parse of `name` is about to be sent. The names to close before it: replies to these are CloseCompletes."""
        closing: list[bytes] = []
        if name in self._doubtful or name in self._names:
            self._doubtful.discard(name)
            self._names.pop(name, None)
            closing.append(name)
        if len(self._names) >= MAX_ON_BACKEND:
            oldest = next(iter(self._names))
            del self._names[oldest]
            closing.append(oldest)
        self._names[name] = request
        return closing

    def confirm(self, name: bytes, request: int) -> None:
        """The Parse of this request was done."""
        if self._names.get(name, _NOWHERE) == request:
            self._names[name] = _THERE

    def remove(self, name: bytes, request: int | None = None) -> None:
        """Its Parse (that of this request) failed or was skipped."""
        if name in self._names and request in (None, self._names[name]):
            del self._names[name]
            self._doubtful.add(name)

    def doubt_all(self) -> None:
        """DEALLOCATE ALL was sent: it may fail."""
        self._doubtful.update(self._names)
        self._names.clear()

    def clear(self) -> None:
        """The backend was reset."""
        self._names.clear()
        self._doubtful.clear()
