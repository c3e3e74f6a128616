"""What all workers of one machine use of the quotas: a file in memory that they share, one row per tenant with limits.

A row has the tenant's token bucket, what it used of its quotas per period, what was measured of it, and, for each
process (its *seat*), how many connections and statements it has. Only a seat's own process writes its counts. Whoever
decides by the others' counts, takes a token or adds to what is used, holds the row's lock meanwhile: a record lock of
fcntl(2), which the kernel takes from a process that is killed. The supervisor makes the file and clears the seat of a
process that has ended.
"""

from __future__ import annotations

import fcntl
import mmap
import os
from hashlib import blake2b

SEATS = 128  # 1 to 127 are processes; two generations of workers have room for a while
ROWS = 2**18

_USED, _HIGHEST_SEAT, _SHARES_UNTIL = 0, 1, 2  # of the header, in words
_WORD = 8
_DIGEST_BYTES = 16
_DIGESTS_AT = 4096
_ROWS_AT = _DIGESTS_AT + ROWS * _DIGEST_BYTES
_BUCKET_BYTES = 64
_SHARE_WORD = 6  # behind the bucket's six
_COUNTS_BYTES = SEATS * 4
KINDS = 3  # of quotas per period: rows, bytes, backend microseconds
START, END, USED, GRANTED, OTHERS, STATE, WARNED, LACKING = 0, 1, 2, 3, 4, 5, 6, 7  # words of one of them
_PERIOD_WORDS = 8
STORAGE, MEASURED, TABLES = 0, 1, 2  # words of what is measured
_MEASURED_WORDS = 8
_PERIODS_BYTES = KINDS * _PERIOD_WORDS * _WORD
_ROW_BYTES = _BUCKET_BYTES + 2 * _COUNTS_BYTES + _PERIODS_BYTES + _MEASURED_WORDS * _WORD
_FILE_BYTES = _ROWS_AT + ROWS * _ROW_BYTES  # never written, it takes no memory

BucketState = tuple[int, int, int, int, int]


class TableFull(Exception):
    """More tenants with limits than there are rows."""


def create_table() -> int:
    """A new, empty table; its file descriptor, which workers inherit."""
    descriptor = os.memfd_create("tenantgate-quotas", os.MFD_CLOEXEC)
    os.ftruncate(descriptor, _FILE_BYTES)
    return descriptor


def is_table(descriptor: int) -> bool:
    """Whether this is a table of our layout: an older version's supervisor may have made it."""
    return os.fstat(descriptor).st_size == _FILE_BYTES


class QuotaTable:
    """One process's view. A process has one, and never closes it: that would give up its locks."""

    __slots__ = ("_alone", "_counts", "_descriptor", "_map", "_words", "seat")

    def __init__(self, descriptor: int, seat: int, *, alone: bool = False) -> None:
        """seat: the process's own, 0 for the supervisor, which has none. alone: no other process has the table."""
        self._alone = alone
        self._descriptor = descriptor
        self._map = mmap.mmap(descriptor, _FILE_BYTES)
        self._words = memoryview(self._map).cast("q")
        self._counts = memoryview(self._map).cast("i")
        self.seat = seat
        self._words[_HIGHEST_SEAT] = max(self._words[_HIGHEST_SEAT], seat)

    def row(self, name: str) -> Row:
        """The row of a tenant, made when there is none. Raises TableFull."""
        return self.row_of(digest_of(name))

    def row_of(self, digest: bytes) -> Row:
        """The row of the tenant whose name has this digest, made when there is none. Raises TableFull."""
        self.lock(0)
        try:
            number = self._find(digest)
        finally:
            self.unlock(0)
        return Row(self, number)

    def rows(self) -> list[tuple[bytes, Row]]:
        """All rows that were ever made, by the digest of their tenant's name."""
        ends = range(_DIGESTS_AT, _DIGESTS_AT + self._words[_USED] * _DIGEST_BYTES, _DIGEST_BYTES)
        return [(self._map[at : at + _DIGEST_BYTES], Row(self, number)) for number, at in enumerate(ends)]

    @property
    def shares_until(self) -> int:
        """Until when what the fleet has granted this machine holds: microseconds of the monotonic clock."""
        return int(self._words[_SHARES_UNTIL])

    @shares_until.setter
    def shares_until(self, moment_us: int) -> None:
        self._words[_SHARES_UNTIL] = moment_us

    def _find(self, digest: bytes) -> int:
        used = self._words[_USED]
        at, end = _DIGESTS_AT, _DIGESTS_AT + used * _DIGEST_BYTES
        while (at := self._map.find(digest, at, end)) >= 0:
            if (at - _DIGESTS_AT) % _DIGEST_BYTES == 0:
                return (at - _DIGESTS_AT) // _DIGEST_BYTES
            at += 1
        if used == ROWS:
            raise TableFull
        self._map[end : end + _DIGEST_BYTES] = digest
        self._words[_USED] = used + 1
        return int(used)

    def clear_seat(self, seat: int) -> None:
        """The process of this seat has ended: it uses nothing any more."""
        for number in range(self._words[_USED]):
            for kind in (0, 1):
                self._counts[_counts_at(number, kind) + seat] = 0

    def lock(self, at: int) -> None:
        if not self._alone:
            fcntl.lockf(self._descriptor, fcntl.LOCK_EX, 1, at)

    def unlock(self, at: int) -> None:
        if not self._alone:
            fcntl.lockf(self._descriptor, fcntl.LOCK_UN, 1, at)

    # What rows ask

    def total(self, start: int) -> int:
        """Sum of a row's counts of one kind, over all seats that were ever taken."""
        return sum(self._counts[start : start + self._words[_HIGHEST_SEAT] + 1])

    def set_count(self, at: int, count: int) -> None:
        self._counts[at] = count

    def load(self, at: int) -> list[int]:
        return self._words[at : at + 6].tolist()

    def store(self, at: int, value: int) -> None:
        self._words[at] = value

    def word(self, at: int) -> int:
        value: int = self._words[at]
        return value


def digest_of(name: str) -> bytes:
    """What a tenant is found by."""
    return blake2b(name.encode("utf-8", "surrogatepass"), digest_size=_DIGEST_BYTES).digest()


def _counts_at(number: int, kind: int) -> int:
    return (_ROWS_AT + number * _ROW_BYTES + _BUCKET_BYTES + kind * _COUNTS_BYTES) // 4


class Row:
    """One tenant's row, as one process uses it: `with row:` holds its lock."""

    __slots__ = ("_at", "_bucket_at", "_connections_at", "_measured_at", "_periods_at", "_statements_at", "_table")

    def __init__(self, table: QuotaTable, number: int) -> None:
        self._table = table
        self._at = _ROWS_AT + number * _ROW_BYTES
        self._bucket_at = self._at // _WORD
        self._connections_at = _counts_at(number, 0)
        self._statements_at = _counts_at(number, 1)
        self._periods_at = (self._at + _BUCKET_BYTES + 2 * _COUNTS_BYTES) // _WORD
        self._measured_at = self._periods_at + KINDS * _PERIOD_WORDS

    def __enter__(self) -> Row:
        self._table.lock(self._at)
        return self

    def __exit__(self, *_: object) -> None:
        self._table.unlock(self._at)

    # Of the limit of connections, what the fleet's keeper grants this machine. Kept as one more than that (0: nothing
    # yet), and below 0 when somebody was refused for it.

    def connections_share(self) -> int:
        return max(0, abs(self._table.word(self._bucket_at + _SHARE_WORD)) - 1)

    def lacks_connections(self) -> bool:
        return self._table.word(self._bucket_at + _SHARE_WORD) < 0

    def put_connections_share(self, share: int, *, lacking: bool = False) -> None:
        self._table.store(self._bucket_at + _SHARE_WORD, -share - 1 if lacking else share + 1)

    def total_connections(self) -> int:
        return self._table.total(self._connections_at)

    def total_statements(self) -> int:
        return self._table.total(self._statements_at)

    def set_connections(self, count: int) -> None:
        """How many this process has."""
        self._table.set_count(self._connections_at + self._table.seat, count)

    def set_statements(self, count: int) -> None:
        self._table.set_count(self._statements_at + self._table.seat, count)

    def bucket(self) -> tuple[BucketState, int] | None:
        """The bucket's state and the policy version that it goes by; None when there was none yet."""
        gain, cost, capacity, ticks, level, version = self._table.load(self._bucket_at)
        return None if not version else ((gain, cost, capacity, ticks, level), version)

    def put_level(self, ticks: int, level: int) -> None:
        """Ticks first: one that is killed in between has given tokens away, not made any."""
        self._table.store(self._bucket_at + 3, ticks)
        self._table.store(self._bucket_at + 4, level)

    def put_bucket(self, state: BucketState, version: int) -> None:
        """A bucket with other limits. Empty first, for one that is killed on the way."""
        gain, cost, capacity, ticks, level = state
        self.put_level(ticks, 0)
        for offset, value in enumerate((gain, cost, capacity)):
            self._table.store(self._bucket_at + offset, value)
        self._table.store(self._bucket_at + 5, version)
        self.put_level(ticks, level)

    # Quotas per period. What was used is stored before the period that it is of: who reads without the lock, or after
    # one that was killed in between, sees at most that nothing was used yet.

    def period(self, kind: int, word: int) -> int:
        return self._table.word(self._periods_at + kind * _PERIOD_WORDS + word)

    def put_period(self, kind: int, word: int, value: int) -> None:
        self._table.store(self._periods_at + kind * _PERIOD_WORDS + word, value)

    def begin_period(self, kind: int, start: int, end: int, granted: int = 0) -> None:
        """A new period, of which nothing is used. granted: what may be used before the fleet's keeper has spoken."""
        for word in (USED, OTHERS, STATE, WARNED):
            self.put_period(kind, word, 0)
        self.put_period(kind, GRANTED, granted)
        self.put_period(kind, START, start)
        self.put_period(kind, END, end)

    # What is measured

    def measured(self, word: int) -> int:
        return self._table.word(self._measured_at + word)

    def put_measured(self, word: int, value: int) -> None:
        self._table.store(self._measured_at + word, value)
