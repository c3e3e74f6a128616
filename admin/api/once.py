"""Idempotency-Key (draft-ietf-httpapi-idempotency-key-header): a POST that is sent twice is done once.

The answer is kept for a day under the caller and the key. The same key with another request is refused, and so is one
whose first request is under way. An answer that says that nothing was done (4xx but for conflicts) is not kept.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import Depends, Header, Request
from starlette.responses import Response

from admin.api.caller import Caller, CallerParam, ControlParam
from admin.api.control import Control
from admin.api.problems import ApiProblem
from admin.services import idempotency

_KEY = re.compile(r"[\x21-\x7e]{1,255}")
_KEPT = ("etag", "location", "last-modified", "content-type", "tenantgate-policy-version")


class Once:
    """A dependency of every POST that changes something."""

    __slots__ = ("_caller", "_control", "_key", "_request")

    def __init__(self, request: Request, control: Control, caller: Caller, key: str | None) -> None:
        self._request = request
        self._control = control
        self._caller = caller
        self._key = key

    async def answer(self, work: Callable[[], Awaitable[Response]]) -> Response:
        """Do the work, or answer as when it was done. Raises Conflict: it is under way."""
        if self._key is None:
            return await work()
        store, actor = self._control.store, self._caller.actor
        key = hashlib.sha256(f"{self._caller.key}\0{self._key}".encode()).hexdigest()
        stored = await idempotency.begin(store, actor, key, await self._digest())
        if stored is not None:
            headers = {**stored.headers, "Idempotent-Replayed": "true"}
            return Response(stored.response.encode(), stored.status, headers)
        try:
            response = await work()
        except BaseException:
            await idempotency.forget(store, actor, key)
            raise
        kept = {name: value for name, value in response.headers.items() if name in _KEPT}
        text = bytes(response.body).decode()
        await idempotency.finish(store, actor, key, response.status_code, kept, text)
        return response

    async def _digest(self) -> str:
        request = self._request
        head = f"{request.method}\0{request.url.path}\0{request.url.query}\0{self._caller.tenant}\0"
        return hashlib.sha256(head.encode() + await request.body()).hexdigest()


async def once_of(
    request: Request,
    control: ControlParam,
    caller: CallerParam,
    idempotency_key: Annotated[
        str | None, Header(description="The same key and request are done once and answered alike.", max_length=255)
    ] = None,
) -> Once:
    if idempotency_key is not None and _KEY.fullmatch(idempotency_key) is None:
        raise ApiProblem(400, "bad-header", "Idempotency-Key is not 1 to 255 printable characters")
    return Once(request, control, caller, idempotency_key)


OnceParam = Annotated[Once, Depends(once_of)]
