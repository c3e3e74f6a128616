"""What a service raises. API and command line render these; each says what to do next."""

from __future__ import annotations

from typing import ClassVar

from policy.errors import TenantGateError
from policy.problems import Problem


class ServiceError(TenantGateError):
    """Root. `status` is the HTTP status that says the same; `title` names the kind for people."""

    kind = "service"
    status: ClassVar[int] = 500
    title: ClassVar[str] = "The request failed"


class NotFound(ServiceError):
    """It does not exist, or the actor may not know that it does: one and the same error."""

    status = 404
    title = "Not found"

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} does not exist", hint="Check its name; list what there is.")


class Conflict(ServiceError):
    """It exists already, or something else stands in its way."""

    status = 409
    title = "Conflict"


class KeyReused(ServiceError):
    """An idempotency key came with another request before."""

    status = 422
    title = "The idempotency key was used"


class EtagMismatch(ServiceError):
    """It was changed since the caller read it."""

    status = 412
    title = "Changed meanwhile"

    def __init__(self, what: str, current: str) -> None:
        super().__init__(f"{what} was changed meanwhile", hint="Read it again, and repeat the change if it still fits.")
        self.current = current


class VersionMismatch(ServiceError):
    """The policy's version is not the one that the caller expects."""

    status = 412
    title = "Changed meanwhile"

    def __init__(self, expected: int, current: int) -> None:
        hint = "Look at the plan again: tenantgate policy plan."
        super().__init__(f"the policy is at version {current}, not {expected}", hint=hint)
        self.current = current


class Refused(ServiceError):
    """The actor may not do this."""

    status = 403
    title = "Not allowed"


class Invalid(ServiceError):
    """The body is wrong; `problems` has every place with a message and a hint."""

    status = 422
    title = "The body is not valid"

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__(f"{len(problems)} problem(s): " + "; ".join(f"{key}: {text}" for key, text, _ in problems))
        self.problems = problems


class StoreUnavailable(ServiceError):
    """The store cannot be reached or is not ready."""

    status = 503
    title = "The store is not available"
    retryable = True
