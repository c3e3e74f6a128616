"""The one place where errors become answers: problem+json (RFC 9457), whatever went wrong and wherever.

What is not meant for the caller becomes "internal error" and an id; the rest is in the log under that id.
"""

from __future__ import annotations

import json
import logging
import secrets
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from admin.places.errors import PlaceFailed, PlaceRefused, PlaceTaken
from admin.services.errors import (
    Conflict,
    EtagMismatch,
    Invalid,
    KeyReused,
    NotFound,
    Refused,
    ServiceError,
    StoreUnavailable,
)
from policy.errors import ConfigurationError, StatementRefused, TenantGateError
from policy.problems import Problem

MEDIA_TYPE = "application/problem+json"
_TYPES = "https://tenantgate.example/problems/"  # names of kinds, as RFC 9457 wants URIs; nothing is fetched
_MAX_ERRORS = 100
logger = logging.getLogger(__name__)

_KINDS: Mapping[type[ServiceError], str] = {
    NotFound: "not-found",
    Conflict: "conflict",
    EtagMismatch: "changed-meanwhile",
    Refused: "not-allowed",
    Invalid: "invalid",
    StoreUnavailable: "store-unavailable",
    KeyReused: "key-reused",
}


class ApiProblem(HTTPException):
    """An error that the API itself finds. kind: the last part of the problem's type."""

    def __init__(
        self,
        status: int,
        kind: str,
        detail: str,
        *,
        hint: str = "",
        headers: Mapping[str, str] | None = None,
        errors: Iterable[Problem] = (),
    ) -> None:
        super().__init__(status, detail, dict(headers or {}))
        self.kind = kind
        self.hint = hint
        self.errors = tuple(errors)


def problem_response(
    status: int,
    kind: str,
    title: str,
    detail: str,
    *,
    hint: str = "",
    headers: Mapping[str, str] | None = None,
    errors: Iterable[Problem] = (),
    more: Mapping[str, str] | None = None,
) -> Response:
    """One problem. errors: (place, message, hint) of each thing that is wrong with a request."""
    listed = [{"at": at, "message": message, "hint": tip} for at, message, tip in errors]
    body: dict[str, Any] = {"type": _TYPES + kind, "title": title, "status": status, "detail": detail}
    if hint:
        body["hint"] = hint
    if listed:
        body["errors"] = listed[:_MAX_ERRORS]
    text = json.dumps({**body, **(more or {})}, ensure_ascii=False).encode("utf-8", "replace")
    return Response(text, status, dict(headers or {}), MEDIA_TYPE)


async def on_api_problem(_request: Request, error: Exception) -> Response:
    """Of ours, and what the router raises: 404, 405."""
    assert isinstance(error, HTTPException)
    if isinstance(error, ApiProblem):
        kind, hint, errors = error.kind, error.hint, error.errors
    else:
        kind, hint, errors = HTTPStatus(error.status_code).phrase.lower().replace(" ", "-"), "", ()
    title = HTTPStatus(error.status_code).phrase
    return problem_response(
        error.status_code, kind, title, str(error.detail), hint=hint, headers=error.headers, errors=errors
    )


async def on_invalid(_request: Request, error: Exception) -> Response:
    """A parameter or body that does not have the form that the document describes."""
    assert isinstance(error, RequestValidationError)
    found = [(_place(item["loc"]), str(item["msg"]), "") for item in error.errors()]
    return problem_response(422, "invalid", "The request is not valid", f"{len(found)} problem(s)", errors=found)


def _place(location: Iterable[object]) -> str:
    """`body.quotas.connections`, `query.limit`."""
    return ".".join(str(part) for part in location)[:200]


async def on_known_error(_request: Request, error: Exception) -> Response:
    """An error of our own tree: of the services, of a target, of a policy."""
    assert isinstance(error, TenantGateError)
    hint = error.hint or ""
    if isinstance(error, Invalid):
        detail = f"{len(error.problems)} problem(s)"
        return problem_response(error.status, "invalid", error.title, detail, hint=hint, errors=error.problems)
    if isinstance(error, ConfigurationError):
        return problem_response(422, "invalid", Invalid.title, "see errors", errors=error.problems)
    if isinstance(error, ServiceError):
        kind = next((name for each, name in _KINDS.items() if isinstance(error, each)), "refused")
        headers = {"Retry-After": "1"} if error.retryable else {}
        return problem_response(error.status, kind, error.title, error.message, hint=hint, headers=headers)
    if isinstance(error, PlaceFailed):
        return _of_place(error)
    if isinstance(error, StatementRefused):
        return problem_response(422, error.kind, "The statement is refused", error.message, hint=hint)
    return internal_error(error)


async def on_unexpected(request: Request, error: Exception) -> Response:
    """Anything else. The framework raises it once more when it is answered: `shell.py` takes it for told."""
    request.state.told = True
    return internal_error(error)


def _of_place(error: PlaceFailed) -> Response:
    status, title = 502, "The target did not do it"
    if isinstance(error, PlaceTaken):
        status, title = 409, "The place is taken"
    elif isinstance(error, PlaceRefused):
        status, title = 409, "The target is not as it must be"
    more = {"statement": error.statement, "sqlstate": error.sqlstate} if error.statement else {}
    return problem_response(status, error.kind, title, error.message, hint=error.hint or "", more=more)


def internal_error(error: BaseException) -> Response:
    """Tell an id, log the rest."""
    name = secrets.token_hex(8)
    logger.error("internal error %s", name, exc_info=error)
    detail = f"internal error {name}"
    hint = "The log of the admin API has what happened, under this id."
    return problem_response(500, "internal", "Internal Server Error", detail, hint=hint, more={"id": name})
