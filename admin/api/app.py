"""The application: routes under /v1, errors as problem+json, the OpenAPI document."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp

from admin.api.control import Control
from admin.api.problems import MEDIA_TYPE, on_api_problem, on_invalid, on_known_error, on_unexpected
from admin.api.routes import audit, changes, explain, meta, policies, roles, sessions, targets, tenants, tiers, tokens
from admin.api.schemas import PROBLEM
from admin.api.shell import Shell
from policy.errors import TenantGateError

PREFIX = "/v1"
_OPEN = frozenset({f"{PREFIX}/health", f"{PREFIX}/version"})
_ABOUT = """\
The control plane of a TenantGate. Errors are problem+json (RFC 9457). A change needs If-Match with the ETag of a GET;
a POST may carry an Idempotency-Key. Bodies have the fields of policy.yaml. docs/admin-api.md is a ten minutes' tour.
"""


def create_app(control: Control, *, max_body_bytes: int = 1024 * 1024, secure: bool = False) -> ASGIApp:
    """The whole API around one `control`. secure: it is served over TLS."""
    app = FastAPI(
        title="TenantGate admin API",
        version=control.version,
        description=_ABOUT,
        openapi_url=f"{PREFIX}/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.control = control
    for module in (tenants, tiers, roles, policies, targets, sessions, tokens, audit, changes, explain, meta):
        app.include_router(module.router, prefix=PREFIX)
    app.add_exception_handler(HTTPException, on_api_problem)
    app.add_exception_handler(RequestValidationError, on_invalid)
    app.add_exception_handler(TenantGateError, on_known_error)
    app.add_exception_handler(Exception, on_unexpected)
    app.openapi = lambda: _document(app)  # type: ignore[method-assign]
    return Shell(app, max_body_bytes=max_body_bytes, secure=secure)


def _document(app: FastAPI) -> dict[str, Any]:
    """OpenAPI 3.1, with what every operation has in common: how to authenticate, and that errors are problems."""
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title,
            version=app.version,
            description=app.description,
            routes=app.routes,
            openapi_version="3.1.0",
        )
        components = document.setdefault("components", {})
        components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}}
        components.setdefault("schemas", {})["Problem"] = PROBLEM
        for path, operations in document["paths"].items():
            for operation in operations.values():
                _complete(operation, is_open=path in _OPEN)
        app.openapi_schema = document
    return app.openapi_schema


def _complete(operation: dict[str, Any], *, is_open: bool) -> None:
    problem = {"schema": {"$ref": "#/components/schemas/Problem"}}
    operation["responses"].pop("422", None)
    operation["responses"]["default"] = {"description": "A problem (RFC 9457)", "content": {MEDIA_TYPE: problem}}
    if not is_open:
        operation["security"] = [{"token": []}]
