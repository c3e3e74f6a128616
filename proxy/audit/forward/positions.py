"""Up to where a sink has the log: a small file beside it, replaced as a whole after each batch that arrived.

Losing it costs no event: everything is sent again, with the same ids. A lock keeps a second forwarder of the same sink
away.
"""

from __future__ import annotations

import fcntl
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from policy.errors import TenantGateError

_VERSION: Final = 1
NO_HASH: Final = "0" * 64


class PositionInUse(TenantGateError):
    """Another process forwards to this sink."""

    kind = "audit_sink"


@dataclass(frozen=True, slots=True)
class Position:
    """In one chain: the file by its header's number, the offset of the next line, and the last line that arrived."""

    first_seq: int
    offset: int = 0
    seq: int = 0
    hash: str = NO_HASH


class Positions:
    """The positions of one sink in all chains, from `open` to `close`. Raises OSError and PositionInUse."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.path = path
        self._lock = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            raise PositionInUse(f"another process forwards to {path.stem}") from None
        self.chains = read_positions(path)

    def advance(self, chain: str, position: Position) -> None:
        """Note that a sink has a chain up to there; it is on the disk when this returns."""
        self.chains[chain] = position
        chains = {name: asdict(each) for name, each in self.chains.items()}
        replace_file(self.path, json.dumps({"version": _VERSION, "chains": chains}).encode())

    def close(self) -> None:
        os.close(self._lock)


def read_positions(path: Path) -> dict[str, Position]:
    """What a file holds; nothing if it is not there or cannot be understood: then everything is sent again."""
    try:
        chains = json.loads(path.read_bytes())["chains"]
        return {str(chain): Position(**fields) for chain, fields in chains.items()}
    except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def replace_file(path: Path, data: bytes) -> None:
    """Write a file of mode 0600 whole and durable, or leave the old one. Raises OSError."""
    scratch = path.with_name(path.name + ".new")
    descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    with open(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(descriptor)
    scratch.replace(path)
