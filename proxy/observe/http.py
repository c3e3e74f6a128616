"""A minimal HTTP/1.1 server for /metrics, /healthz and /readyz (RFC 9112, GET and HEAD only).

Bounded in every direction: connections, bytes of a request's head, seconds per connection. It answers one request
and closes. Bodies of requests are never read. It knows nothing of what the routes tell.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus

from proxy.observe.health import Answer

Route = Callable[[], Awaitable[Answer]]

_MAX_HEAD_BYTES = 8 * 1024
_MAX_CONNECTIONS = 64
_TIMEOUT_S = 5.0
_TEXT = "text/plain; charset=utf-8"
_log = logging.getLogger(__name__)


async def serve_http(
    host: str,
    port: int,
    routes: Mapping[str, Route],
    *,
    timeout_s: float = _TIMEOUT_S,
    sock: socket.socket | None = None,
) -> asyncio.Server:
    """Serve `routes` (path to a function that gives status, content type, body) until the server is closed.

    `timeout_s` bounds one whole exchange. `sock` listens already, instead of host and port. Raises OSError when the
    address cannot be had.
    """
    handler = _Handler(routes, timeout_s)
    if sock is not None:
        return await asyncio.start_server(handler.serve, sock=sock, limit=_MAX_HEAD_BYTES)
    return await asyncio.start_server(handler.serve, host, port, limit=_MAX_HEAD_BYTES)


class _Handler:
    """All connections of one server."""

    __slots__ = ("_open", "_routes", "_timeout_s")

    def __init__(self, routes: Mapping[str, Route], timeout_s: float) -> None:
        self._routes = routes
        self._timeout_s = timeout_s
        self._open = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request; the connection is gone after the time-out, at once if it is one too many."""
        self._open += 1
        try:
            if self._open > _MAX_CONNECTIONS:
                return
            async with asyncio.timeout(self._timeout_s):
                writer.write(await self._reply(reader))
                await writer.drain()
                writer.close()
                await writer.wait_closed()
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            pass  # the client went away, or was too slow: nobody is left to be told
        except asyncio.CancelledError:
            pass  # the loop ends; asyncio's streams log a cancelled handler as an error
        finally:
            self._open -= 1
            writer.transport.abort()

    async def _reply(self, reader: asyncio.StreamReader) -> bytes:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.LimitOverrunError:
            return _refusal(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        parts = head.partition(b"\r\n")[0].split(b" ")
        if len(parts) != 3 or not parts[2].startswith(b"HTTP/1.") or not parts[1].startswith(b"/"):
            return _refusal(HTTPStatus.BAD_REQUEST)
        return await self._answer(parts[0], parts[1].partition(b"?")[0].decode("latin-1"))

    async def _answer(self, method: bytes, path: str) -> bytes:
        route = self._routes.get(path)
        if route is None:
            return _refusal(HTTPStatus.NOT_FOUND)
        if method not in (b"GET", b"HEAD"):
            return _refusal(HTTPStatus.METHOD_NOT_ALLOWED, "Allow: GET, HEAD\r\n")
        try:
            status, content_type, body = await route()
        except Exception:
            _log.exception("admin route failed", extra={"path": path})
            return _refusal(HTTPStatus.INTERNAL_SERVER_ERROR)
        return _response(HTTPStatus(status), content_type, body, with_body=method == b"GET")


def _refusal(status: HTTPStatus, headers: str = "") -> bytes:
    return _response(status, _TEXT, f"{status.phrase}\n".encode(), headers)


def _response(
    status: HTTPStatus, content_type: str, body: bytes, headers: str = "", *, with_body: bool = True
) -> bytes:
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}\r\n"
        f"Content-Type: {content_type}\r\n"
        f"Content-Length: {len(body)}\r\n"
        "Cache-Control: no-store\r\n"
        "X-Content-Type-Options: nosniff\r\n"
        f"{headers}"
        "Connection: close\r\n\r\n"
    )
    return head.encode("latin-1") + (body if with_body else b"")
