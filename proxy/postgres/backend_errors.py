"""What a target says when it refuses: the server's own error, and what the gateway makes of it.

The text of a TargetUnavailable may reach a client, so it names the target and nothing else; the reason (an
address, an account, the server's words) is the exception's cause and goes to the log.
"""

from __future__ import annotations

from policy.errors import TenantGateError
from proxy.config import TargetConfig
from proxy.errors import BackendLost, TargetUnavailable
from proxy.postgres.wire.replies import decode_error_fields
from proxy.postgres.wire.sasl import SaslRejected

TOO_MANY_CONNECTIONS = "53300"


class ServerError(Exception):
    """An ErrorResponse of a target during the handshake."""

    def __init__(self, sqlstate: str, message: str) -> None:
        super().__init__(f"{sqlstate}: {message}")
        self.sqlstate = sqlstate
        self.message = message

    @classmethod
    def from_message(cls, message: bytes) -> ServerError:
        fields = decode_error_fields(message)
        return cls(_text(fields.get("C", b"XX000")), _text(fields.get("M", b"")))


class BackendQueryError(TenantGateError):
    """A target answered one of the gateway's own queries with an error; its text is not for clients."""

    kind = "backend"
    public = False

    @classmethod
    def from_message(cls, message: bytes) -> BackendQueryError:
        error, fields = ServerError.from_message(message), decode_error_fields(message)
        return cls(error.message, sqlstate=error.sqlstate, detail=_text(fields["D"]) if "D" in fields else None)


class TargetFull(TargetUnavailable):
    """The target's own max_connections (or the role's, the database's limit) is reached; it is up otherwise."""

    def __init__(self, target: TargetConfig) -> None:
        super().__init__(
            f'target "{target.name}" has no connection left',
            hint="Lower max_backends of the target, or raise max_connections of its server.",
        )


def target_unavailable(target: TargetConfig, cause: Exception) -> TargetUnavailable:
    """The error for a connection attempt that ended in `cause`."""
    if isinstance(cause, ServerError):
        if cause.sqlstate == TOO_MANY_CONNECTIONS:
            return TargetFull(target)
        return TargetUnavailable(f'target "{target.name}" does not accept connections ({cause.sqlstate})')
    if isinstance(cause, TimeoutError):
        return TargetUnavailable(f'target "{target.name}" did not answer within {target.connect_timeout_s:g} s')
    if isinstance(cause, BackendLost):
        return TargetUnavailable(f'target "{target.name}" closed the connection during login')
    if isinstance(cause, OSError):
        return TargetUnavailable(f'target "{target.name}" cannot be reached')
    if isinstance(cause, SaslRejected):
        return TargetUnavailable(f'target "{target.name}" could not prove that it knows the password')
    return TargetUnavailable(f'target "{target.name}" does not speak the PostgreSQL protocol')


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace")
