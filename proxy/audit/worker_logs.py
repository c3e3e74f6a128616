"""The logs of a gateway's workers, found and checked by what its supervisor noted in its own.

A note (`"event":"worker"`) names a worker's file, its chain, and a line that stood in it then. So a file that was taken
away, replaced by another chain or cut below a noted line is found out, with nothing but the files.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from proxy.audit.chain import ChainHead
from proxy.audit.errors import MalformedLine
from proxy.audit.lines import parse_line
from proxy.audit.signing import PublicKey
from proxy.audit.verify import Problem, Progress, Reader, VerifyResult, verify_files

MARK = b'"event":"worker"'  # stands in no other line: a quote inside a string is escaped


@dataclass(slots=True)
class _Noted:
    chain: str
    lines: dict[int, str] = field(default_factory=dict)  # seq to hash


class WorkerNotes:
    """Collects the notes of a supervisor's log, line by line."""

    __slots__ = ("_files",)

    def __init__(self) -> None:
        self._files: dict[str, _Noted] = {}

    def take(self, line: bytes) -> None:
        """Look at a line of the log that has been found good."""
        if MARK not in line:
            return
        note = json.loads(line)
        if "file" not in note:
            return  # one that never served
        noted = self._files.get(note["file"])
        if noted is None or noted.chain != note["chain"]:
            noted = self._files[note["file"]] = _Noted(note["chain"])
        noted.lines[note["at_seq"]] = note["at_hash"]

    def paths(self, directory: Path) -> list[Path]:
        """The workers' files, which stand in `directory`."""
        return [directory / name for name in sorted(self._files)]

    def verify(
        self,
        directory: Path,
        progress: Progress | None = None,
        *,
        trusted: PublicKey | None = None,
        read: Reader | None = None,
    ) -> list[tuple[Path, VerifyResult]]:
        """Check every worker's file, which stands in `directory`. Raises OSError for one that cannot be read."""
        return [
            (directory / name, _verify(directory / name, noted, progress, trusted, read))
            for name, noted in sorted(self._files.items())
        ]


def _verify(
    path: Path, noted: _Noted, progress: Progress | None, trusted: PublicKey | None, read: Reader | None
) -> VerifyResult:
    try:
        first = _first_seq(path)
    except FileNotFoundError:
        return _bad(path, "missing", "a worker wrote this file, and it is not here")
    except MalformedLine as error:
        return _bad(path, "malformed", str(error))
    expected = (h for seq, h in noted.lines.items() if seq >= first)
    result = verify_files([path], progress, expected=expected, trusted=trusted, read=read)
    if result.ok and result.chain != noted.chain:
        return _bad(path, "replaced", "the worker that wrote this file had another chain")
    return result


def _first_seq(path: Path) -> int:
    """Lines before it are in a file that was rotated away."""
    with path.open("rb") as file:
        return parse_line(file.readline(1024 * 1024).rstrip(b"\n"))[0]


def _bad(path: Path, kind: str, text: str) -> VerifyResult:
    return VerifyResult(False, 0, Problem(path, 1, kind, text), ChainHead(), "")


def verify_with_workers(
    paths: Iterable[Path],
    progress: Progress | None = None,
    *,
    expect_last: str | None,
    expect: str | None,
    trusted: PublicKey | None = None,
    read: Reader | None = None,
) -> tuple[VerifyResult, list[tuple[Path, VerifyResult]]]:
    """Check files of one chain as `verify_files`, and the logs of the workers that they name."""
    paths, notes = list(paths), WorkerNotes()
    marked: list[bytes] = []
    result = verify_files(
        paths,
        progress,
        expect_last=expect_last,
        expected=() if expect is None else (expect,),
        mark=MARK,
        marked=marked,
        trusted=trusted,
        read=read,
    )
    if not result.ok:
        return result, []
    for line in marked:
        notes.take(line)
    return result, notes.verify(paths[-1].parent, progress, trusted=trusted, read=read)
