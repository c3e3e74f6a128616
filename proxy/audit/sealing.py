"""Seals segments of a chain as it is written: what a seal says, and the segment that is open.

A segment is what stands between two `seal` lines: a seal closes the lines before it, and the next segment begins with
the seal itself, also in another file (where it is known by the header's `prev`). It says, signed: which chain and
which segment (`segment`, from 1), from which line to which (`first_seq`, `last_seq`, `head`: the last one's hash), the
Merkle root over the lines' hashes (`root`), the root of the tenant map (`tenants_root`), the hash of the seal before
(`previous`: SHA-256 of what that one signed, zeros for none), about how many lines a segment has at most (`at_most`),
whether the gateway stopped then (`final`), when, and by which key.

Before its first seal with a tenant in it a file has a `tenant_key` line, by which everybody can check where that
tenant has its place in the maps.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain as chain_lines
from typing import Any, Final

from proxy.audit.chain import NO_HASH, ChainHead, Fields
from proxy.audit.errors import MalformedLine
from proxy.audit.file_sink import FileSink
from proxy.audit.lines import line_hash, parse_line
from proxy.audit.merkle import MerkleTree, map_root, tenant_value
from proxy.audit.signing import SEAL, SigningKey, statement_bytes

MAX_TENANTS: Final = 1024  # of one segment: the map over them is made in one go
SEAL_MARK: Final = b'"event":"seal"'  # stands in no other line: a quote inside a string is escaped


@dataclass(frozen=True, slots=True)
class SealedUntil:
    """The last seal of a chain: its number, and the hash that the next one names as `previous`."""

    segment: int = 0
    previous: str = NO_HASH
    key: str = ""


def until_of_header(header: Mapping[str, Any]) -> SealedUntil:
    """What the first line of a file says of the seals before it."""
    return SealedUntil(int(header["sealed_segments"]), str(header["sealed_previous"]), str(header["key"]))


def sealed_until(seal: Fields) -> SealedUntil:
    """From the fields that a seal signed, and its signature."""
    digest = hashlib.sha256(statement_bytes(SEAL, seal)).hexdigest()
    return SealedUntil(int(seal["segment"]), digest, str(seal["key"]))


class OpenSegment:
    """The lines since the last seal. Lifetime: of one segment."""

    __slots__ = ("_tenants", "_tree", "begins_with_seal", "first_seq")

    def __init__(self, first_seq: int) -> None:
        self.first_seq = first_seq
        self.begins_with_seal = False
        self._tree = MerkleTree()
        self._tenants: dict[str, list[bytes]] = {}

    @property
    def count(self) -> int:
        return self._tree.count

    @property
    def tenants(self) -> tuple[str, ...]:
        return tuple(self._tenants)

    def add(self, digest: str, tenant: str) -> None:
        """A line was written: its hash, and whose it is ("": nobody's)."""
        entry = bytes.fromhex(digest)
        self._tree.add(entry)
        if tenant:
            lines = self._tenants.get(tenant)
            if lines is None:
                self._tenants[tenant] = [entry]
            else:
                lines.append(entry)

    def root(self) -> bytes:
        return self._tree.root()

    def tenants_root(self, keys: dict[str, bytes]) -> bytes:
        """keys: of each tenant in the segment."""
        return map_root({keys[tenant]: tenant_value(lines) for tenant, lines in self._tenants.items()})


class Sealer:
    """Of one chain, while its process writes it."""

    __slots__ = ("_at_most", "_chain", "_told", "key", "keys", "segment", "until")

    def __init__(self, key: SigningKey, at_most: int) -> None:
        self.key = key
        self._at_most = at_most
        self._chain = ""
        self._told: set[str] = set()  # tenants whose key stands in the file
        self.keys: dict[str, bytes] = {}
        self.segment = OpenSegment(1)
        self.until = SealedUntil()

    def begin(self, chain: str, first_seq: int, until: SealedUntil) -> None:
        """The next line is number `first_seq` of this chain, and what comes before `until` is sealed."""
        self._chain = chain
        self._told.clear()
        self.segment = OpenSegment(first_seq)
        self.until = until

    def begin_file(self) -> None:
        """Nothing stands in the file yet."""
        self._told.clear()

    @property
    def is_full(self) -> bool:
        return self.segment.count >= self._at_most or len(self.segment.tenants) >= MAX_TENANTS

    @property
    def is_bare(self) -> bool:
        """Nothing came since the last seal."""
        return self.segment.count <= (1 if self.until.segment and self.segment.begins_with_seal else 0)

    @property
    def header(self) -> dict[str, str | int | float]:
        """What the first line of a file says of the seals before it and to come."""
        return {
            "key": self.key.id,
            "public_key": self.key.public.raw.hex(),
            "sealed_segments": self.until.segment,
            "sealed_previous": self.until.previous,
            "sealed_seq": self.segment.first_seq,
            "at_most": self._at_most,
        }

    def new_tenants(self) -> list[dict[str, str | int | float]]:
        """The `tenant_key` lines that have to stand before the next seal."""
        lines: list[dict[str, str | int | float]] = []
        for tenant in self.segment.tenants:
            if tenant not in self._told:
                proof = self.key.tenant_proof(tenant)
                self.keys[tenant] = hashlib.sha256(bytes.fromhex(proof)).digest()
                lines.append({"event": "tenant_key", "key": self.key.id, "of": tenant, "proof": proof})
        return lines

    def told(self) -> None:
        """Those lines are written."""
        self._told.update(self.segment.tenants)

    def seal(self, head: ChainHead, time: float, *, final: bool = False) -> dict[str, str | int | float]:
        """The fields of the `seal` line for all up to `head`. final: the gateway stops behind it."""
        segment = self.segment
        assert head.seq == segment.first_seq + segment.count - 1
        fields: dict[str, str | int | float] = {
            "event": "seal",
            "chain": self._chain,
            "segment": self.until.segment + 1,
            "first_seq": segment.first_seq,
            "last_seq": head.seq,
            "head": head.hash,
            "root": segment.root().hex(),
            "tenants_root": segment.tenants_root(self.keys).hex(),
            "previous": self.until.previous,
            "at_most": self._at_most,
            "key": self.key.id,
            "final": int(final),
            "time": time,
        }
        fields["signature"] = self.key.sign(SEAL, fields)
        return fields

    def sealed(self, seal: Fields, head: ChainHead) -> None:
        """The seal is written: `head` is its line, with which the next segment begins."""
        self.until = sealed_until(seal)
        self.segment = OpenSegment(head.seq)
        self.segment.add(head.hash, "")
        self.segment.begins_with_seal = True


def take_up(sealer: Sealer, sink: FileSink, chain: str, head: ChainHead) -> None:
    """Go on with the segment that a file ends with. Raises MalformedLine when its lines are not as they were written,
    which a seal must not cover, and OSError."""
    lines = sink.lines_from_last(SEAL_MARK)
    first = next(lines)
    fields = json.loads(first)
    seq, prev, _, _ = parse_line(first)
    if fields["event"] == "seal":
        until, start = sealed_until(signed_fields(fields)), seq
    elif "sealed_segments" in fields:
        until, start = until_of_header(fields), int(fields["sealed_seq"])
    else:  # the file was begun without seals: they begin now
        sealer.begin(chain, head.seq + 1, SealedUntil())
        return
    sealer.begin(chain, start, until)
    sealer.segment.begins_with_seal = until.segment > 0
    if start < seq:
        sealer.segment.add(prev.decode(), "")
    for line in chain_lines((first,), lines):
        seq, found_prev, digest, body = parse_line(line)
        if found_prev != prev or line_hash(prev, body) != digest:
            raise MalformedLine("a line behind the last seal is not as it was written")
        sealer.segment.add(digest.decode(), tenant_of(line))
        prev = digest
    if seq != head.seq:
        raise MalformedLine("a line behind the last seal is missing")


def handovers(sealer: Sealer) -> list[dict[str, str]]:
    """The lines that have to stand before the next seal if the last one was by another key. Raises MalformedLine when
    that key has not handed over to ours: then somebody else may have written the log, or the key file is wrong."""
    last = sealer.until.key
    if not last:
        return []
    steps = sealer.key.handovers_from(last)
    if steps is None:
        raise MalformedLine(f"the log is sealed by key {last}, which has not handed over to key {sealer.key.id}")
    return [step.fields for step in steps]


def signed_fields(line: Mapping[str, Any]) -> dict[str, Any]:
    """Of a parsed line: what a signature in it is over, and the signature; without what chaining added."""
    return {name: value for name, value in line.items() if name not in _OF_THE_CHAIN}


def tenant_of(line: bytes) -> str:
    """The tenant that a line is of, "" when it is nobody's."""
    raw = raw_tenant(line)
    return str(json.loads(b'"' + raw + b'"')) if raw else ""


def raw_tenant(line: bytes) -> bytes:
    """The same as it stands in the line, escapes included: `tenant` and `time` are the last members of an event."""
    at = line.rfind(b',"tenant":"')
    return line[at + 11 : line.rfind(b'","time":')] if at >= 0 else b""


_OF_THE_CHAIN: Final = frozenset({"hash", "id", "prev", "seq"})
