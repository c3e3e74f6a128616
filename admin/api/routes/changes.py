"""/changes: who changed which row of a tenant's tracked tables from what to what (docs/changes.md)."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from admin.api.caller import CallerParam, ControlParam, above
from admin.api.problems import ApiProblem
from admin.api.routes.parameters import PagingParam, time_of
from admin.changes.history import Asked
from admin.services.errors import Refused
from policy.names import parse_table_name

router = APIRouter(tags=["audit"])
Text = Annotated[str | None, Query(max_length=400)]


@router.get("/changes", summary="Changes of rows of tracked tables, newest first")
async def list_changes(
    control: ControlParam,
    caller: CallerParam,
    paging: PagingParam,
    table: Annotated[str | None, Query(max_length=200, description="orders or public.orders")] = None,
    key: Annotated[str | None, Query(max_length=1000, description="The primary key, without the tenant.")] = None,
    user: Text = None,
    since: Annotated[str | None, Query(max_length=64, description="RFC 3339")] = None,
    until: Annotated[str | None, Query(max_length=64, description="RFC 3339")] = None,
) -> Response:
    if caller.tenant is None:
        hint = "Send the header TenantGate-Tenant: rows are where their tenant is."
        raise ApiProblem(400, "no-tenant", "which tenant's changes is not said", hint=hint)
    if not caller.actor.may_in("audit", "read", caller.tenant, above(caller.tenant, caller.snapshot)):
        raise Refused("changes may not be read by you", hint="It takes audit:…:read.")
    if control.changes is None or caller.tenant not in caller.snapshot.tenants:
        hint = "Add [api.targets.NAME] with a login that may read them."
        raise ApiProblem(404, "not-configured", "changes cannot be read here", hint=hint)
    asked = paging.asked
    which = Asked(
        table=_table(table), key=_text("key", key), user=_text("user", user) or "", since=time_of("since", since),
        until=time_of("until", until), before=None if asked.cursor is None else int(asked.cursor), limit=asked.limit,
    )  # fmt: skip
    found = await control.changes.history(caller.snapshot.tenants[caller.tenant], which)
    cursor = str(found[-1].fields["id"]) if len(found) == asked.limit else None
    return paging.answer_items([change.fields for change in found], cursor)


def _table(name: str | None) -> str:
    if name:
        try:
            parse_table_name(name)
        except ValueError as error:
            raise _invalid("table", str(error), "Write orders or public.orders.") from None
    return _text("table", name) or ""


def _text(name: str, value: str | None) -> str | None:
    if value is not None and "\0" in value:
        raise _invalid(name, "has a NUL in it", "PostgreSQL has none in texts.")
    return value


def _invalid(name: str, message: str, hint: str) -> ApiProblem:
    return ApiProblem(422, "invalid", "a parameter is not valid", errors=[(f"query.{name}", message, hint)])
