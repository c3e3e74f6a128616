"""Check audit files against their chain, offline: nothing but the files is needed.

Finds any line that was changed, taken out, put in, doubled or moved. Two things a chain alone cannot show, and how
to close them: lines cut off the end (note the head elsewhere: `expect_last`, `expect`), and a chain computed anew
from some line on by one who can write the file (the same noted head tells).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from proxy.audit.chain import MAX_LINE_BYTES, NO_HASH, ChainHead
from proxy.audit.errors import MalformedLine
from proxy.audit.file_sink import read_tail
from proxy.audit.lines import chain_id_of, head_of, line_hash, parse_line

_PROGRESS_LINES = 20_000
_TAIL_PATIENCE_S = 0.1  # a running gateway's batch may be half visible
_BUFFER_BYTES = 1024 * 1024

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong, and where: `line` is 1-based within `path`.

    kind: malformed | changed | missing | doubled | reordered | replaced | header | torn | anchor.
    """

    path: Path
    line: int
    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class VerifyResult:
    """`events` lines were found good before `first_problem`; `head` is the last of them."""

    ok: bool
    events: int
    first_problem: Problem | None
    head: ChainHead
    chain: str


class ChainVerifier:
    """Feeds on lines in order. After a problem it is of no further use."""

    __slots__ = ("_hash", "_seq", "_starts", "chain", "events")

    def __init__(self) -> None:
        self._seq = 0
        self._hash = NO_HASH.encode()
        self._starts = True
        self.chain = ""
        self.events = 0

    @property
    def head(self) -> ChainHead:
        return ChainHead(self._seq, self._hash.decode())

    @property
    def head_hash(self) -> bytes:
        return self._hash

    def begin_file(self) -> None:
        """The next line is the first one of a file: it must be a header."""
        self._starts = True

    def check(self, line: bytes) -> tuple[str, str] | None:
        """Take one line without its newline; (kind, text) of the problem if it is not what must stand here."""
        try:
            seq, prev, digest, body = parse_line(line)
        except MalformedLine as error:
            return "malformed", str(error)
        if line_hash(prev, body) != digest:
            return "changed", "the line is not as it was written: its hash does not fit"
        if self._starts:
            problem = self._check_header(line, seq, prev)
            if problem is not None:
                return problem
        if seq != self._seq + 1 or prev != self._hash:
            return self._misplaced(seq, digest)
        self._seq, self._hash = seq, digest
        self.events += 1
        return None

    def _check_header(self, line: bytes, seq: int, prev: bytes) -> tuple[str, str] | None:
        try:
            chain = chain_id_of(line)
        except MalformedLine as error:
            return "header", f"{error}; lines before it may be missing"
        if self.chain and chain != self.chain:
            return "header", "this file belongs to another chain than the one before it"
        if not self.chain:  # the first file: its chain may have begun in an older one
            self._seq, self._hash = seq - 1, prev
        if (seq == 1) != (prev == NO_HASH.encode()):
            return "header", "the header's seq and prev contradict each other"
        self.chain, self._starts = chain, False
        return None

    def _misplaced(self, seq: int, digest: bytes) -> tuple[str, str]:
        wanted = self._seq + 1
        if seq == self._seq and digest == self._hash:
            return "doubled", f"the line with seq {seq} stands here a second time"
        if seq > wanted:
            return "missing", f"seq {wanted} must stand here and {seq} does: {seq - wanted} line(s) missing or moved"
        if seq < wanted:
            return "reordered", f"seq {wanted} must stand here, but {seq} does: the line was moved or put in"
        return "replaced", f"seq {seq} does not follow from the line before it"


def verify_file(
    path: Path,
    progress: Progress | None = None,
    *,
    expect_last: str | None = None,
    expect: str | None = None,
) -> VerifyResult:
    """Check one file, as `verify_files`."""
    return verify_files([path], progress, expect_last=expect_last, expected=() if expect is None else (expect,))


def verify_files(
    paths: Iterable[Path],
    progress: Progress | None = None,
    *,
    expect_last: str | None = None,
    expected: Iterable[str] = (),
    watch: Callable[[bytes], None] | None = None,
) -> VerifyResult:
    """Check files of one chain, oldest first; raises OSError when one cannot be read.

    `expect_last` is the hash that the last line must have, `expected` those that some line must have: heads noted
    earlier. `progress` gets bytes done and bytes in all of the file at hand, now and then; `watch` every good line.
    """
    verifier = ChainVerifier()
    anchors = {noted.encode() for noted in expected}
    path, number = Path(), 0
    for path in paths:
        number = 0
        verifier.begin_file()
        for number, line in enumerate(_lines(path, progress), 1):
            problem = verifier.check(line[:-1]) if line.endswith(b"\n") else _unended(line)
            if problem is not None:
                return _result(verifier, Problem(path, number, *problem))
            if watch is not None:
                watch(line)
            if anchors:
                anchors.discard(verifier.head_hash)
        if number == 0:
            return _result(verifier, Problem(path, 1, "header", "the file is empty"))
    if expect_last is not None and verifier.head.hash != expect_last:
        text = f"the last line's hash is {verifier.head.hash}: lines were cut off or added since it was noted"
        return _result(verifier, Problem(path, number, "anchor", text))
    if anchors:
        text = f"no line has the hash {min(anchors).decode()}: lines were cut off, or the chain was computed anew"
        return _result(verifier, Problem(path, number, "anchor", text))
    return _result(verifier, None)


def read_head(path: Path) -> ChainHead:
    """The last whole line's seq and hash. Raises OSError, and MalformedLine if that line itself is wrong."""
    with path.open("rb") as file:
        return head_of(read_tail(file.fileno()).last_line)


def _lines(path: Path, progress: Progress | None) -> Iterator[bytes]:
    with path.open("rb", buffering=_BUFFER_BYTES) as file:
        total = os.fstat(file.fileno()).st_size
        read = file.readline
        done = 0
        while line := read(MAX_LINE_BYTES):
            if line[-1:] != b"\n" and len(line) < MAX_LINE_BYTES:
                line += _rest(file)
            yield line
            done += 1
            if progress is not None and done % _PROGRESS_LINES == 0:
                progress(file.tell(), total)
        if progress is not None:
            progress(file.tell(), total)


def _rest(file: BinaryIO) -> bytes:
    """What a running gateway was just writing when we read the file's end."""
    time.sleep(_TAIL_PATIENCE_S)
    return file.readline(MAX_LINE_BYTES)


def _unended(line: bytes) -> tuple[str, str]:
    if len(line) >= MAX_LINE_BYTES:
        return "malformed", f"the line is longer than {MAX_LINE_BYTES} bytes"
    return "torn", "the last line is incomplete: the gateway was killed while it wrote, or the file was cut"


def _result(verifier: ChainVerifier, problem: Problem | None) -> VerifyResult:
    return VerifyResult(problem is None, verifier.events, problem, verifier.head, verifier.chain)
