"""Check audit files against their chain and its seals, offline: nothing but the files and a public key is needed.

Finds any line that was changed, taken out, put in, doubled or moved. A chain alone cannot show that it was computed
anew from some line on by one who can write the file: seals do (seal_check.py), up to the last of them. Nor that lines
were cut off the end: a head noted elsewhere does (`expect_last`, `expect`), or a seal that an anchor has.
"""

from __future__ import annotations

import os
import time
from binascii import hexlify
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from proxy.audit.chain import MAX_LINE_BYTES, NO_HASH, ChainHead
from proxy.audit.errors import MalformedLine
from proxy.audit.file_sink import read_tail
from proxy.audit.lines import chain_id_of, head_of, line_hash, parse_line
from proxy.audit.seal_check import NO_SEALS, SealChecker, SealReport, missing_anchor
from proxy.audit.signing import PublicKey

_HASH_MEMBER = len(b',"hash":""') + 64
_NEWLINE = 10
_PROGRESS_LINES = 20_000
_TAIL_PATIENCE_S = 0.1  # a running gateway's batch may be half visible
_BUFFER_BYTES = 1024 * 1024

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong, and where: `line` is 1-based within `path`.

    kind: malformed | changed | missing | doubled | reordered | replaced | header | torn | seal | unsealed | anchor.
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
    seals: SealReport = NO_SEALS


class ChainVerifier:
    """Feeds on lines in order. After a problem it is of no further use."""

    __slots__ = ("_hash", "_seq", "_starts", "chain", "events", "seals")

    def __init__(self, seals: SealChecker) -> None:
        self.seals = seals
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

    def begin_within(self, line: bytes, chain: str) -> None:
        """The next line is this one, a seal in the middle of a file. Raises MalformedLine."""
        seq, prev, _, _ = parse_line(line)
        self._seq, self._hash, self._starts, self.chain = seq - 1, prev, False, chain
        self.seals.begin_within(line, chain)

    def go_on_from(self, head: ChainHead, lines: int) -> None:
        """So many lines up to this one were found good elsewhere."""
        self._seq, self._hash = head.seq, head.hash.encode()
        self.events += lines

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
        fault = self.seals.take(line, seq, prev, digest)
        if fault is not None:
            return fault
        self._seq, self._hash = seq, digest
        self.events += 1
        return None

    def check_events(self, lines: Iterator[bytes], watched: Watched) -> bytes:
        """Take lines, with their newlines, while they are good events of clients; the first that is none, or b"".

        As `check` for each of them, in less time. Of that last one `check` says what it is.
        """
        if self._starts or not self.seals.takes_events:
            return next(lines, b"")
        entries, tenants = self.seals.open_segment(self._seq + 1)
        known = tenants.get
        seq, prev, anchors = self._seq, self._hash, watched.anchors
        for line in lines:
            id_at = line.rfind(b',"id":"')
            prev_at = line.find(b',"prev":"', id_at)
            tenant_at = line.rfind(b',"tenant":"')
            if (
                tenant_at < 0
                or id_at < _HASH_MEMBER
                or prev_at < 0
                or line[prev_at + 9 : prev_at + 73] != prev
                or not line.startswith(b',"seq":%d,' % (seq + 1), line.find(b',"seq":', prev_at + 73))
            ):
                break
            hash_at = id_at - _HASH_MEMBER
            entry = sha256(prev + line[:hash_at] + line[id_at:-1]).digest()
            digest = hexlify(entry)
            if not line.startswith(b',"hash":"%b",' % digest, hash_at) or line[-1] != _NEWLINE:
                break
            seq, prev = seq + 1, digest
            entries.append(entry)
            tenant = line[tenant_at + 11 : line.rfind(b'","time":')]
            of_tenant = known(tenant)
            if of_tenant is not None:
                of_tenant.append(entry)
            elif tenant:
                tenants[tenant] = [entry]
            if anchors:
                anchors.discard(digest)
        else:
            line = b""
        self.events += seq - self._seq
        self._seq, self._hash = seq, prev
        return line

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
    trusted: PublicKey | None = None,
) -> VerifyResult:
    """Check one file, as `verify_files`."""
    expected = () if expect is None else (expect,)
    return verify_files([path], progress, expect_last=expect_last, expected=expected, trusted=trusted)


@dataclass(slots=True)
class Watched:
    """What is looked for while lines are read. anchors: hashes that some line must have. marked: lines with `mark`."""

    anchors: set[bytes]
    mark: bytes = b""
    marked: list[bytes] = field(default_factory=list)

    def take(self, line: bytes, digest: bytes) -> None:
        if self.anchors:
            self.anchors.discard(digest)
        if self.mark and self.mark in line:
            self.marked.append(line)


def verify_files(
    paths: Iterable[Path],
    progress: Progress | None = None,
    *,
    expect_last: str | None = None,
    expected: Iterable[str] = (),
    mark: bytes = b"",
    marked: list[bytes] | None = None,
    trusted: PublicKey | None = None,
    read: Reader | None = None,
    verifier: ChainVerifier | None = None,
) -> VerifyResult:
    """Check files of one chain, oldest first; raises OSError when one cannot be read.

    `expect_last` is the hash that the last line must have, `expected` those that some line must have: heads noted
    earlier. `progress` gets bytes done and bytes in all of the file at hand, now and then; `marked` every good line
    that holds `mark`. `trusted`: the key that sealed it, or one that has handed over to that; None: the header's is
    believed. read: how a file is read, `read_file` or in several processes (parallel_verify.py). verifier: in place of
    one with `trusted`.
    """
    verifier = verifier or ChainVerifier(SealChecker(trusted))
    watched = Watched({noted.encode() for noted in expected}, mark, [] if marked is None else marked)
    path, number = Path(), 0
    for path in paths:
        verifier.begin_file()
        number, problem = (read or read_file)(path, verifier, watched, progress)
        if problem is not None:
            return _result(verifier, problem)
        if number == 0:
            return _result(verifier, Problem(path, 1, "header", "the file is empty"))
    if expect_last is not None and verifier.head.hash != expect_last:
        text = f"the last line's hash is {verifier.head.hash}: lines were cut off or added since it was noted"
        return _result(verifier, Problem(path, number, "anchor", text))
    if watched.anchors:
        text = (
            f"no line has the hash {min(watched.anchors).decode()}: lines were cut off, or the chain was computed anew"
        )
        return _result(verifier, Problem(path, number, "anchor", text))
    fault = verifier.seals.finish()
    return _result(verifier, None if fault is None else Problem(path, number, *fault))


def with_anchor(result: VerifyResult, path: Path, anchored: Iterable[Mapping[str, Any]]) -> VerifyResult:
    """The result, or the problem that an anchor has a seal of this chain which the log has not."""
    missing = missing_anchor(result.seals, result.chain, anchored) if result.ok else ""
    if not missing:
        return result
    return replace(result, ok=False, first_problem=Problem(path, result.head.seq, "anchor", missing))


Reader = Callable[[Path, ChainVerifier, Watched, Progress | None], tuple[int, Problem | None]]
"""Has a verifier take a file's lines. Returns how many were good, and the problem that ended it."""


def read_file(
    path: Path, verifier: ChainVerifier, watched: Watched, progress: Progress | None
) -> tuple[int, Problem | None]:
    """The whole file, in this process."""
    return read_range(path, verifier, watched, progress, 0, None)


def read_range(
    path: Path, verifier: ChainVerifier, watched: Watched, progress: Progress | None, start: int, end: int | None
) -> tuple[int, Problem | None]:
    """The lines that begin at `start` or behind it and before `end`, which is behind a line of the log itself."""
    before = told = verifier.events
    with path.open("rb", buffering=_BUFFER_BYTES) as file:
        total = os.fstat(file.fileno()).st_size
        file.seek(start)
        lines = iter(partial(file.readline, MAX_LINE_BYTES), b"")
        while end is None or file.tell() < end:
            good = verifier.events
            line = verifier.check_events(islice(lines, _PROGRESS_LINES), watched)
            if not line and verifier.events - good < _PROGRESS_LINES:
                break
            if line:
                if line[-1:] != b"\n" and len(line) < MAX_LINE_BYTES:
                    line += _rest(file)
                problem = verifier.check(line[:-1]) if line[-1:] == b"\n" else _unended(line)
                if problem is not None:
                    number = verifier.events - before
                    return number, Problem(path, number + 1, *problem)
                watched.take(line, verifier.head_hash)
            if progress is not None and verifier.events - told >= _PROGRESS_LINES:
                progress(file.tell(), total)
                told = verifier.events
        if progress is not None:
            progress(file.tell(), total)
    return verifier.events - before, None


def read_head(path: Path) -> ChainHead:
    """The last whole line's seq and hash. Raises OSError, and MalformedLine if that line itself is wrong."""
    with path.open("rb") as file:
        return head_of(read_tail(file.fileno()).last_line)


def _rest(file: BinaryIO) -> bytes:
    """What a running gateway was just writing when we read the file's end."""
    time.sleep(_TAIL_PATIENCE_S)
    return file.readline(MAX_LINE_BYTES)


def _unended(line: bytes) -> tuple[str, str]:
    if len(line) >= MAX_LINE_BYTES:
        return "malformed", f"the line is longer than {MAX_LINE_BYTES} bytes"
    return "torn", "the last line is incomplete: the gateway was killed while it wrote, or the file was cut"


def _result(verifier: ChainVerifier, problem: Problem | None) -> VerifyResult:
    return VerifyResult(
        problem is None, verifier.events, problem, verifier.head, verifier.chain, verifier.seals.report()
    )
