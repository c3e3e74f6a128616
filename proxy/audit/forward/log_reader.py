"""The audit log as batches of records: what comes after a sink's position, chain by chain, across rotated files.

Says what does not follow: lines that went with a deleted file (`missing`), and lines that are not what must stand there
(`astray`). Neither stops the flow; both are for the operator to see.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Final

from proxy.audit.errors import MalformedLine
from proxy.audit.forward.positions import Position
from proxy.audit.lines import parse_line
from proxy.audit.log_files import LogFile, find_log_files, whole_lines
from proxy.audit.sinks.sink import Record

_MAX_BATCH_BYTES: Final = 4 * 1024 * 1024
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Batch:
    """Records of one chain, and the position behind them. It may hold none: then only the position moves on."""

    chain: str
    records: tuple[Record, ...]
    position: Position


class LogReader:
    """Reads for one sink. `missing` and `astray` count lines since the start."""

    def __init__(self, log: Path, *, tenants: frozenset[str] = frozenset()) -> None:
        self._log = log
        self._tenants = tenants
        self.missing = 0
        self.astray = 0

    def batches(self, positions: Mapping[str, Position], limit: int) -> Iterator[Batch]:
        """At most one batch of each chain that has something new. Raises OSError and MalformedLine."""
        chains: dict[str, list[LogFile]] = {}
        for file in find_log_files(self._log):
            chains.setdefault(file.chain, []).append(file)
        for chain, files in chains.items():
            batch = self._batch(chain, files, positions.get(chain), limit)
            if batch is not None:
                yield batch

    def behind_bytes(self, positions: Mapping[str, Position]) -> int:
        """What of the files is not delivered yet."""
        behind = 0
        for file in find_log_files(self._log):
            position = positions.get(file.chain)
            if position is None or file.first_seq > position.first_seq:
                behind += file.size
            elif file.first_seq == position.first_seq:
                behind += max(file.size - position.offset, 0)
        return behind

    def _batch(self, chain: str, files: list[LogFile], position: Position | None, limit: int) -> Batch | None:
        if position is None:
            position = Position(files[0].first_seq, seq=files[0].first_seq - 1, hash="")
        for file in (each for each in files if each.first_seq >= position.first_seq):
            if file.first_seq != position.first_seq:
                self._note_missing(chain, file, position)
                position = replace(position, first_seq=file.first_seq, offset=0)
            if file.size > position.offset:
                batch = self._read(file, position, limit)
                if batch is not None:
                    return batch
        return None

    def _note_missing(self, chain: str, file: LogFile, position: Position) -> None:
        lost = file.first_seq - position.seq - 1
        if lost > 0:
            self.missing += lost
            logger.critical(
                "audit lines were removed before they were forwarded",
                extra={"chain": chain, "from_seq": position.seq + 1, "lines": lost},
            )

    def _read(self, file: LogFile, position: Position, limit: int) -> Batch | None:
        records: list[Record] = []
        size = 0
        first = position
        for offset, line in islice(whole_lines(file.path, position.offset), limit):
            position = self._follow(file, position, offset, line)
            record = _record(file.chain, position.seq, offset, line)
            if not self._tenants or record.text("tenant") in self._tenants:
                records.append(record)
            size += len(line)
            if size > _MAX_BATCH_BYTES:
                break
        return None if position is first else Batch(file.chain, tuple(records), position)

    def _follow(self, file: LogFile, before: Position, offset: int, line: bytes) -> Position:
        behind = offset + len(line) + 1
        try:
            seq, prev, digest, _ = parse_line(line)
        except MalformedLine:
            seq, prev, digest = before.seq, b"", before.hash.encode()
        if seq != before.seq + 1 or (before.hash and prev != before.hash.encode()):
            self.astray += 1
            extra = {"path": file.path, "offset": offset, "seq": seq}
            logger.critical("an audit line does not follow the one before it", extra=extra)
        return replace(before, offset=behind, seq=seq, hash=digest.decode("ascii", "replace"))


def _record(chain: str, seq: int, offset: int, line: bytes) -> Record:
    try:
        event = json.loads(line)
    except ValueError:
        event = None
    if not isinstance(event, dict):
        text = line.decode("utf-8", "replace")
        return Record(f"{chain}-at-{offset}", chain, seq, line, {"event": "malformed", "reason": text})
    own = event.get("id")
    return Record(own if isinstance(own, str) and own else f"{chain}-{seq}", chain, seq, line, event)
