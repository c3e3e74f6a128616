"""The files of an audit log, as a reader finds them: by what their header says, whatever rotation has named them.

A file is known by its chain and the `seq` of its header, so one that was renamed is the same file, and two copies of
one are one. For readers that follow the log (the search index, the forwarder to other sinks); the gateway does not
need it. Copes with every format of the header that has `chain` and `seq`.
"""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from proxy.audit.chain import MAX_LINE_BYTES
from proxy.audit.errors import MalformedLine

_BLOCK_BYTES: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class LogFile:
    """One file of the log. `first_seq` is its header's; `size` in bytes, as it was when the files were looked for."""

    path: Path
    chain: str
    first_seq: int
    size: int

    @property
    def key(self) -> tuple[str, int]:
        return self.chain, self.first_seq


def find_log_files(log: Path) -> list[LogFile]:
    """The files of the log at `log`, those of workers and rotated ones too, by chain and then from old to new.

    They stand in its directory under its name with a number before and anything behind the suffix (audit.jsonl,
    audit.jsonl.1, audit-2.jsonl, audit-2.jsonl-20261127). What is no audit file is left out. Raises OSError when the
    directory cannot be read.
    """
    name = re.compile(rf"{re.escape(log.stem)}(-\d+)?{re.escape(log.suffix)}(?![A-Za-z0-9])")
    found: dict[tuple[str, int], LogFile] = {}
    for path in sorted(log.parent.iterdir()):
        file = _log_file(path) if name.match(path.name) else None
        if file is not None and (file.key not in found or found[file.key].size < file.size):
            found[file.key] = file
    return sorted(found.values(), key=lambda file: file.key)


def _log_file(path: Path) -> LogFile | None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            return None
        header = os.pread(descriptor, 4096, 0).partition(b"\n")[0]
    finally:
        os.close(descriptor)
    try:
        fields = json.loads(header)
        if fields["event"] != "header":
            return None
        return LogFile(path, str(fields["chain"]), int(fields["seq"]), status.st_size)
    except (ValueError, KeyError, TypeError):
        return None


def whole_lines(path: Path, offset: int) -> Iterator[tuple[int, bytes]]:
    """(offset, line without its newline) of each whole line from `offset` on, which must be where a line begins.

    Ends at the last newline: what follows is being written. Raises OSError, and MalformedLine for an endless line.
    """
    with path.open("rb") as file:
        file.seek(offset)
        rest = b""
        while block := file.read(_BLOCK_BYTES):
            *lines, rest = (rest + block).split(b"\n")
            for line in lines:
                yield offset, line
                offset += len(line) + 1
            if len(rest) > MAX_LINE_BYTES:
                raise MalformedLine(f"no line ends within {MAX_LINE_BYTES} bytes")
