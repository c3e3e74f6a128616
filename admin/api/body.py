"""Bodies as route parameters: strict JSON objects, described in the OpenAPI document by a schema of `schemas.py`."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Annotated, Any

from fastapi import Body, Request, Response
from fastapi.routing import APIRoute
from pydantic import WithJsonSchema

from admin.api import schemas
from admin.api.problems import ApiProblem
from admin.api.strict_json import NotJson, parse_strict

_READ_IT = "GET /v1/openapi.json describes it."


class _StrictRequest(Request):
    """A request whose body has one meaning only."""

    async def json(self) -> Any:
        try:
            return parse_strict(await self.body())
        except NotJson as error:
            raise ApiProblem(400, "bad-json", f"the body {error}", hint=_READ_IT) from None


class StrictRoute(APIRoute):
    """For every route with a body: FastAPI's own reading would take the last of two members of one name."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handler = super().get_route_handler()
        takes_body = self.body_field is not None

        async def handle(request: Request) -> Response:
            strict = _StrictRequest(request.scope, request.receive)
            if takes_body and await strict.body() and not _is_json(request.headers.get("content-type", "")):
                raise ApiProblem(415, "not-json", "the body must be application/json", hint=_READ_IT)
            return await handler(strict)

        return handle


def _is_json(content_type: str) -> bool:
    kind = content_type.partition(";")[0].strip().lower()
    return kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))


JsonObject = dict[str, Any]
TenantBody = Annotated[JsonObject, WithJsonSchema(schemas.TENANT), Body()]
NewTenantBody = Annotated[JsonObject, WithJsonSchema(schemas.NEW_TENANT), Body()]
QuotasBody = Annotated[JsonObject, WithJsonSchema(schemas.QUOTAS), Body()]
FlagsBody = Annotated[JsonObject, WithJsonSchema(schemas.FLAGS), Body()]
TierBody = Annotated[JsonObject, WithJsonSchema(schemas.TIER), Body()]
FlagBody = Annotated[JsonObject, WithJsonSchema(schemas.FLAG), Body()]
RoleBody = Annotated[JsonObject, WithJsonSchema(schemas.ROLE), Body()]
NewRoleBody = Annotated[JsonObject, WithJsonSchema(schemas.NEW_ROLE), Body()]
UserRolesBody = Annotated[JsonObject, WithJsonSchema(schemas.USER_ROLES), Body()]
PolicyBody = Annotated[JsonObject, WithJsonSchema(schemas.POLICY), Body()]
NewPolicyBody = Annotated[JsonObject, WithJsonSchema(schemas.NEW_POLICY), Body()]
TargetBody = Annotated[JsonObject, WithJsonSchema(schemas.TARGET), Body()]
ClassificationBody = Annotated[JsonObject, WithJsonSchema(schemas.CLASSIFICATION), Body()]
RevocationBody = Annotated[JsonObject, WithJsonSchema(schemas.REVOCATION), Body()]
ExplainBody = Annotated[JsonObject, WithJsonSchema(schemas.EXPLAIN), Body()]
DryRunBody = Annotated[JsonObject, WithJsonSchema(schemas.DRY_RUN), Body()]
ReplayBody = Annotated[JsonObject, WithJsonSchema(schemas.REPLAY), Body()]
TenantPatch = Annotated[
    JsonObject, WithJsonSchema(schemas.TENANT_PATCH), Body(media_type="application/merge-patch+json")
]


def named(body: dict[str, Any], name: str) -> dict[str, Any]:
    """The body without `id`, which must be the path's where it is given. Raises ApiProblem (422)."""
    rest = dict(body)
    if rest.pop("id", name) != name:
        problem = ("id", "is not the one in the path", "Leave it out, or make it the same.")
        raise ApiProblem(422, "invalid", "the body is of another entity", errors=[problem])
    return rest


def take_id(body: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """The body's `id` and the rest. Raises ApiProblem (422) when it is missing."""
    rest = dict(body)
    name = rest.pop("id", None)
    if not isinstance(name, str) or not name or len(name) > 255:
        problem = ("id", "is missing, or not a text of up to 255 characters", "Write the new entity's id.")
        raise ApiProblem(422, "invalid", "the body has no id", errors=[problem])
    return name, rest
