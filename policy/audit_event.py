"""The audit event: who did what, under which decision, with what outcome (DESIGN section 7)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

NO_DETAILS: Final[Mapping[str, str]] = MappingProxyType({})

LEVELS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "ok": "info",
        "begun": "info",
        "skipped": "info",
        "error": "notice",
        "cancelled": "notice",
        "refused": "warning",
        "lost": "warning",
    }
)
"""What an outcome weighs, where the event itself does not say."""


class AuditEvent(NamedTuple):
    """One line of the audit log, before it is chained. Times are seconds since the epoch, durations microseconds.

    event: statement | request (a statement as it begins) | login | logout | cancel | admin | quota.
    decision: allowed | rewritten | refused.
    outcome: ok | error | refused | cancelled | lost | skipped (pipelined behind an error, so not run) | begun.
    action: read | write | copy_in | copy_out | ddl | transaction | session | utility, of a statement; the event's own
    word of others; `tenant.create` and the like of admin actions. resource: what it is done to, as in permissions:
    `table:public.orders`, `database:acme`, `tenant:acme`.
    level: info | notice | warning | critical; "": as LEVELS has it for the outcome.
    relations: schema-qualified. columns: `schema.table.column` that the statement can reach by name or by `*`.
    rules: what was applied, in words. parameters: JSON text of each parameter's value. details: what the event's kind
    has beyond these, names in ASCII. request: which of the session's requests, where requests are recorded.
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
    action: str = ""
    resource: str = ""
    level: str = ""
    details: Mapping[str, str] = NO_DETAILS
    columns: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()
    parameters: tuple[str, ...] = ()
    request: int = 0
