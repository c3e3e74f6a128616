"""Checks the seals of a chain while its lines are read, with nothing but a public key.

Each seal must be signed by a key that we trust, or that such a key has handed over to, follow the seal before it, and
cover exactly the lines that stand before it: their Merkle root and the tenant map. Without a key of the caller's, that
of the log's own header is believed: then a whole log that was written anew is not found out.
"""

from __future__ import annotations

import json
from binascii import unhexlify
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from proxy.audit.chain import ChainHead
from proxy.audit.errors import MalformedLine
from proxy.audit.merkle import map_root, merkle_root, tenant_value
from proxy.audit.sealing import SealedUntil, sealed_until, signed_fields, until_of_header
from proxy.audit.signing import SEAL, PublicKey, UnusableKey, read_handover

_SLACK_LINES = 8192  # a batch, tenants' keys: a segment may be longer than it should by that much
_NO_HEAD = ChainHead()
Fault = tuple[str, str]  # kind, text


@dataclass(frozen=True, slots=True)
class SealReport:
    """segments: seals that were found good. until: the last line that one of them covers, and when it was made.
    unsealed: lines behind it. keys: ids of those that sealed. trusted: the caller's key was asked. signatures: of each
    seal by its number."""

    segments: int = 0
    until: ChainHead = _NO_HEAD
    time: float = 0.0
    unsealed: int = 0
    keys: tuple[str, ...] = ()
    trusted: bool = False
    signatures: Mapping[int, str] = field(default_factory=dict)


NO_SEALS = SealReport()


class SealChecker:
    """Feeds on good lines of one chain, in order; lifetime as a ChainVerifier's."""

    takes_events = True  # by open_segment; else each line comes to `take`

    def __init__(self, trusted: PublicKey | None = None) -> None:
        self._trusted = trusted
        self.keys: dict[str, PublicKey] = {} if trusted is None else {trusted.id: trusted}
        self.proofs: dict[tuple[str, str], str] = {}  # of (key, tenant): what shows the tenant's key
        self.chain = ""
        self._tenant_keys: dict[tuple[str, bytes], bytes] = {}  # by (key, the tenant as lines have it)
        self._active = False  # this chain has seals
        self._until = SealedUntil()
        self._first_seq = 0
        self._entries: list[bytes] = []
        self._tenants: dict[bytes, list[bytes]] = {}
        self._at_most = 0
        self._segments = 0
        self._last: dict[str, Any] = {}
        self._used: dict[str, None] = {}
        self._signatures: dict[int, str] = {}
        self._skip = False
        self.map: dict[bytes, bytes] | None = None  # of the segment that was sealed last

    @property
    def unsealed(self) -> int:
        return len(self._entries)

    def report(self) -> SealReport:
        head = ChainHead(self._last["last_seq"], self._last["head"]) if self._last else ChainHead()
        return SealReport(
            self._segments, head, self._last.get("time", 0.0), len(self._entries), tuple(self._used),
            self._trusted is not None, self._signatures,
        )  # fmt: skip

    def begin_within(self, line: bytes, chain: str) -> None:
        """Begin at a seal, which is the next line; what it covers is somebody else's matter."""
        fields = json.loads(line)
        self._active, self.chain = True, chain
        self._until = sealed_until(signed_fields(fields))
        self._at_most = int(fields["at_most"])
        self._skip = True  # the seal itself

    def take(self, line: bytes, seq: int, prev: bytes, digest: bytes) -> Fault | None:
        """A line without newline, which is good as a line of its chain: number, hash of the one before, its hash."""
        at = line.rfind(b',"tenant":"')
        if at < 0 and (fault := self._special(line, seq, prev)) is not None:
            return fault
        if not self._active:
            return None
        entry = unhexlify(digest)
        if not self._entries:
            self._first_seq = seq
        self._entries.append(entry)
        if at >= 0:
            tenant = line[at + 11 : line.rfind(b'","time":')]
            lines = self._tenants.get(tenant)
            if lines is not None:
                lines.append(entry)
            elif tenant:
                self._tenants[tenant] = [entry]
        return None

    def open_segment(self, seq: int) -> tuple[list[bytes], dict[bytes, list[bytes]]]:
        """Where to put hashes of events, the first of which has this number, in place of `take`: all, and by tenant."""
        if not self._active:
            return [], {}
        if not self._entries:
            self._first_seq = seq
        return self._entries, self._tenants

    def state(self) -> tuple[Any, ...]:
        """What a checker that goes on behind this one must know; plain values, for another process."""
        return (
            self._until, self._first_seq, self._entries, self._tenants, self._at_most, self._segments, self._last,
            tuple(self._used), self._signatures,
        )  # fmt: skip

    def go_on_from(self, state: tuple[Any, ...]) -> None:
        """Another checker was given the lines up to here, from where this one was."""
        self._until, self._first_seq, self._entries, self._tenants, self._at_most, segments, last, used, found = state
        self._signatures |= found
        self._segments += segments
        self._last = last or self._last
        self._used |= dict.fromkeys(used)

    def finish(self) -> Fault | None:
        """The last line was taken."""
        if self._active and self._at_most and len(self._entries) > self._at_most + _SLACK_LINES:
            return "unsealed", f"{len(self._entries)} lines without a seal, where one is due after {self._at_most}"
        if self._trusted is not None and not self._last:
            return "unsealed", "a key was given, and no line of this log is sealed"
        return None

    # -- lines that are no events

    def _special(self, line: bytes, seq: int, prev: bytes) -> Fault | None:
        if self._skip:
            self._skip = False
            return None
        try:
            fields = json.loads(line)
            return self._take_special(fields, seq, prev)
        except (ValueError, KeyError, TypeError, AttributeError):
            return "seal", "a line of the log itself that cannot be read"

    def _take_special(self, fields: dict[str, Any], seq: int, prev: bytes) -> Fault | None:
        event = fields["event"]
        if event == "header":
            self.chain = fields["chain"]
            if "sealed_segments" in fields:
                return self._begin_file(fields, seq, prev)
        elif event == "sealing" and not self._active:
            self._believe(fields)
            self._active = True
        elif event == "seal":
            return self._check(fields, seq, prev)
        elif event in ("handover", "tenant_key"):
            return self.learn(fields)
        return None

    def _begin_file(self, header: dict[str, Any], seq: int, prev: bytes) -> Fault | None:
        until = until_of_header(header)
        if self._active and (until.segment, until.previous) != (self._until.segment, self._until.previous):
            return "seal", f"the file goes on behind seal {until.segment}, and the one before ends behind another"
        begins = int(header["sealed_seq"])
        if begins == seq or not self._active:  # else the segment goes on
            self._entries, self._tenants = [], {}
            if begins == seq - 1:
                self._entries, self._first_seq = [unhexlify(prev)], begins
        self._believe(header)
        self._active, self._until, self._at_most = True, until, int(header["at_most"])
        return None

    def _believe(self, header: dict[str, Any]) -> None:
        if self._trusted is None and not self._used:
            try:
                key = PublicKey.from_hex(str(header["public_key"]))
            except UnusableKey:
                return
            self.keys[key.id] = key

    def learn(self, fields: dict[str, Any]) -> Fault | None:
        """A `handover` or `tenant_key` line."""
        if fields["event"] == "handover":
            handover = read_handover(fields)
            old = self.keys.get(handover.old)
            if old is not None and not handover.holds(old):
                return "seal", f"key {handover.old} has not signed this handover"
            if old is not None:
                self.keys.setdefault(handover.new, PublicKey.from_hex(handover.new_public))
            return None
        self.proofs[(fields["key"], fields["of"])] = fields["proof"]
        return None

    def _check(self, line: dict[str, Any], seq: int, prev: bytes) -> Fault | None:
        seal, number = signed_fields(line), line["segment"]
        key = self.keys.get(seal["key"])
        if key is None:
            return "seal", f"seal {number} is by key {seal['key']}, which is not trusted here"
        if not key.signed(SEAL, seal):
            return "seal", f"the signature of seal {number} is wrong"
        covers = (self._first_seq, seq - 1, prev.decode(), self.chain)
        if (number, seal["previous"]) != (self._until.segment + 1, self._until.previous):
            return (
                "seal",
                f"seal {self._until.segment + 1} must stand here, following the one before, not seal {number}",
            )
        if (seal["first_seq"], seal["last_seq"], seal["head"], seal["chain"]) != covers:
            return "seal", f"seal {number} is not over the lines before it"
        if bytes.fromhex(seal["root"]) != merkle_root(self._entries):
            return "seal", f"the Merkle root of seal {number} is not that of its lines"
        tenants = self.map = self._map(seal["key"], key)
        if tenants is None or bytes.fromhex(seal["tenants_root"]) != map_root(tenants):
            return "seal", f"the tenant map of seal {number} is not that of its lines"
        self._until, self._last = sealed_until(seal), seal
        self._at_most = seal["at_most"]
        self._entries, self._tenants = [], {}
        self._segments += 1
        self._used[seal["key"]] = None
        self._signatures[number] = seal["signature"]
        return None

    def _map(self, key_id: str, key: PublicKey) -> dict[bytes, bytes] | None:
        """The tenant map of the segment; None when a tenant's key was not told."""
        found: dict[bytes, bytes] = {}
        for raw, entries in self._tenants.items():
            tenant_key = self._tenant_keys.get((key_id, raw))
            if tenant_key is None:
                tenant = json.loads(b'"' + raw + b'"')
                tenant_key = key.tenant_key(tenant, self.proofs.get((key_id, tenant), ""))
                if tenant_key is None:
                    return None
                self._tenant_keys[(key_id, raw)] = tenant_key
            found[tenant_key] = tenant_value(entries)
        return found


def missing_anchor(report: SealReport, chain: str, anchored: Iterable[Mapping[str, Any]]) -> str:
    """Which seal of the chain an anchor has and the log has not, in words; "" when there is none. What stands in files
    before those that were read is not looked at."""
    first = min(report.signatures, default=1)
    for seal in anchored:
        number = seal["segment"]
        if seal["chain"] != chain or number < first:
            continue
        found = report.signatures.get(number)
        if found is None:
            return f"seal {number} is anchored and not in the log: lines were cut off its end"
        if found != seal["signature"]:
            return f"seal {number} is anchored, and the log has another: it was written anew by one who has the key"
    return ""


def read_anchored(path: Path) -> list[dict[str, Any]]:
    """The seals in an anchor's file. Raises OSError, and MalformedLine when it is no such file."""
    try:
        seals = [json.loads(line) for line in path.read_bytes().splitlines()]
        for seal in seals:
            int(seal["segment"]), str(seal["chain"]), str(seal["signature"])
    except (ValueError, KeyError, TypeError):
        raise MalformedLine(f"{path} is not a file of anchored seals") from None
    return seals
