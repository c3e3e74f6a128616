"""The errors of the audit path."""

from __future__ import annotations

from policy.errors import TenantGateError


class AuditUnavailable(TenantGateError):
    """The audit log cannot keep events (58030): statements are refused until it can.

    `message` is told to clients and names no path; the cause is in the gateway's log.
    """

    kind = "audit"
    default_sqlstate = "58030"
    retryable = True

    def __init__(self, cause: str) -> None:
        super().__init__(
            "the audit log is not available, so no statement may run",
            hint="Try again; your administrator finds the reason in the gateway's log.",
        )
        self.cause = cause


class MalformedLine(ValueError):
    """This is no line of an audit log."""
