"""The audit event: who did what, under which decision, with what outcome (DESIGN section 7)."""

from __future__ import annotations

from typing import NamedTuple


class AuditEvent(NamedTuple):
    """One line of the audit log, before it is chained. Times are seconds since the epoch, durations microseconds.

    event: statement | login | logout | cancel.  decision: allowed | rewritten | refused.
    outcome: ok | error | refused | cancelled | lost | skipped (pipelined behind an error, so not run).
    """

    event: str
    time: float
    session: str
    tenant: str
    subject: str
    client: str
    decision: str
    outcome: str
    policy_version: int = 0
    protocol: str = ""  # simple | extended | copy | function_call
    command: str = ""
    statement: str = ""
    rewritten: str = ""
    fingerprint: str = ""
    relations: tuple[str, ...] = ()
    reason: str = ""
    sqlstate: str = ""
    rows: int = 0
    bytes: int = 0
    duration_us: int = 0
    application: str = ""
