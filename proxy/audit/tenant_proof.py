"""Proves one tenant's whole record out of a log: its lines, and for each seal the way to its place in the tenant map.

A proof is one JSON object: `format`, `tenant`, and of each chain `chain`, `handovers`, `tenant_keys` (by the key's id:
what shows the tenant's key in its maps) and `segments`. Each of those has the `seal` as it was signed, the tenant's
`lines`, `path` (siblings in the map from the root down, hex) and `other`: key and value of the leaf that stands where
the tenant's would, null when it is the tenant's own or there is none. A segment that holds nothing but lines of the log
itself, such as what a supervisor notes of its workers, is shown `whole`: it names the chains that there must be.
docs/verify_proof.py checks it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from proxy.audit.canonical import quote
from proxy.audit.errors import MalformedLine
from proxy.audit.merkle import map_proof
from proxy.audit.seal_check import Fault, SealChecker
from proxy.audit.sealing import signed_fields
from proxy.audit.signing import PublicKey, SigningKey
from proxy.audit.verify import ChainVerifier, Problem, VerifyResult, verify_files
from proxy.audit.worker_logs import MARK, WorkerNotes

FORMAT = "tenantgate audit proof 1"
_OWN = tuple(
    b'"event":"%s"' % event
    for event in (b"gap", b"handover", b"header", b"resumed", b"seal", b"sealing", b"stopped", b"worker")
)
"""Lines that anybody may read. Not `recovered`, which has the end of a torn line, nor `tenant_key`."""


def prove_tenant(
    paths: Sequence[Path], tenant: str, *, trusted: PublicKey | None = None, key: SigningKey | None = None
) -> tuple[dict[str, Any] | None, str]:
    """The proof over files of one chain, oldest first, and the workers' logs that they name; or None and why not.

    key: needed only for a tenant that has no line at all under it. Raises OSError, and MalformedLine for a tenant whose
    key stands nowhere in the log.
    """
    chains: list[_Prover] = []
    problem = _prove(paths, tenant, trusted, chains)
    if problem is None:
        notes = WorkerNotes()
        for line in chains[0].marked:
            notes.take(line)
        for path in notes.paths(paths[-1].parent):
            problem = problem or _prove([path], tenant, trusted, chains)
    if problem is not None:
        return None, f"{problem.path}, line {problem.line}: {problem.kind}: {problem.text}"
    proofs = {used: proof for each in chains for (used, name), proof in each.proofs.items() if name == tenant}
    if key is not None:
        proofs.setdefault(key.id, key.tenant_proof(tenant))
    return {"format": FORMAT, "tenant": tenant, "chains": [each.told(proofs) for each in chains]}, ""


def _prove(paths: Sequence[Path], tenant: str, trusted: PublicKey | None, chains: list[_Prover]) -> Problem | None:
    prover = _Prover(tenant, trusted)
    chains.append(prover)
    result: VerifyResult = verify_files(paths, mark=MARK, marked=prover.marked, verifier=ChainVerifier(prover))
    return result.first_problem


class _Prover(SealChecker):
    """Keeps what a proof has of each segment while it is checked."""

    takes_events = False

    def __init__(self, tenant: str, trusted: PublicKey | None) -> None:
        super().__init__(trusted)
        self.marked: list[bytes] = []
        self._tenant = tenant
        self._raw = quote(tenant)[1:-1].encode()
        self._handovers: list[dict[str, Any]] = []
        self._lines: list[str] = []
        self._all: list[str] | None = []  # lines of the segment, None once it has an event
        self._segments_found: list[dict[str, Any]] = []

    def take(self, line: bytes, seq: int, prev: bytes, digest: bytes) -> Fault | None:
        fault = super().take(line, seq, prev, digest)
        at = line.rfind(b',"tenant":"')
        if at >= 0:
            self._all = None
            if line[at + 11 : line.rfind(b'","time":')] == self._raw:
                self._lines.append(line.decode())
        elif self._all is not None:
            if any(mark in line for mark in _OWN):
                self._all.append(line.decode())
            else:
                self._all = None
        return fault

    def learn(self, fields: dict[str, Any]) -> Fault | None:
        fault = super().learn(fields)
        if fault is None and fields["event"] == "handover":
            self._handovers.append({name: fields[name] for name in ("old", "new", "new_public", "signature")})
        return fault

    def _check(self, line: dict[str, Any], seq: int, prev: bytes) -> Fault | None:
        began_inside = len(self._entries) != len(self._all or ())
        fault = super()._check(line, seq, prev)
        if fault is None:
            whole = self._all is not None and not began_inside
            lines = self._all if whole else self._lines
            self._segments_found.append({"seal": signed_fields(line), "whole": whole, "lines": lines, "map": self.map})
            self._lines, self._all = [], []
        return fault

    def told(self, proofs: dict[str, str]) -> dict[str, Any]:
        """What the proof has of this chain. Raises MalformedLine."""
        used: dict[str, str] = {}
        segments = [self._told(each, proofs, used) for each in self._segments_found]
        return {"chain": self.chain, "handovers": self._handovers, "tenant_keys": used, "segments": segments}

    def _told(self, found: dict[str, Any], proofs: dict[str, str], used: dict[str, str]) -> dict[str, Any]:
        seal, lines = found["seal"], found["lines"]
        if found["whole"]:
            return {"seal": seal, "whole": True, "lines": lines}
        key_id = seal["key"]
        if key_id not in proofs:
            raise MalformedLine("the tenant has no line under one of the log's keys: give --signing-key to prove that")
        used[key_id] = proofs[key_id]
        tenant_key = self.keys[key_id].tenant_key(self._tenant, proofs[key_id])
        assert tenant_key is not None
        path = map_proof(found["map"], tenant_key)
        other = None if path.other is None else [part.hex() for part in path.other]
        siblings = [each.hex() for each in path.siblings]
        return {"seal": seal, "whole": False, "lines": lines, "path": siblings, "other": other}
