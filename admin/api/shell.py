"""What stands around every request: its size, its id, headers of the answer, the last resort for errors. ASGI."""

from __future__ import annotations

import asyncio
import logging
import math
import secrets
import time
from collections.abc import Iterable
from http import HTTPStatus

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from admin.api.problems import internal_error, problem_response

logger = logging.getLogger("tenantgate.admin.access")

_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_STEP_S = 0.05
_READ_TIMEOUT_S = 30.0
_HSTS = "max-age=31536000"


class Shell:
    """Wraps the application. secure: it is served over TLS."""

    def __init__(self, app: ASGIApp, *, max_body_bytes: int, secure: bool) -> None:
        self._app = app
        self._max = max_body_bytes
        self._headers = [*_HEADERS.items(), *([("Strict-Transport-Security", _HSTS)] if secure else [])]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = _Exchange(scope, send, self._headers)
        if _declared_length(scope) > self._max:
            await self._too_large(scope, receive, exchange)
            return
        try:
            async with asyncio.timeout(_READ_TIMEOUT_S):
                body, whole = await self._read(receive)
        except TimeoutError:
            await self._refuse(scope, receive, exchange, 408, "the body took too long")
            return
        if not whole:
            await self._too_large(scope, receive, exchange)
            return
        try:
            await self._app(scope, _replay(body, receive), exchange.send)
        except Exception as error:  # the last resort: nothing of it reaches the caller
            if exchange.status == 0:
                await internal_error(error)(scope, receive, exchange.send)
            elif not scope["state"].get("told"):
                logger.error("an answer broke off", exc_info=error)
        finally:
            exchange.log()

    async def _read(self, receive: Receive) -> tuple[bytes, bool]:
        """The whole body, unless it is too large: it is bounded before anybody parses it."""
        parts: list[bytes] = []
        size = 0
        while True:
            message = await receive()
            if message["type"] != "http.request":
                return b"".join(parts), True
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if size > self._max:
                return b"", False
            if not message.get("more_body", False):
                return b"".join(parts), True

    async def _too_large(self, scope: Scope, receive: Receive, exchange: _Exchange) -> None:
        await self._refuse(scope, receive, exchange, 413, f"the body is larger than {self._max} bytes")

    async def _refuse(self, scope: Scope, receive: Receive, exchange: _Exchange, status: int, detail: str) -> None:
        phrase = HTTPStatus(status).phrase
        kind = phrase.lower().replace(" ", "-")
        await problem_response(status, kind, phrase, detail, headers={"Connection": "close"})(
            scope, receive, exchange.send
        )
        exchange.log()


class _Exchange:
    """One request and its answer: adds headers to the answer, and writes the access log."""

    __slots__ = ("_began", "_headers", "_id", "_scope", "_send", "status")

    def __init__(self, scope: Scope, send: Send, headers: Iterable[tuple[str, str]]) -> None:
        self._scope = scope
        self._send = send
        self._headers = headers
        self._id = secrets.token_hex(8)
        self._began = time.monotonic()
        self.status = 0
        scope.setdefault("state", {})["request_id"] = self._id

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            if self.status == 404:
                await asyncio.sleep(pause_before_404(time.monotonic() - self._began))
            headers = MutableHeaders(scope=message)
            for name, value in self._headers:
                headers.setdefault(name, value)
            headers["X-Request-Id"] = self._id
        await self._send(message)

    def log(self) -> None:
        """Method, path and outcome. Never a header, a query or a body: tokens and data are in these."""
        scope, client = self._scope, self._scope.get("client")
        principal = scope["state"].get("principal")
        logger.info(
            "request",
            extra={
                "request": self._id,
                "method": scope["method"],
                "path": scope["path"][:200],
                "status": self.status,
                "ms": round((time.monotonic() - self._began) * 1000, 1),
                "client": client[0] if client else "",
                "user": principal.subject if principal is not None else "",
            },
        )


def pause_before_404(elapsed_s: float) -> float:
    """Until the next step of time: how long it took to find nothing must not tell a tenant that is not there from one
    that is another's."""
    return math.ceil(elapsed_s / _STEP_S) * _STEP_S - elapsed_s if elapsed_s > 0 else _STEP_S


def _declared_length(scope: Scope) -> int:
    text = Headers(scope=scope).get("content-length", "0")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else 0


def _replay(body: bytes, receive: Receive) -> Receive:
    sent = False

    async def replay() -> Message:
        nonlocal sent
        if not sent:
            sent = True
            return {"type": "http.request", "body": body, "more_body": False}
        return await receive()

    return replay
