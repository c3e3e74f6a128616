"""Audit logs of a few events, written as the gateway writes them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from policy.audit_event import AuditEvent
from proxy.audit.chain import FORMAT, NO_HASH, chain_event, chain_fields

BEGIN = 1_764_000_000.0

EVENT = AuditEvent(
    event="statement",
    time=BEGIN,
    session="s1",
    tenant="acme",
    subject="alice",
    client="10.0.0.1:5000",
    decision="rewritten",
    outcome="ok",
    protocol="simple",
    command="SELECT",
    statement="SELECT name FROM customers WHERE id = 1",
    fingerprint="f1",
    relations=("public.customers",),
    rows=1,
    bytes=10,
    duration_us=500,
    application="psql",
)


class Log:
    """A log that grows: `add` appends to the file of now, `rotate` begins the next one."""

    def __init__(self, path: Path, chain: str = "c" * 32) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path, self.chain, self.seq, self.hash = path, chain, 0, NO_HASH
        self._header()

    def _header(self) -> None:
        fields: dict[str, str | int | float] = {"event": "header", "chain": self.chain, "format": FORMAT}
        self._append(*chain_fields({**fields, "version": "test", "time": BEGIN - 1}, self.seq + 1, self.hash))

    def add(self, *events: AuditEvent) -> None:
        for event in events:
            self._append(*chain_event(event, self.seq + 1, self.hash))

    def rotate(self, name: str) -> None:
        self.path.rename(self.path.with_name(name))
        self._header()

    def _append(self, line: bytes, digest: str) -> None:
        with self.path.open("ab") as file:
            file.write(line)
        self.seq, self.hash = self.seq + 1, digest


def at(second: float, **members: Any) -> AuditEvent:
    """The sample event, `second` seconds later."""
    return EVENT._replace(time=BEGIN + second, **members)


def log_of(path: Path, events: Iterable[AuditEvent]) -> Log:
    log = Log(path)
    log.add(*events)
    return log
