"""Audit events and logs for the tests of this package."""

from __future__ import annotations

from pathlib import Path

from policy.audit_event import AuditEvent
from proxy.audit.emitter import AuditEmitter
from proxy.config import AuditConfig

EVENT = AuditEvent(
    event="statement",
    time=1763912345.25,
    session="s-1",
    tenant="acme",
    subject="alice",
    client="127.0.0.1:50000",
    decision="rewritten",
    outcome="ok",
    policy_version=3,
    protocol="simple",
    command="SELECT",
    statement='SELECT "ünïcode", \'\\ "quoted"\' FROM orders\n\t-- \x00\x1f\u2028',
    rewritten="SELECT 1",
    fingerprint="abc123",
    relations=("public.orders", 'public."odd "" name"'),
    rows=2,
    bytes=34,
    duration_us=560,
    application="psql",
    action="read",
    resource="table:public.orders",
    details={"b": "2", "a": "\u00e9"},
    columns=("public.orders.id",),
    rules=("orders: tenant filter on tenant_id",),
    parameters=('"x"', "null"),
    request=7,
)


def numbered(number: int) -> AuditEvent:
    """An event that tells itself from the others."""
    return EVENT._replace(statement=f"SELECT {number}")


async def write_log(path: Path, events: int) -> list[bytes]:
    """A log with a header, `events` events and a `stopped` line; its lines without newlines."""
    emitter = AuditEmitter(AuditConfig(path=path), clock=lambda: 1763912345.0)
    emitter.start()
    for number in range(events):
        emitter.emit(numbered(number))
    await emitter.close()
    return read_lines(path)


def read_lines(path: Path) -> list[bytes]:
    data = path.read_bytes()
    assert data.endswith(b"\n")
    return data[:-1].split(b"\n")


def write_lines(path: Path, lines: list[bytes]) -> None:
    path.write_bytes(b"".join(line + b"\n" for line in lines))
