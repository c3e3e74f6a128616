"""Errors that a policy decision can end in.

Every error of TenantGate derives from `TenantGateError` and carries what a client may be told:
SQLSTATE (PostgreSQL appendix A), message, detail, hint, position. `public=False` means that the client is told
"internal error" and an id instead. Turning one into protocol bytes happens in one place per
protocol (`proxy/postgres/errors.py`), never here.
"""

from __future__ import annotations

from typing import ClassVar, Self


class TenantGateError(Exception):
    """Root of the tree. `position` is 1-based, in characters of the client's text, 0 when unknown."""

    kind: ClassVar[str] = "internal"
    default_sqlstate: ClassVar[str] = "XX000"
    retryable: ClassVar[bool] = False
    public: ClassVar[bool] = True

    def __init__(
        self,
        message: str,
        *,
        sqlstate: str | None = None,
        detail: str | None = None,
        hint: str | None = None,
        position: int = 0,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.sqlstate = sqlstate or self.default_sqlstate
        self.detail = detail
        self.hint = hint
        self.position = position


class ConfigurationError(TenantGateError):
    """A configuration or policy file is wrong; `problems` lists every (key, message, hint)."""

    kind = "configuration"
    default_sqlstate = "F0000"

    def __init__(self, problems: tuple[tuple[str, str, str], ...]) -> None:
        super().__init__(f"{len(problems)} problem(s): " + "; ".join(f"{k}: {m}" for k, m, _ in problems))
        self.problems = problems


class AuthenticationError(TenantGateError):
    """The login failed. `message` is for the log only: all failures look alike to the client."""

    kind = "authentication"
    default_sqlstate = "28P01"


class TenantRefused(TenantGateError):
    """Login succeeded but the tenant may not be used: contradiction, unknown, suspended (28000)."""

    kind = "tenant"
    default_sqlstate = "28000"


class StatementRefused(TenantGateError):
    """A statement does not go to the target; the base of the reasons why."""

    kind = "refused"

    def fresh(self) -> Self:
        """A copy that was never raised. One that was holds the frames that it passed through and all that they knew,
        and more of them each time: what is kept to be raised again is kept, and raised, as such a copy."""
        copy = type(self).__new__(type(self), *self.args)
        copy.__dict__.update(self.__dict__)
        return copy


class AccessDenied(StatementRefused):
    """Policy says no (42501)."""

    kind = "denied"
    default_sqlstate = "42501"


class UnsupportedStatement(StatementRefused):
    """Not understood or not supported for this isolation strategy (0A000): fail closed."""

    kind = "unsupported"
    default_sqlstate = "0A000"


class InvalidStatement(StatementRefused):
    """The text is not PostgreSQL: syntax error (42601) or undefined name (42P01, 42703 …)."""

    kind = "invalid"
    default_sqlstate = "42601"


class QuotaExceeded(StatementRefused):
    """A quota is used up: 53300 for connections and users, 53100 for storage, 54000 for the size of a result, else
    53400; `retry_after_s` goes to the detail.

    quota: which one, as in `QuotaLimits` (a metric label).
    """

    kind = "quota"
    default_sqlstate = "53400"
    retryable = True

    def __init__(
        self,
        message: str,
        *,
        quota: str,
        retry_after_s: float | None = None,
        sqlstate: str | None = None,
        hint: str = "Wait, or ask your administrator to raise the quota.",
    ) -> None:
        detail = None if retry_after_s is None else f"Retry after {retry_after_s:.3f} s."
        super().__init__(message, sqlstate=sqlstate, detail=detail, hint=hint)
        self.retry_after_s = retry_after_s
        self.quota = quota
