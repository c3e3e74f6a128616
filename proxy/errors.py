"""Errors of the data plane; the policy's own are in `policy.errors`."""

from __future__ import annotations

from policy.errors import StatementRefused, TenantGateError


class RemoteProtocolError(TenantGateError):
    """The peer broke the protocol (08P01): the connection ends after this."""

    kind = "protocol"
    default_sqlstate = "08P01"


class LoginTimedOut(TenantGateError):
    """The login was not done in time (57014, as PostgreSQL's authentication_timeout)."""

    kind = "login_timeout"
    default_sqlstate = "57014"
    retryable = True


class PolicyTooOld(StatementRefused):
    """The policy's store has been away for longer than statements may be judged without it (57P03)."""

    kind = "policy_too_old"
    default_sqlstate = "57P03"
    retryable = True

    def __init__(self, age_s: float) -> None:
        super().__init__(
            "the policy is too old to decide by",
            detail=f"It was last known to be the newest {age_s:.0f} s ago.",
            hint="The gateway cannot read its policy store: its administrator's log has the reason. Try again later.",
        )


class LocalProtocolError(TenantGateError):
    """We are about to break the protocol ourselves: a bug (XX000)."""

    kind = "bug"
    public = False


class PoolError(TenantGateError):
    """No backend could be had in time (53300)."""

    kind = "pool"
    default_sqlstate = "53300"
    retryable = True


class TargetUnavailable(TenantGateError):
    """The target is down, starting or refuses us (57P03 before a session, 08006 within one)."""

    kind = "target"
    default_sqlstate = "57P03"
    retryable = True


class BackendLost(TenantGateError):
    """The backend connection broke within a session (08006)."""

    kind = "target"
    default_sqlstate = "08006"
    retryable = True


class ShuttingDown(TenantGateError):
    """The gateway is being stopped (57P01)."""

    kind = "shutdown"
    default_sqlstate = "57P01"
    retryable = True
