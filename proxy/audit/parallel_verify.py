"""Checks one file in several processes: it is cut where seals stand, and each part begins with the seal that ends the
one before it, so nothing has to be known of the others but the keys."""

from __future__ import annotations

import contextlib
import json
import mmap
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from proxy.audit.chain import ChainHead
from proxy.audit.seal_check import SealChecker
from proxy.audit.sealing import SEAL_MARK
from proxy.audit.signing import PublicKey
from proxy.audit.verify import ChainVerifier, Problem, Progress, Watched, read_file, read_range

_PART_BYTES = 16 * 1024 * 1024
_KEY_MARKS = (b'"event":"handover"', b'"event":"tenant_key"')


@dataclass(frozen=True, slots=True)
class _Part:
    path: Path
    start: int
    end: int | None
    chain: str
    keys: tuple[str, ...]
    proofs: dict[tuple[str, str], str]
    anchors: frozenset[bytes]
    mark: bytes


@dataclass(slots=True)
class _Done:
    lines: int
    problem: Problem | None
    head: ChainHead
    seals: tuple[Any, ...]
    missing: set[bytes] = field(default_factory=set)
    marked: list[bytes] = field(default_factory=list)


class ParallelReader:
    """A Reader for `verify_files`. Lifetime: a with block."""

    def __init__(self, jobs: int, part_bytes: int = _PART_BYTES) -> None:
        self._part_bytes = part_bytes
        self._pool = ProcessPoolExecutor(jobs)

    def __enter__(self) -> ParallelReader:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    def __call__(
        self, path: Path, verifier: ChainVerifier, watched: Watched, progress: Progress | None
    ) -> tuple[int, Problem | None]:
        """The first part here, which tells whose file it is; the others wherever there is room."""
        size = path.stat().st_size
        cuts = list(_cuts(path, size, self._part_bytes))
        if not cuts:
            return read_file(path, verifier, watched, progress)
        lines, problem = read_range(path, verifier, watched, None, 0, cuts[0] + 1)
        if problem is not None:
            return lines, problem
        seals = verifier.seals
        for fields in _key_lines(path, size):
            if (fault := seals.learn(fields)) is not None:
                return lines, Problem(path, lines, *fault)
        keys = tuple(key.raw.hex() for key in seals.keys.values())
        anchors = frozenset(watched.anchors)
        parts = [
            _Part(path, start, end, verifier.chain, keys, seals.proofs, anchors, watched.mark)
            for start, end in zip(cuts, [*(cut + 1 for cut in cuts[1:]), None], strict=True)
        ]
        for part, done in zip(parts, self._pool.map(_check, parts), strict=True):
            lines += max(done.lines - 1, 0)  # its first line is the last one of the part before
            watched.anchors &= done.missing
            watched.marked.extend(done.marked)
            if done.problem is not None:
                verifier.go_on_from(done.head, max(done.lines - 1, 0))
                seals.go_on_from(done.seals)
                return lines, Problem(path, lines + 1, done.problem.kind, done.problem.text)
            verifier.go_on_from(done.head, done.lines - 1)
            seals.go_on_from(done.seals)
            if progress is not None:
                progress(part.end or size, size)
        return lines, None


def _check(part: _Part) -> _Done:
    checker = SealChecker()
    for raw in part.keys:
        key = PublicKey.from_hex(raw)
        checker.keys[key.id] = key
    checker.proofs = part.proofs
    verifier = ChainVerifier(checker)
    with part.path.open("rb") as file:
        file.seek(part.start)
        verifier.begin_within(file.readline().rstrip(b"\n"), part.chain)
    watched = Watched(set(part.anchors), part.mark)
    lines, problem = read_range(part.path, verifier, watched, None, part.start, part.end)
    return _Done(lines, problem, verifier.head, checker.state(), watched.anchors, watched.marked)


def _cuts(path: Path, size: int, part_bytes: int) -> Iterator[int]:
    """Where seal lines begin, one for each part but the first."""
    if size <= part_bytes:
        return
    with path.open("rb") as file, mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ) as data:
        at = data.find(SEAL_MARK, part_bytes)
        while at >= 0:
            start = data.rfind(b"\n", 0, at) + 1
            yield start
            at = data.find(SEAL_MARK, max(at + 1, start + part_bytes))


def _key_lines(path: Path, size: int) -> Iterator[dict[str, Any]]:
    """The lines that tell of keys: what a part needs of the others."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ) as data:
        for mark in _KEY_MARKS:
            at = data.find(mark)
            while at >= 0:
                end = data.find(b"\n", at)
                line = data[data.rfind(b"\n", 0, at) + 1 : end if end >= 0 else size]
                with contextlib.suppress(ValueError):  # its part will say so
                    yield json.loads(line)
                at = data.find(mark, at + len(mark))
